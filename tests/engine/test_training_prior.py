"""What a prior is told while the base learns, and how it learns to read words."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderTiny

import castmark_data
from castmark.bases.prior import OPEN, TOKENS, Prior, read_columns, text_encoder_of
from castmark.bases.recognition import Recognition
from castmark.bases.rows import unpacked
from castmark.bench.truth import columns, marks
from castmark.errors import InputError
from castmark.training import (
    attributes,
    critic,
    denoiser,
    latents,
    polish,
    prior,
    recognition,
    shards,
    student,
    teacher,
    told,
)
from castmark.training.common import TrainSettings, load_checkpoint
from castmark.training.labels import labels_of, of_subject
from castmark.training.loop import Loop
from castmark.training.paths import rendered_paths
from castmark.training.tokenizer import token_ids
from castmark_adapters.encoder import SubjectEncoder
from castmark_world import FIRST, SECOND, sample_scene, stage
from castmark_world.grammar import speak
from castmark_world.places import chances
from castmark_world.vocabulary import CATALOGUE

KNOWN = len(columns())


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A work folder with one shard."""
    folder = tmp_path_factory.mktemp("work")
    autoencoder = AutoencoderTiny.from_pretrained(castmark_data.path("embedded", "base", "vae"))
    encoder = SubjectEncoder.load(castmark_data.path("embedded", "reference", "image_encoder"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "SETS", 8)
        shards.make_shards(folder / "latents", autoencoder, denoiser.prompt_tokenizer(), encoder, range(1))
    return folder


@pytest.fixture
def decided(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scope whose base has a prior, with a small table."""
    for module in (denoiser, polish, prior, student):
        monkeypatch.setattr(module, "DEFAULT", SimpleNamespace(decided=True))
    monkeypatch.setattr(told, "ROWS", 60)
    told.world_rows.cache_clear()


def test_columns_are_the_truths_and_where_everything_stands() -> None:
    scene = sample_scene(np.random.default_rng(4))
    found, made = told.row_of(scene), told.told_columns()
    assert len(found) == len(made) == KNOWN + len(told.standing(scene)) + 1
    np.testing.assert_array_equal(found[:KNOWN], labels_of(scene))
    assert [column.subject for column in made[:KNOWN]] == of_subject().tolist()
    by_name = {column.name: column for column in made}
    assert by_name["character.blush"].even and not by_name["character.blush"].named
    assert by_name["character.age"].decides and by_name["kind"].named
    assert not by_name["x"].even and by_name["background 3"].even
    assert by_name["character.bottom"].whole and not by_name["character.top"].whole
    assert made[-1].heard and not made[-1].features
    own, bottom = of_subject(), list(by_name).index("character.bottom")
    for seed in range(9):
        subject = sample_scene(np.random.default_rng(seed), kind="character").subject
        near, whole = (stage(subject, np.random.default_rng(1), camera=camera) for camera in ("half", "full"))
        rows = [told.row_of(scene)[:KNOWN] for scene in (near, whole)]
        np.testing.assert_array_equal(*(row[own] for row in rows), "a table has all of a subject")
        assert np.isnan(labels_of(near)[bottom])


def test_where_a_subject_stands_is_told() -> None:
    subject = sample_scene(np.random.default_rng(4)).subject
    scenes = [stage(subject, np.random.default_rng(seed)) for seed in range(60)]
    found = np.stack([told.standing(scene) for scene in scenes])
    for number, field in enumerate(told.STANDING):
        values = np.array([float(getattr(scene, field)) for scene in scenes])
        assert abs(np.corrcoef(found[:, number], values)[0, 1]) > 0.999
    assert np.abs(found).max() < 2, "a table holds no more"


def test_chances_of_a_place_are_those_that_it_is_drawn_with() -> None:
    for seed in range(5):
        rng = np.random.default_rng(seed)
        choice, *numbers = int(rng.integers(3)), float(rng.random()), float(rng.uniform())
        found = chances(seed, 4)
        assert math.floor(found[0] * 3) == choice, "one among a few"
        assert found[2:].tolist() == numbers


def test_what_is_told_is_what_is_neither_said_nor_shown(work: Path) -> None:
    pool = latents.LatentPool(work / "latents", np.random.default_rng(0))
    batch = pool.batch(12, referenced=6)
    assert batch.told.shape == (12, len(told.told_columns()) - 1), "all but the side, which is only read"
    open_ = ~batch.told[:, :KNOWN].isnan()
    assert torch.equal(open_, ~batch.asked & ~batch.labels.isnan())
    assert not (open_[:6] & batch.left).any(), "references show it"
    assert not batch.told[:, KNOWN:].isnan().any()

    empty = torch.full((48,), 3)
    which = torch.tensor([True, False] * 6)
    silent = batch.silent(which, empty)
    assert (silent.ids[which] == 3).all() and torch.equal(silent.ids[~which], batch.ids[~which])
    torch.testing.assert_close(silent.told[~which], batch.told[~which], equal_nan=True)
    assert torch.equal(silent.told[6:][which[6:], :KNOWN].isnan(), batch.labels[6:][which[6:]].isnan())
    assert torch.equal(
        silent.told[:6][which[:6], :KNOWN].isnan(), (batch.left | batch.labels[:6].isnan())[which[:6]]
    )


def test_recognition_learns_what_is_a_subjects_own_from_each_of_its_references(
    decided: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in {"BATCH": 6, "HELD_OUT": 3, "DEFAULT": SimpleNamespace(decided=True)}.items():
        monkeypatch.setattr(recognition, name, value)
    monkeypatch.setattr(recognition, "figures", partial(recognition.figures, count=3))
    settings = TrainSettings(minutes=0.05, threads=1, work=tmp_path / "work", out=tmp_path / "base")
    recognition.train(settings)
    made = Recognition.load(tmp_path / "base" / "recognition")
    assert made.all == told.told_columns()
    card = json.loads((tmp_path / "base" / "recognition" / "card.json").read_text())
    assert card["figures"]["n"] == 3 and 0 <= card["figures"]["named, of 4"] <= 1
    before = load_checkpoint(settings.work / "recognition.pt")
    recognition.train(settings)
    after = load_checkpoint(settings.work / "recognition.pt")
    assert before is not None and after is not None and after["step"] > before["step"] > 0
    shipped = Recognition.load(settings.out / "recognition").network.weight
    begun: list[torch.Tensor] = []
    monkeypatch.setattr(attributes, "learning_of", lambda network: begun.append(network.weight.clone()) or [])
    with pytest.raises(ValueError, match="empty"):  # nothing is left to learn
        recognition.train(replace(settings, work=tmp_path / "anew"))
    torch.testing.assert_close(begun[0], shipped)

    near = replace(sample_scene(np.random.default_rng(3), kind="character"), camera="full")
    own = recognition.own_of(near)
    np.testing.assert_array_equal(own, recognition.own_of(replace(near, camera="close-up", x=0.9)))
    below = [
        i for i, column in enumerate(made.columns) if column.whole and column.name.startswith("character")
    ]
    assert not np.isnan(own[below]).all(), "also what this picture does not show"
    row = np.full(len(made.all), math.nan, np.float32)
    row[made.at] = own
    reading = recognition.reading_of(torch.from_numpy(row))
    right = marks(near, reading, frozenset(column.name for column in made.columns))
    assert right and all(right.values())


def test_what_has_no_prior_needs_no_recognition(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recognition, "DEFAULT", FIRST)
    with pytest.raises(InputError, match="no prior"):
        recognition.train(TrainSettings(minutes=0.05, work=tmp_path, out=tmp_path))


def test_a_subject_is_told_or_left_to_its_references(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latents, "LEFT", 0.25)
    monkeypatch.setattr(latents, "UNREAD", 0.1)
    pool, own = latents.LatentPool(work / "latents", np.random.default_rng(0)), torch.from_numpy(of_subject())
    left = pool.batch(400, referenced=200).left
    assert not left[:, ~own].any(), "nothing else is"
    whole = left[:, own].all(1)
    assert 0.15 < whole.float().mean() < 0.35
    assert 0.07 < left[~whole][:, own].float().mean() < 0.13
    batch = pool.batch(40, referenced=20)
    told_ = ~batch.told[:20][:, : len(own)][:, own].isnan()
    there = ~batch.labels[:20][:, own].isnan() & ~batch.said[:20][:, own]
    assert torch.equal(told_, there & ~batch.left[:, own]) and told_.float().mean() > 0.1, "most is told"
    assert batch.unaided[:20, own].all(), "where nothing is told, references show it all"
    assert torch.equal(batch.unaided[20:], batch.said[20:])
    assert torch.equal(batch.unaided[:, ~own], batch.said[:, ~own])


def test_paths_to_renders_start_in_noise_and_cross_on_the_way(work: Path) -> None:
    path, generator = denoiser.NoisePath("cpu"), torch.Generator().manual_seed(0)
    batch = latents.LatentPool(work / "latents", np.random.default_rng(0)).batch(3, referenced=1)
    found = rendered_paths(path, batch, generator)
    assert found.noisy.shape == (3, 4, *batch.clean.shape[1:]) and torch.equal(found.target, batch.clean)
    noise = found.noisy[:, 0]
    assert abs(float(noise.std()) - 1) < 0.1
    for level, at in enumerate(path.drawn_at.tolist()):
        torch.testing.assert_close(path.onward(noise, batch.clean, 999, at), found.noisy[:, level])
    torch.testing.assert_close(found.told, batch.told, equal_nan=True)


def test_a_table_holds_scenes_of_the_world_and_nothing_unsafe(decided: None) -> None:
    table, made = told.world_rows(), told.told_columns()
    names, rows = [column.name for column in made], table.rows
    values = unpacked(rows, made)
    assert rows.shape == (60, len(made)) and len(np.unique(values[:, names.index("kind")])) == 2
    x, side = values[:, names.index("x")], values[:, names.index("side")]
    assert x.std() > 0.1 and not np.isnan(x).any()
    assert np.nanmax(x[side == 0]) < np.nanmin(x[side == 2])
    items = made[names.index("item")].values
    held = {items[int(value)] for value in values[:, names.index("item")] if not np.isnan(value)}
    quiet = [column.name for column in made if column.quiet]
    assert "item" in quiet and "character.top" not in quiet
    spoken = table.spoken[:, quiet.index("item")]
    known = ~np.isnan(values[:, names.index("item")])
    spoken, nothing = spoken[known], values[known, names.index("item")] == items.index("none")
    assert not spoken[nothing].any() and spoken[~nothing].mean() > 0.5, "a caption speaks of what is held"
    assert "none" in held and not any(CATALOGUE[item].category for item in held - {"none"})


def test_captions_that_say_where_somebody_stands_are_known(work: Path) -> None:
    rng = np.random.default_rng(3)
    scenes = [sample_scene(rng, scope=SECOND) for _ in range(60)]
    texts = [speak(scene, rng) for scene in scenes]
    ids = token_ids(denoiser.prompt_tokenizer(), texts)
    again = denoiser.prompt_tokenizer().batch_decode(ids, True)
    ways = (" on the left", " on the right", " in the middle", " in the centre")
    wanted = [any(way in text for way in ways) for text in texts]
    assert [prior.says_side(text) for text in again] == wanted and 2 < sum(wanted) < 30


def test_a_teacher_learns_with_its_prior_which_then_learns_to_read(
    work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, decided: None
) -> None:
    monkeypatch.setattr(teacher, "SHARDS", 1)
    monkeypatch.setattr(teacher, "BATCH", 2)
    monkeypatch.setattr(prior, "HELD_OUT", 20)
    monkeypatch.setattr(prior, "BATCH", 16)
    out = tmp_path / "base"
    shutil.copytree(castmark_data.path("embedded", "base", "vae"), out / "vae")
    shutil.copytree(
        castmark_data.path("embedded", "reference", "image_encoder"), tmp_path / "reference" / "image_encoder"
    )
    settings = TrainSettings(minutes=0.02, work=work, out=out)
    read: list[int] = []
    drew = denoiser.TextToLatents.forward

    def spied(model: denoiser.TextToLatents, *given: Any) -> torch.Tensor:
        read.append(given[2].shape[1])
        return drew(model, *given)

    monkeypatch.setattr(denoiser.TextToLatents, "forward", spied)
    monkeypatch.setattr(teacher, "UNTOLD_EVERY", 3)
    with pytest.raises(InputError, match="tells nothing yet; run `castmark train teacher`"):
        prior.train(settings)
    teacher.train(settings)
    assert set(read) == {denoiser.TEXT_TOKENS, denoiser.TEXT_TOKENS + TOKENS}
    state = load_checkpoint(work / "teacher.pt")
    assert state is not None
    assert read_columns(out / "prior") == (told.told_columns(), denoiser.TEXT_WIDTH, None)
    with pytest.raises(ValueError, match="castmark train prior"):
        Prior.load(out / "prior")

    read.clear()
    monkeypatch.setattr(student, "BATCH", 2)
    monkeypatch.setattr(student, "OWN_SHARE_OF_TOLD", 0.5)
    student.train(settings)
    assert set(read) == {denoiser.TEXT_TOKENS, denoiser.TEXT_TOKENS + TOKENS}
    assert not (work / "paths").exists(), "renders are where its paths end"
    assert "guidance_distilled" not in json.loads((out / "card.json").read_text())
    state = load_checkpoint(work / "student.pt")
    assert state is not None

    monkeypatch.setattr(polish, "BATCH", 2)
    monkeypatch.setattr(critic, "BATCH", 2)
    polish.train(replace(settings, minutes=0.05))
    assert json.loads((out / "card.json").read_text())["polished"]
    assert not (work / "own").exists(), "renders are what it holds on to"
    state = load_checkpoint(work / "polished.pt")
    assert state is not None and state["step"] > 0

    losses: list[float] = []
    update = Loop.update

    def counted(loop: Loop, loss: torch.Tensor, samples: int) -> None:
        losses.append(float(loss.detach()))
        update(loop, loss, samples)

    monkeypatch.setattr(Loop, "update", counted)
    prior.train(TrainSettings(minutes=0.1, work=work, out=out))
    assert np.mean(losses[-3:]) < 0.8 * losses[0]
    made = Prior.load(out / "prior")
    torch.testing.assert_close(
        made.telling.tell.weight, state["model"]["telling.tell.weight"], atol=1e-3, rtol=1e-3
    )
    assert made.text_encoder == text_encoder_of(out) and len(made.rows.rows) == 60
    card = json.loads((out / "prior" / "card.json").read_text())
    assert card["figures"]["n"] == 20 and 0 <= card["figures"]["said"] <= 1
    model = denoiser.new_model(out, tmp_path / "reference").eval()
    assert model.telling is not None
    assert torch.equal(model.telling.tell.weight, made.telling.tell.weight), "it is gone on from"
    text = model.embed(torch.full((2, 48), 7))
    told_now, _ = made.whole(text, [1, 2])
    assert not torch.equal(told_now[0].nan_to_num(), told_now[1].nan_to_num())
    assert (made.reading.said(text)[0] >= OPEN).all()

    teacher.train(settings)
    with pytest.raises(ValueError, match="castmark train prior"):
        Prior.load(out / "prior")
    assert not (out / "prior" / "card.json").exists(), "its text encoder is another now"


def test_a_scope_without_a_prior_has_none_to_train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prior, "DEFAULT", FIRST)
    with pytest.raises(InputError, match="bases of the scope 'first' have no prior"):
        prior.train(TrainSettings(minutes=0, work=tmp_path, out=tmp_path))
    assert not list(tmp_path.iterdir())
