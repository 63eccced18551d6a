"""Batches out of shards of latents (`castmark.training.shards`): what a denoiser learns from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from castmark.errors import InputError
from castmark.training.labels import of_subject
from castmark_world import DEFAULT

LATENTS = "latents"
"""Folder of the shards in the work folder."""
VIEWS = 4
CAPTIONS = 3
REFERENCES = VIEWS - 1
LEFT, UNREAD = (0.25, 0.1) if DEFAULT.decided else (1.0, 0.0)
"""How often what is a subject's own is left to its references: all of it, or a column of it, so that the
reference adapter goes on learning. Otherwise it is told as it is, which what recognition tells comes near."""
NAMES = ("latents", "weight", "tokens", "seen", "labels", "said", "standing")


def write_shard(path: Path, **arrays: NDArray[Any]) -> None:
    """Write arrays as one ``.npz``, whole or not at all."""
    temporary = path.with_suffix(".part")
    with temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
    temporary.replace(path)


@dataclass(frozen=True)
class Batch:
    """Views to draw, and references of the first few of them."""

    clean: Tensor
    """Latents Float "b 16 16 16"."""
    weight: Tensor
    """Of each cell, Float "b 1 16 16"."""
    ids: Tensor
    """Token ids of a caption each, Long "b 48"."""
    seen: Tensor
    """What the subject encoder sees in other views of the same subject, Float "r `REFERENCES` 65 128"; r of
    the b views have references."""
    labels: Tensor
    """The truth by column, Float "b k"."""
    said: Tensor
    """What of it the caption says, Bool "b k"."""
    left: Tensor
    """What of it is left to the references, Bool "r k"."""
    standing: Tensor
    """Where everything stands (`castmark.training.told`), Float "b s"."""

    @property
    def asked(self) -> Tensor:
        """What the caption says or the references alone show, Bool "b k"."""
        return self.said | F.pad(self.left, (0, 0, 0, len(self.said) - len(self.left)))

    @property
    def unaided(self) -> Tensor:
        """What the caption says or the references show, where nothing is told, Bool "b k"."""
        own = torch.from_numpy(of_subject()).to(self.said.device)
        referenced = torch.arange(len(self.said), device=own.device) < len(self.seen)
        return self.said | own & referenced[:, None]

    @property
    def told(self) -> Tensor:
        """What there is to tell besides what is asked."""
        return besides(self.labels, self.asked, self.standing)

    def silent(self, which: Tensor, empty: Tensor) -> Batch:
        """The same without captions where ``which``, Bool "b", says so.

        Args:
            empty: token ids of no caption, Long "48".
        """
        ids = torch.where(which[:, None], empty, self.ids)
        return replace(self, ids=ids, said=self.said & ~which[:, None])


def besides(labels: Tensor, asked: Tensor, standing: Tensor) -> Tensor:
    """What there is to tell besides what is asked, by column of the prior (`castmark.training.told`): Float
    "b p"; NaN where it is asked, or does not apply.
    """
    return torch.cat([labels.masked_fill(asked, math.nan), standing], 1)


class ShardPool:
    """The shards of a folder, in the memory of the device that learns; new ones can be taken up as it learns.

    Args:
        folder: of ``.npz`` files, each with these arrays.
        names: of the arrays; rows of one belong to rows of the others.
    """

    def __init__(self, folder: Path, names: Sequence[str], device: str = "cpu") -> None:
        self._folder, self._names, self._device = folder, names, device
        self._read: set[str] = set()
        self.held: dict[str, Tensor] = {}
        self.refresh()

    def refresh(self) -> None:
        """Take up shards that came since.

        Raises:
            InputError: one was made by an earlier version, which kept other things.
        """
        parts: dict[str, list[Tensor]] = {name: [] for name in self._names}
        for path in sorted(self._folder.glob("*.npz")):
            if path.name in self._read:
                continue
            self._read.add(path.name)
            with np.load(path) as shard:
                if missing := set(self._names) - set(shard.files):
                    raise InputError(
                        f"{path}: holds no {', '.join(sorted(missing))}; an earlier version made it: "
                        f"delete {self._folder}, and it is made anew"
                    )
                for name, held in parts.items():
                    held.append(torch.from_numpy(shard[name]).to(self._device))
        if not next(iter(parts.values())):
            return
        for name, held in parts.items():
            earlier = [self.held.pop(name)] if name in self.held else list[Tensor]()
            self.held[name] = torch.cat([*earlier, *held])

    def __len__(self) -> int:
        return len(next(iter(self.held.values()))) if self.held else 0


class LatentPool(ShardPool):
    """Views to learn from, out of the shards of a folder; what is drawn follows from ``rng``.

    Raises:
        InputError: they are of another scope of the world.
    """

    def __init__(self, folder: Path, rng: np.random.Generator, device: str = "cpu") -> None:
        super().__init__(folder, NAMES, device)
        self.rng = rng
        self._of_subject = torch.from_numpy(of_subject()).to(device)
        if len(self) and self.held["labels"].shape[-1] != len(self._of_subject):
            raise InputError(
                f"{folder}: made in another scope of the world, with {self.held['labels'].shape[-1]} "
                f"attributes where there are {len(self._of_subject)}; delete it, and it is made anew"
            )

    def batch(self, size: int, referenced: int) -> Batch:
        """Random views of random subjects; the first ``referenced`` of them with references.

        One to three of a subject's other views are its references, repeated to fill `REFERENCES` places: a
        reference that is there twice counts twice in attention, which only shifts weight among them.
        """
        where = self.rng.integers(len(self), size=size)
        views = self.rng.permuted(np.tile(np.arange(VIEWS), (size, 1)), axis=1)
        target, others = views[:, 0], views[:referenced, 1:]
        counts = self.rng.integers(1, REFERENCES + 1, size=(referenced, 1))
        others = np.take_along_axis(others, np.arange(REFERENCES)[None] % counts, axis=1)
        which = self.rng.integers(CAPTIONS, size=size)
        rows, view, caption, shown = self._take(where, target, which, others)
        left = self.rng.random((referenced, 1)) < LEFT
        left = left | (self.rng.random((referenced, len(self._of_subject))) < UNREAD)
        return Batch(
            self.held["latents"][rows, view].float(),
            self.held["weight"][rows, view].float()[:, None],
            self.held["tokens"][rows, view, caption].long(),
            self.held["seen"][rows[:referenced, None], shown].float(),
            self.held["labels"][rows, view],
            self.held["said"][rows, view, caption],
            torch.from_numpy(left).to(self._device) & self._of_subject,
            self.held["standing"][rows, view],
        )

    def _take(self, *indices: NDArray[np.int64]) -> list[Tensor]:
        return [torch.from_numpy(index).to(self._device) for index in indices]
