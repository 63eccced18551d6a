"""What the words of a prompt leave open, decided before the picture is drawn.

"A woman in the park" says nothing of her hair, or of where she stands. A denoiser that has to decide this out
of noise decides every part by itself, a little at a time, and may end with halves of two umbrellas. So a
prior decides it first, as unCLIP's does (Ramesh et al. 2022, arXiv 2204.06125); only that what it decides has
names here: columns, each of which has a value or a number. It reads what the words say (`Reading`), takes
everything else from a table (`castmark.bases.rows`), and tells the denoiser in a few tokens beside the text's
(`Telling`, which learns with the denoiser).

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
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from castmark.bases.rows import Rows
from castmark_adapters.subject import sha256
from castmark_adapters.weights import all_finite, read_safetensors, write_safetensors

CONFIG, WEIGHTS = "config.json", "model.safetensors"
TOKENS = 16
"""In which everything is told."""
KIND, MIDDLED = "kind", "x"
"""Columns of what a subject is, and of where it stands: 0 is the middle."""
OPEN = -1
"""Where words say nothing of a column."""
QUIET = -6.0
"""A token's score for a value before anything is learned."""
SURE = 0.95
"""How likely it must be that words say of a known subject something else than what it is."""
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
    """Whether others go with it, so that rows that agree with what words say of it are preferred."""
    even: bool = False
    """Whether every number is as likely, whatever else there is: it is drawn for every picture anew."""
    quiet: bool = False
    """Whether it has a value that nobody speaks of, such as no hat."""
    whole: bool = False
    """Whether only a picture of the whole figure shows it."""
    heard: bool = False
    """Whether it is read, but told by another column."""
    acts: bool = False
    """Whether it is what the subject does here: neither its own, nor the scene's."""
    dresses: bool = False
    """Whether it decides what is worn, as an occupation its uniform."""

    @property
    def features(self) -> int:
        """Numbers that tell it."""
        return 0 if self.heard else len(self.values) or (4 if self.circle else 5)


class Telling(nn.Module):
    """What is told, as the denoiser reads it: one linear layer over values and waves of numbers.

    Args:
        columns: what there is to tell; those that are only heard come last, and may be left out of what is
            told.
        width: of a token.
    """

    starts: Tensor
    at_numbers: Tensor
    at_circles: Tensor

    def __init__(self, columns: Sequence[Column], width: int) -> None:
        super().__init__()
        self.columns, self.width = tuple(columns), width
        told = [(i, column) for i, column in enumerate(self.columns) if column.features]
        first = dict(zip((i for i, _ in told), np.cumsum([0, *(c.features for _, c in told)]), strict=False))
        self.valued = [i for i, column in told if column.values]
        self.numbers = [i for i, column in told if not column.values and not column.circle]
        self.circles = [i for i, column in told if column.circle]
        self.size = sum(column.features for _, column in told)
        places = {
            "starts": [int(first[i]) for i in self.valued],
            "at_numbers": [int(first[i]) + k for i in self.numbers for k in range(5)],
            "at_circles": [int(first[i]) + k for i in self.circles for k in range(4)],
        }
        for name, held in places.items():
            self.register_buffer(name, torch.tensor(held, dtype=torch.long), persistent=False)
        self.tell = nn.Linear(self.size, TOKENS * width)
        nn.init.normal_(self.tell.weight, std=0.05)
        nn.init.normal_(self.tell.bias, std=0.3)

    def forward(self, told: Float[Tensor, "b k"]) -> Float[Tensor, "b tokens width"]:
        """What is told, NaN where nothing is."""
        return self.tell(self.features(told)).unflatten(1, (TOKENS, self.width))

    def features(self, told: Float[Tensor, "b k"]) -> Float[Tensor, "b f"]:
        """Columns as numbers; noughts where nothing is told."""
        known, value = (~told.isnan()).to(told), told.nan_to_num()
        found = told.new_zeros(len(told), self.size)
        found.scatter_(1, self.starts + value[:, self.valued].long(), ONE_HOT * known[:, self.valued])
        turn = math.pi * value[:, self.numbers]
        waves = torch.stack([1.7 * value[:, self.numbers], *_waves(turn)], -1)
        found[:, self.at_numbers] = (waves * known[:, self.numbers, None]).flatten(1)
        waves = torch.stack(_waves(2 * math.pi * value[:, self.circles]), -1)
        found[:, self.at_circles] = (waves * known[:, self.circles, None]).flatten(1)
        return found

    @classmethod
    def load(cls, folder: Path) -> Telling:
        """That of a prior's folder, whether the prior reads or not."""
        columns, width, _ = read_columns(folder)
        tensors, _ = read_safetensors((folder / WEIGHTS).read_bytes(), str(folder / WEIGHTS))
        made = cls(columns, width)
        own = {k.removeprefix("telling."): v for k, v in tensors.items() if k.startswith("telling.")}
        made.load_state_dict(own)
        return made

    def save(self, folder: Path) -> None:
        """Write it to a folder, as part of a prior that cannot read yet (`Prior.load` refuses it)."""
        write_columns(folder, self.columns, _named("telling", self), width=self.width, text_encoder=None)


class Reading(nn.Module):
    """What a text says of every column that words may say: every token's score for every value, of which the
    whole text has about the greatest (their logarithm of the sum of exponentials); nothing said has nought.

    Args:
        columns: those that words may say.
        width: of the text's tokens.
    """

    values: Tensor

    def __init__(self, columns: Sequence[Column], width: int) -> None:
        super().__init__()
        self._shape = (len(columns), max(len(column.values) for column in columns))
        self.norm, self.hidden = nn.LayerNorm(width), nn.Linear(width, 2 * width)
        self.score = nn.Linear(2 * width, self._shape[0] * self._shape[1])
        nn.init.zeros_(self.score.weight)
        nn.init.constant_(self.score.bias, QUIET)
        values = torch.zeros(self._shape)
        for number, column in enumerate(columns):
            values[number, len(column.values) :] = -1e4  # no such value
        self.register_buffer("values", values, persistent=False)

    def forward(self, text: Float[Tensor, "b t width"]) -> Float[Tensor, "b k values"]:
        """Scores: of nothing said, then of each value."""
        scores = self.score(F.gelu(self.hidden(self.norm(text.float())))).logsumexp(1)
        scores = scores.unflatten(1, self._shape) + self.values
        return torch.cat([torch.zeros_like(scores[..., :1]), scores], -1)

    def loss(
        self, text: Float[Tensor, "b t width"], truth: Float[Tensor, "b k"], said: Bool[Tensor, "b k"]
    ) -> Tensor:
        """Mean cross-entropy of what it reads in texts, about what they say of the truth, both by column."""
        wanted = torch.where(said, truth.nan_to_num().long() + 1, 0)
        return F.cross_entropy(self(text).flatten(0, 1), wanted.flatten())

    @torch.no_grad()
    def said(self, text: Float[Tensor, "b t width"]) -> tuple[Int[Tensor, "b k"], Float[Tensor, "b k"]]:
        """What texts say: the number of a column's value, or `OPEN`; and how likely that is."""
        sure, found = self(text).softmax(-1).max(-1)
        return found - 1, sure


class Prior(nn.Module):
    """Reads what words say, decides the rest, and tells it.

    Args:
        text_encoder: sha256 of the weights of the text encoder that it reads from.
    """

    def __init__(self, telling: Telling, reading: Reading, rows: Rows, text_encoder: str) -> None:
        super().__init__()
        self.telling, self.reading, self.rows, self.text_encoder = telling, reading, rows, text_encoder
        self._named = [i for i, column in enumerate(telling.columns) if column.named]
        self._own = np.array([column.subject for column in telling.columns])
        self._kind = np.array([column.name == KIND for column in telling.columns])

    @property
    def columns(self) -> tuple[Column, ...]:
        """What there is to decide."""
        return self.telling.columns

    def whole(
        self,
        text: Float[Tensor, "b t width"],
        seeds: Sequence[int],
        *,
        known: Float[Tensor, "n k"] | None = None,
        scenes: Float[Tensor, "b k"] | None = None,
        number: int = 0,
    ) -> tuple[Float[Tensor, "b k"], Bool[Tensor, "b k"]]:
        """Every column of a picture for each text, NaN where one does not apply; and which of them it says.

        What texts do not say follows from each one's seed, and from what is known.

        Args:
            known: of the subject of all of them, or of each one's, of whom only what words surely say counts.
                Nothing is known of one that they surely call another kind of thing.
            scenes: columns of the pictures that other subjects were put into.
            number: of the subject among those of each picture.
        """
        found, sure = (each.cpu().numpy() for each in self.reading.said(text))
        read = np.full((len(text), len(self.columns)), OPEN)
        read[:, self._named] = found
        subjects = None if known is None else known.expand(len(text), -1).cpu().numpy().copy()
        if subjects is not None:
            unsure = np.zeros(read.shape, np.bool_)
            unsure[:, self._named] = sure < SURE
            read[unsure & (self._own | self._kind)] = OPEN
            kinds = read[:, self._kind]
            another = ((kinds != OPEN) & (kinds != subjects[:, self._kind])).any(1)
            subjects[another] = np.where(self._kind, read[another], math.nan)
        places = None if scenes is None else scenes.cpu().numpy()
        rows = [
            self.rows.decide(
                said,
                seed,
                known=None if subjects is None else subjects[i],
                scene=None if places is None else places[i],
                number=number,
            )
            for i, (said, seed) in enumerate(zip(read, seeds, strict=True))
        ]
        whole = np.where(read == OPEN, np.stack(rows), read).astype(np.float32)
        return torch.from_numpy(whole).to(text.device), torch.from_numpy(read != OPEN).to(text.device)

    def besides(
        self, whole: Float[Tensor, "b k"], said: Bool[Tensor, "b k"], *, shown: bool = False
    ) -> Float[Tensor, "b k"]:
        """Columns of pictures less those that are said; less what is the subject's own, where that is
        shown.
        """
        left = said | torch.from_numpy(self._own).to(said.device) if shown else said
        return whole.masked_fill(left, math.nan)

    def own(self, whole: Float[Tensor, "b k"]) -> Float[Tensor, "b k"]:
        """Of columns those alone that are the subject's own and that every camera shows."""
        kept = [column.subject and not column.whole for column in self.columns]
        return whole.masked_fill(~torch.tensor(kept, device=whole.device), math.nan)

    def middled(self, told: Float[Tensor, "b k"]) -> Float[Tensor, "b k"]:
        """The same of a subject that stands in the middle."""
        middle = [column.name == MIDDLED for column in self.columns]
        return told.masked_fill(torch.tensor(middle, device=told.device), 0.0)

    @torch.no_grad()
    def forward(
        self, text: Float[Tensor, "b t width"], decided: Float[Tensor, "b k"]
    ) -> Float[Tensor, "b more width"]:
        """Texts with what is decided told beside each."""
        return torch.cat([text, self.telling(decided).to(text.dtype)], 1)

    def save(self, folder: Path) -> None:
        """Write it to a folder."""
        tensors = _named("telling", self.telling) | _named("reading", self.reading)
        tensors |= {"rows": torch.from_numpy(self.rows.rows), "spoken": torch.from_numpy(self.rows.spoken)}
        about = {"width": self.telling.width, "text_encoder": self.text_encoder}
        write_columns(folder, self.columns, tensors, **about)

    @classmethod
    def load(cls, folder: Path) -> Prior:
        """The prior of a folder.

        Raises:
            OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, PackError: it is none, is
                damaged, or has not learned to read.
        """
        columns, width, text_encoder = read_columns(folder)
        if text_encoder is None:
            raise ValueError("it has not learned to read: run `castmark train prior`")
        tensors, _ = read_safetensors((folder / WEIGHTS).read_bytes(), str(folder / WEIGHTS))
        if not all_finite(tensors):
            raise ValueError("it holds numbers that are not finite")
        rows = Rows(columns, tensors.pop("rows").numpy(), tensors.pop("spoken").numpy())
        named = [column for column in columns if column.named]
        made = cls(Telling(columns, width), Reading(named, width), rows, text_encoder)
        made.load_state_dict(tensors)
        return made.eval().requires_grad_(False)


def read_columns(folder: Path) -> tuple[tuple[Column, ...], int, str | None]:
    """A prior's columns, its width, and the text encoder that it reads from, if it reads."""
    told: dict[str, Any] = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    return columns_in(told), int(told["width"]), told["text_encoder"]


def columns_in(told: dict[str, Any]) -> tuple[Column, ...]:
    """The columns that a configuration states."""
    return tuple(Column(values=tuple(each.pop("values")), **each) for each in told["columns"])


def told_by(columns: Sequence[Column]) -> list[tuple[str, tuple[str, ...], bool, bool]]:
    """What the numbers that tell columns depend on."""
    return [(column.name, column.values, column.circle, column.heard) for column in columns]


def text_encoder_of(base: Path) -> str:
    """sha256 of the weights of a pipeline folder's text encoder."""
    return sha256((base / "text_encoder" / "model.safetensors").read_bytes())


def write_columns(
    folder: Path, columns: Sequence[Column], tensors: dict[str, Tensor], **about: int | str | None
) -> None:
    """Write what is of columns to a folder: its configuration, and its tensors in half precision."""
    folder.mkdir(parents=True, exist_ok=True)
    told = {**about, "columns": [asdict(column) for column in columns]}
    (folder / CONFIG).write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    halves = {name: v.half() if v.is_floating_point() else v for name, v in tensors.items()}
    (folder / WEIGHTS).write_bytes(write_safetensors(halves))


def _named(part: str, module: nn.Module) -> dict[str, Tensor]:
    return {f"{part}.{name}": value for name, value in module.state_dict().items()}


def _waves(turn: Tensor) -> list[Tensor]:
    return [turn.cos(), turn.sin(), (2 * turn).cos(), (2 * turn).sin()]
