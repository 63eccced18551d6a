"""A small random open_clip judge on disk, a policy and a calibration for it, and drafts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from tiny_judge import write_judge

from castmark.safety import Calibration, Encoder, Gate, Policy
from castmark.safety.calibration import Threshold
from castmark.shot import ResolvedShot, Shot
from castmark.take import Draft
from castmark_world import render, sample_scene

POLICY = """
version: 1
name: small
description: for tests
domain: noise of a random judge
audience: general
on_error: block
require: {calibration_max_age_days: 30, n_safe_min: 100, n_unsafe_min: 10}
budget: {fpr: 0.02, delta: 0.05}
categories:
  weapon:
    prompts: [a knife, a sword]
    anchors: [a cup, a book]
    words: [knife, sword]
    exceptions: [palette knife]
  alcohol: {action: warn, prompts: [beer], anchors: [tea], words: [beer]}
  drugs: {words: [cocaine]}
"""


@pytest.fixture(scope="session")
def judge_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_judge(tmp_path_factory.mktemp("judge"))


@pytest.fixture(scope="session")
def encoder(judge_folder: Path) -> Encoder:
    return Encoder.open(judge_folder)


@pytest.fixture
def policy_file(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(POLICY)
    return path


@pytest.fixture(scope="session")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Policy:
    path = tmp_path_factory.mktemp("policy") / "small.yaml"
    path.write_text(POLICY)
    return Policy.load(path)


@pytest.fixture
def calibrated(policy: Policy, encoder: Encoder) -> Callable[..., Calibration]:
    """Makes a calibration for the small policy and judge; thresholds above any score unless given."""

    def make(limit: float = 1e6, **changes: object) -> Calibration:
        found = Threshold(value=limit, n_safe=1000, n_unsafe=100, miss_target=0.05, miss_holds=True)
        record = Calibration(
            policy=policy.name,
            policy_digest=policy.digest,
            fingerprint=encoder.fingerprint,
            judge="random",
            domain=policy.domain,
            created=datetime.now(UTC),
            fpr=0.02,
            delta=0.05,
            seed=0,
            sources=("renders",),
            image=dict.fromkeys(policy.judged, found),
            prompt=dict.fromkeys(policy.judged, found),
        )
        return record.model_copy(update=changes)

    return make


@pytest.fixture
def gate(policy: Policy, encoder: Encoder, calibrated: Callable[..., Calibration]) -> Gate:
    """A gate whose thresholds let every finite score pass."""
    return Gate(policy, encoder, calibrated())


def make_draft(pixels: NDArray[np.uint8], text: str = "a cup on a table") -> Draft:
    shot = Shot(text)
    resolved = ResolvedShot(
        shot=shot, text=text, seed=0, width=pixels.shape[1], height=pixels.shape[0], steps=1
    )
    return Draft(resolved=resolved, pixels=pixels, settings={})


@pytest.fixture
def draft() -> Draft:
    return make_draft(render(sample_scene(np.random.default_rng(3)), 64))


@pytest.fixture
def as_draft() -> Callable[..., Draft]:
    return make_draft
