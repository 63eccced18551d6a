"""Every value of every attribute is drawn, and differently from every other value."""

import dataclasses
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from world_samples import plain, rng, subject

import castmark_world as world
from castmark_world import FULL
from castmark_world.outfits import OUTFITS
from castmark_world.params import Prop
from castmark_world.places import OUTDOORS

SIZE = 96


def pictures(scenes: list[world.Scene]) -> list[bytes]:
    return [world.render(scene, SIZE).tobytes() for scene in scenes]


def distinct(scenes: list[world.Scene]) -> bool:
    found = pictures(scenes)
    return len(set(found)) == len(found)


NEEDS: dict[str, dict[str, Any]] = {
    "headwear_color": {"headwear": "cap"},
    "accessory_color": {"accessory": "scarf"},
    "hair_color": {"hair_style": "long"},
    "facial_hair": {"person": "man"},
    "marking_color": {"marking": "spotted"},
    "clothes_color": {"clothes": "scarf"},
    "pattern_scale": {"top_pattern": "striped", "pattern": "striped"},
    "marking_scale": {"marking": "spotted"},
    "ear_size": {"species": "rabbit"},
    "tail": {"species": "cat"},
    "muzzle": {"species": "bear"},
    "clothes_hue": {"clothes": "hoodie"},
    "belly": {"species": "bear", "clothes": "none"},
    "emblem_hue": {"emblem": "star"},
    "taper": {"category": "mug"},
    "handle": {"category": "mug"},
    "band": {"category": "lamp"},
    "corner": {"category": "jar"},
}
"""What must be worn or be there for a trait to be seen."""


def with_needs(kind: world.Kind, name: str) -> world.Subject:
    base = subject(kind)
    fields = {field.name for field in dataclasses.fields(base)}
    return replace(base, **{k: v for k, v in NEEDS.get(name, {}).items() if k in fields})


NAMED = [(kind, name) for kind, attributes in FULL.attributes.items() for name in attributes.named]
HIDDEN = [(kind, name) for kind, attributes in FULL.attributes.items() for name in sorted(attributes.hidden)]


@pytest.mark.parametrize(("kind", "name"), NAMED)
def test_every_value_of_a_named_attribute_looks_different(kind: world.Kind, name: str) -> None:
    base = with_needs(kind, name)
    values = FULL.attributes[kind].named[name].values
    dressed: list[dict[str, Any]] = [{} for _ in values]
    if name == "occupation":
        dressed = [_outfit(value) for value in values]
    assert distinct(
        [plain(replace(base, **{name: value, **extra})) for value, extra in zip(values, dressed, strict=True)]
    )


def _outfit(occupation: str) -> dict[str, Any]:
    outfit = OUTFITS.get(occupation)
    if outfit is None:
        return {}
    return {"top": outfit.top, "top_color": outfit.top_colors[0], "headwear": outfit.headwear}


@pytest.mark.parametrize(("kind", "name"), HIDDEN)
def test_every_hidden_trait_changes_the_picture(kind: world.Kind, name: str) -> None:
    base, attributes = with_needs(kind, name), FULL.attributes[kind]
    if name in attributes.choices:
        values: tuple[Any, ...] = attributes.choices[name].values
    else:
        values = (-1.0, 1.0) if name in attributes.numbers else (0.1, 0.6)
    assert distinct([plain(replace(base, **{name: value})) for value in values])


def test_there_are_enough_hidden_traits() -> None:
    assert all(len(attributes.hidden) >= 12 for attributes in FULL.attributes.values())


@pytest.mark.parametrize("kind", ["character", "mascot"])
def test_poses_expressions_and_items_look_different(kind: world.Kind) -> None:
    who = subject(kind)
    assert distinct([plain(who, pose=pose) for pose in FULL.poses.values])
    assert distinct([plain(who, expression=mood) for mood in FULL.expressions.values])
    assert distinct([plain(who, item=item) for item in (None, *FULL.items.values)])


def test_places_times_weathers_cameras_and_styles_look_different() -> None:
    who = subject()
    assert len(FULL.scenes) >= 24
    assert distinct([plain(who, place=place) for place in FULL.scenes])
    for place in FULL.scenes:
        assert distinct([plain(who, place=place, time=time) for time in FULL.times.values]), place
    for place, odds in FULL.weathers.items():
        assert place in OUTDOORS
        assert distinct([plain(who, place=place, weather=weather) for weather in odds.values]), place
    assert FULL.cameras is not None and FULL.styles is not None
    assert distinct([plain(who, camera=camera) for camera in FULL.cameras.values])
    for kind in FULL.attributes:
        assert distinct([plain(subject(kind), style=style) for style in FULL.styles.values])


def test_a_place_varies_with_its_seed() -> None:
    for place in FULL.scenes:
        scene = plain(subject(), place=place)
        assert distinct([replace(scene, place_seed=seed) for seed in (1, 2)]), place


def test_props_are_drawn() -> None:
    assert FULL.props is not None
    scene = plain(subject())
    assert distinct([replace(scene, props=(Prop(name=name, x=0.15),)) for name in FULL.props.values])


def test_the_same_seed_gives_the_same_full_scene_pixels_and_caption() -> None:
    for seed in range(8):
        first, second = (world.sample_scene(rng(seed), scope=FULL) for _ in range(2))
        assert first == second
        assert np.array_equal(world.render(first, SIZE), world.render(second, SIZE))
        assert world.caption(first, rng(1), FULL) == world.caption(second, rng(1), FULL)
