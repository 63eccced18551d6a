"""Training of the embedded base: folded is the same model, a run resumes, what ships loads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderTiny, StableDiffusionPipeline
from ranks import average_of_ranks

from castmark.training import autoencoder, denoiser, latents, muon, parallel, student, teacher
from castmark.training.common import Ahead, TrainSettings, load_checkpoint
from castmark.training.tokenizer import load_tokenizer


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


@torch.no_grad()
def test_the_folded_tail_is_the_same_linear_map_inside_the_image(tiny: AutoencoderTiny) -> None:
    h = torch.randn(1, autoencoder.WIDTH, 12, 12)
    tail = list(tiny.decoder.layers)[-5:]
    plain = h
    for layer in tail:
        plain = layer(plain)
    weight, bias = autoencoder.fold_tail(tail)
    folded = torch.nn.functional.pixel_shuffle(torch.nn.functional.conv2d(h, weight, bias, padding=1), 4)
    inside = (..., slice(4, -4), slice(4, -4))
    assert plain[inside].std() > 1e-3
    torch.testing.assert_close(folded[inside], plain[inside], rtol=1e-4, atol=1e-5)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory, tiny: AutoencoderTiny) -> Path:
    """A work folder with one small shard."""
    folder = tmp_path_factory.mktemp("work")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(latents, "SHARD", 8)
        latents.make_shards(folder / "latents", tiny, load_tokenizer(), range(1))
    return folder


def test_a_shard_holds_latents_and_readable_captions(work: Path) -> None:
    with np.load(work / "latents" / "shard-0000.npz") as shard:
        assert shard["latents"].shape == (8, 16, 16, 16)
        text = load_tokenizer().decode(shard["tokens"][0, 0], skip_special_tokens=True)
    assert len(text.split()) >= 2


def test_teacher_and_student_go_on_from_checkpoints_and_ship_plain_pipelines(
    work: Path, tiny: AutoencoderTiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(teacher, "SHARDS", 1)
    monkeypatch.setattr(teacher, "BATCH", 2)
    monkeypatch.setattr(student, "BATCH", 2)
    monkeypatch.setattr(student, "PAIR_BATCH", 2)
    out = tmp_path / "base"
    tiny.save_pretrained(out / "vae")
    settings = TrainSettings(minutes=0.02, work=work, out=out, threads=1)
    teacher.train(settings)
    first = load_checkpoint(work / "teacher.pt")
    assert first is not None and first["step"] > 0
    teacher.train(settings)
    second = load_checkpoint(work / "teacher.pt")
    assert second is not None and second["step"] > first["step"]
    assert second["minutes"] > first["minutes"]

    student.train(TrainSettings(minutes=0.05, work=work, out=out, threads=1))
    taught = load_checkpoint(work / "student.pt")
    assert taught is not None and taught["step"] > 0
    assert any(not torch.equal(taught["model"][k], v) for k, v in second["model"].items())
    pipeline = StableDiffusionPipeline.from_pretrained(out)
    images = pipeline("a red mug", num_inference_steps=1, guidance_scale=1.0, output_type="np").images
    assert images.shape == (1, 256, 256, 3)
    assert np.isfinite(images).all()


@torch.no_grad()
def test_a_guided_path_of_one_step_is_the_guided_prediction() -> None:
    torch.manual_seed(0)
    model = denoiser.TextToLatents(denoiser.new_text_encoder(load_tokenizer()), denoiser.new_unet()).eval()
    path, noisy = denoiser.NoisePath("cpu"), torch.randn(2, 16, 16, 16)
    ids, empty = torch.randint(5, 100, (2, 48)), torch.zeros(48, dtype=torch.long)
    when = torch.full((2,), 999)
    said = model(noisy, when, model.embed(ids))
    unsaid = model(noisy, when, model.embed(empty.expand(2, -1)))
    end = student.guided_path(model, path, noisy, 999, ids, empty, steps=1, guidance=3.0)
    torch.testing.assert_close(end, unsaid + 3.0 * (said - unsaid), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(24, 40), (40, 24)])
def test_an_orthogonal_update_has_singular_values_near_one(shape: tuple[int, int]) -> None:
    update = muon.orthogonal(torch.randn(shape, generator=torch.Generator().manual_seed(0)))
    values = torch.linalg.svdvals(update)
    assert update.shape == shape
    assert float(values.min()) > 0.5 and float(values.max()) < 1.4


def test_muon_takes_matrices_and_leaves_embeddings_and_thin_layers_to_adamw() -> None:
    layers = {
        "embedding": torch.nn.Embedding(50, 32),
        "wide": torch.nn.Conv2d(32, 32, 3),
        "thin": torch.nn.Linear(32, 3),
    }
    model = torch.nn.ModuleDict(layers)
    by_kind = {group["orthogonal"]: group["params"] for group in muon.groups(model)}
    assert [id(p) for p in by_kind[True]] == [id(model["wide"].weight)]
    assert len(by_kind[False]) == 4


def test_muon_fits_a_linear_map() -> None:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(64, 32, generator=generator)
    wanted = 0.2 * torch.randn(32, 32, generator=generator)
    torch.manual_seed(0)
    layer = torch.nn.Linear(32, 32)
    optimiser = muon.Muon(muon.groups(layer), 0.05)
    losses: list[float] = []
    for _ in range(60):
        loss = (layer(inputs) - inputs @ wanted).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.2 * losses[0]


def test_processes_average_gradients_and_the_value_they_agree_on(tmp_path: Path) -> None:
    parallel.run(average_of_ranks, 2, tmp_path)
    for index in range(2):
        gradient, value = torch.load(tmp_path / f"{index}.pt")
        assert gradient.tolist() == [0.5, 0.5, 0.5]
        assert value == 5.0


def test_an_error_while_rendering_ahead_reaches_the_trainer() -> None:
    def broken() -> int:
        raise OSError("no such font")

    ahead = Ahead(broken)
    with pytest.raises(OSError, match="no such font"):
        next(iter(ahead))
    ahead.close()
