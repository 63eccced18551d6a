"""What a picture of the world shows, as numbers; how wrong a network is about them; what a caption says.

The columns are those of the truth reader, but nothing of the reader itself: what learns from these labels has
weights and seeds of its own.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from itertools import islice
from typing import TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from castmark.bench.truth import Column, columns
from castmark.bench.truth.columns import ACTED, SCENIC
from castmark.bench.truth.seen import otherwise
from castmark_world import DEFAULT, Scene, words

Speaker: TypeAlias = Callable[[Scene, np.random.Generator], str]

NOTHING = ("none", "False")
"""Values that captions pass over in silence."""
HUBER = 0.2
ALTERNATIVES = 2
"""Other values that are tried before a column counts as said."""
THINGS = ("top", "bottom", "headwear", "glasses", "accessory", "facial_hair", "freckles", "item", "camera")
BELOW = ("bottom", "bottom_color", "bottom_hue", "shoes", "leg_length")
"""What only a picture of the whole figure shows."""


def labels_of(scene: Scene, read: Sequence[Column] = columns()) -> NDArray[np.float32]:
    """The truth by column "k": the number of its value, or a number itself; NaN where it does not apply, or
    the camera is too near to show it."""

    def number(column: Column) -> float:
        label = column.label(scene)
        if label is None or (scene.camera != "full" and column.field in BELOW):
            return math.nan
        return float(column.values.index(str(label)) if column.values else label)

    return np.array([number(column) for column in read], np.float32)


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

    Another thing may change what else there is to tell (a dress leaves no trousers to be said), and with it
    every chance that comes after: of `THINGS` the caption must have a word.

    Args:
        speak: tells a scene.
        seed: of this telling.
    """

    def telling(of: Scene) -> tuple[str, object]:
        rng = np.random.default_rng(seed)
        return speak(of, rng), rng.bit_generator.state["state"]

    text, chances = telling(scene)

    def says(column: Column) -> bool:
        label = column.label(scene)
        if not column.named or label is None or label in NOTHING:
            return False
        if column.field == "kind":
            return True
        if column.field in THINGS:
            return _names(text, column, str(label))
        others = map(telling, otherwise(column, scene, label, DEFAULT))
        alike = islice((other for other, drawn in others if drawn == chances), ALTERNATIVES)
        first = next(alike, None)
        if first is None:
            return _names(text, column, str(label))
        return first != text and text not in alike

    return np.array([says(column) for column in columns(DEFAULT)])


def _names(text: str, column: Column, label: str) -> bool:
    """Whether a text has a word for a value of a column; a pose is told of whole figures alone."""
    tables = (words.CAMERA, words.STAINS, words.FACIAL_HAIR)
    ways = [*words.NOUN.get(label, (label,)), *(way for table in tables for way in table.get(label, ()))]
    if label == "True":
        ways = [column.field]
    if column.field == "camera" and label == "full":
        ways += [way for poses in words.POSE.values() for way in poses]
    return any(re.search(rf"\b{re.escape(way)}\b", text) for way in ways)


def of_subject() -> NDArray[np.bool_]:
    """Which columns are the subject's own, the same in all of its pictures, "k"."""
    passing = {"kind", *SCENIC, *ACTED}
    return np.array([column.name not in passing for column in columns(DEFAULT)])
