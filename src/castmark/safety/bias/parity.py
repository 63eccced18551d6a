"""Parity of a set of pictures with declared shares: an exact test, and the distance with an interval.

Total variation TV = sum |p - q| / 2. The readings err, so the shares are corrected for the reader's confusion
(p = C^-1 p~, Rogan and Gladen 1978, kept on the simplex), and the test asks whether what was read could come
from the declared shares seen through that confusion. Groups without a declared share are
set aside. A set too small or a reader too unsure is said to be so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from castmark.safety.policy import ParityGate

OUTCOMES_MAX = 60_000
"""Up to so many outcomes are enumerated; beyond, the exact test is a Monte Carlo one."""
DRAWS = 4000
CONDITION_MAX = 25.0
"""Condition number of the confusion beyond which it cannot be undone."""
ACCURACY_MARGIN = 0.15
"""A reader no better than chance by this much cannot be corrected either."""
Floats = NDArray[np.float64]


class Parity(BaseModel):
    """Parity of one attribute over one set of pictures."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    attribute: str
    n: int
    counts: dict[str, int]
    """As read, of the groups that have a declared share."""
    aside: dict[str, int] = {}
    """As read, of those that have none: they are left out of n and of everything below."""
    target: dict[str, float]
    corrected: dict[str, float] | None
    """Shares after correction for the reader's errors; None where those are too large to undo."""
    tv: float | None
    tv_low: float | None
    tv_high: float | None
    """95% interval, over the pictures and over the reader's own test."""
    p: float
    """Exact multinomial p of what was read, under the declared shares and the reader's confusion."""
    chance_tv: float
    """95th percentile of TV at this n if the shares held exactly and nothing were misread."""
    entropy: float | None
    """Normalised: 1 where all groups are equally frequent."""
    ratio: float | None
    """Least to most frequent group."""
    state: Literal["holds", "fails", "cannot tell"]
    statement: str


def parity(
    attribute: str,
    counts: Mapping[str, int],
    target: Mapping[str, float],
    gate: ParityGate,
    *,
    confusion: Sequence[Sequence[int]] | None = None,
    seed: int = 0,
) -> Parity:
    """Parity of ``counts`` with ``target`` among the groups of ``target``. Counts of other groups matter only
    in so far as the reader takes some of them for those.

    ``confusion`` are the reader's counts, a row for each true group in the order of ``counts``; None: the
    groups are known exactly.

    Raises:
        ValueError: a declared group was not counted, or a group has no row in the confusion.
    """
    every = [*target, *(group for group in counts if group not in target)]
    if not set(target) <= set(counts):
        raise ValueError(f"{attribute}: counted {sorted(counts)}, declared {sorted(target)}")
    order, k = [list(counts).index(group) for group in every], len(target)
    seen = np.array([counts[group] for group in every], dtype=np.int64)
    wanted = np.array(list(target.values()), dtype=np.float64)
    n, rng = int(seen[:k].sum()), np.random.default_rng(seed)
    table = None if confusion is None else np.array(confusion, dtype=np.float64)[np.ix_(order, order)]
    mixing = np.eye(len(every)) if table is None else _columns(table)
    readable = _readable(mixing)
    whole = corrected(seen / seen.sum(), mixing) if readable and n else seen / max(1, seen.sum())
    expected = (mixing @ np.concatenate([wanted * whole[:k].sum(), whole[k:]]))[:k]
    p = multinomial_p(seen[:k], expected / expected.sum(), rng) if n and expected.sum() > 0 else 1.0
    chance = _chance_tv(n, wanted, rng)
    shares, low, high = None, None, None
    if n and readable:
        shares = _among(whole, k, wanted)
        low, high = _interval(seen, table, wanted, rng)
    tv = None if shares is None else _tv(shares, wanted)
    state, statement = _judge(attribute, n, p, tv, high, chance, gate, readable)
    aside = dict(zip(every[k:], seen[k:].tolist(), strict=True))
    if any(aside.values()):
        statement += "; read as neither: " + ", ".join(f"{count} {group}" for group, count in aside.items())
    return Parity(
        attribute=attribute,
        n=n,
        counts=dict(zip(target, seen[:k].tolist(), strict=True)),
        aside=aside,
        target=dict(target),
        corrected=None if shares is None else dict(zip(target, shares.tolist(), strict=True)),
        tv=tv,
        tv_low=low,
        tv_high=high,
        p=p,
        chance_tv=chance,
        entropy=None if shares is None else _entropy(shares),
        ratio=None if shares is None else float(shares.min() / shares.max()),
        state=state,
        statement=statement,
    )


def multinomial_p(counts: NDArray[np.int64], shares: Floats, rng: np.random.Generator) -> float:
    """P of an outcome no likelier than this one: enumerated where that is feasible, else the exact Monte
    Carlo test (1 + hits) / (1 + draws) (Barnard 1963)."""
    n, k = int(counts.sum()), len(counts)
    if math.comb(n + k - 1, k - 1) <= OUTCOMES_MAX:
        outcomes = _outcomes(n, k)
        logs = _log_probability(outcomes, shares)
        own = _log_probability(counts[None], shares)[0]
        return float(min(1.0, np.exp(logs[logs <= own + 1e-9]).sum()))
    logs = _log_probability(rng.multinomial(n, shares / shares.sum(), DRAWS), shares)
    own = _log_probability(counts[None], shares)[0]
    return float((1 + (logs <= own + 1e-9).sum()) / (1 + DRAWS))


def corrected(read: Floats, mixing: Floats) -> Floats:
    """True shares from read ones: C^-1 p~, put back on the simplex (the nearest point; Duchi et al. 2008)."""
    return _simplex(np.asarray(np.linalg.solve(mixing, read), dtype=np.float64))


def quota_tv(counts: Sequence[int], shares: Sequence[float]) -> float:
    """TV of counts that are known exactly."""
    total = np.array(counts, dtype=np.float64)
    return _tv(total / total.sum(), np.array(shares))


def _among(whole: Floats, k: int, wanted: Floats) -> Floats:
    """Shares of the first ``k`` groups among themselves; where nobody is left of them, nothing speaks against
    the declared ones."""
    total = whole[:k].sum()
    return whole[:k] / total if total > 0 else wanted


def _judge(
    attribute: str,
    n: int,
    p: float,
    tv: float | None,
    high: float | None,
    chance: float,
    gate: ParityGate,
    readable: bool,
) -> tuple[Literal["holds", "fails", "cannot tell"], str]:
    if n < gate.n_min:
        return "cannot tell", (
            f"{attribute}: {n} people are too few to tell ({gate.n_min} are needed); at this number a TV of "
            f"{chance:.2f} is chance"
        )
    if not readable or tv is None or high is None:
        return "cannot tell", f"{attribute}: the reader errs too often for its counts to be corrected"
    if p < gate.p_min and tv > gate.tv_max:
        return "fails", f"{attribute}: away from the declared shares (TV {tv:.3f}, p {p:.2g}, n {n})"
    if high <= gate.tv_max:
        return "holds", f"{attribute}: within {gate.tv_max:.2f} of the declared shares (TV {tv:.3f}, n {n})"
    return "cannot tell", (
        f"{attribute}: TV {tv:.3f} may be up to {high:.3f} (n {n}, p {p:.2g}); neither shown fair nor unfair"
    )


def _columns(table: Floats) -> Floats:
    """P(read | true) with a column for each true group."""
    totals = table.sum(1)
    if (totals == 0).any():
        raise ValueError("the reader was never tested on one of the groups")
    return (table / totals[:, None]).T


def _readable(mixing: Floats) -> bool:
    chance = 1 / len(mixing)
    return bool(
        np.linalg.cond(mixing) <= CONDITION_MAX and np.trace(mixing) / len(mixing) >= chance + ACCURACY_MARGIN
    )


def _interval(
    seen: NDArray[np.int64], table: Floats | None, wanted: Floats, rng: np.random.Generator
) -> tuple[float, float]:
    """Percentiles of TV over a bootstrap of the pictures, and of the reader's test where there is one."""
    n, found = int(seen.sum()), []
    for read in rng.multinomial(n, seen / n, 1000):
        mixing = np.eye(len(seen))
        if table is not None:
            drawn = [rng.multinomial(int(row.sum()), row / row.sum()) for row in table]
            mixing = _columns(np.stack(drawn).astype(np.float64))
        try:
            found.append(_tv(_among(corrected(read / n, mixing), len(wanted), wanted), wanted))
        except np.linalg.LinAlgError:
            found.append(1.0)
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)


def _chance_tv(n: int, wanted: Floats, rng: np.random.Generator) -> float:
    if not n:
        return 1.0
    drawn = rng.multinomial(n, wanted / wanted.sum(), DRAWS) / n
    return float(np.quantile(np.abs(drawn - wanted).sum(1) / 2, 0.95))


def _outcomes(n: int, k: int) -> NDArray[np.int64]:
    """Every way to put n into k (stars and bars)."""
    bars = np.array(list(combinations(range(n + k - 1), k - 1)), dtype=np.int64).reshape(-1, k - 1)
    edges = np.concatenate([np.full((len(bars), 1), -1), bars, np.full((len(bars), 1), n + k - 1)], axis=1)
    return np.diff(edges, axis=1) - 1


def _log_probability(counts: NDArray[np.int64], shares: Floats) -> Floats:
    n = int(counts[0].sum())
    factorials = np.array([math.lgamma(i + 1) for i in range(n + 1)])
    with np.errstate(divide="ignore"):
        logs = np.where(shares > 0, np.log(np.maximum(shares, 1e-300)), -np.inf)
    terms = np.where(counts > 0, counts * np.where(np.isfinite(logs), logs, -1e9), 0.0)
    return factorials[n] - factorials[counts].sum(1) + terms.sum(1)


def _simplex(values: Floats) -> Floats:
    ordered = np.sort(values)[::-1]
    sums = np.cumsum(ordered) - 1
    last = int(np.nonzero(ordered > sums / np.arange(1, len(values) + 1))[0][-1])
    return np.maximum(values - sums[last] / (last + 1), 0.0)


def _tv(one: Floats, other: Floats) -> float:
    return float(np.abs(one - other).sum() / 2)


def _entropy(shares: Floats) -> float:
    kept = shares[shares > 0]
    return float(-(kept * np.log(kept)).sum() / math.log(len(shares)))
