"""Thresholds with a guarantee that holds for any distribution of scores, and exact binomial bounds.

On an exchangeable safe set of n scores, let k be the largest number with BinCDF(k; n, alpha) <= delta, and
theta the (k+1)-th largest score. Flagging s > theta then refuses more than a share alpha of safe inputs with
probability at most delta (an order statistic is a tolerance limit: Wilks 1941; Vovk 2012, proposition 2b).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from castmark.errors import NotCalibrated


def binomial_cdf(k: int, n: int, p: float) -> float:
    """P(X <= k) of a binomial(n, p), summed in logarithms."""
    if k < 0:
        return 0.0
    if k >= n:
        return 1.0
    logs = [
        math.lgamma(n + 1)
        - math.lgamma(i + 1)
        - math.lgamma(n - i + 1)
        + (i * math.log(p) if i else 0.0)
        + (n - i) * math.log1p(-p)
        for i in range(k + 1)
    ]
    top = max(logs)
    return min(1.0, math.exp(top) * math.fsum(math.exp(value - top) for value in logs))


def allowed_exceedances(n: int, alpha: float, delta: float) -> int | None:
    """How many of ``n`` safe scores may lie above the threshold; None if n is too small for any threshold."""
    if binomial_cdf(0, n, alpha) > delta:
        return None
    k = 0
    while binomial_cdf(k + 1, n, alpha) <= delta:
        k += 1
    return k


def smallest_n(alpha: float, delta: float) -> int:
    """The smallest safe set that allows a threshold at all: (1 - alpha)^n <= delta."""
    return math.ceil(math.log(delta) / math.log1p(-alpha))


def threshold(safe: Sequence[float], alpha: float, delta: float) -> float:
    """The threshold above which to refuse.

    Raises:
        NotCalibrated: too few scores, or one that is not finite.
    """
    if not all(math.isfinite(score) for score in safe):
        raise NotCalibrated(
            "a calibration score is not finite; the judge's weights or the pictures are damaged"
        )
    k = allowed_exceedances(len(safe), alpha, delta)
    if k is None:
        raise NotCalibrated(
            f"{len(safe)} samples are too few for an error rate of {alpha:.3%} at confidence "
            f"{1 - delta:.0%}; give at least {smallest_n(alpha, delta)}"
        )
    return sorted(safe, reverse=True)[k]


def miss_threshold(unsafe: Sequence[float], miss: float, delta: float) -> float:
    """The highest score to allow if at most a share ``miss`` of unsafe inputs may pass: `threshold` mirrored.

    Raises:
        NotCalibrated: too few scores, or one that is not finite.
    """
    return math.nextafter(-threshold([-score for score in unsafe], miss, delta), -math.inf)


def interval(hits: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Exact (Clopper-Pearson 1934) two-sided interval of a rate."""
    tail = (1 - confidence) / 2
    if not n:
        return 0.0, 1.0
    low = 0.0 if hits == 0 else _solve(lambda p: 1 - binomial_cdf(hits - 1, n, p) < tail)
    high = 1.0 if hits == n else _solve(lambda p: binomial_cdf(hits, n, p) > tail)
    return low, high


def _solve(below: Callable[[float], bool]) -> float:
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if below(middle):
            low = middle
        else:
            high = middle
    return (low + high) / 2
