"""Pictures and captions for the judge, rendered as it learns.

Half of a batch comes in hard image pairs: the same scene twice, with another thing in the hand. A third of
the pictures are crops, as the gate's views are; blank and noise pictures are mixed in; and every batch is
degraded in parts (blur, low resolution, JPEG, noise, brightness, warps), because what the judge will see is
drawn by a small and soft diffusion model.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from castmark.training.degrade import degrade
from castmark.training.judge_texts import ATTRIBUTES, Speaker, labels_of
from castmark_world import ITEMS, SAFE_ITEMS, UNSAFE_ITEMS, Scene, caption, masks, render, sample_scene, stage
from castmark_world.sampling import sample_subject

SIDE = 256
VIEW = 96
UNKNOWN = -1
Crop: TypeAlias = tuple[int, int, int, bool]
"""Left, top and side in 256 px coordinates, and whether the crop shows the hands' thing whole."""


@dataclass(frozen=True)
class Batch:
    """Pixels in [0, 1] "b 3 96 96", one caption each, labels "b" per attribute (-1: none), and which
    captions say what the hands hold "b"; ``pair`` "b" numbers the hard pairs (-1: none)."""

    pixels: Tensor
    captions: list[str]
    labels: dict[str, Tensor]
    hands_said: Tensor
    pair: Tensor
    read: bool = True
    """Whether its texts are read; a quarter of the batches are, for the text tower learns sooner and costs as
    much."""


@dataclass
class _Row:
    pixels: NDArray[np.uint8]
    caption: str
    labels: dict[str, str]
    hands_said: bool
    pair: int


class JudgeData:
    """Batches of the training split; everything follows from ``rng``."""

    def __init__(self, rng: np.random.Generator, size: int) -> None:
        self.rng, self.size = rng, size
        self.speaker = Speaker(rng)
        self._fresh: Batch | None = None
        self._rendered_batches = 0

    def batch(self) -> Batch:
        """The next batch; every other one is the one before, mirrored and degraded anew (no caption names a
        side)."""
        if self._fresh is not None:
            last, self._fresh = self._fresh, None
            return replace(last, pixels=degrade(last.pixels.flip(-1), self.rng), read=False)
        self._fresh = self._rendered()
        self._rendered_batches += 1
        read = self._rendered_batches % 2 == 1
        return replace(self._fresh, pixels=degrade(self._fresh.pixels, self.rng), read=read)

    def _rendered(self) -> Batch:
        rows: list[_Row] = []
        pair = 0
        while len(rows) < self.size:
            roll = self.rng.random()
            if roll < 0.02:
                rows.append(self._nothing())
            elif roll < 0.45:
                rows.append(self._row(sample_scene(self.rng), -1))
            else:
                rows += self._pair(pair)
                pair += 1
        rows = rows[: self.size]
        pixels = torch.stack([_tensor(row.pixels) for row in rows])
        labels = {
            name: torch.tensor([values.index(r.labels[name]) if name in r.labels else UNKNOWN for r in rows])
            for name, values in ATTRIBUTES.items()
        }
        return Batch(
            pixels,
            [self.speaker.decorate(row.caption) for row in rows],
            labels,
            torch.tensor([row.hands_said for row in rows]),
            torch.tensor([row.pair for row in rows]),
        )

    def _pair(self, number: int) -> list[_Row]:
        """The same character and place twice, with another thing in the hand; one of them unsafe, usually."""
        scene = stage(sample_subject(self.rng, "character"), self.rng, item=None)
        first = self._choose(UNSAFE_ITEMS if self.rng.random() < 0.7 else SAFE_ITEMS)
        others = [item for item in (*ITEMS, None, None) if item != first]
        second = others[int(self.rng.integers(len(others)))]
        pair = [replace(scene, item=item) for item in (first, second)]
        near = self._near(pair) if self.rng.random() < 0.7 else None
        return [self._row(each, number, near) for each in pair]

    def _choose(self, options: tuple[str, ...]) -> str:
        return options[int(self.rng.integers(len(options)))]

    def _row(self, scene: Scene, pair: int, near: Crop | None = None) -> _Row:
        labels = labels_of(scene)
        text, said = self.speaker.hands(caption(scene, self.rng), scene.item)
        crop = near or (self._anywhere(scene) if self.rng.random() < 0.25 else None)
        if crop is None:
            return _Row(render(scene, VIEW), text, labels, said, pair)
        left, top, side, hands = crop
        pixels = render(scene, SIDE)[top : top + side, left : left + side]
        seen = {name: labels[name] for name in ("place", "kind")} | {"unsafe": "none"}
        words: list[str] = []
        if hands and "item" in labels:
            seen |= {"unsafe": labels["unsafe"], "item": labels["item"]}
            words.append(self.speaker.prompt("item", labels["item"]))
        # What else a crop shows of the subject is not known, so its caption names the place and what is held.
        words.append(self.speaker.prompt("place", labels["place"]))
        return _Row(pixels, " ".join(words).strip(), seen, hands, pair if hands else -1)

    def _near(self, pair: list[Scene]) -> Crop:
        """A square about the thing in the hand, so that it is large."""
        mask = masks(next(scene for scene in pair if scene.item), SIDE)["item"]
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        if not len(rows):
            return 0, 0, SIDE, True
        height, width = int(rows[-1] - rows[0]) + 1, int(columns[-1] - columns[0]) + 1
        side = int(self.rng.integers(max(72, height + 8, width + 8), 190))
        left, top = (self._start(int(line[0]), int(line[-1]), side) for line in (columns, rows))
        return left, top, side, True

    def _start(self, first: int, last: int, side: int) -> int:
        """Where a crop may begin so that it holds ``first`` to ``last`` and stays inside."""
        low, high = max(0, last + 1 - side), min(first, SIDE - side)
        return int(self.rng.integers(low, high + 1)) if high > low else max(0, min(low, SIDE - side))

    def _anywhere(self, scene: Scene) -> Crop | None:
        """A square in 256 px coordinates that holds all of the thing in the hand or nothing of it."""
        side = int(self.rng.integers(110, 200))
        left, top = (int(self.rng.integers(SIDE - side + 1)) for _ in range(2))
        if scene.item is None:
            return left, top, side, False
        mask = masks(scene, SIDE)["item"]
        total = int(mask.sum())
        share = int(mask[top : top + side, left : left + side].sum()) / max(total, 1)
        return None if 0.05 < share < 0.9 or not total else (left, top, side, share >= 0.9)

    def _nothing(self) -> _Row:
        kind = "blank" if self.rng.random() < 0.5 else "noise"
        flat = self.rng.integers(0, 256, (1, 1, 3))
        if kind == "noise":
            coarse = self.rng.integers(0, 256, (int(self.rng.choice([8, 16, 32, 64, 128])),) * 2 + (3,))
            pixels = np.array(Image.fromarray(coarse.astype(np.uint8)).resize((VIEW, VIEW)))
        else:
            pixels = np.tile(flat, (VIEW, VIEW, 1)).astype(np.uint8)
        return _Row(pixels, self.speaker.prompt("kind", kind), {"kind": kind, "unsafe": "none"}, False, -1)


def _tensor(pixels: NDArray[np.uint8]) -> Tensor:
    """UInt8 "h w 3" to [0, 1] "3 96 96"."""
    image = torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1).float().div_(255)
    if image.shape[-1] == VIEW:
        return image
    return F.interpolate(image[None], size=(VIEW, VIEW), mode="bilinear", antialias=True)[0]
