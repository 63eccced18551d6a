from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import castmark.safety.calibration as calibration_module
from castmark.errors import CheckError, InputError, NotCalibrated
from castmark.safety import Calibration, Encoder, Gate, Policy
from castmark.safety.calibration import Threshold, file_name, find_calibration
from castmark.studio.checking import PromptVerdicts
from castmark.take import Draft, Verdict

Make = Callable[..., Calibration]


def scores(verdict: Verdict) -> dict[str, float]:
    return {f.name: f.score for f in verdict.findings if f.rung == "L2 image"}


def forbidden(verdict: Verdict) -> set[str]:
    return {line.split(" scored ")[0] for line in verdict.reasons}


def test_a_picture_within_every_threshold_passes_with_a_complete_record(gate: Gate, draft: Draft) -> None:
    (verdict,) = gate.check([draft])
    assert verdict.allowed
    assert [f.rung for f in verdict.findings] == ["L0 integrity"] * 3 + ["L1 prompt"] * 5 + [
        "L2 image"
    ] * 2 + ["L6 audit"]
    assert all(math.isfinite(f.score) and math.isfinite(f.threshold) for f in verdict.findings)
    assert verdict.pixel_digest == draft.pixel_digest
    assert verdict.policy_digest == gate.policy.digest and verdict.checker == gate.encoder.fingerprint
    assert verdict.calibration == gate.calibration.digest


def test_above_one_threshold_is_refused_by_name(
    policy: Policy, encoder: Encoder, calibrated: Make, draft: Draft
) -> None:
    record = calibrated()
    tight = record.image["weapon"].model_copy(update={"value": -1e6})
    (verdict,) = Gate(
        policy, encoder, record.model_copy(update={"image": {**record.image, "weapon": tight}})
    ).check([draft])
    assert not verdict.allowed and forbidden(verdict) == {"L2 image: weapon"}


def test_a_category_that_only_warns_is_recorded_and_does_not_refuse(
    policy: Policy, encoder: Encoder, calibrated: Make, draft: Draft
) -> None:
    record = calibrated()
    tight = record.image["alcohol"].model_copy(update={"value": -1e6})
    gate = Gate(policy, encoder, record.model_copy(update={"image": {**record.image, "alcohol": tight}}))
    (verdict,) = gate.check([draft])
    found = next(f for f in verdict.findings if f.rung == "L2 image" and f.name == "alcohol")
    assert verdict.allowed and not found.allowed and not found.binding


def test_the_score_at_the_threshold_passes_and_just_above_does_not(
    policy: Policy, encoder: Encoder, calibrated: Make, draft: Draft
) -> None:
    (verdict,) = Gate(policy, encoder, calibrated()).check([draft])
    score = next(f.score for f in verdict.findings if f.rung == "L2 image" and f.name == "weapon")
    for limit, allowed in ((score, True), (math.nextafter(score, -math.inf), False)):
        record = calibrated()
        exact = record.image["weapon"].model_copy(update={"value": limit})
        record = record.model_copy(update={"image": {**record.image, "weapon": exact}})
        (verdict,) = Gate(policy, encoder, record).check([draft])
        assert verdict.allowed is allowed


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a person with a knife", "L1 prompt: weapon words (knife)"),
        ("some cocaine on a table", "L1 prompt: drugs words (cocaine)"),
        ("a red mug " * 60 + "and a sword", "L1 prompt: weapon words (sword)"),
    ],
)
def test_a_prompt_with_a_listed_word_is_refused(gate: Gate, text: str, reason: str) -> None:
    verdict = gate.check_prompt(text)
    assert not verdict.prompt_allowed and forbidden(verdict) == {reason}


def test_a_prompt_verdict_allows_drawing_but_never_signing(gate: Gate) -> None:
    verdict = gate.check_prompt("a palette knife and a beer")  # excepted, and only warned about
    assert verdict.prompt_allowed and not verdict.allowed and not verdict.pixel_digest


def test_the_prompt_of_a_draft_is_checked_again_with_its_picture(
    gate: Gate, draft: Draft, as_draft: Callable[..., Draft]
) -> None:
    (verdict,) = gate.check([as_draft(draft.pixels, "a knife")])
    assert not verdict.allowed and forbidden(verdict) == {"L1 prompt: weapon words (knife)"}


def test_blank_and_noise_pictures_are_refused_and_do_not_hold_up_the_others(
    gate: Gate, draft: Draft, as_draft: Callable[..., Draft]
) -> None:
    blank = as_draft(np.zeros((64, 64, 3), np.uint8))
    noise = as_draft(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    verdicts = gate.check([blank, draft, noise])
    assert [v.allowed for v in verdicts] == [False, True, False]
    assert forbidden(verdicts[0]) == {"L0 integrity: not blank (neighbour difference)"}
    assert forbidden(verdicts[2]) == {"L0 integrity: not noise (neighbour correlation)"}
    assert [v.pixel_digest for v in verdicts] == [d.pixel_digest for d in (blank, draft, noise)]


def test_drafts_of_different_sizes_keep_their_order(
    gate: Gate, draft: Draft, as_draft: Callable[..., Draft]
) -> None:
    wide = as_draft(np.ascontiguousarray(draft.pixels[:40]))
    drafts = [draft, wide, draft]
    assert [v.pixel_digest for v in gate.check(drafts)] == [d.pixel_digest for d in drafts]
    alone, together = gate.check([wide])[0], gate.check(drafts)[1]
    assert scores(together) == pytest.approx(scores(alone), abs=1e-4)


def test_no_drafts_no_verdicts(gate: Gate) -> None:
    assert gate.check([]) == []


def test_a_verdict_is_for_its_own_pixels_only(gate: Gate, draft: Draft) -> None:
    (verdict,) = gate.check([draft])
    swapped = draft.pixels.copy()
    swapped[0, 0, 0] ^= 1
    assert replace(draft, pixels=swapped).pixel_digest != verdict.pixel_digest


# Faults: whatever breaks, there is no verdict that passes.


def test_pixels_swapped_during_the_check_are_noticed(
    gate: Gate, draft: Draft, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = gate.encoder.images

    def swap(pixels: torch.Tensor) -> torch.Tensor:
        draft.pixels[0, 0, 0] ^= 1
        return images(pixels)

    monkeypatch.setattr(gate.encoder, "images", swap)
    with pytest.raises(CheckError, match="changed while"):
        gate.check([draft])


@pytest.mark.parametrize(
    "error", [RuntimeError("boom"), MemoryError(), ValueError("shape"), TimeoutError("slow"), KeyError("x")]
)
@pytest.mark.parametrize("part", ["images", "texts"])
def test_an_exception_in_the_judge_is_a_check_error(
    gate: Gate, draft: Draft, monkeypatch: pytest.MonkeyPatch, part: str, error: Exception
) -> None:
    def broken(*_: object) -> Any:
        raise error

    monkeypatch.setattr(gate.encoder, part, broken)
    with pytest.raises(CheckError, match="nothing may be signed") as caught:
        gate.check([draft])
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_scores_that_are_not_finite_are_a_check_error(
    gate: Gate, draft: Draft, monkeypatch: pytest.MonkeyPatch, value: float
) -> None:
    monkeypatch.setattr(gate.encoder, "images", lambda pixels: torch.full((len(pixels), 6, 16), value))
    with pytest.raises(CheckError, match="not finite"):
        gate.check([draft])


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_judge_with_damaged_weights_checks_nothing(
    judge_folder: Path, tmp_path: Path, policy: Policy, calibrated: Make, value: float, draft: Draft
) -> None:
    folder = Path(shutil.copytree(judge_folder, tmp_path / "damaged"))
    weights = load_file(folder / "open_clip_model.safetensors")
    weights["visual.proj"][:] = value
    save_file(weights, folder / "open_clip_model.safetensors")
    damaged = Encoder.open(folder)
    with pytest.raises(NotCalibrated, match="another judge"):
        Gate(policy, damaged, calibrated())
    gate = Gate(policy, damaged, calibrated(fingerprint=damaged.fingerprint))
    with pytest.raises(CheckError, match="not finite"):
        gate.check([draft])


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((64, 64), np.uint8),
        np.zeros((64, 64, 4), np.uint8),
        np.zeros((0, 64, 3), np.uint8),
        np.zeros((64, 64, 3), np.float32),
        np.full((64, 64, 3), np.nan),
        "pixels",
        None,
    ],
)
def test_a_draft_without_proper_pixels_is_a_check_error(gate: Gate, draft: Draft, pixels: Any) -> None:
    with pytest.raises(CheckError):
        gate.check([replace(draft, pixels=pixels)])


# Calibrations: only the one for exactly this judge and policy, complete, thick and fresh enough.


def test_a_calibration_of_another_judge_is_refused(
    policy: Policy, encoder: Encoder, calibrated: Make
) -> None:
    with pytest.raises(NotCalibrated, match="another judge"):
        Gate(policy, encoder, calibrated(fingerprint="0" * 64))


def test_an_edited_policy_is_refused(policy_file: Path, encoder: Encoder, calibrated: Make) -> None:
    policy_file.write_text(policy_file.read_text().replace("[knife, sword]", "[sword]"))
    with pytest.raises(NotCalibrated, match="changed after it was calibrated"):
        Gate(Policy.load(policy_file), encoder, calibrated())


def test_a_stale_calibration_is_refused(policy: Policy, encoder: Encoder, calibrated: Make) -> None:
    Gate(policy, encoder, calibrated(created=datetime.now(UTC) - timedelta(days=29)))
    with pytest.raises(NotCalibrated, match=r"32 days old.*castmark policy calibrate small"):
        Gate(policy, encoder, calibrated(created=datetime.now(UTC) - timedelta(days=32, hours=1)))


@pytest.mark.parametrize("part", ["image", "prompt"])
def test_a_category_without_a_threshold_is_refused(
    policy: Policy, encoder: Encoder, calibrated: Make, part: str
) -> None:
    thresholds = dict(getattr(calibrated(), part))
    del thresholds["alcohol"]
    with pytest.raises(NotCalibrated, match="alcohol"):
        Gate(policy, encoder, calibrated(**{part: thresholds}))


def test_a_thin_calibration_is_refused(policy: Policy, encoder: Encoder, calibrated: Make) -> None:
    thin: dict[str, Threshold] = {
        name: found.model_copy(update={"n_safe": 99}) for name, found in calibrated().image.items()
    }
    with pytest.raises(NotCalibrated, match="99 safe"):
        Gate(policy, encoder, calibrated(image=thin))


def test_a_policy_without_a_calibration_says_how_to_make_one(
    policy: Policy, encoder: Encoder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CASTMARK_HOME", str(tmp_path))
    with pytest.raises(NotCalibrated, match="castmark policy calibrate small"):
        find_calibration(policy, encoder.fingerprint)


def test_the_users_calibration_is_found_and_a_damaged_one_is_refused(
    policy: Policy, encoder: Encoder, calibrated: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CASTMARK_HOME", str(tmp_path))
    record = calibrated()
    path = record.save(calibration_module.user_folder() / file_name(policy.name, encoder.fingerprint))
    assert find_calibration(policy, encoder.fingerprint) == record
    path.write_text(path.read_text().replace('"value": 1000000.0', '"value": NaN', 1))
    with pytest.raises(NotCalibrated, match="not a calibration"):
        find_calibration(policy, encoder.fingerprint)
    path.write_text(path.read_text()[:100])
    with pytest.raises(NotCalibrated, match="not a calibration"):
        find_calibration(policy, encoder.fingerprint)


def test_a_missing_judge_is_a_check_error(policy: Policy, tmp_path: Path) -> None:
    with pytest.raises(CheckError, match="judge"):
        Gate.open(policy, judge=tmp_path)


def test_a_missing_policy_is_an_input_error() -> None:
    with pytest.raises(InputError, match="no-such"):
        Gate.open("no-such")


def test_prompts_read_ahead_are_read_together_and_judged_as_alone(
    policy: Policy, encoder: Encoder, calibrated: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = ["a knife on a table", "a cup of tea", "a man with a sword, " * 12]
    alone = [Gate(policy, encoder, calibrated()).check_prompt(text) for text in prompts]
    together = Gate(policy, encoder, calibrated())
    read: list[int] = []
    texts = encoder.texts
    monkeypatch.setattr(encoder, "texts", lambda pieces: read.append(len(pieces)) or texts(pieces))
    together.read_ahead(prompts)
    found = [together.check_prompt(text) for text in prompts]
    assert len(read) == 1 and read[0] > len(prompts), "one pass for all, and the long one is in pieces"
    for mine, wanted in zip(found, alone, strict=True):
        assert [f.allowed for f in mine.findings] == [f.allowed for f in wanted.findings]
        for ours, theirs in zip(mine.findings, wanted.findings, strict=True):
            assert math.isclose(ours.score, theirs.score, rel_tol=1e-3, abs_tol=1e-3)


def test_prompts_that_cannot_be_read_ahead_are_each_checked_by_themselves(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = gate.encoder.texts

    def broken(pieces: list[str]) -> torch.Tensor:
        if len(pieces) > 1:
            raise RuntimeError("out of memory")
        return texts(pieces)

    monkeypatch.setattr(gate.encoder, "texts", broken)
    with pytest.raises(CheckError):
        gate.read_ahead(["a cup", "a knife"])
    verdicts = PromptVerdicts(gate)
    verdicts.expect(["a cup", "a knife"])
    assert verdicts("a knife").prompt_allowed is False
    assert verdicts("a cup") == gate.check_prompt("a cup")
