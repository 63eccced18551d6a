"""Does the checker treat groups alike? Gaps between groups' refusal rates, counterfactual agreement."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import permutations
from statistics import NormalDist

from pydantic import BaseModel, ConfigDict

from castmark.safety.calibration import Rate
from castmark.safety.threshold import interval


class Gap(BaseModel):
    """The largest difference between the rates of any two groups, with a 95% interval of it.

    The interval is that of all pairs at once: each pair's own (Newcombe 1998, method 10) at a level shared
    out among them (Bonferroni), the highest lower and the highest upper end. The pair that happens to differ
    most is picked after the fact, so its own interval would be too narrow; and a small group, of which little
    is known, makes the upper end high even where nobody in it was refused.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    high_group: str
    low_group: str
    value: float
    """As measured between the two."""
    low: float
    high: float
    n_min: int
    """The smallest of all groups."""


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
    z = NormalDist().inv_cdf(1 - 0.025 / math.comb(len(rates), 2))
    each = [(found.value, *wilson(found.hits, found.n, z)) for found in rates.values()]
    lows = [p - q - math.hypot(p - low, high - q) for (p, low, _), (q, _, high) in permutations(each, 2)]
    highs = [p - q + math.hypot(high - p, q - low) for (p, _, high), (q, low, _) in permutations(each, 2)]
    return Gap(
        high_group=top,
        low_group=bottom,
        value=rates[top].value - rates[bottom].value,
        low=max(lows),
        high=max(highs),
        n_min=min(found.n for found in rates.values()),
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
