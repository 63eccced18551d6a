"""Learning: towards the references, the same bytes every time, and on from where it stopped."""

from __future__ import annotations

import io

import pytest
import torch
from PIL import Image
from torch.nn import functional

from castmark_adapters.checkpoint import Checkpoint, Saved
from castmark_adapters.errors import SubjectError
from castmark_adapters.learn import LearnEvent, LearnSettings, learn
from castmark_adapters.lora import LoraAdapter, LoraWeights
from castmark_adapters.material import encode_images, prepare
from castmark_adapters.reference import ReferenceAdapter
from castmark_adapters.schedule import Schedule
from castmark_adapters.subject import Subject
from castmark_adapters.views import reference_views

SHORT = LearnSettings(steps=5, batch=2, rank=2, views=1, others=2, drawing_steps=2, checkpoint_every=2)


class Stopped(Exception):  # noqa: N818
    """Raised in the middle of a run, as a kill would end it."""


def stop_after(step: int):
    def watch(event: LearnEvent) -> None:
        if event.step == step:
            raise Stopped

    return watch


@pytest.fixture(scope="session")
def small_plain(small_host) -> torch.Tensor:
    return small_host.draw()


@pytest.fixture(scope="session")
def learned(small_host, mira) -> Subject:
    return learn(mira, small_host, SHORT)


def test_the_base_is_untouched_and_the_card_says_what_was_learned(small_host, small_plain, mira, untouched):
    events: list[LearnEvent] = []
    state = torch.get_rng_state()
    learned = learn(mira, small_host, SHORT, events.append)
    untouched.assert_same(small_host)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(small_host.draw(), small_plain)
    assert [event.step for event in events] == [1, 2, 3, 4, 5]
    assert learned.lora is not None
    assert (learned.lora.base, learned.lora.rank, learned.lora.steps) == (small_host.digest, 2, 5)
    with LoraAdapter.of(learned).worn(small_host):
        assert not torch.equal(small_host.draw(), small_plain)


def test_a_mask_that_the_user_gave_says_where_the_subject_is(small_host, references):
    mask = io.BytesIO()
    drawn = Image.new("L", (96, 96), 0)
    drawn.paste(255, (0, 0, 48, 96))
    drawn.save(mask, "PNG")
    subject = Subject.from_images("mira", references[:1], masks=[mask.getvalue()])
    settings = {"views": 1, "others": 1, "steps": 1, "seed": 0, "reference": None}
    weights = prepare(subject, small_host, **settings).masks
    half = weights.shape[-1] // 2
    assert weights[..., : half - 1].min() > 0.9 and weights[..., half + 1 :].max() < 0.2


def test_a_checkpoint_keeps_counts_that_are_no_tensors(tmp_path):
    weights = LoraWeights(1, {"a": (torch.zeros(1, 2), torch.zeros(2, 1))})
    kept = Checkpoint(tmp_path, "0" * 64)
    kept.write(Saved(weights, {0: {"step": 20, "exp_avg": torch.ones(2)}}, 20))
    read = kept.read()
    assert read is not None and read.step == 20
    assert read.optimizer[0]["step"] == 20 and type(read.optimizer[0]["step"]) is int
    assert torch.equal(read.optimizer[0]["exp_avg"], torch.ones(2))


def test_the_same_run_gives_the_same_bytes(small_host, mira, learned, untouched):
    assert learn(mira, small_host, SHORT).lora == learned.lora


def test_an_interrupted_run_ends_with_the_same_bytes(small_host, mira, learned, untouched, tmp_path):
    with pytest.raises(Stopped):
        learn(mira, small_host, SHORT, stop_after(3), work=tmp_path)
    untouched.assert_same(small_host)
    assert [path.suffix for path in tmp_path.iterdir()] == [".safetensors"]
    steps: list[int] = []
    again = learn(mira, small_host, SHORT, lambda event: steps.append(event.step), work=tmp_path)
    assert steps == [3, 4, 5]
    assert again.lora == learned.lora
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_or_foreign_checkpoint_is_not_used(small_host, mira, learned, untouched, tmp_path):
    with pytest.raises(Stopped):
        learn(mira, small_host, SHORT, stop_after(3), work=tmp_path)
    path = next(tmp_path.iterdir())
    path.write_bytes(path.read_bytes()[:-50])
    steps: list[int] = []
    assert learn(mira, small_host, SHORT, lambda e: steps.append(e.step), work=tmp_path).lora == learned.lora
    assert steps[0] == 1
    with pytest.raises(Stopped):
        learn(mira, small_host, SHORT, stop_after(3), work=tmp_path)
    other = Subject.from_images("mira", [mira.file(mira.references[0].name)], phrase=mira.phrase)
    steps.clear()
    learn(other, small_host, SHORT, lambda e: steps.append(e.step), work=tmp_path)
    assert steps[0] == 1


def error(host, subject: Subject) -> float:
    """How far the base is from the subject's clean latents, at a middle of its path with the same noise."""
    pipeline = host.pipeline
    schedule = Schedule(pipeline.scheduler, 2)
    views = reference_views([subject.file(r.name) for r in subject.references], 64)
    x0 = encode_images(pipeline, torch.stack([view.image for view in views]))
    mask = functional.interpolate(torch.stack([view.mask for view in views]), x0.shape[-2:], mode="area")
    t = torch.full((len(x0),), 499)
    x_t = schedule.noised(x0, torch.randn(x0.shape, generator=torch.Generator().manual_seed(0)), t)
    texts, _ = pipeline.encode_prompt([subject.phrase] * len(x0), "cpu", 1, False)
    difference = pipeline.unet(x_t, t, encoder_hidden_states=texts).sample - x0
    return float((difference.square() * mask).sum() / mask.sum())


@torch.no_grad()
def test_it_learns_the_references(small_host, mira, untouched):
    settings = LearnSettings(
        steps=25, views=1, others=1, drawing_steps=2, learning_rate=1e-2, background=0.0, preservation=0.0
    )
    before = error(small_host, mira)
    with torch.enable_grad():
        learned = learn(mira, small_host, settings)
    with LoraAdapter.of(learned).worn(small_host):
        after = error(small_host, mira)
    assert after < 0.8 * before


def test_it_learns_beside_the_reference_adapter(small_host, mira, learned, small_reference_folder, untouched):
    reference = ReferenceAdapter.load(small_reference_folder)
    both = learn(mira, small_host, SHORT, reference=reference)
    untouched.assert_same(small_host)
    assert both.lora is not None
    assert both.lora != learned.lora
    single = Subject.from_images("mira", [mira.file(mira.references[0].name)], phrase=mira.phrase)
    assert learn(single, small_host, SHORT, reference=reference).lora == learn(single, small_host, SHORT).lora


def test_no_references_is_refused(small_host):
    with pytest.raises(SubjectError, match="no reference images"):
        learn(Subject(name="nobody", kind="character", phrase="a person"), small_host, SHORT)


def test_divergence_is_an_error_and_restores(small_host, mira, untouched):
    settings = LearnSettings(steps=4, batch=2, views=1, others=1, drawing_steps=2, learning_rate=1e30)
    with pytest.raises(SubjectError, match="diverged at step"):
        learn(mira, small_host, settings)
    untouched.assert_same(small_host)
