"""What suite ``base`` computes: Wilson's interval, Frechet's distance, sharpness, and what it asks for."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from castmark.bench import run_suite
from castmark.bench.base import frechet, sharpness
from castmark.bench.base_pairs import halves, pair_figures, pairs, turns
from castmark.bench.base_reading import OPEN, variation, world_frequencies
from castmark.bench.base_words import SAID, said, words
from castmark.bench.truth import Reading, columns
from castmark.safety.bias.gaps import wilson
from castmark.training.tokenizer import CONTEXT
from castmark_data import path
from castmark_world import (
    DEFAULT,
    CharacterSpec,
    MascotSpec,
    Placement,
    ProductSpec,
    Scene,
    masks,
    render,
    sample_scene,
    sample_subject,
    stage,
)


def test_wilson_gives_the_published_interval() -> None:
    assert wilson(50, 100) == pytest.approx((0.4038, 0.5962), abs=1e-4)
    assert wilson(0, 10)[0] == pytest.approx(0.0, abs=1e-12)


def test_frechet_is_zero_of_itself_and_the_square_of_a_shift() -> None:
    features = torch.randn(4000, 6, generator=torch.Generator().manual_seed(0))
    assert frechet(features, features) == pytest.approx(0.0, abs=1e-6)
    assert frechet(features, features + torch.tensor([2.0, 0, 0, 0, 0, 0])) == pytest.approx(4.0, abs=1e-3)
    assert frechet(features, 2 * features) == pytest.approx(6.0, rel=0.1)


def test_sharpness_of_a_blurred_picture_is_lower() -> None:
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3)).astype(np.uint8)
    blurred = ((image[:-1].astype(int) + image[1:]) // 2).astype(np.uint8)
    assert sharpness([blurred]) < 0.9 * sharpness([image])


def test_prompts_name_what_is_asked_and_leave_the_rest_open() -> None:
    assert set(SAID) | set(OPEN) < {column.name for column in columns()}
    assert not set(SAID) & set(OPEN)
    rng = np.random.default_rng(0)
    for _ in range(40):
        thing = sample_scene(rng, kind="product", scope=DEFAULT.alone)
        assert isinstance(thing.subject, ProductSpec)
        assert thing.subject.color in words(thing) and "details" not in words(thing)
        beast = sample_scene(rng, kind="mascot", scope=DEFAULT.alone)
        assert isinstance(beast.subject, MascotSpec)
        assert beast.subject.species in words(beast) and beast.subject.color in words(beast)
        someone = sample_scene(rng, kind="character", scope=DEFAULT.alone)
        assert isinstance(someone.subject, CharacterSpec)
        assert someone.subject.person in words(someone) and "skin" not in words(someone)
        for scene in (thing, beast, someone):
            assert said(scene) <= set(SAID)
            assert ("camera" in said(scene)) == ("close-up" in words(scene) or "half-length" in words(scene))
            assert ("item" in said(scene)) == (scene.item is not None)


def test_prompts_fit_the_text_encoder() -> None:
    tokenizer = Tokenizer.from_file(str(path("embedded", "base", "tokenizer", "tokenizer.json")))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    rng = np.random.default_rng(1)
    scenes = [sample_scene(rng, split="test", scope=DEFAULT.alone) for _ in range(400)]
    for text in map(words, [*scenes, *pairs(100)]):
        assert len(tokenizer.encode(text).ids) <= CONTEXT, text


def test_an_occupation_says_what_is_worn() -> None:
    rng = np.random.default_rng(3)
    scene = stage(sample_subject(rng, "character"), rng, camera="full", item=None, weather="rain")
    doctor = replace(
        scene, subject=replace(scene.subject, person="old woman", occupation="doctor", top="lab coat")
    )
    assert "an old woman working as a doctor" in words(doctor) and "coat" not in words(doctor)
    assert "character.top_color" not in said(doctor) and "character.top" in said(doctor)
    assert "in the rain" in words(doctor) and "weather" in said(doctor)


def right(scene: Scene) -> Reading:
    """All that is true of the first subject."""
    found = {column: column.label(scene) for column in columns()}
    return Reading({c.name: str(label) for c, label in found.items() if c.values and label is not None}, {})


class Known:
    """A reader that reads what it is told, one part of a picture after the other."""

    def __init__(self, readings: list[Reading]) -> None:
        self.readings = readings

    def read(self, images: list[object]) -> list[Reading]:
        assert len(images) == len(self.readings)
        return self.readings


def test_attributes_that_went_over_to_the_other_of_two_subjects_are_counted() -> None:
    scenes = pairs(6)
    images = [render(scene, 64) for scene in scenes]
    for scene in scenes:
        assert scene.other is not None and scene.other.subject.kind == scene.subject.kind
        (left, _), (other, _) = turns(scene)
        assert left.x < other.x and isinstance(left.other, Placement) and left.other.x == other.x
        first, second = words(scene).split(" on the left and ")
        assert left.subject.noun in first or isinstance(left.subject, ProductSpec)
        assert " on the right " in second
    own = [right(scene) for pair in scenes for scene, _ in turns(pair)]
    mean, bled = pair_figures("x", scenes, images, Known(own), images)  # type: ignore[arg-type]
    assert (mean.value, bled.value) == (1.0, 0.0) and mean.target == pytest.approx(0.95)
    crossed = [right(scene) for pair in scenes for _, scene in turns(pair)]
    mean, bled = pair_figures("x", scenes, images, Known(crossed))  # type: ignore[arg-type]
    assert bled.value == 1.0 and mean.value < 0.6


def test_each_half_of_a_picture_shows_its_subject() -> None:
    for scene in pairs(12):
        (left, _), (other, _) = turns(scene)
        for part, one in enumerate((left, other)):
            mask = masks(one, 128)["subject"].astype(np.uint8)[:, :, None].repeat(3, 2) * 255
            found, beside = ((halves(mask)[index] > 127).sum() * 0.66**2 for index in (part, 1 - part))
            assert found > 0.9 * (mask > 127).sum() > 2 * beside


def test_variation_is_the_share_that_would_have_to_change() -> None:
    world = Counter({"a": 50, "b": 50})
    assert variation("x", ["a", "b"] * 10, world).value == pytest.approx(0.0)
    assert variation("x", ["a"] * 20, world).value == pytest.approx(0.5)
    found = variation("x", ["a"] * 15 + ["c"] * 5, world)
    assert found.value == pytest.approx(0.5) and found.low <= 0.5 <= found.high


def test_the_world_has_every_open_value() -> None:
    frequencies = world_frequencies()
    for column in columns():
        if column.name in OPEN:
            assert set(frequencies[column.name]) == set(column.values)
    smiling = frequencies["expression"]
    assert smiling["smiling"] / smiling.total() == pytest.approx(0.4, abs=0.02)


@pytest.mark.slow
def test_the_suite_reads_renders_nearly_rightly() -> None:
    figures = {figure.name: figure for figure in run_suite("base", n=16).figures}
    assert figures["named attributes read rightly, mean: renders"].value > 0.9
    drawn = figures["what the words name is there, mean: 1 step"].value
    assert drawn < figures["what the words name is there, mean: renders"].value
    assert {"place read rightly: 1 step", "distance: 4 steps", "one 256 px image, 1 step"} <= set(figures)
