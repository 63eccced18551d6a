"""What every trainer stands on: the optimiser, processes that agree, items rendered ahead."""

from __future__ import annotations

import json
import lzma
import shutil
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from diffusers import AutoencoderTiny
from ranks import average_of_ranks

import castmark_data
from castmark.bases.recognition import Recognition
from castmark.errors import InputError
from castmark.training import carried, denoiser, muon, parallel, prompt_model, teacher
from castmark.training.autoencoder import new_autoencoder
from castmark.training.common import TrainSettings, load_checkpoint, made_of, save_checkpoint, write_card
from castmark.training.identity import _at
from castmark.training.loop import Loop
from castmark.training.subject_encoder import untrained_encoder
from castmark.training.supply import Replay, Supply
from castmark.training.told import told_columns
from castmark_adapters.encoder import SubjectEncoder
from castmark_adapters.subject import sha256
from castmark_adapters.weights import read_safetensors
from castmark_world import DEFAULT, FULL


@pytest.mark.parametrize("shape", [(24, 40), (40, 24)])
def test_an_orthogonal_update_has_singular_values_near_one(shape: tuple[int, int]) -> None:
    update = muon.orthogonal(torch.randn(2, *shape, generator=torch.Generator().manual_seed(0)))
    values = torch.linalg.svdvals(update)
    assert update.shape == (2, *shape)
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
    def broken(number: int) -> int:
        raise OSError("no such font")

    with Supply(broken) as supply, pytest.raises(OSError, match="no such font"):
        next(supply)


@pytest.mark.parametrize("workers", [0, 2])
def test_items_come_in_their_order_whoever_makes_them(workers: int) -> None:
    with Supply(abs, first=5, workers=workers) as supply:
        assert [next(supply) for _ in range(12)] == list(range(5, 17))


def test_tensors_of_many_items_hold_no_file_descriptors() -> None:
    with Supply(torch.arange, first=1, workers=1) as supply:
        held = [next(supply)]
        before = len(list(Path("/proc/self/fd").iterdir()))
        held += [next(supply) for _ in range(40)]
        assert len(list(Path("/proc/self/fd").iterdir())) < before + 10
    assert [len(item) for item in held] == list(range(1, 42))


def test_a_replay_gives_an_item_again_only_while_the_next_is_not_there() -> None:
    gate = threading.Semaphore(1)

    def make(number: int) -> int:
        gate.acquire()
        return number

    with Supply(make) as supply:
        batches = Replay(supply, keep=10, times=3)
        assert [next(batches) for _ in range(3)] == [0, 0, 0]
        threading.Timer(0.1, gate.release, (50,)).start()
        assert next(batches) == 1 and batches.fresh == 2, "given three times: the next one is waited for"
        assert len({next(batches) for _ in range(20)}) > 2


def test_what_was_made_of_something_else_is_put_aside(tmp_path: Path) -> None:
    checkpoint, folder = tmp_path / "polished.pt", tmp_path / "own"

    def make() -> None:
        checkpoint.write_text("hours of work")
        folder.mkdir(exist_ok=True)

    make()
    made_of(tmp_path, "polished.pt", "own", origin="one")
    made_of(tmp_path, "polished.pt", "own", origin="one")
    assert checkpoint.exists() and folder.exists(), "of this origin, or from before there was a mark"
    made_of(tmp_path, "polished.pt", "own", origin="another")
    assert not checkpoint.exists() and not folder.exists()
    assert (tmp_path / "polished.pt.earlier").read_text() == "hours of work"
    make()
    made_of(tmp_path, "polished.pt", "own", origin="another")
    assert checkpoint.exists() and folder.exists()


def test_shards_of_another_autoencoder_are_made_anew(tmp_path: Path) -> None:
    out = tmp_path / "base"
    shutil.copytree(castmark_data.path("embedded", "base", "vae"), out / "vae")
    shutil.copytree(
        castmark_data.path("embedded", "reference", "image_encoder"), tmp_path / "reference" / "image_encoder"
    )
    settings = TrainSettings(minutes=0, work=tmp_path / "work", out=out)
    shard = settings.work / "latents" / "shard-0000.npz"
    shard.parent.mkdir(parents=True)
    shard.touch()
    teacher.keep_fitting(settings)
    autoencoder = AutoencoderTiny.from_pretrained(out / "vae")
    with torch.no_grad():
        autoencoder.decoder.layers[-1].bias += 1
    autoencoder.save_pretrained(out / "vae")
    teacher.keep_fitting(settings)
    assert shard.exists(), "a finished decoder changes no latents"
    with torch.no_grad():
        autoencoder.encoder.layers[-1].bias += 1
    autoencoder.save_pretrained(out / "vae")
    teacher.keep_fitting(settings)
    assert not shard.exists()


def test_who_waits_for_shards_is_told_that_none_come(tmp_path: Path) -> None:
    settings = TrainSettings(minutes=1, work=tmp_path, out=tmp_path, device="cuda", workers=0)
    (tmp_path / teacher.FAILED).write_text("exit code 1")
    with pytest.raises(RuntimeError, match=r"drawing or encoding .* failed: exit code 1"):
        teacher._wait_for_shards(settings)


def test_a_denoiser_may_wait_for_a_subject_encoder_that_is_still_learning(tmp_path: Path) -> None:
    model = denoiser.new_model(tmp_path / "base", tmp_path / "reference")
    shipped = denoiser.new_model(
        castmark_data.path("embedded", "base"), castmark_data.path("embedded", "reference")
    )
    shapes = {name: value.shape for name, value in shipped.state_dict().items()}
    assert {name: value.shape for name, value in model.state_dict().items()} == shapes


def test_a_prompt_model_that_learns_on_moves_no_word_twice() -> None:
    table = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    first = prompt_model.Learner(table, [2, 3])
    with torch.no_grad():
        first.embedding_change.weight[1:] += 1.0
    again = prompt_model.Learner(first.moved(), [2, 3])  # what ships has moved
    again.load_state_dict(first.state_dict())
    torch.testing.assert_close(again.moved(), first.moved())


@pytest.mark.parametrize("n", [100, 120, 150, 1000])
def test_a_threshold_accepts_no_more_than_it_says(n: int) -> None:
    scores = np.random.default_rng(n).uniform(-1, 1, n)
    assert np.mean(scores >= _at(0.99, scores)) <= 0.01


@pytest.fixture
def unfinished(tmp_path: Path) -> TrainSettings:
    """Where an autoencoder and a subject encoder lie that no teacher has learned from yet."""
    settings = TrainSettings(minutes=0, work=tmp_path / "work", out=tmp_path / "models" / "base")
    torch.manual_seed(0)
    new_autoencoder().save_pretrained(settings.out / "vae")
    write_card(settings.out / "vae", {"model": "autoencoder"})
    untrained_encoder().model.save_pretrained(tmp_path / "models" / "reference" / "image_encoder")
    return settings


def test_a_teacher_is_packed_with_what_it_learns_from_and_goes_on(unfinished: TrainSettings) -> None:
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Conv2d(8, 64, 3), torch.nn.GroupNorm(8, 64), torch.nn.Conv2d(64, 8, 3)
    )
    with torch.no_grad():
        model[0].weight[0] *= 100  # a row of its own scale
    with pytest.raises(InputError, match=r"no teacher.pt"):
        carried.pack(unfinished)
    save_checkpoint(unfinished.work / "teacher.pt", {"model": model.state_dict(), "step": 7, "minutes": 1.5})
    carried.pack(unfinished)
    vae = AutoencoderTiny.from_pretrained(unfinished.out / "vae")
    encoder = SubjectEncoder.load(denoiser.reference_folder(unfinished.out) / "image_encoder").model
    size = sum(p.numel() for each in (vae, encoder, model) for p in each.parameters())
    assert (unfinished.work / carried.PACKED).stat().st_size < 1.1 * size
    with pytest.raises(InputError, match="is there already"):
        carried.unpack(unfinished)
    (unfinished.work / "teacher.pt").unlink()
    elsewhere = replace(unfinished, out=unfinished.work / "other" / "base")
    carried.unpack(elsewhere)
    state = load_checkpoint(unfinished.work / "teacher.pt")
    assert state is not None and (state["step"], state["minutes"]) == (7, 1.5)
    assert json.loads((elsewhere.out / "vae" / "card.json").read_text()) == {"model": "autoencoder"}
    again = AutoencoderTiny.from_pretrained(elsewhere.out / "vae")
    sees = SubjectEncoder.load(denoiser.reference_folder(elsewhere.out) / "image_encoder").model
    found = ((vae, again.state_dict(), 127), (encoder, sees.state_dict(), 127), (model, state["model"], 31))
    for module, weights, levels in found:
        for name, value in module.state_dict().items():
            most = value.flatten(1 if value.dim() > 1 else 0).abs().amax(-1)
            apart = (weights[name] - value).flatten(1 if value.dim() > 1 else 0).abs().amax(-1)
            assert (apart <= (0.6 / levels + 1e-3) * most).all(), name
    loop = Loop(unfinished, "teacher", model, muon.groups(model), peak=1e-3)
    assert loop.resumed and loop.step == 7


def test_a_student_is_packed_in_place_of_its_teacher_with_what_recognises_for_it(
    unfinished: TrainSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    decided = SimpleNamespace(name=carried.DEFAULT.name, decided=True)
    monkeypatch.setattr(carried, "DEFAULT", decided)
    for name, step in (("teacher.pt", 1), ("student.pt", 2)):
        weights = {"model": {"a": torch.full((2,), float(step))}, "step": step, "minutes": 1.0}
        save_checkpoint(unfinished.work / name, weights)
    torch.manual_seed(0)
    made = Recognition(told_columns())
    made.rates.normal_()
    made.save(unfinished.out / "recognition")
    write_card(unfinished.out / "recognition", {"model": "recognition"})
    elsewhere = replace(unfinished, out=unfinished.work / "other" / "base")
    teacher_ = (unfinished.work / "teacher.pt").read_bytes()
    for origin, step in (("0" * 64, 1), (sha256(teacher_), 2)):
        (unfinished.work / "student.origin").write_text(origin)
        carried.pack(unfinished)
        _, about = read_safetensors(lzma.decompress((unfinished.work / carried.PACKED).read_bytes()), "")
        assert about["step"] == str(step), "of another teacher it is not taken"
    for name in ("teacher.pt", "student.pt"):
        with pytest.raises(InputError, match=f"{name} is there already"):
            carried.unpack(elsewhere)
        (unfinished.work / name).unlink()
    carried.unpack(elsewhere)
    state = load_checkpoint(unfinished.work / "teacher.pt")
    assert state is not None and state["step"] == 2 and state["model"]["a"].tolist() == [2, 2]
    again = Recognition.load(elsewhere.out / "recognition")
    torch.testing.assert_close(again.rates, made.rates, atol=1e-2, rtol=1e-2)
    weight = made.network.weight
    torch.testing.assert_close(
        again.network.weight, weight, atol=float(weight.detach().abs().max()) / 27, rtol=0
    )
    assert json.loads((elsewhere.out / "recognition" / "card.json").read_text()) == {"model": "recognition"}


def test_a_teacher_of_another_scope_is_not_unpacked(
    unfinished: TrainSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_checkpoint(unfinished.work / "teacher.pt", {"model": {}, "step": 1, "minutes": 1.0})
    carried.pack(unfinished)
    (unfinished.work / "teacher.pt").unlink()
    elsewhere = replace(unfinished, out=unfinished.work / "other" / "base")
    monkeypatch.setattr(carried, "DEFAULT", FULL)
    with pytest.raises(InputError, match=f"learned in the scope '{DEFAULT.name}', and this is 'full'"):
        carried.unpack(elsewhere)
    assert not elsewhere.out.exists() and not (unfinished.work / "teacher.pt").exists()


def test_shards_are_made_where_there_are_none_that_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[object] = []
    folder = tmp_path / "latents"
    folder.mkdir()
    monkeypatch.setattr(teacher, "keep_fitting", lambda settings: [p.unlink() for p in folder.glob("un*")])
    monkeypatch.setattr(teacher.parallel, "run", lambda *given: made.append(given[0]))
    settings = TrainSettings(minutes=1, work=tmp_path, out=tmp_path)
    (folder / "unfit.npz").touch()
    teacher.some_shards(settings)
    (folder / "fit.npz").touch()
    teacher.some_shards(settings)
    assert made == [teacher.shard]
