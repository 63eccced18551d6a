"""The check: a policy, a judge (any open_clip model), calibrated thresholds, and a gate that fails closed.

from castmark.safety import open_checker

gate = open_checker("general-audience")
verdict = gate.check_prompt("a woman holding a book at the beach")
verdict.prompt_allowed, verdict.reasons
"""

from __future__ import annotations

from pathlib import Path

from castmark.safety.calibration import Calibration, find_calibration
from castmark.safety.checker import Checker
from castmark.safety.encoder import Encoder
from castmark.safety.gate import Gate
from castmark.safety.policy import DEFAULT_POLICY, Category, Policy, shipped_policies

__all__ = [
    "DEFAULT_POLICY",
    "Calibration",
    "Category",
    "Checker",
    "Encoder",
    "Gate",
    "Policy",
    "find_calibration",
    "open_checker",
    "shipped_policies",
]


def open_checker(
    policy: str | Path | None = None, device: str | None = None, judge: str | Path | None = None
) -> Gate:
    """A judge under a policy (default: ``general-audience``; a shipped name or a file).

    ``judge`` is an open_clip folder or "NAME:WEIGHTS"; None for the one that ships.

    Raises:
        InputError: no such policy, or not a valid one.
        NotCalibrated: no thresholds for this policy and judge, or stale ones.
        CheckError: the judge cannot be loaded.
    """
    return Gate.open(policy or DEFAULT_POLICY, judge=judge, device=device or "cpu")
