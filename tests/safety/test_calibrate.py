from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partialmethod
from pathlib import Path

import numpy as np
import pytest
from torch import Tensor

from castmark.errors import NotCalibrated
from castmark.safety import Calibration, Encoder, Gate, Policy
from castmark.safety.calibrate import Sizes, calibrate
from castmark.safety.evidence import WorldEvidence
from castmark.safety.policy import Escalation
from castmark.safety.samples import (
    HOLDERS,
    NEAR_MISSES,
    SAFE,
    SEEN,
    category_items,
    category_of,
    groups_of,
    lessons,
    names_one,
    people_of,
    prompts,
    scenes,
    triggers_of,
)
from castmark.safety.scores import Scores
from castmark.shot import ResolvedShot, Shot
from castmark.take import Draft
from castmark_world import (
    FULL,
    GUARDED,
    ITEMS,
    SAFE_ITEMS,
    CharacterSpec,
    Prop,
    Scene,
    masks,
    render,
    sample_scene,
    split_of,
    stage,
    truth,
)

CHILD = Escalation(
    words=("child", "girl"), prompts=("a girl",), anchors=("a woman",), categories=("alcohol",), miss=0.4
)
CAMERAS = set(GUARDED.cameras.values if GUARDED.cameras else ("full",))
CATEGORIES = ("alcohol", "blood", "drugs", "smoking", "weapon")

SMALL = Sizes(
    safe=30,
    test_safe=12,
    unsafe=12,
    test_unsafe=12,
    lessons=40,
    safe_prompts=30,
    drawn_safe=30,
    drawn_test_safe=6,
    drawn_unsafe=4,
    drawn_lessons=8,
)


class RenderingBase:
    """Draws by rendering a random scene."""

    name = "rendering"
    digest = "ab" * 32

    def resolve(self, shot: Shot) -> ResolvedShot:
        return ResolvedShot(shot=shot, text=shot.text, seed=shot.seed, width=64, height=64, steps=1)

    def draw(self, shots: Sequence[ResolvedShot]) -> list[Draft]:
        return [
            Draft(resolved=s, pixels=render(sample_scene(np.random.default_rng(s.seed)), 64), settings={})
            for s in shots
        ]


@pytest.fixture(scope="module")
def loose(policy: Policy) -> Policy:
    """A budget that so few samples can meet."""
    return policy.model_copy(
        update={
            "budget": policy.budget.model_copy(update={"fpr": 0.4, "delta": 0.1, "out_of_domain": 0.4}),
            "categories": {
                name: category.model_copy(update={"miss": 0.4})
                for name, category in policy.categories.items()
            },
            "require": policy.require.model_copy(update={"n_safe_min": 30, "n_unsafe_min": 12}),
        }
    )


@pytest.fixture(scope="module")
def record(loose: Policy, encoder: Encoder) -> Calibration:
    (found,) = calibrate([loose], encoder, sizes=SMALL)
    return found


def test_a_record_opens_a_gate_of_its_policy_and_judge_only(
    record: Calibration, loose: Policy, policy: Policy, encoder: Encoder
) -> None:
    Gate(loose, encoder, record)
    with pytest.raises(NotCalibrated):
        Gate(policy, encoder, record)


def test_a_record_survives_its_file(record: Calibration, tmp_path: Path) -> None:
    again = Calibration.load(record.save(tmp_path / "c" / "record.json"))
    assert again == record and again.digest == record.digest


def test_the_same_seed_finds_the_same_thresholds(
    record: Calibration, loose: Policy, encoder: Encoder
) -> None:
    (again,) = calibrate([loose], encoder, sizes=SMALL)
    assert again.image == record.image and again.prompt == record.prompt


def test_every_source_has_its_threshold_and_the_highest_is_used(loose: Policy, encoder: Encoder) -> None:
    (record,) = calibrate([loose], encoder, base=RenderingBase(), sizes=SMALL)
    assert record.sources == ("renders", "drawings of rendering (abababababab)")
    for found in record.image.values():
        assert set(found.by_source) == set(record.sources)
        assert found.value == max(*found.by_source.values(), *found.by_group.values())
        assert found.false_positives["renders"].n == 12 and found.true_positives[record.sources[1]].n == 4


def test_a_trigger_is_found_by_what_finds_it_less_often_where_it_is_not(
    loose: Policy, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    strict = loose.model_copy(update={"escalate": {"child": CHILD}})
    (record,) = calibrate([strict], encoder, sizes=SMALL)
    found = record.escalations["child"]
    (others,) = found.false_positives.values()
    assert record.triggers["child"].classes == ("other", "child")
    assert others.n + found.true_positives["renders"].n == SMALL.test_safe
    # A judge of random weights tells nothing: so let the probe know what the truth is.
    for helps in (True, False):
        monkeypatch.setattr(Scores, "of", partialmethod(told, helps=helps))
        (record,) = calibrate([strict], encoder, sizes=SMALL)
        assert record.escalations["child"].scorer == ("probe" if helps else "texts")
        assert ("child" in record.probed) == helps


def told(scores: Scores, embeddings: Tensor, name: str, scorer: str, *, helps: bool) -> list[float]:
    """Scores as if the probe (or else the texts) told pictures with children from others."""
    there = {
        row.sum().item() for row in scores.evidence.pictures("renders", "calibration", None).showing("child")
    }
    right = [row.sum().item() in there for row in embeddings]
    return [float(found) if (scorer == "probe") == helps else 0.5 for found in right]


@pytest.mark.parametrize(
    "sizes", [Sizes(safe=29), Sizes(unsafe=11), Sizes(safe=3, unsafe=12), Sizes(safe_prompts=29)]
)
def test_too_few_samples_are_refused_before_any_is_scored(
    loose: Policy, encoder: Encoder, sizes: Sizes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoder, "images", lambda pixels: pytest.fail("scored"))
    with pytest.raises(NotCalibrated, match="samples"):
        calibrate([loose], encoder, sizes=sizes)


def test_a_safe_scene_shows_nothing_unsafe_and_is_of_the_world_in_every_other_way() -> None:
    made = [scene for split in ("calibration", "test") for scene, _ in scenes(150, 5, split, None)]
    for scene in made:
        placed = [placement.item for placement in scene.cast] + [prop.name for prop in scene.props]
        assert all(name in SAFE_ITEMS for name in placed if name)
        assert category_of(scene) == SAFE
    assert all(truth(scene)["unsafe"] == [] for scene in made[:40])
    assert {scene.subject.kind for scene in made} == set(GUARDED.kinds.values)
    assert {scene.camera for scene in made} == CAMERAS
    assert {scene.style for scene in made} == set(GUARDED.styles.values if GUARDED.styles else ("flat",))
    duos = sum(scene.other is not None for scene in made) / len(made)
    assert abs(duos - GUARDED.duo) < 0.1 and any(scene.props for scene in made)
    near = {name for names in NEAR_MISSES.values() for name in names}
    assert sum(any(p.item in near for p in scene.cast) for scene in made) > 40
    assert [split_of(scene.subject) for scene in made] == ["calibration"] * 150 + ["test"] * 150


@pytest.mark.parametrize("category", CATEGORIES)
def test_an_unsafe_scene_shows_a_thing_of_its_category_and_of_no_other(category: str) -> None:
    made = list(scenes(60, 5, "test", category))
    things = set(category_items(category))
    wheres: Counter[str] = Counter()
    for scene, text in made:
        assert split_of(scene.subject) == "test" and category_of(scene) == category
        assert truth(scene)["unsafe"] == [category] and names_one(text, category)
        seen = masks(scene)
        where = [f"prop {i}" for i, prop in enumerate(scene.props, 1) if prop.name in things]
        where += [p for p, c in zip(("item", "other item"), scene.cast, strict=False) if c.item in things]
        assert len(where) == 1 and seen[where[0]].sum() >= SEEN
        wheres[where[0]] += 1
    assert wheres["item"] > 25 and bool(wheres["other item"]) == bool(GUARDED.duo)
    assert ("prop 1" in wheres) == any(ITEMS[name].prop for name in things)
    assert set(HOLDERS.values) <= {scene.subject.kind for scene, _ in made}
    assert {name for scene, _ in made for name in parts(scene)} >= things
    far = CAMERAS - {"close-up"}
    assert {scene.camera for scene, _ in made} == (CAMERAS if category == "blood" else far)


def parts(scene: Scene) -> set[str]:
    """Every thing of a scene."""
    return {p.item for p in scene.cast if p.item} | {prop.name for prop in scene.props}


def test_lessons_are_pairs_that_differ_in_one_thing_and_every_category_is_as_frequent() -> None:
    made = list(lessons(250, 3))
    of = Counter(map(category_of, made))
    assert of == {SAFE: 150, **dict.fromkeys(CATEGORIES, 20)}
    near: Counter[str] = Counter()
    for start in range(0, 250, 5):
        for first, second in (made[start : start + 2], made[start + 2 : start + 4]):
            category = category_of(first)
            assert category != SAFE and category_of(second) == SAFE
            assert (first.subject, first.place_seed, first.camera) == (
                second.subject,
                second.place_seed,
                second.camera,
            )
            assert len(parts(first) - parts(second)) == 1
            near[category] += bool((parts(second) - parts(first)) & set(NEAR_MISSES[category]))
        assert made[start + 4].subject.kind == "product"
    assert all(near[category] >= 5 for category in CATEGORIES)
    assert {scene.subject.kind for scene in made[:40]} == set(GUARDED.kinds.values)


def test_only_of_one_person_it_is_said_who_it_is_but_a_child_beside_anyone_is_a_child() -> None:
    rng = np.random.default_rng(0)
    found: dict[tuple[int, bool], Scene] = {}
    while len(found) < 5:
        scene = sample_scene(rng, scope=FULL)
        people = [p.subject for p in scene.cast if isinstance(p.subject, CharacterSpec)]
        found.setdefault((len(people), any(p.age == "child" for p in people)), scene)
    for (count, child), scene in found.items():
        read = people_of(scene)
        assert read["presence"] == ("person" if count else "nobody")
        assert (len(read), len(groups_of(scene))) == ((4, 3) if count == 1 else (1, 0))
        assert triggers_of(scene) == (("child",) if child else ())
        if count == 1:
            assert (read["age"] == "child") is child
    old = next(
        s
        for s in (sample_scene(rng, kind="character", scope=FULL) for _ in range(200))
        if alone(s, "old person")
    )
    assert people_of(old)["age"] == "older" and people_of(old)["gender"] == "neutral"


def alone(scene: Scene, noun: str) -> bool:
    return scene.other is None and scene.subject.noun == noun


def test_of_several_unsafe_categories_the_first_by_name_is_told_wherever_they_are() -> None:
    rng = np.random.default_rng(4)
    mascot = sample_scene(rng, kind="mascot", scope=FULL).subject
    scene = replace(
        stage(mascot, rng, item="knife", camera="full", scope=FULL), props=(Prop(name="pills", x=0.1),)
    )
    assert category_of(scene) == "drugs" and truth(scene)["unsafe"] == ["drugs", "weapon"]
    assert category_of(replace(scene, props=())) == "weapon"


def test_the_evidence_has_every_child_for_the_trigger(encoder: Encoder) -> None:
    evidence = WorldEvidence(encoder, SMALL, 3)
    seen = evidence.pictures("renders", "calibration", None)
    children = evidence.trigger("child", "calibration")
    assert children is not None and len(children.there) >= len(seen.of("age: child")) > 0
    assert len(children.there) + len(children.others) == SMALL.safe
    assert evidence.trigger("dog", "calibration") is None
    assert all(evidence.shows(name) and evidence.says(name) for name in CATEGORIES)
    assert not evidence.shows("nudity")


def test_prompts_of_the_splits_do_not_overlap() -> None:
    assert not set(prompts(200, 1, "calibration", "weapon")) & set(prompts(200, 1, "test", "weapon"))
    assert not set(prompts(200, 1, "calibration", None)) & set(prompts(200, 1, "test", None))


def test_the_command_says_what_is_wrong_in_one_line() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "castmark.cli", "policy", "calibrate", "no-such-policy"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1 and "no-such-policy" in done.stderr and done.stderr.count("\n") == 1
