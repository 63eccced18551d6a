"""What words leave open comes out as often as in the world: a critic counts, and the student makes it good.

A student of a guided teacher draws the likeliest of what is left open far too often. Shares of a batch are no
loss that a single answer could have; their divergence from the world's has a gradient in every answer all the
same: the logarithm of how much too often each value is drawn, times how likely this picture shows it
(distributional alignment, as of Shen et al. 2023, arXiv 2311.07604, by counts instead of transport).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from castmark.bench.truth import Column

MEMORY = 0.998
"""Share of what was counted that is kept from one picture to the next."""
FEWEST = 1e-3
"""Shares below it count as this much."""
MOST = 2.0
"""The largest weight of a value, in nats."""


class Variety:
    """Counts of the values that a student draws where nothing was asked, beside the world's there.

    Args:
        read: the critic's columns; of those with values only.
        labels: the truth of scenes by column, Float "n k".
        asked: what was asked of them, Bool "n k".
    """

    def __init__(self, read: Sequence[Column], labels: Tensor, asked: Tensor) -> None:
        self._read = read
        left = is_open(labels, asked)
        self._world: dict[str, Tensor] = {}
        self._drawn: dict[str, Tensor] = {}
        for index, column in enumerate(read):
            if column.values and bool(left[:, index].any()):
                found = labels[left[:, index], index].long()
                self._world[column.name] = torch.bincount(found, minlength=len(column.values)) / len(found)
                self._drawn[column.name] = self._world[column.name].clone()

    def loss(self, outputs: Tensor, labels: Tensor, asked: Tensor) -> Tensor:
        """How much of what is drawn too often the pictures show, a mean over pictures and open columns; its
        gradient is that of the divergence of all that was drawn lately from the world.

        Args:
            outputs: the critic's, Float "b n".
        """
        left = is_open(labels, asked)
        total, count = outputs.new_zeros((), dtype=torch.float32), left.new_zeros((), dtype=torch.float32)
        parts = outputs.float().split([column.outputs for column in self._read], 1)
        for column, part, here in zip(self._read, parts, left.unbind(1), strict=True):
            if column.name not in self._world:
                continue
            shares = part.softmax(1) * here[:, None]
            self._count(column.name, shares.detach(), here)
            total = total + (shares @ self._weight(column.name)).sum()
            count = count + here.sum()
        return total / count.clamp(min=1)

    def __str__(self) -> str:
        """Total variation of what was drawn lately from the world, the mean over columns."""
        apart = [(self._drawn[name] - world).abs().sum() / 2 for name, world in self._world.items()]
        return f"variety {float(torch.stack(apart).mean()):.3f}" if apart else "nothing open"

    def _count(self, name: str, shares: Tensor, here: Tensor) -> None:
        number = int(here.sum())
        kept = MEMORY**number
        self._drawn[name] = kept * self._drawn[name] + (1 - kept) * shares.sum(0) / max(1, number)

    def _weight(self, name: str) -> Tensor:
        drawn, world = (each.clamp(min=FEWEST) for each in (self._drawn[name], self._world[name]))
        return (drawn / world).log().clamp(-MOST, MOST)


def is_open(labels: Tensor, asked: Tensor) -> Tensor:
    """What applies to scenes and was not asked of them, Bool "n k"."""
    return ~asked & ~labels.isnan()
