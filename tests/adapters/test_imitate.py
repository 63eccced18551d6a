"""Learning by imitation: the same bytes every time, on where it stopped, none where nothing is gained."""

from __future__ import annotations

import io
from dataclasses import dataclass, field, replace
from types import SimpleNamespace

import pytest
import torch
from diffusers import DDIMScheduler, LCMScheduler
from PIL import Image

from castmark_adapters.errors import SubjectError
from castmark_adapters.imitate import ImitationSettings, imitate
from castmark_adapters.imitation import lessons
from castmark_adapters.learn import LearnEvent
from castmark_adapters.lora import LoraAdapter
from castmark_adapters.placement import find, put
from castmark_adapters.reference import ReferenceAdapter
from castmark_adapters.schedule import Schedule
from castmark_adapters.subject import Subject
from castmark_adapters.views import ReferenceView

SHORT = ImitationSettings(
    steps=4,
    batch=2,
    rank=2,
    drawings=3,
    others=2,
    drawing_steps=2,
    preview_every=2,
    previews=2,
    least_sharpness=0.0,
)


@dataclass
class Scorer:
    """Gives the scores it is told, one a look, over and over; the last for ever."""

    says: list[float]
    encoder: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(digest="e" * 64))
    looks: int = 0

    def scores(self, pictures, subject) -> list[float]:
        self.looks += 1
        return [self.says[min(self.looks, len(self.says)) - 1]] * len(pictures)


class Stopped(Exception):  # noqa: N818
    """Raised in the middle of a run, as a kill would end it."""


@pytest.fixture(scope="module")
def learned(small_host, mira) -> Subject:
    return imitate(mira, small_host, SHORT)


def test_the_base_is_untouched_and_every_run_gives_the_same_bytes(small_host, mira, learned, untouched):
    state = torch.get_rng_state()
    plain = small_host.draw()
    assert imitate(mira, small_host, SHORT).lora == learned.lora
    untouched.assert_same(small_host)
    assert torch.equal(torch.get_rng_state(), state)
    assert learned.lora is not None and learned.lora.steps == 4
    with LoraAdapter.of(learned).worn(small_host):
        assert not torch.equal(small_host.draw(), plain)


def test_an_interrupted_run_ends_with_the_same_bytes(small_host, mira, untouched, tmp_path):
    def rising() -> Scorer:
        return Scorer([0.1, 0.2, 0.5, 0.4, 0.3])

    def stop(event: LearnEvent) -> None:
        if event.step == 3:
            raise Stopped

    whole = imitate(mira, small_host, SHORT, scorer=rising())
    with pytest.raises(Stopped):
        imitate(mira, small_host, SHORT, stop, scorer=rising(), work=tmp_path)
    assert {path.suffix for path in tmp_path.iterdir()} == {".safetensors"}
    # Taken up again it looks at no LoRA and at the best so far, then goes on.
    steps: list[int] = []
    again = imitate(
        mira,
        small_host,
        SHORT,
        lambda event: steps.append(event.step),
        scorer=Scorer([0.1, 0.5, 0.4, 0.3]),
        work=tmp_path,
    )
    assert steps == [3, 4]
    assert whole.lora is not None and again.lora == whole.lora
    assert list(tmp_path.iterdir()) == []


def test_the_best_strength_is_multiplied_in(small_host, mira, untouched):
    full = imitate(mira, small_host, replace(SHORT, steps=2), scorer=Scorer([0.1, 0.9, 0.2]))
    less = imitate(mira, small_host, replace(SHORT, steps=2), scorer=Scorer([0.1, 0.2, 0.9]))
    strong, weak = (LoraAdapter.of(subject).weights.layers for subject in (full, less))
    assert all(torch.allclose(weak[name][1], up * 0.6) for name, (_, up) in strong.items())


def test_no_gain_no_lora_and_it_stops_early(small_host, learned, untouched):
    events: list[LearnEvent] = []
    settings = replace(SHORT, steps=50, patience=1)
    found = imitate(learned, small_host, settings, events.append, scorer=Scorer([0.7, 0.705, 0.6]))
    assert found.lora is None
    assert sorted(found.files) == [f"reference_{i}.png" for i in (1, 2, 3)]
    assert len(events) == 2
    assert (events[-1].likeness, events[-1].likeness_without) == (0.705, 0.7)


def test_blurred_previews_do_not_count(small_host, mira, untouched):
    events: list[LearnEvent] = []
    settings = replace(SHORT, least_sharpness=9.0)
    found = imitate(mira, small_host, settings, events.append, scorer=Scorer([0.1, 0.9]))
    assert found.lora is None
    assert [event.likeness for event in events] == [None, -1.0, None, -1.0]


def test_references_worn_beside_it_are_the_other_ones(
    small_host, mira, small_reference_folder, untouched, learned
):
    reference = ReferenceAdapter.load(small_reference_folder)
    both = imitate(mira, small_host, SHORT, reference=reference)
    assert both.lora is not None and both.lora != learned.lora
    one = Subject.from_images("one", [mira.file("reference_1.png")], phrase="a red thing")
    assert imitate(one, small_host, SHORT, reference=reference).lora == imitate(one, small_host, SHORT).lora


def test_a_reference_is_found_where_it_stands_in_another_picture():
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(3, 8, 8, generator=generator).repeat_interleave(8, 1).repeat_interleave(8, 2)
    mask = torch.zeros(1, 64, 64)
    mask[:, 20:44, 16:36] = 1
    view = ReferenceView(image, mask, plain=False)
    other = ReferenceView(1 - image, mask, plain=False)
    shifted = torch.full((3, 64, 64), 0.5)
    shifted[:, 28:52, 26:46] = image[:, 20:44, 16:36]  # 8 down, 10 right
    found = find(shifted, [other, view])
    assert (found.reference, found.scale, round(found.x * 64), round(found.y * 64)) == (1, 1.0, 10, 8)
    empty = ReferenceView(image, torch.zeros(1, 64, 64), plain=False)
    assert find(shifted, [empty, view]).reference == 1, "nothing is like everything"
    with pytest.raises(SubjectError, match="none of the references shows"):
        find(shifted, [empty])
    there = put(view, found)
    assert torch.allclose(there.image * there.mask, shifted * there.mask, atol=1e-3)
    assert float(there.mask.sum()) == pytest.approx(24 * 20, rel=0.02)


def test_only_references_that_say_where_the_subject_is_are_imitated(small_host, mira, untouched):
    noise = torch.randint(0, 255, (64, 64, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    out = io.BytesIO()
    Image.fromarray(noise.numpy()).save(out, "PNG")
    busy = Subject.from_images("busy", [out.getvalue()], phrase="a red thing")
    with pytest.raises(SubjectError, match="no reference says where the subject is"):
        imitate(busy, small_host, SHORT)
    both = Subject.from_images("both", [out.getvalue(), mira.file("reference_1.png")], phrase="a red thing")
    schedule = Schedule(small_host.pipeline.scheduler, 2)
    assert set(lessons(both, small_host, schedule, drawings=3, others=2, seed=0).source.tolist()) == {1}


@pytest.mark.parametrize("kind", [LCMScheduler, DDIMScheduler])
def test_lessons_keep_the_drawing_and_change_the_subject(small_host, mira, untouched, monkeypatch, kind):
    own = small_host.pipeline.scheduler
    monkeypatch.setattr(small_host.pipeline, "scheduler", kind.from_config(own.config))
    schedule = Schedule(small_host.pipeline.scheduler, 2)
    found = lessons(mira, small_host, schedule, drawings=3, others=2, seed=0)
    assert found.own.noisy.shape == (3, 2, 12, 8, 8)
    assert found.targets.shape == (3, 12, 8, 8)
    assert bool((found.masks * found.outside < 1).all()) and 0 < float(found.masks.mean()) < 0.9
    drawn = small_host.pipeline(
        ["a red thing at the beach"],
        num_inference_steps=2,
        guidance_scale=1.0,
        generator=[torch.Generator().manual_seed(0)],
        output_type="latent",
    ).images
    assert torch.allclose(found.own.clean[:1, -1], drawn, atol=1e-4)
