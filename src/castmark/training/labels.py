"""What a picture of the world shows, as numbers; and what of it a caption says.

The columns are those of the truth reader, but nothing of the reader itself: what learns from these labels has
weights and seeds of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import islice
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from castmark.bench.truth import columns
from castmark.bench.truth.columns import ACTED, SCENIC, Label
from castmark.bench.truth.seen import otherwise
from castmark_world import DEFAULT, Scene

Speaker: TypeAlias = Callable[[Scene, np.random.Generator], str]

NOTHING = ("none", "False")
"""Values that captions pass over in silence."""
ALTERNATIVES = 2
"""Other values that are tried before a column counts as said."""


def labels_of(scene: Scene) -> NDArray[np.float32]:
    """The truth by column "k": the number of its value, or a number itself; NaN where it does not apply."""

    def number(values: tuple[str, ...], label: Label | None) -> float:
        if label is None:
            return math.nan
        return float(values.index(str(label)) if values else label)

    read = columns(DEFAULT)
    return np.array([number(column.values, column.label(scene)) for column in read], np.float32)


def said(scene: Scene, speak: Speaker, seed: int) -> NDArray[np.bool_]:
    """Which columns a caption says, "k": those in which another scene would be told in other words.

    Args:
        speak: tells a scene.
        seed: of this telling.
    """
    text = speak(scene, np.random.default_rng(seed))

    def tells(other: Scene) -> bool:
        return speak(other, np.random.default_rng(seed)) != text

    found: list[bool] = []
    for column in columns(DEFAULT):
        label = column.label(scene)
        if not column.named or label is None or label in NOTHING:
            found.append(False)
        elif column.field == "kind":
            found.append(True)
        else:
            others = list(islice(otherwise(column, scene, label, DEFAULT), ALTERNATIVES))
            found.append(bool(others) and all(map(tells, others)))
    return np.array(found)


def of_subject() -> NDArray[np.bool_]:
    """Which columns are the subject's own, the same in all of its pictures, "k"."""
    passing = {"kind", *SCENIC, *ACTED}
    return np.array([column.name not in passing for column in columns(DEFAULT)])
