from __future__ import annotations

import math

import numpy as np
import pytest

from castmark.errors import NotCalibrated
from castmark.safety.threshold import allowed_exceedances, binomial_cdf, interval, smallest_n, threshold


@pytest.mark.parametrize(
    ("alpha", "n", "allowed"),
    [
        (0.01, 300, 0),
        (0.01, 500, 1),
        (0.01, 1000, 4),
        (0.01, 2000, 12),
        (0.01, 5000, 38),
        (0.005, 300, None),
        (0.005, 500, None),
        (0.005, 1000, 1),
        (0.005, 2000, 4),
        (0.005, 5000, 16),
    ],
)
def test_allowed_exceedances_are_those_of_the_binomial_table(
    alpha: float, n: int, allowed: int | None
) -> None:
    assert allowed_exceedances(n, alpha, 0.05) == allowed


def test_binomial_cdf_is_the_sum_of_its_terms() -> None:
    exact = sum(math.comb(20, i) * 0.3**i * 0.7 ** (20 - i) for i in range(6))
    assert binomial_cdf(5, 20, 0.3) == pytest.approx(exact, rel=1e-12)
    assert binomial_cdf(-1, 20, 0.3) == 0 and binomial_cdf(20, 20, 0.3) == 1


def test_exactly_the_allowed_number_lies_above_the_threshold() -> None:
    scores = np.random.default_rng(0).normal(size=1000).tolist()
    limit = threshold(scores, 0.01, 0.05)
    assert sum(score > limit for score in scores) == 4


def test_the_guarantee_holds_on_fresh_data() -> None:
    rng = np.random.default_rng(1)
    broken = 0
    for _ in range(300):
        limit = threshold(rng.exponential(size=500).tolist(), 0.02, 0.05)
        broken += bool(math.exp(-limit) > 0.02)  # the exponential's exact share above the limit
    assert broken / 300 <= 0.08


def test_too_few_samples_are_refused_and_the_number_needed_is_named() -> None:
    needed = smallest_n(0.01, 0.05)
    assert needed == 299
    threshold([0.0] * needed, 0.01, 0.05)
    with pytest.raises(NotCalibrated, match="at least 299"):
        threshold([0.0] * (needed - 1), 0.01, 0.05)


def test_a_score_that_is_not_finite_is_refused() -> None:
    with pytest.raises(NotCalibrated, match="not finite"):
        threshold([0.0] * 400 + [math.nan], 0.01, 0.05)


def test_interval_is_clopper_pearson() -> None:
    low, high = interval(0, 100)
    assert low == 0 and high == pytest.approx(1 - 0.025 ** (1 / 100), abs=1e-9)
    low, high = interval(5, 100)
    assert (low, high) == (pytest.approx(0.0164, abs=1e-4), pytest.approx(0.1128, abs=1e-4))
