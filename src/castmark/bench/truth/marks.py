"""Readings against the truth: what was read rightly, and the figures that follow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from castmark.bench.harness import Figure, share
from castmark.bench.truth.columns import Column, columns
from castmark.bench.truth.reader import Reading
from castmark.bench.truth.seen import tolerance
from castmark_world import DEFAULT, Scene, Scope

Marks: TypeAlias = dict[str, bool]
"""Of one picture: whether each column that was asked for was read rightly."""
RESAMPLES = 1000


def marks(
    scene: Scene, reading: Reading, asked: Sequence[str] | frozenset[str], scope: Scope = DEFAULT
) -> Marks:
    """Whether what was read is the scene's truth, for each column of that name that applies to it."""
    found: Marks = {}
    for column in columns(scope):
        label = column.label(scene)
        if column.name in asked and label is not None:
            found[column.name] = is_right(column, label, reading)
    return found


def is_right(column: Column, label: str | float, reading: Reading) -> bool:
    """The same value; or a number within its tolerance, on the circle the shorter way round."""
    if isinstance(label, str):
        return reading.values[column.name] == label
    off = abs(reading.numbers[column.name] - label)
    return (min(off, 1 - off) if column.circle else off) <= tolerance(column)


def only(rows: Sequence[Marks], keep: Callable[[Column], bool], scope: Scope = DEFAULT) -> list[Marks]:
    """The marks of some columns."""
    names = {column.name for column in columns(scope) if keep(column)}
    return [{name: right for name, right in row.items() if name in names} for row in rows]


def each(what: str, rows: Sequence[Marks], scope: Scope = DEFAULT) -> list[Figure]:
    """Accuracy of each column, with Wilson's interval."""
    figures: list[Figure] = []
    for column in columns(scope):
        found = [row[column.name] for row in rows if column.name in row]
        if found:
            figures.append(share(f"{column.words} read rightly: {what}", sum(found), len(found)))
    return figures


def joint(what: str, rows: Sequence[Marks]) -> Figure:
    """How often everything about a picture was read rightly."""
    return share(what, sum(all(row.values()) for row in rows), len(rows))


def mean(rows: Sequence[Marks]) -> float:
    """The mean over columns of their accuracy, each weighing the same."""
    right, count = _table(rows)
    return _mean(right.sum(0), count.sum(0))


def mean_figure(
    name: str, rows: Sequence[Marks], *, target: float | None = None, of: Sequence[int] | None = None
) -> Figure:
    """`mean` with its bootstrap interval over pictures; or over what they are ``of``, a number a picture."""
    right, count = _table(rows)
    _, group = np.unique(range(len(rows)) if of is None else of, return_inverse=True)
    member = np.eye(group.max() + 1)[group].T
    rng = np.random.default_rng(0)
    weights = rng.multinomial(len(member), np.full(len(member), 1 / len(member)), RESAMPLES) @ member
    low, high = np.quantile([_mean(row @ right, row @ count) for row in weights], (0.025, 0.975))
    return Figure(
        name=name,
        value=_mean(right.sum(0), count.sum(0)),
        low=float(low),
        high=float(high),
        n=len(rows),
        target=target,
        better="higher",
    )


def _table(rows: Sequence[Marks]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Right, and asked, as "rows columns" of noughts and ones."""
    names = sorted({name for row in rows for name in row})
    count = np.array([[name in row for name in names] for row in rows], float)
    right = np.array([[row.get(name, False) for name in names] for row in rows], float)
    return right, count


def _mean(right: NDArray[np.float64], count: NDArray[np.float64]) -> float:
    asked = count > 0
    return float((right[asked] / count[asked]).mean())
