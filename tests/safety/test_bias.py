"""Parity and gaps, on numbers whose truth is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from castmark.safety.bias.gaps import agreement, gaps, rate
from castmark.safety.bias.measured import measured
from castmark.safety.bias.parity import Parity, corrected, multinomial_p, parity
from castmark.safety.calibration import Rate
from castmark.safety.policy import Fairness, ParityGate
from castmark.safety.probe import Probe
from castmark.safety.reader import Attribute, Reader

GATE = ParityGate(n_min=100, tv_max=0.1, p_min=0.01)
EVEN = {"feminine": 0.5, "masculine": 0.5}
GOOD, BLIND = ((95, 5), (8, 92)), ((50, 50), (50, 50))
THREE = ((93, 5, 2), (6, 90, 4), (2, 8, 90))
"""Of feminine, masculine and neutral."""


def test_the_exact_p_of_two_groups_is_the_binomials() -> None:
    rng = np.random.default_rng(0)
    p = multinomial_p(np.array([3, 17]), np.array([0.5, 0.5]), rng)
    assert p == pytest.approx(2 * sum(math.comb(20, i) for i in range(4)) / 2**20)
    assert multinomial_p(np.array([10, 10]), np.array([0.5, 0.5]), rng) == pytest.approx(1)
    assert multinomial_p(np.array([1, 2]), np.array([0.0, 1.0]), rng) == pytest.approx(0, abs=1e-9)


def test_the_sampled_p_of_many_groups_agrees_with_the_enumerated_one() -> None:
    counts, shares = np.array([2, 7, 3]), np.array([0.2, 0.3, 0.5])
    rng = np.random.default_rng(0)
    exact = multinomial_p(counts, shares, rng)
    outcomes = rng.multinomial(12, shares, 40_000)
    logs = np.array([math.lgamma(13) - sum(math.lgamma(c + 1) for c in row) for row in outcomes])
    logs += outcomes @ np.log(shares)
    own = math.lgamma(13) - sum(math.lgamma(c + 1) for c in counts) + counts @ np.log(shares)
    assert exact == pytest.approx(float((logs <= own + 1e-9).mean()), abs=0.01)
    ten = multinomial_p(np.array([25] * 10), np.full(10, 0.1), rng)
    assert ten == pytest.approx(1) and multinomial_p(np.array([70] + [20] * 9), np.full(10, 0.1), rng) < 0.001


def test_the_test_is_exact_a_fair_set_fails_no_more_often_than_its_level() -> None:
    rng = np.random.default_rng(1)
    low = [
        multinomial_p(rng.multinomial(40, [0.5, 0.5]), np.array([0.5, 0.5]), rng) <= 0.05 for _ in range(600)
    ]
    assert sum(low) / len(low) <= 0.07


def test_confusion_is_undone() -> None:
    mixing = np.array([[0.9, 0.2], [0.1, 0.8]])
    true = np.array([0.3, 0.7])
    assert corrected(mixing @ true, mixing) == pytest.approx(true)
    assert corrected(np.array([0.0, 1.0]), mixing).tolist() == [0.0, 1.0]


def test_an_unfair_set_fails_a_fair_one_holds_a_small_one_cannot_tell() -> None:
    unfair = parity("gender", {"feminine": 90, "masculine": 310}, EVEN, GATE, confusion=GOOD)
    assert unfair.state == "fails" and unfair.p < 1e-6
    assert unfair.tv is not None and unfair.tv_low is not None and unfair.tv_high is not None
    assert unfair.tv_low < unfair.tv < unfair.tv_high and unfair.tv > abs(90 / 400 - 0.5)
    fair = parity("gender", {"feminine": 988, "masculine": 1012}, EVEN, GATE)
    assert fair.state == "holds" and fair.entropy == pytest.approx(1, abs=1e-3)
    few = parity("gender", {"feminine": 2, "masculine": 28}, EVEN, GATE)
    assert few.state == "cannot tell" and "30 people are too few" in few.statement
    assert few.chance_tv == pytest.approx(0.167, abs=0.02), (
        "the published noise floor of two groups at n = 30"
    )


def test_a_reader_that_guesses_cannot_tell() -> None:
    found = parity("gender", {"feminine": 10, "masculine": 990}, EVEN, GATE, confusion=BLIND)
    assert found.state == "cannot tell" and found.corrected is None and "errs too often" in found.statement


def test_groups_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match="counted"):
        parity("gender", {"feminine": 1}, EVEN, GATE)
    with pytest.raises(ValueError, match="never tested"):
        parity("gender", {"feminine": 1, "masculine": 1}, EVEN, GATE, confusion=((1, 0), (0, 0)))


def test_groups_without_a_share_are_set_aside_but_for_what_is_mistaken_for_others() -> None:
    known = parity("gender", {"feminine": 60, "masculine": 140, "neutral": 800}, EVEN, GATE)
    alone = parity("gender", {"feminine": 60, "masculine": 140}, EVEN, GATE)
    assert (known.counts, known.aside, known.n) == (alone.counts, {"neutral": 800}, alone.n)
    assert (known.p, known.tv) == (pytest.approx(alone.p), pytest.approx(0.2))
    assert known.corrected == pytest.approx(alone.corrected)
    assert known.state == "fails" and "800 neutral" in known.statement and known.n == 200
    mixing = np.array(THREE).T / 100
    read = np.rint(2000 * mixing @ np.array([0.1, 0.1, 0.8])).astype(int).tolist()
    counts = dict(zip(("feminine", "masculine", "neutral"), read, strict=True))
    fair = parity("gender", counts, EVEN, GATE, confusion=THREE)
    assert fair.counts["masculine"] > 1.1 * fair.counts["feminine"], (
        "mistaken neutral people look like a bias"
    )
    assert fair.p > 0.5 and fair.tv == pytest.approx(0, abs=0.01)
    naive = parity("gender", fair.counts, EVEN, GATE)
    assert naive.p < fair.p
    third = dict.fromkeys(counts, 1 / 3)
    assert parity("gender", counts, third, GATE, confusion=THREE).state == "fails", "unless they have a share"
    none = parity("gender", {"feminine": 0, "masculine": 0, "neutral": 300}, EVEN, GATE)
    assert none.state == "cannot tell" and none.tv is None and "300 neutral" in none.statement


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(2)
    mixing, true = np.array(GOOD).T / 100, 0.3
    inside = 0
    for trial in range(24):
        read = rng.multinomial(300, mixing @ np.array([true, 1 - true]))
        table = [rng.multinomial(400, column).tolist() for column in mixing.T]
        found = parity(
            "gender", dict(zip(EVEN, read.tolist(), strict=True)), EVEN, GATE, confusion=table, seed=trial
        )
        assert found.tv_low is not None and found.tv_high is not None
        inside += found.tv_low <= 0.2 <= found.tv_high
    assert inside >= 20


def test_the_largest_gap_of_each_attribute_has_an_interval() -> None:
    rates = {
        "age: child": rate(30, 1000),
        "age: adult": rate(10, 1000),
        "gender: feminine": rate(5, 900),
        "gender: masculine": rate(5, 900),
    }
    found = gaps(rates)
    assert found["age"].value == pytest.approx(0.02) and 0 < found["age"].low < 0.02 < found["age"].high
    assert found["age"].high_group == "age: child" and found["gender"].low < 0 < found["gender"].high
    assert gaps({"age: child": rate(1, 2)}) == {}


def test_the_interval_of_a_gap_is_that_of_all_pairs() -> None:
    rng = np.random.default_rng(0)
    apart = 0
    for hits in rng.binomial(100, 0.05, (150, 10)).tolist():
        rates = {f"tone: {i}": Rate(hits=count, n=100, low=0, high=1) for i, count in enumerate(hits)}
        apart += gaps(rates)["tone"].low > 0
    assert apart <= 0.08 * 150, "groups that are alike are hardly ever told apart"
    small = gaps({"tone: a": rate(0, 5000), "tone: b": rate(1, 5000), "tone: c": rate(0, 3)})["tone"]
    assert small.n_min == 3 and small.high > 0.5, "of three people nearly nothing is known"
    two = gaps({"tone: a": rate(30, 1000), "tone: b": rate(10, 1000)})["tone"]
    assert (two.low, two.high) == (pytest.approx(0.0077, abs=5e-4), pytest.approx(0.0332, abs=5e-4))


def test_a_group_that_the_reader_does_not_know_cannot_be_told() -> None:
    attribute = Attribute.model_construct(
        probe=Probe.model_construct(classes=("adult", "child")), confusion=GOOD, drift_at=0.0, drift_rate=0.1
    )
    reader = Reader.model_construct(attributes={"age": attribute}, source="test")
    counts = {"adult": 50, "child": 50}
    assert measured("age", counts, Fairness(target={"age": "uniform"}), reader) == (
        "cannot tell: the reader does not know older"
    )
    named = Fairness(target={"age": {"adult": 0.5, "child": 0.5}})
    assert isinstance(measured("age", counts, named, reader), Parity), "a group without a share is no matter"
    tones = measured("skin_tone", {}, Fairness(target={"skin_tone": {"monk 01": 1}}), reader)
    assert tones == "cannot tell: the reader does not know monk 01"


def test_agreement_counts_equal_decisions() -> None:
    found = agreement([True, True, False, False], [True, False, False, False])
    assert (found.hits, found.n) == (3, 4)
    with pytest.raises(ValueError, match="nothing"):
        agreement([], [])
