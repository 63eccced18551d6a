"""What suite ``base`` asks the truth reader of pictures, and how it counts the answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from castmark.bench.base_words import said
from castmark.bench.harness import Figure
from castmark.bench.truth import Reading, TruthReader, columns, marks, seen
from castmark.bench.truth.marks import Marks, each, joint, mean, mean_figure, only
from castmark_world import Scene, sample_scene

SEED = 52_001
ROUND_TRIP_TARGET, STUDENT_TARGET = 0.99, 0.95
"""Shares of the ceiling."""
TV_TARGET = 0.06
OPEN = (
    "expression",
    "character.skin",
    "character.bottom",
    "character.bottom_color",
    "product.accent_color",
)
"""Columns that a prompt leaves open, of those that captions leave out whatever their value is: a hat that is
not mentioned is mostly none."""
WORLD = 20_000
"""Scenes from which the world's frequencies are counted."""


class Asked:
    """What is asked of pictures of these scenes: what their renders show.

    Readings are kept, for a batch is read once and asked twice.
    """

    def __init__(self, scenes: Sequence[Scene], reader: TruthReader) -> None:
        self.scenes, self.reader = scenes, reader
        self.shown, self.named = [seen(scene) for scene in scenes], [said(scene) for scene in scenes]
        self.world = world_frequencies()
        self._last: tuple[Sequence[NDArray[np.uint8]], list[Reading]] = ((), [])

    def readings(self, images: Sequence[NDArray[np.uint8]]) -> list[Reading]:
        """What the reader sees."""
        if self._last[0] is not images:
            self._last = (images, self.reader.read(images))
        return self._last[1]

    def marks(self, images: Sequence[NDArray[np.uint8]]) -> list[Marks]:
        """What is as in the scenes."""
        return [
            marks(scene, reading, shown)
            for scene, reading, shown in zip(self.scenes, self.readings(images), self.shown, strict=True)
        ]

    def round_trip(self, found: list[Marks], ceiling: list[Marks]) -> list[Figure]:
        """Named attributes that the autoencoder keeps."""
        named, whole = (only(rows, lambda column: column.named) for rows in (found, ceiling))
        return [
            mean_figure(
                "named attributes read rightly, mean: round trip",
                named,
                target=ROUND_TRIP_TARGET * mean(whole),
            ),
            joint("named attributes read rightly, all: round trip", named),
            *each("round trip", named),
            mean_figure(
                "traits read rightly, mean: round trip", only(found, lambda column: not column.named)
            ),
        ]

    def said(self, what: str, found: list[Marks], ceiling: list[Marks]) -> list[Figure]:
        """What the prompts named: the mean over attributes, all at once, and each."""
        rows, whole = (
            [
                {name: right for name, right in row.items() if name in names}
                for row, names in zip(of, self.named, strict=True)
            ]
            for of in (found, ceiling)
        )
        target = None if found is ceiling else STUDENT_TARGET * mean(whole)
        return [
            mean_figure(f"what the words name is there, mean: {what}", rows, target=target),
            joint(f"what the words name is there, all of it: {what}", rows),
            *([] if found is ceiling else each(what, rows)),
        ]

    def open(self, what: str, images: Sequence[NDArray[np.uint8]]) -> list[Figure]:
        """How far what the prompts leave open is from the world's frequencies (total variation)."""
        readings, figures = self.readings(images), list[Figure]()
        for column in columns():
            if column.name not in OPEN:
                continue
            found = [
                r.values[column.name] for r, s in zip(readings, self.shown, strict=True) if column.name in s
            ]
            if found:
                target = TV_TARGET if what != "renders" and len(column.values) <= 3 else None
                name = f"distance of {column.words} from the world's frequencies: {what}"
                figures.append(variation(name, found, self.world[column.name], target))
        return figures


def world_frequencies() -> dict[str, Counter[str]]:
    """How often the world has each value of the open columns."""
    rng = np.random.default_rng(SEED)
    counts = {column.name: Counter[str]() for column in columns() if column.name in OPEN}
    for _ in range(WORLD):
        scene = sample_scene(rng, split="test")
        for column in columns():
            label = column.label(scene) if column.name in counts else None
            if label is not None:
                counts[column.name][str(label)] += 1
    return counts


def variation(name: str, found: Sequence[str], world: Counter[str], target: float | None = None) -> Figure:
    """Total variation distance of values to counts of the world, with a bootstrap interval over pictures."""
    values = sorted({*world, *found})
    wanted = np.array([world[value] for value in values]) / world.total()
    shares = np.array([list(found).count(value) for value in values]) / len(found)
    rng = np.random.default_rng(0)
    drawn = rng.multinomial(len(found), shares, 1000) / len(found)
    low, high = np.quantile(np.abs(drawn - wanted).sum(1) / 2, (0.025, 0.975))
    return Figure(
        name=name,
        value=float(np.abs(shares - wanted).sum() / 2),
        low=float(low),
        high=float(high),
        n=len(found),
        target=target,
    )
