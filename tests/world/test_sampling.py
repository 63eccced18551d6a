"""What the full scope draws: splits, outfits, and occupations that depend on nothing about a person."""

from collections import Counter

import numpy as np
import pytest
from scipy.stats import chi2_contingency
from world_samples import rng

import castmark_world as world
from castmark_world import FULL, CharacterSpec, MascotSpec, ProductSpec
from castmark_world.outfits import OUTFITS

N = 3400


@pytest.fixture(scope="module")
def people() -> list[CharacterSpec]:
    """Every split as often as its share: the test is of the whole world."""
    source = rng(17)
    splits: tuple[world.Split, ...] = (*("train",) * 8, "calibration", "test")
    drawn = [world.sample_subject(source, "character", splits[i % 10], FULL) for i in range(N)]
    return [spec for spec in drawn if isinstance(spec, CharacterSpec)]


@pytest.mark.parametrize("attribute", ["skin_tone", "gender", "age"])
def test_occupation_is_independent_of(attribute: str, people: list[CharacterSpec]) -> None:
    grown = [spec for spec in people if spec.age != "child"]
    assert len(grown) >= 2000
    jobs = sorted({spec.occupation for spec in grown})
    values = sorted({getattr(spec, attribute) for spec in grown})
    assert len(jobs) == len(OUTFITS) + 1
    table = np.zeros((len(jobs), len(values)))
    for spec in grown:
        table[jobs.index(spec.occupation), values.index(getattr(spec, attribute))] += 1
    assert chi2_contingency(table).pvalue > 0.001
    # And no job is short of a group: the least frequent one has at least half its even share.
    assert (table.sum(1) > 0).all() and table.sum(0).min() > 0.5 * len(grown) / len(values)


def test_sensitive_attributes_are_independent_of_each_other(people: list[CharacterSpec]) -> None:
    for one, other in (("skin_tone", "gender"), ("skin_tone", "age"), ("gender", "age")):
        rows = sorted({getattr(spec, one) for spec in people})
        columns = sorted({getattr(spec, other) for spec in people})
        table = np.zeros((len(rows), len(columns)))
        for spec in people:
            table[rows.index(getattr(spec, one)), columns.index(getattr(spec, other))] += 1
        assert chi2_contingency(table).pvalue > 0.001


def test_an_occupation_wears_its_outfit_and_children_have_none(people: list[CharacterSpec]) -> None:
    for spec in people:
        if spec.occupation != "none":
            outfit = OUTFITS[spec.occupation]
            assert (spec.top, spec.headwear) == (outfit.top, outfit.headwear)
            assert spec.top_color in outfit.top_colors
        if spec.age == "child":
            assert (spec.occupation, spec.facial_hair) == ("none", "none")
        if spec.gender == "feminine":
            assert spec.facial_hair == "none"


def combination(subject: world.Subject) -> tuple[str, ...]:
    if isinstance(subject, CharacterSpec):
        return subject.hair_style, subject.hair_color, subject.top_color
    if isinstance(subject, MascotSpec):
        return subject.species, subject.color, subject.clothes
    assert isinstance(subject, ProductSpec)
    return subject.category, subject.color, subject.pattern


@pytest.mark.parametrize("kind", ["character", "mascot", "product"])
def test_no_combination_is_in_two_splits(kind: world.Kind) -> None:
    source = rng(6)
    seen: dict[tuple[str, ...], set[str]] = {}
    for split in ("train", "calibration", "test"):
        for _ in range(120):
            subject = world.sample_subject(source, kind, split, FULL)
            assert world.split_of(subject) == split
            seen.setdefault(combination(subject), set()).add(split)
    assert all(len(splits) == 1 for splits in seen.values())
    assert len(seen) > 120


def test_both_subjects_of_a_picture_belong_to_the_split() -> None:
    source = rng(8)
    scenes = [world.sample_scene(source, split="test", scope=FULL) for _ in range(150)]
    duos = [scene for scene in scenes if scene.other is not None]
    assert len(duos) > 10
    assert all(world.split_of(each.subject) == "test" for scene in scenes for each in scene.cast)


def test_every_value_and_setting_is_drawn_in_the_long_run() -> None:
    source = rng(9)
    scenes = [world.sample_scene(source, scope=FULL) for _ in range(3000)]
    settings: dict[str, Counter[object]] = {
        name: Counter(getattr(scene, name) for scene in scenes)
        for name in ("place", "time", "weather", "camera", "style", "pose", "expression")
    }
    assert FULL.cameras is not None and FULL.styles is not None
    assert set(settings["place"]) == set(FULL.scenes)
    assert set(settings["time"]) == set(FULL.times.values)
    assert set(settings["weather"]) == {"clear", "rain", "fog", "snow"}
    assert set(settings["camera"]) == set(FULL.cameras.values)
    assert set(settings["style"]) == set(FULL.styles.values)
    assert set(settings["pose"]) == set(FULL.poses.values)
    assert set(settings["expression"]) == set(FULL.expressions.values)
    assert {scene.item for scene in scenes} == {None, *FULL.items.values}
    for kind, attributes in FULL.attributes.items():
        subjects = [scene.subject for scene in scenes if scene.subject.kind == kind]
        for name, odds in attributes.named.items():
            assert set(odds.values) <= {getattr(each, name) for each in subjects}, (kind, name)


def test_a_look_alike_differs_in_hidden_traits_only() -> None:
    for kind in FULL.attributes:
        spec = world.sample_subject(rng(4), kind, "train", FULL)
        twin = world.look_alike(spec, rng(5), FULL)
        for name in FULL.attributes[kind].named:
            assert getattr(spec, name) == getattr(twin, name)
        same = [name for name in FULL.attributes[kind].hidden if getattr(spec, name) == getattr(twin, name)]
        assert len(same) < 4
