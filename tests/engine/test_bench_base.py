"""What suite ``base`` computes: Wilson's interval, Frechet's distance, sharpness, and what it asks for."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch

from castmark.bench import run_suite
from castmark.bench.base import frechet, sharpness
from castmark.bench.base_reading import OPEN, variation, world_frequencies
from castmark.bench.base_words import SAID, said, words
from castmark.bench.truth import columns
from castmark.safety.bias.gaps import wilson
from castmark_world import SECOND, CharacterSpec, ProductSpec, sample_scene, sample_subject, stage


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
    thing = sample_scene(np.random.default_rng(0), kind="product")
    assert isinstance(thing.subject, ProductSpec)
    assert thing.subject.category in words(thing) and thing.subject.color in words(thing)
    someone = sample_scene(np.random.default_rng(2), kind="character")
    assert isinstance(someone.subject, CharacterSpec)
    assert someone.subject.person in words(someone) and someone.subject.top in words(someone)
    assert "skin" not in words(someone) and someone.subject.bottom not in words(someone)
    for scene in (thing, someone, replace(someone, item="cup"), replace(someone, item=None)):
        assert said(scene) <= set(SAID) and ("item" in said(scene)) == (scene.item is not None)


def test_an_occupation_says_what_is_worn_and_a_near_camera_leaves_out_the_pose() -> None:
    rng = np.random.default_rng(3)
    scene = stage(sample_subject(rng, "character", scope=SECOND), rng, item=None, camera="half", scope=SECOND)
    subject = scene.subject
    assert isinstance(subject, CharacterSpec)
    own = replace(subject, person="old woman", occupation="none", top="hoodie", hair_style="bald")
    doctor = replace(own, occupation="doctor", top="lab coat")
    near = words(replace(scene, subject=doctor))
    assert near.startswith("a half-length portrait of an old woman working as a doctor with a bald head ")
    assert "coat" not in near and "character.top" in said(replace(scene, subject=doctor))
    assert not {"pose", "character.top_color"} & said(replace(scene, subject=doctor))
    whole = replace(scene, subject=own, camera="full", pose="waving")
    assert "hoodie waving" in words(whole) and {"pose", "character.top_color"} <= said(whole)
    assert "camera" not in said(whole)


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
    assert smiling["smiling"] / smiling.total() == pytest.approx(0.6, abs=0.02)


@pytest.mark.slow
def test_the_suite_reads_renders_nearly_rightly() -> None:
    figures = {figure.name: figure for figure in run_suite("base", n=16).figures}
    assert figures["named attributes read rightly, mean: renders"].value > 0.9
    drawn = figures["what the words name is there, mean: 1 step"].value
    assert drawn < figures["what the words name is there, mean: renders"].value
    assert {"place read rightly: 1 step", "distance: 4 steps", "one 256 px image, 1 step"} <= set(figures)
