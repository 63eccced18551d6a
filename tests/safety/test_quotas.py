"""Quotas: what is dealt, and what of a prompt they may change."""

from __future__ import annotations

import io
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from castmark.safety.bias.quotas import apply_quotas, open_attributes, quotas, say, target_shares
from castmark.safety.bias.words import stated
from castmark.safety.policy import Fairness
from castmark.safety.reader import CLASSES
from castmark.shot import Shot
from castmark_adapters.subject import Subject

EVEN = {"feminine": 0.5, "masculine": 0.5}
SOMEBODY = {"gender": "feminine", "age": "older", "skin_tone": "monk 10"}
WEIGHTS = st.lists(st.integers(0, 20), min_size=1, max_size=10).filter(any)


def shared(weights: list[int]) -> dict[str, float]:
    return {str(i): weight / sum(weights) for i, weight in enumerate(weights)}


@settings(deadline=None)
@given(WEIGHTS, st.integers(0, 200), st.integers(0, 99))
def test_quotas_are_within_one_of_the_declared_shares(weights: list[int], n: int, seed: int) -> None:
    dealt = quotas(shared(weights), [f"somebody {i}" for i in range(n)], str(seed))
    assert len(dealt) == n
    for group, share in shared(weights).items():
        assert abs(dealt.count(group) - share * n) < 1 + 1e-6
        assert share > 0 or group not in dealt


@settings(deadline=None)
@given(WEIGHTS, st.integers(0, 200), st.integers(0, 99), st.integers(0, 199))
def test_one_more_anywhere_changes_at_most_one_other_a_boundary(
    weights: list[int], n: int, seed: int, place: int
) -> None:
    people, place = [f"somebody {i}" for i in range(n)], min(place, n)
    before = quotas(shared(weights), people, str(seed))
    after = quotas(shared(weights), [*people[:place], "one more", *people[place:]], str(seed))
    changed = sum(a != b for a, b in zip(before, [*after[:place], *after[place + 1 :]], strict=True))
    assert changed <= sum(weight > 0 for weight in weights) - 1


def test_a_remainder_falls_to_every_group_by_its_share() -> None:
    first = Counter(quotas({"a": 0.7, "b": 0.3}, ["somebody"], str(seed))[0] for seed in range(1000))
    assert first["a"] == pytest.approx(700, abs=60)


def test_quotas_of_two_attributes_go_their_own_ways() -> None:
    people = [f"somebody {i}" for i in range(2000)]
    for shares in ({"a": 0.5, "b": 0.5}, {"a": 0.6, "b": 0.4}, {"a": 0.25, "b": 0.75}):
        one, other = (quotas(shares, people, f"5/{name}") for name in ("gender", "age"))
        alike = sum(x == y for x, y in zip(one, other, strict=True)) / 2000
        assert alike == pytest.approx(sum(share**2 for share in shares.values()), abs=0.05)


def test_copies_of_a_shot_are_dealt_as_others_are() -> None:
    done = apply_quotas([Shot("a person")] * 40, Fairness(target={"gender": "uniform"}), seed=1)
    assert Counter(shot.prompt for shot in done) == {"a woman": 20, "a man": 20}


def test_quotas_say_what_prompts_leave_open_and_nothing_else() -> None:
    fairness = Fairness(target={"gender": "uniform", "skin_tone": "uniform"})
    mira = Subject.from_images("mira", [png()], kind="character", phrase="a woman")
    shots = [
        *(Shot(f"a person at the beach, picture {i}", seed=i) for i in range(40)),
        Shot("a red mug"),
        Shot("a person beside mira", [mira]),
        Shot("a man with dark skin"),
    ]
    done = apply_quotas(shots, fairness, seed=3)
    assert done == apply_quotas(shots, fairness, seed=3) != apply_quotas(shots, fairness, seed=4)
    longer = apply_quotas([*shots[:20], Shot("a person at home"), *shots[20:]], fairness, seed=3)
    kept = [*longer[:20], *longer[21:]]
    changed = Counter(name for a, b in zip(done, kept, strict=True) for name in differing(a, b))
    assert changed["gender"] <= 1 and changed["skin_tone"] <= 9, "a shot that is added leaves the others"
    shorter = apply_quotas([*shots[:20], *shots[21:]], fairness, seed=3)
    kept = [*done[:20], *done[21:]]
    changed = Counter(name for a, b in zip(kept, shorter, strict=True) for name in differing(a, b))
    assert changed["gender"] <= 1 and changed["skin_tone"] <= 9, "and so does one that is taken out"
    assert done[40:] == shots[40:], "no person, a subject, or nothing open: not touched"
    count = Counter(record for shot in done[:40] for record in shot.quota)
    assert {g: count[f"gender: {g}"] for g in CLASSES["gender"]} == {
        "feminine": 20,
        "masculine": 20,
        "neutral": 0,
    }
    assert {count[f"skin_tone: {t}"] for t in CLASSES["skin_tone"]} == {4}
    for shot in done[:40]:
        said = stated(shot.prompt)
        assert f"gender: {said['gender'][0]}" in shot.quota
        assert any(f"skin_tone: {tone}" in shot.quota for tone in said["skin_tone"])
        assert shot.key({}) != Shot(shot.prompt, seed=shot.seed).key({}), "the quota is in the key"
    assert apply_quotas(done, fairness, seed=9) == done, "what a quota set is not open any more"


def differing(one: Shot, other: Shot) -> set[str]:
    return {record.partition(":")[0] for record in set(one.quota) ^ set(other.quota)}


@pytest.mark.parametrize(
    ("prompt", "groups", "said"),
    [
        ("a person at sea", {"gender": "feminine"}, "a woman at sea"),
        ("someone waving", {"gender": "masculine", "age": "child"}, "a boy waving"),
        ("an engineer in town", {"gender": "feminine"}, "a female engineer in town"),
        (
            "a doctor, smiling",
            {"gender": "masculine", "skin_tone": "monk 08"},
            "a male doctor with dark skin, smiling",
        ),
        ("a woman in the snow", {"skin_tone": "monk 01"}, "a woman with very light skin in the snow"),
        ("the astronaut", {"gender": "feminine"}, "the female astronaut"),
        ("a person at sea", {"gender": "masculine", "age": "older"}, "an old man at sea"),
        ("an old person at sea", {"gender": "feminine"}, "an old woman at sea"),
        ("a person at sea", {"age": "older"}, "an old person at sea"),
        ("someone at sea", {"gender": "neutral", "age": "child"}, "a child at sea"),
        ("a waiter at sea", {"gender": "neutral"}, "a person who is a waiter at sea"),
        ("an engineer", {"gender": "feminine", "age": "older"}, "an old female engineer"),
        ("a female cop in town", {"skin_tone": "monk 06"}, "a female cop with tan skin in town"),
        ("an elderly lady", {"skin_tone": "monk 10"}, "an elderly lady with very dark skin"),
        ("in İzmir a person walks", {"gender": "feminine"}, "in İzmir a woman walks"),
        ("A Person at sea", {"gender": "masculine", "age": "older"}, "An old man at sea"),
        ("a European chef at sea", {"gender": "feminine"}, "a European female chef at sea"),
        ("portrait of an engineer", {"gender": "feminine"}, "portrait of a female engineer"),
    ],
)
def test_a_quota_in_words(prompt: str, groups: dict[str, str], said: str) -> None:
    assert say(prompt, groups) == said


@pytest.mark.parametrize(
    ("prompt", "open_"),
    [
        ("a person", ("gender", "age", "skin_tone")),
        ("a nurse", ("gender", "age", "skin_tone")),
        ("a woman", ("skin_tone",)),
        ("a woman with tan skin", ()),
        ("a child", ("skin_tone",)),
        ("an old doctor", ("gender", "skin_tone")),
        ("a female pilot", ("skin_tone",)),
        ("a purple rabbit", ()),
        ("a teapot in a kitchen", ()),
        ("a nonbinary person", ("skin_tone",)),
        ("a person with a beard", ("skin_tone",)),
        ("a bearded person", ("skin_tone",)),
        ("a pregnant person at home", ("skin_tone",)),
        ("an albino person", ("gender", "age")),
        ("a Japanese chef", ("gender", "age")),
        ("an African-American pilot waving", ("gender", "age")),
        ("a black doctor", ("gender", "age")),
        ("a young person", ("gender", "skin_tone")),
        ("a 70-year-old doctor at sea", ("gender", "skin_tone")),
        ("a middle-aged man in town", ("skin_tone",)),
        ("a mysterious person in the fog", ()),
        ("a mysterious, young doctor at sea", ()),
        ("a Kazakh shepherd boy's friend, an enigmatic person", ()),
        ("a person of colour", ()),
    ],
)
def test_what_a_prompt_leaves_open(prompt: str, open_: tuple[str, ...]) -> None:
    assert open_attributes(Shot(prompt)) == open_


@pytest.mark.parametrize(
    "prompt",
    [
        "a doctor's bag on an oak table",
        "a doctor\u2019s bag on an oak table",
        "a human skull on a table",
        "a king size bed",
        "a mother-of-pearl box",
        "a baby carrot on a plate",
        "a nurse shark",
        "a pilot pen on a desk",
        "a student desk in a room",
        "an action figure on a shelf",
        "a teacher building on a hill",
        "a bottle of cleaner on a table",
        "a red mug with a character on it",
        "someone's mug",
    ],
)
def test_a_prompt_about_a_thing_is_left_alone(prompt: str) -> None:
    fairness = Fairness(target=dict.fromkeys(("gender", "age", "skin_tone"), "uniform"))
    assert apply_quotas([Shot(prompt)], fairness, seed=0) == [Shot(prompt)]
    assert say(prompt, SOMEBODY) == prompt


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("an old man", {"gender": ("masculine",), "age": ("older",)}),
        ("a grandmother", {"gender": ("feminine",), "age": ("older",)}),
        (
            "a man beside an elderly female nurse",
            {"gender": ("feminine", "masculine"), "age": ("adult", "older")},
        ),
        ("an old teapot", {}),
        ("a nonbinary person", {"gender": ("neutral",)}),
        ("a bearded woman", {"gender": ("feminine",), "age": ("adult",)}),
        ("a young teacher", {"age": ("child", "adult")}),
        ("a young tree beside a mug", {}),
        ("a 70-year-old man", {"gender": ("masculine",), "age": ("older",)}),
        ("a 9 year old boy", {"gender": ("masculine",), "age": ("child",)}),
        ("a middle-aged man", {"gender": ("masculine",), "age": ("adult",)}),
        ("a black firefighter at sea", {"skin_tone": ("monk 07", "monk 08", "monk 09", "monk 10")}),
        ("a Nigerian pilot", {"skin_tone": CLASSES["skin_tone"]}),
        ("a person in a black chef hat", {}),
        ("a woman airline pilot", {"gender": ("feminine",)}),
        ("a light brown-skinned person", {"skin_tone": ("monk 05", "monk 06")}),
        ("a very-fair-skinned child", {"age": ("child",), "skin_tone": ("monk 01", "monk 02")}),
    ],
)
def test_what_a_prompt_states(prompt: str, said: dict[str, tuple[str, ...]]) -> None:
    assert stated(prompt) == said


def test_captions_of_the_world_state_only_what_is_true() -> None:
    from castmark.safety.samples import people_of
    from castmark_world import caption, sample_scene

    rng = np.random.default_rng(8)
    told: Counter[str] = Counter()
    for _ in range(600):
        scene = sample_scene(rng, kind="character")
        truths = people_of(scene)
        if "gender" not in truths or scene.other is not None:
            continue
        for name, values in stated(caption(scene, rng)).items():
            assert truths[name] in values
            told[name] += 1
    assert min(told[name] for name in ("gender", "age", "skin_tone")) > 100


def test_uniform_gender_leaves_those_aside_who_are_neither_unless_they_are_named() -> None:
    assert target_shares(Fairness(target={"gender": "uniform"}), "gender") == EVEN
    named = Fairness(target={"gender": {"feminine": 0.4, "masculine": 0.4, "neutral": 0.2}})
    assert target_shares(named, "gender")["neutral"] == 0.2
    assert len(target_shares(Fairness(target={"age": "uniform"}), "age")) == 3


def png() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (24, 24), "red").save(buffer, "PNG")
    return buffer.getvalue()
