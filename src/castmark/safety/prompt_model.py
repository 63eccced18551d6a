"""The prompt model: what a prompt asks to be shown, read by a small text classifier.

A word list knows what it lists, and the text tower of a judge what its captions said. This reads on: word
vectors (GloVe, Pennington et al. 2014) under convolutions over one to three words, of which the greatest
answers count (Kim 2014, arXiv 1408.5882), and under a recurrent network that reads the whole both ways (GRU,
Cho et al. 2014, arXiv 1406.1078), learned from sentences of many writers (`castmark.training.prompt_model`).

    PromptModel.open().scores(["a person sharpening a kukri"])[0]["weapon"]      # log odds
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import cast

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from safetensors import safe_open
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import castmark_data
from castmark.errors import CheckError
from castmark.safety.prompt import NO_GAPS, forms, normalised

WEIGHTS, WORDS = "model.safetensors", "words.txt"
PADDING, UNKNOWN, FIRST = 0, 1, 2
"""Ids of no word, of a word without a vector, and of the first word of the vocabulary."""
WORD = re.compile(r"[a-z]+(?:'[a-z]+)?")
ANY_WORD = re.compile(rf"[{NO_GAPS}]{{1,2}}|(?:(?![{NO_GAPS}])[^\W\d_])+(?:'[^\W\d_]+)?")
"""A word of any script; of scripts without gaps between words, as many signs as a word often has."""
WINDOW, STRIDE = 32, 16
"""Words read at once; a longer prompt is read in windows, and the greatest score counts."""
SPANS = (1, 2, 3)
"""Words under one convolution."""
READ = 96
"""Numbers that the recurrent network keeps of what it has read, in either direction."""
ENDINGS = (
    ("'s", ""), ("s", ""), ("es", ""), ("ies", "y"), ("ing", ""), ("ing", "e"), ("ed", ""), ("ed", "e"),
    ("er", ""), ("ers", ""), ("y", ""),
)  # fmt: skip
"""What may be taken off a word that has no vector, and put in its place."""


class PromptNetwork(nn.Module):
    """Word vectors "b w d" to log odds "b classes"."""

    def __init__(self, dimensions: int, classes: int, width: int) -> None:
        super().__init__()
        self.spans = nn.ModuleList(nn.Conv1d(dimensions, width, span, padding=span - 1) for span in SPANS)
        self.whole = nn.Linear(dimensions, width)
        self.read = nn.GRU(dimensions, READ, batch_first=True, bidirectional=True)
        self.drop = nn.Dropout(0.4)
        self.out = nn.Linear(width * (len(SPANS) + 1) + 4 * READ, classes)

    def forward(self, vectors: Float[Tensor, "b w d"], there: Float[Tensor, "b w"]) -> Float[Tensor, "b c"]:
        """``there`` is 1 for words and 0 for padding behind them, whose vectors are nought."""
        across = vectors.transpose(1, 2)
        found = [F.gelu(span(across)).amax(-1) for span in self.spans]
        count = there.sum(1, keepdim=True).clamp(min=1)
        mean = F.gelu(self.whole(vectors.sum(1) / count))
        return self.out(self.drop(torch.cat([*found, mean, *self._reading(vectors, there, count)], 1)))

    def _reading(
        self, vectors: Float[Tensor, "b w d"], there: Float[Tensor, "b w"], count: Float[Tensor, "b 1"]
    ) -> tuple[Tensor, Tensor]:
        """The greatest and the mean of what is thought at each word; padding is not read."""
        packed = pack_padded_sequence(vectors, count[:, 0].long(), batch_first=True, enforce_sorted=False)
        thoughts, _ = pad_packed_sequence(self.read(packed)[0], batch_first=True, total_length=there.shape[1])
        word = there[..., None]
        return (thoughts - 2 * (1 - word)).amax(1), (thoughts * word).sum(1) / count


class Vocabulary:
    """The words that have a vector."""

    def __init__(self, words: Sequence[str]) -> None:
        self.words = tuple(words)
        self._ids = {word: index for index, word in enumerate(self.words, start=FIRST)}

    def ids(self, text: str) -> list[int]:
        """Ids of a text's words; one-letter words are left out, and a text without words is one unknown."""
        found = [self._id(word) for word in WORD.findall(text) if len(word) > 1]
        return found or [UNKNOWN]

    def unread(self, text: str) -> tuple[list[str], int]:
        """The words of a text, in any script, that have no vector, and how many words it has; one-letter
        words count as neither."""
        said = [word for word in ANY_WORD.findall(normalised(text)) if len(word) > 1 or not word.isascii()]
        return [w for w in said if not WORD.fullmatch(w) or self._id(w) == UNKNOWN], len(said)

    def _id(self, word: str) -> int:
        if word in self._ids:
            return self._ids[word]
        for ending, instead in ENDINGS:
            stem = word.removesuffix(ending)
            if stem != word and len(stem) > 2 and stem + instead in self._ids:
                return self._ids[stem + instead]
        return UNKNOWN


def windows(ids: Sequence[int]) -> list[list[int]]:
    """Overlapping pieces that together hold every word."""
    starts = range(0, max(1, len(ids) - WINDOW + STRIDE), STRIDE)
    return [list(ids[start : start + WINDOW]) for start in starts]


def padded(rows: Sequence[Sequence[int]], least: int = WINDOW + 1) -> Int[Tensor, "b w"]:
    """Rows of ids made one length, each with padding behind it: what a convolution says of padding is among
    what it says of any row, alone or beside longer ones."""
    longest = max(least, 1 + max(map(len, rows)))
    return torch.tensor([[*row, *[PADDING] * (longest - len(row))] for row in rows])


class PromptModel:
    """The shipped prompt model, or one in another folder.

    Args:
        table: Int8 word vectors "v d", after those of padding and of unknown words.
        scale: what one step of the table is worth.
        digest: sha256 of weights and words.
    """

    def __init__(
        self,
        network: PromptNetwork,
        vocabulary: Vocabulary,
        table: Int[Tensor, "v d"],
        scale: float,
        classes: Sequence[str],
        digest: str = "",
    ) -> None:
        self.network, self.vocabulary, self.classes = network.eval(), vocabulary, tuple(classes)
        self.table, self.scale, self.digest = table, scale, digest

    @classmethod
    def open(cls, folder: str | Path | None = None) -> PromptModel:
        """The model in a folder (default: the shipped one, read once).

        Raises:
            CheckError: it is missing or damaged.
        """
        return _shipped() if folder is None else _read(Path(folder))

    def scores(self, texts: Sequence[str]) -> list[dict[str, float]]:
        """Log odds of each class for each text: of all the ways to read it (`castmark.safety.prompt`) and
        all its windows the greatest.

        Raises:
            CheckError: a score is not finite.
        """
        rows: list[list[int]] = []
        owners: list[int] = []
        for index, text in enumerate(texts):
            for form in forms(text):
                pieces = windows(self.vocabulary.ids(form))
                rows += pieces
                owners += [index] * len(pieces)
        found = self._log_odds(rows)
        if not bool(torch.isfinite(found).all()):
            raise CheckError("a score of the prompt model is not finite; its weights are damaged")
        greatest = torch.full((len(texts), len(self.classes)), -torch.inf)
        greatest.scatter_reduce_(
            0, torch.tensor(owners)[:, None].expand_as(found), found, "amax", include_self=True
        )
        return [dict(zip(self.classes, row, strict=True)) for row in greatest.tolist()]

    @torch.inference_mode()
    def _log_odds(self, rows: Sequence[Sequence[int]]) -> Float[Tensor, "n classes"]:
        parts: list[Tensor] = []
        for start in range(0, len(rows), 64):
            ids = padded(rows[start : start + 64])
            vectors = self.table[ids].float() * self.scale
            parts.append(self.network(vectors, (ids != PADDING).float()))
        return torch.cat(parts)


@cache
def _shipped() -> PromptModel:
    return _read(castmark_data.path("embedded", "prompts"))


def _read(folder: Path) -> PromptModel:
    try:
        words = (folder / WORDS).read_text(encoding="utf-8")
        data = (folder / WEIGHTS).read_bytes()
        with safe_open(folder / WEIGHTS, "pt") as file:  # pyright: ignore[reportUnknownVariableType]
            about = cast("dict[str, str]", file.metadata())
            weights = {name: cast(Tensor, file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118
        table, classes = weights.pop("table"), about["classes"].split()
        width = weights["whole.weight"].shape[0]
        network = PromptNetwork(table.shape[1], len(classes), width)
        network.load_state_dict({name: value.float() for name, value in weights.items()})
        vocabulary = Vocabulary(words.split())
        if len(vocabulary.words) + FIRST != len(table):
            raise ValueError(f"{len(vocabulary.words)} words for {len(table)} vectors")
        digest = hashlib.sha256(data + words.encode()).hexdigest()
        return PromptModel(network, vocabulary, table, float(about["scale"]), classes, digest)
    except Exception as error:
        raise CheckError(
            f"{folder}: the prompt model cannot be read ({type(error).__name__}: {error}); "
            "install castmark again"
        ) from error
