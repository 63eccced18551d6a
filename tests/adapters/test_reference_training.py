"""Training of the subject encoder and the reference adapter: what goes in, what comes out, and going on."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from castmark.training import reference, reference_pool, subject_encoder
from castmark.training.common import TrainSettings
from castmark.training.discriminant import discriminants
from castmark.training.reference_slots import slot_ends
from castmark.training.subject_views import IGNORED, sample_views, targets, traits
from castmark_adapters.encoder import SubjectEncoder
from castmark_adapters.errors import AdapterError
from castmark_adapters.identity import IdentityScorer
from castmark_adapters.reference import ReferenceAdapter
from castmark_adapters.subject import Subject
from castmark_world import DEFAULT, class_phrase, look_alike, sample_subject


def settings(folder: Path, minutes: float) -> TrainSettings:
    return TrainSettings(minutes=minutes, work=folder / "work", out=folder / "out", seed=3)


def train_encoder(folder: Path, minutes: float) -> None:
    subject_encoder.train(settings(folder, minutes), closing_pairs=8, calibration_subjects=5)


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A work folder after a moment of encoder training."""
    folder = tmp_path_factory.mktemp("encoder")
    train_encoder(folder, 0.02)
    return folder


def named_columns():
    columns = (name.split(".") for name in traits().categorical)
    return [i for i, (kind, field) in enumerate(columns) if field in DEFAULT.attributes[kind].named]


def test_views_come_in_pairs_of_look_alikes():
    views = sample_views(np.random.default_rng(0), 3, 32)
    assert views.pixels.shape == (12, 32, 32, 3)
    named = named_columns()
    for j in range(3):
        assert (views.classes[2 * j, named] == views.classes[2 * j + 1, named]).all()
    again = sample_views(np.random.default_rng(0), 3, 32)
    assert (again.pixels == views.pixels).all()
    assert not (views.pixels[0] == views.pixels[1]).all()


def test_targets_tell_a_look_alike_by_its_hidden_traits_only():
    rng = np.random.default_rng(1)
    subject = sample_subject(rng, "product")
    chosen, numbers = targets(subject)
    other, other_numbers = targets(look_alike(subject, rng))
    assert (chosen == other)[named_columns()].all()
    assert np.isfinite(numbers).sum() > 5
    assert not np.array_equal(numbers, other_numbers, equal_nan=True)
    characters = [i for i, name in enumerate(traits().categorical) if name.startswith("character.")]
    assert (chosen[characters] == IGNORED).all()


@pytest.mark.parametrize(
    ("phrase", "ends"),
    [
        ("a red mug with blue details", {0: "a red mug", 2: "a red mug with blue details"}),
        (
            "a man with light skin and a bald head and a black cap in a red jacket and blue shorts",
            {
                0: "a man",
                1: "a man with light skin",
                2: "a man with light skin and a bald head",
                4: "a man with light skin and a bald head and a black cap",
                5: "a man with light skin and a bald head and a black cap in a red jacket",
                6: "a man with light skin and a bald head and a black cap in a red jacket and blue shorts",
            },
        ),
        (
            "a boy with tan skin, grey locs, freckles and goggles in a lab coat, jeans and a teal tie",
            {
                0: "a boy",
                1: "a boy with tan skin",
                2: "a boy with tan skin, grey locs",
                3: "a boy with tan skin, grey locs, freckles and goggles",
                5: "a boy with tan skin, grey locs, freckles and goggles in a lab coat",
                6: "a boy with tan skin, grey locs, freckles and goggles in a lab coat, jeans",
                7: "a boy with tan skin, grey locs, freckles and goggles in a lab coat, jeans and a teal tie",
            },
        ),
        (
            "a red fox with white spots in a teal waistcoat",
            {
                0: "a red fox",
                2: "a red fox with white spots",
                5: "a red fox with white spots in a teal waistcoat",
            },
        ),
    ],
)
def test_slots_are_read_where_their_words_end(phrase, ends):
    assert slot_ends(phrase) == {slot: len(text) for slot, text in ends.items()}


def test_every_class_phrase_fills_its_slots():
    rng = np.random.default_rng(2)
    for _ in range(50):
        subject = sample_subject(rng)
        filled = set(slot_ends(class_phrase(subject)))
        if subject.kind == "product":
            assert filled == {0, 2}
        elif subject.kind == "mascot":
            assert 0 in filled and filled <= {0, 2, 5, 7}  # marking, clothes, or a scarf
        else:
            assert {0, 1, 5} <= filled
            assert 2 in filled or "headscarf" in class_phrase(subject)


def test_encoder_training_goes_on_and_ships_a_plain_folder(trained):
    out = trained / "out" / "image_encoder"
    first = json.loads((out / "card.json").read_text())
    assert first["steps"] >= 1
    train_encoder(trained, 0.01)
    second = json.loads((out / "card.json").read_text())
    assert second["steps"] > first["steps"]
    assert (out / "model.safetensors").stat().st_size < 6 * 2**20


def test_calibration_is_of_this_encoder_and_scores(trained, tmp_path):
    out = trained / "out"
    scorer = IdentityScorer.load(out)
    assert scorer.calibration.subjects == 5
    assert set(scorer.calibration.figures) >= {"accepted, same subject", "told from look-alike"}
    (tmp_path / "identity.json").write_text((out / "identity.json").read_text())
    with pytest.raises(AdapterError, match="subject encoder"):
        IdentityScorer.load(tmp_path)


def test_discriminants_keep_what_differs_between_subjects():
    """One axis tells subjects apart, another, much louder, only views: the second must not decide."""
    generator = torch.Generator().manual_seed(0)
    identity = torch.randn(200, 1, generator=generator).repeat_interleave(2, 0)
    views = torch.cat([identity, 10 * torch.randn(400, 1, generator=generator)], 1).double()
    views = views + 0.1 * torch.randn(400, 2, generator=generator)
    mean, matrix = discriminants(views + 5, 2)
    assert torch.allclose(mean, torch.full((2,), 5.0).double(), atol=2)
    spread = (matrix @ torch.diag(views.std(0))).abs()
    assert spread[1, 0] > 3 * spread[1, 1]


def test_reference_training_ships_what_the_base_wears(
    small_host, trained, references, monkeypatch, untouched
):
    monkeypatch.setattr(reference, "BATCH", 2)
    monkeypatch.setattr(reference, "HEAD_START_BATCH", 2)
    encoder = trained / "out" / "image_encoder"
    run = settings(trained, 0.05)
    path = reference.train_on(run, small_host.pipeline, small_host.digest, encoder)
    first = json.loads((run.out / "card.json").read_text())
    assert first["steps"] >= 1
    assert first["base"] == small_host.digest
    before = path.read_bytes()
    reference.train_on(settings(trained, 0.03), small_host.pipeline, small_host.digest, encoder)
    assert json.loads((run.out / "card.json").read_text())["steps"] > first["steps"]
    assert path.read_bytes() != before
    adapter = ReferenceAdapter.load(run.out)
    mira = Subject.from_images("mira", references)
    with adapter.of(mira).worn(small_host):
        assert bool(torch.isfinite(small_host.draw()).all())


def test_pool_goes_on_from_what_it_holds(small_host, trained, tmp_path):
    encoder = SubjectEncoder.load(trained / "out" / "image_encoder")
    pools = [
        reference_pool.fill(
            small_host.pipeline,
            encoder,
            tmp_path / "pool.pt",
            sets=count,
            seed=0,
            out_of_time=lambda: False,
            report=lambda _: None,
        )
        for count in (1, 3)
    ]
    assert [len(pool) for pool in pools] == [1, 3]
    assert torch.equal(pools[0].latents[0], pools[1].latents[0])
    assert pools[1].tokens.shape[:2] == (3, reference_pool.VIEWS)
