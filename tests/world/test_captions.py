"""The full grammar says named attributes in many ways, and never a hidden one."""

from dataclasses import replace

import pytest
from world_samples import plain, rng, subject

import castmark_world as world
from castmark_world import FULL, words
from castmark_world.params import Placement


def test_captions_do_not_depend_on_hidden_traits() -> None:
    source = rng(2)
    for seed in range(200):
        scene = world.sample_scene(source, scope=FULL)
        twin = replace(scene, subject=world.look_alike(scene.subject, rng(seed), FULL))
        if scene.other is not None:
            other = world.look_alike(scene.other.subject, rng(seed + 1), FULL)
            twin = replace(twin, other=replace(scene.other, subject=other))
        assert world.caption(scene, rng(seed), FULL) == world.caption(twin, rng(seed), FULL)
        assert world.class_phrase(scene.subject) == world.class_phrase(twin.subject)


def test_captions_are_lower_case_varied_and_of_all_lengths() -> None:
    source = rng(5)
    scene = world.sample_scene(source, kind="character", scope=FULL)
    captions = [world.caption(scene, source, FULL) for _ in range(300)]
    lengths = [len(caption.split()) for caption in captions]
    assert len(set(captions)) > 250
    assert min(lengths) <= 7 and max(lengths) >= 22
    for caption in captions:
        assert caption == caption.lower()
        assert "  " not in caption and "{" not in caption and " ," not in caption


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"occupation": "firefighter", "top": "fire coat", "headwear": "fire helmet"}, "firefighter"),
        ({"person": "old woman"}, "old"),
        ({"top_color": "red", "top": "jumper"}, "crimson"),
        ({"facial_hair": "moustache"}, "moustache"),
        ({"hair_style": "locs"}, "dreadlocks"),
        ({"accessory": "shoulder bag", "accessory_color": "teal"}, "satchel"),
    ],
)
def test_captions_say(changes: dict[str, str], said: str) -> None:
    scene = plain(replace(subject(), **changes))
    source = rng(1)
    assert sum(said in world.caption(scene, source, FULL) for _ in range(200)) >= 5


def test_captions_say_what_is_held_the_place_the_style_and_the_camera() -> None:
    source = rng(2)
    scene = plain(subject(), item="gun", place="farm", style="neon", camera="half", weather="rain")
    captions = [world.caption(scene, source, FULL) for _ in range(200)]

    def often(options: tuple[str, ...]) -> int:
        return sum(any(option in caption for option in options) for caption in captions)

    assert often(("gun", "pistol")) > 100
    assert often(tuple(p.removeprefix("on the ").removeprefix("on a ") for p in words.PLACE["farm"])) > 100
    assert often(words.STYLE["neon"]) > 80
    assert often(words.CAMERA["half"]) > 40
    assert often(("rain",)) > 80


def test_sides_are_said_as_they_are_drawn() -> None:
    beast = replace(subject("mascot"), species="owl")
    other = Placement(subject=subject("product"), x=0.7, scale=0.8, mirrored=False)
    source, checked = rng(3), 0
    for index in range(200):
        left = index % 2 == 0
        scene = replace(plain(beast), x=0.3 if left else 0.9, other=other)
        parts = world.caption(scene, source, FULL).split(" on the left and ")
        if len(parts) == 2:
            assert (" owl" in parts[0]) == left
            checked += 1
    assert checked > 10


def test_a_close_up_says_nothing_of_legs() -> None:
    scene = plain(replace(subject(), bottom="long skirt", bottom_color="lime"), camera="close-up")
    source = rng(4)
    assert not any("skirt" in world.caption(scene, source, FULL) for _ in range(200))


def test_class_phrases_name_the_subject_in_fixed_words() -> None:
    spec = replace(subject(), occupation="chef", top="chef jacket", top_color="white", headwear="chef hat")
    phrase = world.class_phrase(spec)
    assert phrase == world.class_phrase(replace(spec, head_width=0.9))
    assert "chef" in phrase and "white chef jacket" in phrase and "brown hair" in phrase
    assert world.class_phrase(subject("mascot")).startswith(("a ", "an "))


def test_the_first_grammar_refuses_what_it_has_no_words_for() -> None:
    scene = plain(subject())
    with pytest.raises(ValueError, match="pass the scope"):
        world.caption(scene, rng(), world.FIRST)


def test_every_value_has_words() -> None:
    for scene_kind in FULL.attributes:
        for seed in range(150):
            spec = world.sample_subject(rng(seed), scene_kind, "train", FULL)
            assert len(world.class_phrase(spec)) > 5
    assert set(words.PLACE) == set(FULL.scenes)
    assert set(words.POSE) == set(FULL.poses.values)
    assert set(words.EXPRESSION) == set(FULL.expressions.values)
    assert FULL.styles is not None and set(words.STYLE) == set(FULL.styles.values)
