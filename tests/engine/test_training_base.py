"""Training of the embedded base: folded is the same model, a run resumes, what ships loads."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from diffusers import AutoencoderTiny, StableDiffusionPipeline
from safetensors.torch import load_file

import castmark_data
from castmark.bench.truth import columns
from castmark.errors import InputError
from castmark.training import (
    autoencoder,
    critic,
    decoder,
    denoiser,
    latents,
    loop,
    paths,
    planner,
    polish,
    shards,
    student,
    teacher,
)
from castmark.training.common import TrainSettings, load_checkpoint
from castmark.training.labels import of_subject
from castmark.training.paths import Paths, guided_paths
from castmark.training.tokenizer import load_tokenizer
from castmark_adapters.encoder import SubjectEncoder
from castmark_adapters.reference import ReferenceAdapter
from castmark_world.plan import PLANNED

CHANNELS = autoencoder.LATENT_CHANNELS + autoencoder.PLAN_CHANNELS


@pytest.fixture(scope="module")
def tiny() -> AutoencoderTiny:
    torch.manual_seed(0)
    model = autoencoder.new_autoencoder()
    # Larger weights than the initial ones, so that a wrong fold cannot hide in small numbers.
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.5)
    return model.eval()


@torch.no_grad()
def test_the_folded_head_is_the_same_linear_map_inside_the_image(tiny: AutoencoderTiny) -> None:
    images = torch.rand(1, 3, 64, 64)
    layers = tiny.encoder.layers
    plain = layers[2](layers[1](layers[0](images)))
    weight, bias = autoencoder.fold_head(layers)
    folded = torch.nn.functional.conv2d(images, weight, bias, stride=4, padding=4)
    inside = (..., slice(1, -1), slice(1, -1))
    assert plain[inside].std() > 1e-3
    torch.testing.assert_close(folded[inside], plain[inside], rtol=1e-4, atol=1e-5)


def test_gradients_through_the_folded_tail_are_those_of_its_layers(tiny: AutoencoderTiny) -> None:
    latents = torch.randn(1, CHANNELS, 3, 4, generator=torch.Generator().manual_seed(2))
    target = torch.randn(1, 3, 48, 64, generator=torch.Generator().manual_seed(3))
    last = list(tiny.decoder.parameters())[-6:]
    plain = torch.autograd.grad((tiny.decoder(latents) - target).square().mean(), last)
    drawn = autoencoder.Folded(tiny).decode(latents)
    folded = torch.autograd.grad((drawn - target).square().mean(), last)
    assert max(float(gradient.abs().max()) for gradient in plain) > 1e-3
    for mine, wanted in zip(folded, plain, strict=True):
        torch.testing.assert_close(mine, wanted, rtol=1e-3, atol=1e-5)


@pytest.fixture(scope="module")
def encoder() -> SubjectEncoder:
    return SubjectEncoder.load(castmark_data.path("embedded", "reference", "image_encoder"))


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory, tiny: AutoencoderTiny, encoder: SubjectEncoder) -> Path:
    """A work folder with one small shard."""
    folder = tmp_path_factory.mktemp("work")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "SETS", 3)
        shards.make_shards(folder / "latents", tiny, denoiser.prompt_tokenizer(), encoder, range(1))
    return folder


def test_a_shard_holds_sets_of_views_with_readable_captions(work: Path) -> None:
    with np.load(work / "latents" / "shard-0000.npz") as shard:
        assert shard["latents"].shape == (3, latents.VIEWS, CHANNELS, 16, 16)
        assert shard["seen"].shape == (3, latents.VIEWS, 65, 128)
        texts = [load_tokenizer().decode(ids, skip_special_tokens=True) for ids in shard["tokens"][0, 0]]
    assert all(len(text.split()) >= 2 for text in texts)
    assert len(texts[-1]) < len(max(texts, key=len)), "the last caption names the subject by kind alone"


def test_shards_are_the_same_where_some_draw_and_one_encodes(
    work: Path, tiny: AutoencoderTiny, encoder: SubjectEncoder, tmp_path: Path
) -> None:
    folder, waiting = tmp_path / "latents", tmp_path / "waiting"
    passes = iter((True, False))
    draw = partial(shards.draw_shards, folder, waiting, denoiser.prompt_tokenizer(), encoder, range(1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "SETS", 3)
        draw()
    assert [path.name for path in waiting.iterdir()] == ["shard-0000.npz"]
    shards.encode_shards(folder, waiting, tiny, encoder, "cpu", lambda: next(passes))
    assert not list(waiting.iterdir())
    with np.load(work / "latents" / "shard-0000.npz") as one, np.load(folder / "shard-0000.npz") as other:
        assert set(one.files) == set(other.files) == set(latents.NAMES)
        for name in one.files:
            assert one[name].dtype == other[name].dtype
            np.testing.assert_array_equal(one[name], other[name])
    draw()
    assert not list(waiting.iterdir()), "what is encoded is not drawn again"


def test_of_a_view_with_references_all_that_is_the_subjects_is_asked(work: Path) -> None:
    pool = latents.LatentPool(work / "latents", np.random.default_rng(0))
    batch = pool.batch(12, referenced=6)
    own = torch.from_numpy(of_subject())
    assert bool(batch.unaided[:6, own].all())
    names = [column.name for column in columns()]
    assert not bool(batch.unaided[6:, names.index("character.blush")].any()), "no caption says a hidden trait"
    assert bool(batch.unaided[:, names.index("kind")].all())


def test_a_face_and_what_is_held_weigh_most_in_a_shard(work: Path) -> None:
    with np.load(work / "latents" / "shard-0000.npz") as shard:
        weight = shard["weight"]
    assert weight.min() == 1.0 and weight.max() <= 1 + shards.SUBJECT_WEIGHT + 2 * shards.DETAIL_WEIGHT
    assert (weight > 1 + shards.SUBJECT_WEIGHT).any()


def test_references_of_a_view_are_other_views_of_its_subject(work: Path) -> None:
    pool = latents.LatentPool(work / "latents", np.random.default_rng(0))
    batch = pool.batch(12, referenced=8)
    assert batch.seen.shape[:2] == (8, latents.REFERENCES)
    for clean, seen in zip(batch.clean[:8], batch.seen, strict=True):
        ((subject, view),) = (pool.held["latents"] == clean.half()).flatten(2).all(2).nonzero().tolist()
        for picture in seen:
            ((other, reference),) = (pool.held["seen"] == picture.half()).flatten(2).all(2).nonzero().tolist()
            assert other == subject and reference != view


def test_a_pool_takes_up_shards_that_came_since(work: Path, tmp_path: Path) -> None:
    first = work / "latents" / "shard-0000.npz"
    shutil.copy(first, tmp_path / "shard-0000.npz")
    pool = latents.LatentPool(tmp_path, np.random.default_rng(0))
    assert len(pool) == 3
    pool.refresh()
    assert len(pool) == 3, "nothing new came"
    shutil.copy(first, tmp_path / "shard-0001.npz")
    pool.refresh()
    assert len(pool) == 6 and pool.held["tokens"].shape[0] == 6
    torch.testing.assert_close(pool.held["seen"][:3], pool.held["seen"][3:])


def test_a_shard_of_an_earlier_version_is_named(work: Path, tmp_path: Path) -> None:
    with np.load(work / "latents" / "shard-0000.npz") as shard:
        kept = {name: shard[name] for name in shard.files if name not in ("labels", "said")}
    np.savez(tmp_path / "shard-0000.npz", **kept)
    with pytest.raises(InputError, match=r"shard-0000.npz: holds no labels, said.*delete"):
        latents.LatentPool(tmp_path, np.random.default_rng(0))


def test_shards_of_another_scope_are_named(work: Path, tmp_path: Path) -> None:
    with np.load(work / "latents" / "shard-0000.npz") as shard:
        held = {name: shard[name] for name in shard.files}
    np.savez(tmp_path / "shard-0000.npz", **{**held, "labels": held["labels"][..., 1:]})
    with pytest.raises(InputError, match=r"another scope of the world.*delete"):
        latents.LatentPool(tmp_path, np.random.default_rng(0))


def test_teacher_and_student_go_on_from_checkpoints_and_ship_plain_pipelines(
    work: Path,
    tiny: AutoencoderTiny,
    encoder: SubjectEncoder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(teacher, "SHARDS", 1)
    monkeypatch.setattr(teacher, "BATCH", 2)
    monkeypatch.setattr(student, "BATCH", 2)
    monkeypatch.setattr(student, "PATH_BATCH", 2)
    out = tmp_path / "base"
    tiny.save_pretrained(out / "vae")
    shutil.copytree(
        castmark_data.path("embedded", "reference", "image_encoder"), tmp_path / "reference" / "image_encoder"
    )
    settings = TrainSettings(minutes=0.02, work=work, out=out, threads=1)
    teacher.train(settings)
    first = load_checkpoint(work / "teacher.pt")
    assert first is not None and first["step"] > 0
    teacher.train(settings)
    second = load_checkpoint(work / "teacher.pt")
    assert second is not None and second["step"] > first["step"]
    assert second["minutes"] > first["minutes"]
    sheets = {path.stem for path in (work / "teacher-samples").glob("*.png")}
    assert sheets == {f"{state['step']:06d}" for state in (first, second)}

    student.train(TrainSettings(minutes=0.05, work=work, out=out, threads=1))
    taught = load_checkpoint(work / "student.pt")
    assert taught is not None and taught["step"] > 0
    changed = {k for k, v in second["model"].items() if not torch.equal(taught["model"][k], v)}
    assert any(name.startswith("resampler.") for name in changed)
    assert any(".processor.to_v_ip." in name for name in changed)
    words = load_file(out / "text_encoder" / "model.safetensors")
    assert {value.dtype for value in words.values() if value.is_floating_point()} == {torch.float16}
    pipeline = StableDiffusionPipeline.from_pretrained(out)
    assert pipeline.text_encoder.dtype == pipeline.unet.dtype == torch.float32
    images = pipeline("a red mug", num_inference_steps=1, guidance_scale=1.0, output_type="np").images
    assert images.shape == (1, 256, 256, 3)
    assert np.isfinite(images).all()

    # What was trained in one graph is what the worn adapter draws.
    model = denoiser.new_model(out, tmp_path / "reference").eval()
    noisy, when = torch.randn(1, CHANNELS, 16, 16), torch.tensor([999])
    embeds, seen = model.embed(torch.full((1, 48), 7)), torch.randn(1, 2, 65, 128)
    with torch.no_grad():
        wanted = model(noisy, when, embeds, model.look(seen, 1))
        unseen = model(noisy, when, embeds, model.look(seen[:0], 1))
        adapter, host = ReferenceAdapter.load(tmp_path / "reference"), Host(pipeline)
        plain = pipeline.unet(noisy, when, embeds).sample
        with adapter.worn(host, seen):
            conditions = {"image_embeds": [seen]}
            worn = pipeline.unet(noisy, when, embeds, added_cond_kwargs=conditions).sample
    torch.testing.assert_close(worn, wanted, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(plain, unseen, rtol=1e-3, atol=1e-4)
    assert (worn - plain).abs().max() > 1e-3


def test_a_student_is_polished_from_where_it_shipped_and_goes_on(
    work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(polish, "BATCH", 2)
    monkeypatch.setattr(paths, "PATH_BATCH", 2)
    monkeypatch.setattr(critic, "BATCH", 2)
    out = tmp_path / "base"
    shutil.copytree(castmark_data.path("embedded", "base"), out)
    shutil.copytree(castmark_data.path("embedded", "reference"), tmp_path / "reference")
    before = denoiser.new_model(out, tmp_path / "reference").state_dict()
    taught = json.loads((out / "card.json").read_text())["teacher"]
    settings = TrainSettings(minutes=0.05, work=tmp_path / "work", out=out, threads=1)
    shutil.copytree(work / "latents", settings.work / "latents")
    polish.train(settings)
    first = load_checkpoint(settings.work / "polished.pt")
    assert first is not None and first["step"] > 0
    changed = {name for name, value in first["model"].items() if not torch.equal(before[name], value)}
    assert any(name.startswith("unet.") for name in changed)
    assert any(name.startswith("text_encoder.") for name in changed)
    card = json.loads((out / "card.json").read_text())
    assert card["polished"] and card["teacher"] == taught
    student_before = card["student"]
    polish.train(settings)
    second = load_checkpoint(settings.work / "polished.pt")
    assert second is not None and second["step"] > first["step"]
    card = json.loads((out / "card.json").read_text())
    assert card["steps"] == second["step"] and card["student"] == student_before

    (settings.work / "student.pt").write_bytes(b"another student")
    polish.train(settings)
    anew = load_checkpoint(settings.work / "polished.pt")
    assert anew is not None and anew["minutes"] < second["minutes"], "it went on from the student in ``out``"
    assert (settings.work / "polished.pt.earlier").is_file()


@torch.no_grad()
def test_of_several_paths_the_one_whose_end_is_least_wrong_is_kept(encoder: SubjectEncoder) -> None:
    torch.manual_seed(0)
    model = denoiser.TextToLatents(
        denoiser.new_text_encoder(denoiser.prompt_tokenizer()), denoiser.new_unet(), encoder
    ).eval()
    seen: list[torch.Tensor] = []

    class Picky:
        def wrong(self, ends: torch.Tensor, *_: object) -> torch.Tensor:
            seen.append(ends)
            return torch.tensor([0.1, 0.9, 0.5, 0.2])

    path, clean = denoiser.NoisePath("cpu"), torch.randn(2, CHANNELS, 16, 16)
    ids = torch.randint(5, 100, (2, 48))
    batch = latents.Batch(clean, torch.ones(2, 1, 16, 16), ids, torch.randn(1, 3, 65, 128), *nothing(2, 1))
    found = polish.best_paths(model, cast("critic.Critic", Picky()), path, batch, torch.Generator())
    torch.testing.assert_close(found.target, seen[0][[0, 3]])
    images = model.look(batch.seen, 2)
    for level in range(4):
        arrived = student.arrived(model, path, found.noisy[:, 0], model.embed(ids), images, level)
        torch.testing.assert_close(found.noisy[:, level], arrived, rtol=1e-3, atol=1e-4)


def test_a_finished_decoder_draws_the_same_latents_better(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = castmark_data.path("embedded", "base", "vae")
    out = tmp_path / "vae"
    shutil.copytree(shipped, out)
    before = AutoencoderTiny.from_pretrained(out)
    with torch.no_grad():  # a decoder that errs along the border
        before.decoder.layers[-1].bias += 0.2
    before.save_pretrained(out)
    monkeypatch.setattr(decoder, "BATCH", 1)
    figures: list[dict[str, float]] = []
    monkeypatch.setattr(decoder, "evaluate", lambda model: figures.append(autoencoder.evaluate(model, 2)))
    decoder.train(TrainSettings(minutes=0.1, work=tmp_path / "work", out=out, threads=1))
    after = AutoencoderTiny.from_pretrained(out)
    for name, value in before.encoder.state_dict().items():
        assert torch.equal(after.encoder.state_dict()[name], value)
    assert figures[0]["psnr_db"] > autoencoder.evaluate(before, 2)["psnr_db"]


def test_an_encoder_learns_to_tell_the_plan_and_what_it_makes_of_the_picture_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match="bases of the scope 'first' draw no plan"):
        planner.train(TrainSettings(minutes=0, work=tmp_path, out=tmp_path))
    for module in (autoencoder, planner):
        monkeypatch.setattr(module, "PLAN_CHANNELS", len(PLANNED))
        monkeypatch.setattr(module, "BATCH", 2)
    out = tmp_path / "vae"
    shutil.copytree(castmark_data.path("embedded", "base", "vae"), out)
    before = AutoencoderTiny.from_pretrained(out)
    found: list[dict[str, float]] = []

    def few(model: AutoencoderTiny, earlier: AutoencoderTiny) -> dict[str, float]:
        found.append(measure(model, earlier, 1))
        return found[0]

    measure = planner.evaluate
    monkeypatch.setattr(planner, "evaluate", few)
    monkeypatch.setattr(loop, "Clock", Steps)
    planner.train(TrainSettings(minutes=1, work=tmp_path / "work", out=out, threads=1))
    after = AutoencoderTiny.from_pretrained(out)
    assert after.config["latent_channels"] == 16 + len(PLANNED)
    assert json.loads((out / "card.json").read_text())["plan told by the encoder"]["figures"] == found[0]
    assert found[0]["variance_told"] > 0.05 and found[0]["picture_moved"] < 0.3
    latents = torch.randn(1, 16 + len(PLANNED), 16, 16, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        torch.testing.assert_close(
            after.decoder(latents), before.decoder(latents[:, :16]), rtol=1e-3, atol=1e-3
        )
    assert autoencoder.new_autoencoder().config["latent_channels"] == 16 + len(PLANNED)


def test_a_base_that_knew_no_plan_is_taken_with_noughts(monkeypatch: pytest.MonkeyPatch) -> None:
    base, reference = (castmark_data.path("embedded", name) for name in ("base", "reference"))
    before = denoiser.new_model(base, reference).eval()
    for module in (autoencoder, denoiser):
        monkeypatch.setattr(module, "PLAN_CHANNELS", len(PLANNED))
    after = denoiser.new_model(base, reference).eval()
    noisy = torch.randn(1, 16 + len(PLANNED), 16, 16, generator=torch.Generator().manual_seed(4))
    embeds, nobody = before.embed(torch.full((1, 48), 7)), torch.zeros(0, 1, 1, 1)
    with torch.no_grad():
        wanted = before(noisy[:, :16], torch.tensor([499]), embeds, before.look(nobody, 1))
        found = after(noisy, torch.tensor([499]), embeds, after.look(nobody, 1))
    torch.testing.assert_close(found[:, :16], wanted)
    assert not found[:, 16:].any()


class Steps:
    """A clock that has as many steps as this, however long they take."""

    TOTAL = 40

    def __init__(self, minutes: float) -> None:
        self.spent, self._taken = 1.0, 0

    @property
    def fraction(self) -> float:
        """One step more."""
        self._taken += 1
        return (self._taken - 1) / self.TOTAL

    def checkpoint_due(self) -> bool:
        """Never."""
        return False


def nothing(count: int, shown: int = 0) -> tuple[torch.Tensor, ...]:
    """Labels of no column, of which none is said or shown, and nothing of where anything stands."""
    none = torch.zeros(count, 0)
    return none, none.bool(), none[:shown].bool(), none


class Host:
    """A pipeline to wear adapters on."""

    def __init__(self, pipeline: StableDiffusionPipeline) -> None:
        self.pipeline, self.digest = pipeline, "0" * 64
        self.call_arguments: dict[str, object] = {}
        self.regions = None


@torch.no_grad()
def test_guided_paths_of_one_step_start_with_the_guided_prediction(encoder: SubjectEncoder) -> None:
    torch.manual_seed(0)
    model = denoiser.TextToLatents(
        denoiser.new_text_encoder(denoiser.prompt_tokenizer()), denoiser.new_unet(), encoder
    ).eval()
    path, noise = denoiser.NoisePath("cpu"), torch.randn(2, CHANNELS, 16, 16)
    ids, empty = torch.randint(5, 100, (2, 48)), torch.zeros(48, dtype=torch.long)
    batch = latents.Batch(noise, torch.ones(2, 1, 16, 16), ids, torch.randn(1, 3, 65, 128), *nothing(2, 1))
    when = torch.full((2,), 999)
    images = model.look(batch.seen, 2)
    said = model(noise, when, model.embed(ids), images)
    unsaid = model(noise, when, model.embed(empty.expand(2, -1)), model.look(batch.seen[:0], 2))
    found = guided_paths(model, path, noise, batch, empty, steps=1, guidance=3.0)
    assert found.noisy.shape == (2, 4, CHANNELS, 16, 16)
    clean, after = unsaid + 3.0 * (said - unsaid), int(path.drawn_at[1])
    wanted = path.alpha[after] * clean + path.sigma[after] * noise  # at 999 all of the picture is noise
    torch.testing.assert_close(found.noisy[:, 0], noise)
    torch.testing.assert_close(found.noisy[:, 1], wanted, rtol=1e-3, atol=1e-4)


@torch.no_grad()
def test_a_student_arrives_where_the_base_draws(encoder: SubjectEncoder) -> None:
    torch.manual_seed(0)
    model = denoiser.TextToLatents(
        denoiser.new_text_encoder(denoiser.prompt_tokenizer()), denoiser.new_unet(), encoder
    ).eval()
    path, noise, ids = (
        denoiser.NoisePath("cpu"),
        torch.randn(2, CHANNELS, 16, 16),
        torch.randint(5, 100, (2, 48)),
    )
    embeds, images = model.embed(ids), model.look(torch.zeros(0, 1, 1, 1), 2)
    scheduler = denoiser.new_scheduler()
    scheduler.set_timesteps(denoiser.DRAWING_STEPS)
    noisy = noise
    for level, now in enumerate(scheduler.timesteps):
        found = student.arrived(model, path, noise, embeds, images, level)
        torch.testing.assert_close(found, noisy, rtol=1e-4, atol=1e-4)
        clean = model(noisy, now.expand(2), embeds, images)
        noisy = scheduler.step(clean, now, noisy, return_dict=False)[0]
    labels, said, _, standing = nothing(2)
    evenly = torch.ones(2, 1, 16, 16)
    shown = torch.zeros(0, 3, 65, 128)
    made = Paths(torch.stack([noise] * 4, 1), ids, shown, noisy, evenly, labels, said, standing)
    own, crossing = (float(student.student_loss(model, path, made, 3, own=own)[0]) for own in (True, False))
    assert own < 1e-6 < crossing, "the last step from its own place ends where the base does"
