"""The first scope: the same seed draws the same picture, and truth agrees with pixels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import castmark_world as world
from castmark_world import FIRST
from castmark_world.captions import PLACE_WORDS, POSE_WORDS
from castmark_world.params import CharacterSpec, ProductSpec
from castmark_world.vocabulary import MONK_TONES


def rng(seed: int = 3) -> np.random.Generator:
    return np.random.default_rng(seed)


def character(seed: int = 3) -> CharacterSpec:
    subject = world.sample_subject(rng(seed), "character", scope=FIRST)
    assert isinstance(subject, CharacterSpec)
    return subject


def test_the_same_seed_gives_the_same_scene_pixels_and_caption() -> None:
    first, second = (world.sample_scene(rng(11), scope=FIRST) for _ in range(2))
    assert first == second
    assert np.array_equal(world.render(first, 64), world.render(second, 64))
    assert world.caption(first, rng(1), FIRST) == world.caption(second, rng(1), FIRST)
    other = world.render(world.sample_scene(rng(12), scope=FIRST), 64)
    assert not np.array_equal(world.render(first, 64), other)


@pytest.mark.parametrize("split", ["train", "calibration", "test"])
def test_every_sampled_subject_belongs_to_the_split_asked_for(split: world.Split) -> None:
    source = rng(5)
    assert all(world.split_of(world.sample_subject(source, None, split, FIRST)) == split for _ in range(60))


def test_no_combination_is_in_two_splits() -> None:
    source = rng(6)
    seen: dict[tuple[str, ...], set[str]] = {}
    for split in ("train", "calibration", "test"):
        for _ in range(150):
            subject = world.sample_subject(source, "product", split, FIRST)
            assert isinstance(subject, ProductSpec)
            seen.setdefault((subject.category, subject.color, subject.pattern), set()).add(split)
    assert all(len(splits) == 1 for splits in seen.values())
    assert len(seen) > 60


def test_a_look_alike_has_the_same_words_and_another_appearance() -> None:
    scene = world.stage(character(), rng(), place="studio", item=None, scope=FIRST)
    twin = replace(scene, subject=world.look_alike(scene.subject, rng(9), FIRST))
    assert world.class_phrase(twin.subject) == world.class_phrase(scene.subject)
    assert world.caption(twin, rng(1), FIRST) == world.caption(scene, rng(1), FIRST)
    assert world.truth(twin)["named"] == world.truth(scene)["named"]
    assert world.truth(twin)["hidden"] != world.truth(scene)["hidden"]
    assert not np.array_equal(world.render(twin, 128), world.render(scene, 128))


def test_captions_name_the_place_and_the_held_item_often() -> None:
    scene = world.stage(character(), rng(), place="forest", item="knife", pose="waving", scope=FIRST)
    source = rng(2)
    captions = [world.caption(scene, source, FIRST) for _ in range(80)]
    assert sum(any(w in c for w in PLACE_WORDS["forest"]) for c in captions) > 60
    assert sum("a knife" in c for c in captions) > 60
    assert 20 < sum(any(w in c for w in POSE_WORDS["waving"]) for c in captions) < 80
    assert len(set(captions)) > 60
    assert all(c == c.lower() for c in captions)


@pytest.mark.parametrize("item", sorted(FIRST.catalogue))
def test_the_item_mask_is_where_the_item_changes_the_picture(item: str) -> None:
    with_item = world.stage(character(), rng(4), item=item, pose="waving", scope=FIRST)
    without = replace(with_item, item=None)
    changed = (world.render(with_item) != world.render(without)).any(axis=2)
    mask = world.masks(with_item)["item"]
    assert changed.sum() > 200
    # The hand is drawn over the item; anti-aliased edges lie just outside the mask.
    assert (changed & mask).sum() > 0.8 * changed.sum()
    unsafe = world.truth(with_item)["unsafe"]
    assert unsafe == ([FIRST.catalogue[item].category] if FIRST.catalogue[item].category else [])


def test_masks_and_boxes_agree_and_the_face_lies_in_the_subject() -> None:
    scene = world.stage(character(), rng(8), item=None, scope=FIRST)
    masks, boxes = world.masks(scene, 128), world.truth(scene, 128)["boxes"]
    left, top, right, bottom = boxes["subject"]
    assert masks["subject"][top:bottom, left:right].sum() == masks["subject"].sum()
    assert (masks["face"] & masks["subject"]).sum() > 0.95 * masks["face"].sum()
    assert 0.02 < masks["face"].mean() < masks["subject"].mean() < 0.8


def test_skin_tones_are_drawn_in_the_order_of_the_scale() -> None:
    base = replace(character(), hair_style="bald", headwear="none", glasses="none")
    light = [sum(tone) for tone in MONK_TONES]
    assert light[0] > light[4] > light[6] > light[9]
    scenes = [
        world.stage(replace(base, skin_tone=t), rng(1), place="studio", item=None, scope=FIRST)
        for t in (0, 5, 9)
    ]
    faces = [world.render(s)[world.masks(s)["face"]].mean() for s in scenes]
    assert faces[0] > faces[1] > faces[2]


def test_a_cut_out_is_transparent_around_the_subject() -> None:
    scene = world.stage(world.sample_subject(rng(), "product", scope=FIRST), rng(), scope=FIRST)
    cut = world.cut_out(scene, 128)
    assert cut.shape == (128, 128, 4)
    assert np.array_equal(cut[:, :, 3] > 127, world.masks(scene, 128)["subject"])
    assert cut[0, 0, 3] == 0
