from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from castmark.errors import NotCalibrated
from castmark.safety import Calibration, Encoder, Gate, Policy
from castmark.safety.calibrate import Sizes, calibrate
from castmark.safety.samples import category_items, prompts, scenes
from castmark.shot import ResolvedShot, Shot
from castmark.take import Draft
from castmark_world import ITEMS, render, sample_scene, split_of

SMALL = Sizes(
    safe=30,
    test_safe=12,
    unsafe=12,
    test_unsafe=12,
    lessons=40,
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


@pytest.mark.parametrize("sizes", [Sizes(safe=29), Sizes(unsafe=11), Sizes(safe=3, unsafe=12)])
def test_too_few_samples_are_refused_before_any_is_scored(
    loose: Policy, encoder: Encoder, sizes: Sizes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoder, "images", lambda pixels: pytest.fail("scored"))
    with pytest.raises(NotCalibrated, match="samples"):
        calibrate([loose], encoder, sizes=sizes)


def test_splits_differ_in_combinations_and_categories_in_what_is_held() -> None:
    for split in ("calibration", "test"):
        for scene, _ in scenes(40, 5, split, None):
            assert split_of(scene.subject) == split
            assert scene.item is None or ITEMS[scene.item].category is None
        assert all(scene.item in category_items("alcohol") for scene, _ in scenes(20, 5, split, "alcohol"))


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
