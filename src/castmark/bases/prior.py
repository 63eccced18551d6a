"""What the words of a prompt leave open, decided before the picture is drawn.

"A woman in the park" says nothing of her hair, or of where she stands. A denoiser that has to decide this out
of noise decides every part by itself, a little at a time, and may end with halves of two umbrellas. So a
prior decides it first, as unCLIP's does (Ramesh et al. 2022, arXiv 2204.06125); only that what it decides has
names here: columns, each of which has a value or a number. It reads what the words say, takes everything
else from a row of its table, which holds what goes with what in the world that the base learned from, and
tells the denoiser in a few tokens beside the text's.

Beside a pipeline, in its folder ``prior``: ``config.json`` and ``model.safetensors``. Called without it, the
pipeline draws all the same, less surely.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

CONFIG, WEIGHTS = "config.json", "model.safetensors"
TOKENS = 16
"""In which everything is told."""
OPEN = -1
"""Where words say nothing of a column."""
FEWEST = 16
"""Rows among which one is drawn: what else words say narrows them no further."""
LEVELS, NOWHERE = 254, 255
"""Steps of a number in the table, and what stands where a column does not apply."""
ONE_HOT = 2.0
"""About as much as a number's own features add up to."""


@dataclass(frozen=True)
class Column:
    """One thing that a picture shows. Without ``values``, a number: in about [-1, 1]; [0, 1) on a circle."""

    name: str
    values: tuple[str, ...] = ()
    circle: bool = False
    named: bool = False
    """Whether words may say it."""
    subject: bool = False
    """Whether it is the subject's own, the same in all of its pictures: what references show."""
    decides: bool = False
    """Whether other columns go with it, so that a row must agree with what words say of it."""
    even: bool = False
    """Whether every number is as likely, whatever else there is: it is drawn for every picture anew."""

    @property
    def features(self) -> int:
        """Numbers that tell it."""
        return len(self.values) or (4 if self.circle else 5)


class Prior(nn.Module):
    """Reads what words say, decides the rest, and tells it.

    Args:
        columns: what there is to decide.
        width: of the text's tokens and of its own.
        rows: so many rows in its table.
    """

    rows: Tensor
    """The table, UInt8 "n k" (`table`)."""

    def __init__(self, columns: Sequence[Column], width: int, rows: int = 0) -> None:
        super().__init__()
        self.columns, self.width = tuple(columns), width
        self.tell = nn.Linear(sum(column.features for column in self.columns), TOKENS * width)
        nn.init.normal_(self.tell.weight, std=0.05)
        nn.init.normal_(self.tell.bias, std=0.3)
        self.read = Reading([len(column.values) for column in self.columns if column.named], width)
        self.register_buffer("rows", torch.zeros(rows, len(self.columns), dtype=torch.uint8))

    def tokens(self, told: Float[Tensor, "b k"]) -> Float[Tensor, "b tokens width"]:
        """What is told, NaN where nothing is, as the denoiser reads it beside the text."""
        found = [_features(column, part) for column, part in zip(self.columns, told.unbind(1), strict=True)]
        return self.tell(torch.cat(found, 1)).unflatten(1, (TOKENS, self.width))

    def reading_loss(
        self, text: Float[Tensor, "b t width"], truth: Float[Tensor, "b k"], said: Bool[Tensor, "b k"]
    ) -> Tensor:
        """Mean cross-entropy of what it reads in texts, about what they say of the truth."""
        named = [number for number, column in enumerate(self.columns) if column.named]
        wanted = torch.where(said[:, named], truth[:, named].nan_to_num().long() + 1, 0)
        return F.cross_entropy(self.read(text.float()).flatten(0, 1), wanted.flatten())

    @torch.no_grad()
    def said(self, text: Float[Tensor, "b t width"]) -> Int[Tensor, "b k"]:
        """What texts say: the number of a column's value, or `OPEN`."""
        found = self.read(text.float()).argmax(-1) - 1
        every = found.new_full((len(text), len(self.columns)), OPEN)
        every[:, [number for number, column in enumerate(self.columns) if column.named]] = found
        return every

    @torch.no_grad()
    def decided(
        self, text: Float[Tensor, "b t width"], seeds: Sequence[int], *, shown: bool = False
    ) -> Float[Tensor, "b k"]:
        """Everything that texts leave open; NaN where they do not. It follows from each one's seed alone.

        Args:
            shown: a subject is worn: what is its own is left to that.
        """
        found = [self._row(said, seed) for said, seed in zip(self.said(text).cpu(), seeds, strict=True)]
        told = torch.stack(found)
        if shown:
            told[:, [column.subject for column in self.columns]] = math.nan
        return told.to(text.device)

    @torch.no_grad()
    def forward(
        self, text: Float[Tensor, "b t width"], seeds: Sequence[int], *, shown: bool = False
    ) -> Float[Tensor, "b more width"]:
        """Texts with what is decided beside each."""
        told = self.decided(text, seeds, shown=shown)
        return torch.cat([text, self.tokens(told).to(text.dtype)], 1)

    def _row(self, said: Int[Tensor, " k"], seed: int) -> Float[Tensor, " k"]:
        rng = np.random.default_rng([seed, 23])
        left = torch.arange(len(self.rows), device=self.rows.device)
        for number, column in enumerate(self.columns):
            if column.decides and said[number] != OPEN:
                agreeing = left[self.rows[left, number] == said[number]]
                left = agreeing if len(agreeing) >= FEWEST else left
        row = from_table(self.rows[left[int(rng.integers(len(left)))]].cpu(), self.columns)
        for number, column in enumerate(self.columns):
            if column.even and not row[number].isnan():
                row[number] = rng.random() if column.circle else rng.uniform(-1, 1)
        row[said != OPEN] = math.nan
        return row

    def save(self, folder: Path) -> None:
        """Write it to a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        told = {"width": self.width, "rows": len(self.rows), "columns": [asdict(c) for c in self.columns]}
        (folder / CONFIG).write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
        state = {n: v.half() if v.is_floating_point() else v for n, v in self.state_dict().items()}
        safetensors.torch.save_file(state, folder / WEIGHTS)

    @classmethod
    def load(cls, folder: Path) -> Prior:
        """The prior of a folder.

        Raises:
            OSError, ValueError, KeyError, RuntimeError: it is not one, or damaged.
        """
        told: dict[str, Any] = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        columns = [Column(values=tuple(each.pop("values")), **each) for each in told["columns"]]
        made = cls(columns, told["width"], told["rows"])
        made.load_state_dict(safetensors.torch.load_file(folder / WEIGHTS))
        return made.eval()


class Reading(nn.Module):
    """What a text says of each of several columns: one query a column over the text's tokens, then a layer of
    the column's own."""

    def __init__(self, values: Sequence[int], width: int) -> None:
        super().__init__()
        most = max(values) + 1
        self.norm = nn.LayerNorm(width)
        self.keys, self.contents = nn.Linear(width, width), nn.Linear(width, width)
        self.queries = nn.Parameter(torch.randn(len(values), width) * width**-0.5)
        self.answers = nn.Parameter(torch.randn(len(values), width, most) * width**-0.5)
        bias = torch.zeros(len(values), most)
        for number, count in enumerate(values):
            bias[number, count + 1 :] = -1e4  # no such value
        self.bias = nn.Parameter(bias)

    def forward(self, text: Float[Tensor, "b t width"]) -> Float[Tensor, "b k values"]:
        """Scores: of nothing said, then of each value."""
        text = self.norm(text)
        weights = (self.queries @ self.keys(text).mT).softmax(-1)
        found = F.gelu(weights @ self.contents(text))
        return torch.einsum("bkw,kwv->bkv", found, self.answers) + self.bias


def table(values: Float[Tensor, "n k"], columns: Sequence[Column]) -> Int[Tensor, "n k"]:
    """Rows of values, NaN where a column does not apply, as a table holds them: UInt8, with numbers in 254
    steps of [-2, 2].
    """
    numbers = ((values + 2) / 4 * LEVELS).round().clamp(0, LEVELS)
    found = torch.where(_of_values(columns), values, numbers)
    return torch.where(values.isnan(), NOWHERE, found).to(torch.uint8)


def from_table(row: Int[Tensor, "... k"], columns: Sequence[Column]) -> Float[Tensor, "... k"]:
    """The values of a table's rows again."""
    held = row.float()
    found = torch.where(_of_values(columns), held, held / LEVELS * 4 - 2)
    return torch.where(held == NOWHERE, math.nan, found)


def _of_values(columns: Sequence[Column]) -> Bool[Tensor, " k"]:
    return torch.tensor([bool(column.values) for column in columns])


def _features(column: Column, value: Float[Tensor, " b"]) -> Float[Tensor, "b features"]:
    """A column as numbers; noughts where nothing is told."""
    known, value = ~value.isnan(), value.nan_to_num()
    if column.values:
        found = ONE_HOT * F.one_hot(value.long(), len(column.values)).float()
    elif column.circle:
        turn = 2 * math.pi * value
        found = torch.stack([turn.cos(), turn.sin(), (2 * turn).cos(), (2 * turn).sin()], 1)
    else:
        turn = math.pi * value
        waves = (turn.cos(), turn.sin(), (2 * turn).cos(), (2 * turn).sin())
        found = torch.stack([1.7 * value, *waves], 1)
    return found * known[:, None]
