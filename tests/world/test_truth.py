"""Masks, boxes and unsafe categories of the full world agree with what is drawn."""

import json
from dataclasses import replace

import numpy as np
import pytest
from world_samples import plain, rng, subject

import castmark_world as world
from castmark_world import CATALOGUE, FULL
from castmark_world.params import Placement, Prop


def changed(one: world.Scene, other: world.Scene) -> np.ndarray:
    return (world.render(one) != world.render(other)).any(axis=2)


@pytest.mark.parametrize("item", sorted(CATALOGUE))
def test_an_items_mask_covers_what_it_changes(item: str) -> None:
    with_item = plain(subject(), item=item, pose="waving")
    difference = changed(with_item, replace(with_item, item=None))
    mask = world.masks(with_item)["item"]
    assert difference.sum() > 150
    # Hands and hair lie over it, outlines of a pixel around it.
    assert (difference & mask).sum() > 0.8 * difference.sum()
    category = CATALOGUE[item].category
    assert world.truth(with_item)["unsafe"] == ([category] if category else [])


def test_every_unsafe_category_has_things_and_near_misses() -> None:
    categories = {item.category for item in CATALOGUE.values()} - {None}
    assert categories == {"weapon", "alcohol", "smoking", "drugs", "blood"}
    assert len(CATALOGUE) >= 16
    assert {"ladle", "hair dryer", "pen", "glass of juice", "paint stains"} <= {
        name for name, item in CATALOGUE.items() if item.category is None
    }


@pytest.mark.parametrize("kind", ["character", "mascot", "product"])
def test_a_subjects_mask_covers_what_it_changes(kind: world.Kind) -> None:
    """Against the same scene with the subject out of the picture."""
    scene = plain(subject(kind))
    away = replace(scene, x=9.0)
    shadow_free = changed(scene, away)
    mask = world.masks(scene)["subject"]
    # Below the feet there is the shadow too.
    rows = np.arange(256)[:, None] < (225 if kind != "product" else 196)
    assert (shadow_free & rows & mask).sum() > 0.97 * (shadow_free & rows).sum()
    assert (shadow_free & mask).sum() > 0.9 * mask.sum()


def test_two_subjects_have_masks_of_their_own_and_sides() -> None:
    scene = replace(
        plain(subject()),
        x=0.3,
        scale=0.8,
        other=Placement(subject=subject("mascot"), x=0.7, scale=0.8, mirrored=False, item="beer glass"),
        props=(Prop(name="wine bottle", x=0.5),),
    )
    masks = world.masks(scene)
    assert {"subject", "face", "other", "other face", "other item", "prop 1"} == set(masks)
    assert not (masks["subject"] & masks["other"]).any()
    assert not (masks["other"] & masks["prop 1"]).any()
    found = world.truth(scene)
    assert found["other"]["side"] == "right"
    assert found["boxes"]["subject"][0] < found["boxes"]["other"][0]
    assert found["unsafe"] == ["alcohol"]
    assert found["other"]["kind"] == "mascot" and "species" in found["other"]["named"]


def test_boxes_bound_the_masks_and_truth_is_json() -> None:
    source = rng(11)
    for _ in range(40):
        scene = world.sample_scene(source, scope=FULL)
        found = world.truth(scene, 128)
        assert json.loads(json.dumps(found))["kind"] == scene.subject.kind
        for name, mask in world.masks(scene, 128).items():
            if mask.any():
                left, top, right, bottom = found["boxes"][name]
                assert mask[top:bottom, left:right].sum() == mask.sum()
        assert set(found["named"]) == set(FULL.attributes[scene.subject.kind].named)
        assert set(found["hidden"]) == set(FULL.attributes[scene.subject.kind].hidden)


def test_what_is_held_is_seen_and_faces_are_large_enough() -> None:
    source = rng(12)
    for _ in range(150):
        scene = world.sample_scene(source, scope=FULL)
        masks = world.masks(scene)
        if scene.item is not None:
            assert masks["item"].sum() > 40, scene
        if "face" in masks:
            assert masks["face"].sum() > 600
        assert masks["subject"].mean() > 0.02


def test_a_cut_out_is_the_subject_in_its_style() -> None:
    assert FULL.styles is not None
    for style in FULL.styles.values:
        scene = plain(subject("mascot"), style=style)
        cut, mask = world.cut_out(scene, 128), world.masks(scene, 128)["subject"]
        alpha = cut[:, :, 3] > 127
        assert (alpha & mask).sum() > 0.99 * mask.sum()
        assert cut[0, 0, 3] == 0
