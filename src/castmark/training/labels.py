"""What a picture of the world shows, as numbers; how wrong a network is about them; what a caption says.

The columns are those of the truth reader, but nothing of the reader itself: what learns from these labels has
weights and seeds of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import islice
from typing import TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from castmark.bench.truth import Column, columns
from castmark.bench.truth.columns import ACTED, SCENIC, Label
from castmark.bench.truth.seen import otherwise
from castmark_world import DEFAULT, Scene

Speaker: TypeAlias = Callable[[Scene, np.random.Generator], str]

NOTHING = ("none", "False")
"""Values that captions pass over in silence."""
HUBER = 0.2
ALTERNATIVES = 2
"""Other values that are tried before a column counts as said."""


def labels_of(scene: Scene, read: Sequence[Column] = columns()) -> NDArray[np.float32]:
    """The truth by column "k": the number of its value, or a number itself; NaN where it does not apply."""

    def number(values: tuple[str, ...], label: Label | None) -> float:
        if label is None:
            return math.nan
        return float(values.index(str(label)) if values else label)

    return np.array([number(column.values, column.label(scene)) for column in read], np.float32)


def losses(outputs: Tensor, labels: Tensor, read: Sequence[Column]) -> tuple[Tensor, Tensor]:
    """How wrong outputs "b n" of a network of columns are about labels "b k", by picture and column: Float
    "b k", cross-entropy for what has values and Huber's loss for numbers; and where there is a label, Bool.
    """
    known, truth = ~labels.isnan(), labels.nan_to_num(0.0)
    found: list[Tensor] = []
    parts = outputs.float().split([column.outputs for column in read], 1)
    for column, part, label in zip(read, parts, truth.unbind(1), strict=True):
        if column.values:
            found.append(F.cross_entropy(part, label.long(), reduction="none"))
            continue
        turn = 2 * math.pi * label
        wanted = torch.stack([turn.cos(), turn.sin()], 1) if column.circle else label[:, None]
        found.append(F.smooth_l1_loss(part, wanted, beta=HUBER, reduction="none").mean(1))
    return torch.stack(found, 1), known


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
