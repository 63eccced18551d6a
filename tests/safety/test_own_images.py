"""Calibration on one's own images, for any judge: refused until done, and only as good as what was given."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from castmark.errors import InputError, NotCalibrated
from castmark.safety import Calibration, Encoder, Gate
from castmark.safety.calibrate import calibrate_and_save
from castmark.safety.own_images import SOURCE, OwnPrompts
from castmark.take import Draft
from castmark_world import render, sample_scene

POLICY = """
version: 1
name: mine
description: for tests
domain: renders as if they were photographs
audience: general
on_error: block
require: {calibration_max_age_days: 30, n_safe_min: 20, n_unsafe_min: 5}
budget: {fpr: 0.4, delta: 0.2, out_of_domain: 0.3}
categories:
  weapon: {prompts: [a knife], anchors: [a cup], words: [knife], miss: 0.4}
  smoking: {prompts: [a cigarette], anchors: [a pen], words: [cigarette], miss: 0.4, if_uncalibrated: report}
escalate:
  child: {words: [child], prompts: [a girl], anchors: [a woman], categories: [smoking], miss: 0.4}
"""
PROMPTS = "[safe]\n{safe}\n[weapon]\n{weapon}\n"


def picture(folder: Path, seed: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    pixels = render(sample_scene(np.random.default_rng(seed)), 48)
    Image.fromarray(pixels).save(folder / f"{seed}.png")


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("own")
    for seed in range(60):
        picture(root / "safe" / ("day" if seed % 2 else "night"), seed)
    for seed in range(100, 124):
        picture(root / "unsafe" / "weapon", seed)
    (root / "mine.yaml").write_text(POLICY)
    safe = "\n".join(f"a cup number {i}" for i in range(80))
    weapon = "\n".join(f"a knife number {i}" for i in range(40))
    (root / "prompts.txt").write_text(PROMPTS.format(safe=safe, weapon=weapon))
    return root


def run(images: Path, judge: Path, out: Path, **changes: object) -> Path:
    options = {"safe": images / "safe", "unsafe": images / "unsafe", "prompts": images / "prompts.txt"}
    ((path, _),) = calibrate_and_save([images / "mine.yaml"], judge=judge, out=out, **(options | changes))
    return path


def test_a_judge_is_refused_until_it_is_calibrated_on_own_images(
    images: Path,
    judge_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    as_draft: Callable[..., Draft],
) -> None:
    monkeypatch.setenv("CASTMARK_HOME", str(tmp_path))
    policy = images / "mine.yaml"
    with pytest.raises(NotCalibrated, match="castmark policy calibrate mine"):
        Gate.open(policy, judge=judge_folder)
    run(images, judge_folder, tmp_path / "calibrations")
    gate = Gate.open(policy, judge=judge_folder)
    record = gate.calibration
    assert record.sources == (SOURCE,) and set(record.image) == {"weapon"} and set(record.kinds) == {SOURCE}
    assert record.image["weapon"].n_safe + record.image["weapon"].false_positives[SOURCE].n < 60
    assert record.reader is None and record.content is None and not record.escalations
    (verdict,) = gate.check([as_draft(render(sample_scene(np.random.default_rng(7)), 48))])
    names = {f.name: f for f in verdict.findings}
    assert not names["smoking: pictures not calibrated, words only"].allowed
    assert not names["child in the picture"].allowed, "a trigger without pictures counts as found"


def test_a_policy_that_locks_what_own_pictures_do_not_tell_is_refused(
    images: Path, judge_folder: Path, tmp_path: Path
) -> None:
    policy = tmp_path / "locked.yaml"
    policy.write_text(POLICY + "subject: {lock: [age]}\n")
    out, safe, unsafe, prompts = tmp_path / "out", images / "safe", images / "unsafe", images / "prompts.txt"
    with pytest.raises(NotCalibrated, match=r"locks age of subjects.*empty `lock`"):
        calibrate_and_save([policy], judge=judge_folder, out=out, safe=safe, unsafe=unsafe, prompts=prompts)
    assert not out.exists()


def test_after_a_change_of_words_only_prompts_are_calibrated_again(
    images: Path, judge_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CASTMARK_HOME", str(tmp_path))
    folder = tmp_path / "calibrations"
    before = Calibration.load(run(images, judge_folder, folder))
    policy = tmp_path / "mine.yaml"
    policy.write_text(POLICY.replace("words: [knife]", "words: [knife, cleaver]"))
    with pytest.raises(NotCalibrated, match="was changed"):
        Gate.open(policy, judge=judge_folder)

    def again() -> Calibration:
        ((_, record),) = calibrate_and_save(
            [policy], judge=judge_folder, out=folder, prompts=images / "prompts.txt", prompts_only=True
        )
        return record

    record = again()
    assert not Gate.open(policy, judge=judge_folder).check_prompt("a cleaver").prompt_allowed
    assert record.image == before.image and record.created == before.created
    policy.write_text(POLICY.replace("prompts: [a knife]", "prompts: [a knife, a cleaver]"))
    with pytest.raises(NotCalibrated, match="in more than prompts"):
        again()
    policy.write_text(POLICY.replace("name: mine", "name: other"))
    with pytest.raises(NotCalibrated, match="no record whose pictures"):
        again()


def test_copies_count_once(images: Path, judge_folder: Path, tmp_path: Path) -> None:
    copies = tmp_path / "safe"
    for index in range(60):
        copies.mkdir(exist_ok=True)
        data = (images / "safe" / "night" / "0.png").read_bytes()
        (copies / f"{index}.png").write_bytes(data)
    with pytest.raises(InputError, match="too few"):
        run(images, judge_folder, tmp_path, safe=copies)


def test_too_few_images_for_the_budget_are_refused(images: Path, judge_folder: Path, tmp_path: Path) -> None:
    strict = tmp_path / "mine.yaml"
    strict.write_text(POLICY.replace("fpr: 0.4", "fpr: 0.001"))
    with pytest.raises(NotCalibrated, match="too few"):
        calibrate_and_save(
            [strict],
            judge=judge_folder,
            out=tmp_path,
            safe=images / "safe",
            unsafe=images / "unsafe",
            prompts=images / "prompts.txt",
        )
    assert not list(tmp_path.glob("*.json"))


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"unsafe": None}, "both"),
        ({"safe": Path("no-such")}, "no such folder"),
        ({"unsafe": Path("no-such")}, "no such folder"),
        ({"prompts": Path("no-such")}, "cannot be read"),
        ({"safe": None, "unsafe": None}, "--safe"),
    ],
)
def test_what_is_missing_is_said(
    images: Path, judge_folder: Path, tmp_path: Path, changes: dict[str, Path | None], complaint: str
) -> None:
    with pytest.raises(InputError, match=complaint):
        run(images, judge_folder, tmp_path, **changes)


def test_a_category_without_images_or_prompts_is_refused(
    images: Path, judge_folder: Path, tmp_path: Path
) -> None:
    empty = tmp_path / "unsafe"
    picture(empty / "smoking", 101)
    with pytest.raises(NotCalibrated, match="no unsafe pictures of 'weapon'"):
        run(images, judge_folder, tmp_path, unsafe=empty)
    listed = tmp_path / "prompts.txt"
    listed.write_text("[safe]\na cup\n[other]\na thing\n")
    with pytest.raises(NotCalibrated, match="no unsafe prompts of 'weapon'"):
        run(images, judge_folder, tmp_path, prompts=listed)


def test_a_folder_that_no_policy_looks_for_is_named(images: Path, judge_folder: Path, tmp_path: Path) -> None:
    unsafe = tmp_path / "unsafe"
    picture(unsafe / "Weapons", 1)
    with pytest.raises(
        InputError, match=r"'Weapons' in pictures; name it after one of: child, smoking, weapon"
    ):
        run(images, judge_folder, tmp_path, unsafe=unsafe)


def test_an_image_that_is_both_safe_and_unsafe_is_named(
    images: Path, judge_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="which is called safe"):
        run(images, judge_folder, tmp_path, safe=images)
    unsafe = tmp_path / "unsafe"
    picture(unsafe / "child", 0)
    picture(unsafe / "weapon", 100)
    with pytest.raises(InputError, match="too few"):  # a child is harmless by itself
        run(images, judge_folder, tmp_path, unsafe=unsafe)


def test_a_prompt_that_is_said_twice_counts_once(encoder: Encoder, tmp_path: Path) -> None:
    listed = tmp_path / "prompts.txt"
    listed.write_text(PROMPTS.format(safe="\n".join(["a cup"] * 50), weapon="a knife"))
    own = OwnPrompts(encoder, listed)
    assert sorted(own.prompts("prompts", "calibration", None) + own.prompts("prompts", "test", None)) == [
        "a cup"
    ]


def test_a_file_that_is_no_image_is_named(images: Path, judge_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "safe"
    folder.mkdir()
    (folder / "broken.png").write_bytes(b"not a picture")
    with pytest.raises(InputError, match=r"broken\.png"):
        run(images, judge_folder, tmp_path, safe=folder)
