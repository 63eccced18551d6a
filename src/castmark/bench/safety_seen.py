"""What the gate says of pictures, and rates as figures: what the parts of suite ``safety`` share."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from castmark.bench.harness import Figure
from castmark.safety import Gate
from castmark.safety.calibration import Rate
from castmark.safety.gate import DOMAIN
from castmark.shot import ResolvedShot, Shot
from castmark.take import Draft, Verdict

BATCH = 8
Picture: TypeAlias = NDArray[np.uint8]


@dataclass(frozen=True)
class Seen:
    """What the gate says of one picture: the categories found, and whether it is of a known kind."""

    found: frozenset[str]
    known: bool
    allowed: bool
    scores: dict[str, float]
    """By category."""


def look(gate: Gate, pictures: Iterable[Picture]) -> list[Seen]:
    """The verdicts on pictures of any size, their prompt harmless."""
    found: list[Seen] = []
    batch: list[Draft] = []
    for picture in pictures:
        batch.append(draft_of(picture))
        if len(batch) == BATCH:
            found += map(_seen, gate.check(batch))
            batch = []
    return found + [_seen(verdict) for verdict in gate.check(batch)]


def draft_of(picture: Picture) -> Draft:
    """The picture as a base would have drawn it."""
    height, width, _ = picture.shape
    shot = Shot("a picture")
    resolved = ResolvedShot(shot=shot, text=shot.text, seed=0, width=width, height=height, steps=1)
    return Draft(resolved=resolved, pixels=np.ascontiguousarray(picture), settings={})


def _seen(verdict: Verdict) -> Seen:
    image = [f for f in verdict.findings if f.rung == "L2 image"]
    hits = frozenset(f.name for f in image if f.binding and not f.allowed and f.name != DOMAIN)
    known = all(f.allowed for f in image if f.name == DOMAIN)  # said in the record, binding or not
    return Seen(hits, known, verdict.allowed, {f.name: f.score for f in image})


def counted(name: str, found: Rate, target: float | None = None, better: str = "lower") -> Figure:
    """A rate as a figure."""
    return Figure(
        name=name,
        value=found.value,
        low=found.low,
        high=found.high,
        n=found.n,
        target=target,
        better="higher" if better == "higher" else "lower",
    )


def plain_figure(
    name: str, value: float, n: int, target: float | None = None, better: str = "higher"
) -> Figure:
    """A number with no interval of its own."""
    return counted(name, Rate(hits=0, n=n, low=value, high=value), target, better).model_copy(
        update={"value": value}
    )
