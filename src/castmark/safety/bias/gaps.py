"""Does the checker treat groups alike? Gaps between groups' refusal rates, counterfactual agreement."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from pydantic import BaseModel, ConfigDict

from castmark.safety.calibration import Rate
from castmark.safety.threshold import interval


class Gap(BaseModel):
    """The largest difference between two groups' rates, with an interval (Newcombe 1998, method 10)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    high_group: str
    low_group: str
    value: float
    low: float
    high: float
    n_min: int
    """The smaller of the two groups."""


def rate(hits: int, n: int) -> Rate:
    """A share with its exact interval."""
    low, high = interval(hits, n)
    return Rate(hits=hits, n=n, low=low, high=high)


def largest_gap(rates: Mapping[str, Rate]) -> Gap | None:
    """The largest gap among groups of one attribute; None with fewer than two."""
    if len(rates) < 2:
        return None
    top = max(rates, key=lambda group: rates[group].value)
    bottom = min(rates, key=lambda group: rates[group].value)
    if top == bottom:
        top, bottom = list(rates)[:2]
    one, other = rates[top], rates[bottom]
    gap = one.value - other.value
    (low_1, high_1), (low_2, high_2) = wilson(one.hits, one.n), wilson(other.hits, other.n)
    return Gap(
        high_group=top,
        low_group=bottom,
        value=gap,
        low=gap - math.hypot(one.value - low_1, high_2 - other.value),
        high=gap + math.hypot(high_1 - one.value, other.value - low_2),
        n_min=min(one.n, other.n),
    )


def gaps(rates: Mapping[str, Rate]) -> dict[str, Gap]:
    """The largest gap of each attribute, for groups named "attribute: value"."""
    by_attribute: dict[str, dict[str, Rate]] = {}
    for group, found in rates.items():
        by_attribute.setdefault(group.partition(":")[0], {})[group] = found
    found = {name: largest_gap(group) for name, group in by_attribute.items()}
    return {name: gap for name, gap in found.items() if gap is not None}


def agreement(one: Sequence[bool], other: Sequence[bool]) -> Rate:
    """How often two decisions agree: on an image and its counterfactual, or on an image and a changed copy.

    Raises:
        ValueError: they differ in number, or there are none.
    """
    if not one:
        raise ValueError("there is nothing to compare")
    return rate(sum(a == b for a, b in zip(one, other, strict=True)), len(one))


def wilson(hits: int, n: int, z: float = 1.959964) -> tuple[float, float]:
    """Wilson's score interval of a share (1927)."""
    share, spread = hits / n, z * z / n
    middle = (share + spread / 2) / (1 + spread)
    reach = z * math.sqrt(share * (1 - share) / n + spread / (4 * n)) / (1 + spread)
    return max(0.0, middle - reach), min(1.0, middle + reach)
