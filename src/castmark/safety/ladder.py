"""Rung L6: how good the checker itself is, in every record: its calibration's age and its measured errors."""

from __future__ import annotations

from datetime import UTC, datetime

from castmark.safety.calibration import Calibration
from castmark.safety.policy import Policy
from castmark.take import Finding


def audit_findings(
    policy: Policy, calibration: Calibration, now: datetime | None = None
) -> tuple[Finding, ...]:
    """The checker's audit. Its age is binding, so that a studio left running stops at the policy's limit; the
    error rates, upper ends of exact 95% intervals on test renders, are recorded beside what was promised."""
    age = ((now or datetime.now(UTC)) - calibration.created).days
    limit = policy.require.calibration_max_age_days
    found = [
        Finding(
            rung="L6 audit",
            name="age of the calibration (days)",
            score=age,
            threshold=limit,
            allowed=-1 <= age <= limit,
            action="block",
        )
    ]
    for name, threshold in calibration.image.items():
        rates = {**threshold.false_positives, **threshold.group_false_positives}
        promised = policy.alpha(len(calibration.image))
        if rates:
            worst = max(rates, key=lambda group: rates[group].value)
            found.append(_reported(f"{name}: safe refused, {worst} (worst)", rates[worst].high, promised))
        missed = {s: 1 - r.low for s, r in list(threshold.true_positives.items())[:1]}
        missed |= {group: rate.high for group, rate in threshold.group_misses.items()}
        if missed:
            worst = max(missed, key=missed.__getitem__)
            found.append(_reported(f"{name}: missed, {worst} (worst)", missed[worst], threshold.miss_target))
    return tuple(found)


def _reported(name: str, score: float, promised: float) -> Finding:
    return Finding(
        rung="L6 audit",
        name=name,
        score=score,
        threshold=promised,
        allowed=score <= promised,
        binding=False,
        action="warn",
    )
