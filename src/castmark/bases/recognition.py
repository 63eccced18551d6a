"""Recognises a subject in its references: every column of a prior that is the subject's own.

A network of its own (`castmark.bases.attribute_network`) reads each reference. What several show is joined
by Bayes' rule: chances are multiplied, and numbers weighted by their precision (Kendall & Gal 2017, arXiv
1703.04977), less what each reading holds of how things are in the world anyway. A reading counts by how much
surer it is than the world: a close-up, which shows no shoes, has nothing to say of them. The same is told in
every scene, and so it is the same subject, also where something is read wrongly.

Beside a pipeline, in its folder ``recognition``: ``config.json`` and ``model.safetensors``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from PIL import Image
from torch import Tensor, nn

from castmark.bases.attribute_network import SIDE, Network
from castmark.bases.prior import CONFIG, KIND, WEIGHTS, Column, columns_in, write_columns
from castmark_adapters.encoder import squared
from castmark_adapters.weights import all_finite, read_safetensors

SURENESS = (-7.0, 2.0)
"""Limits of the logarithm of a number's variance."""


def outputs_of(column: Column) -> int:
    """Whether it applies; then a score a value, or a number and the logarithm of its variance, or a hue's
    cosine and sine."""
    return 1 + (len(column.values) or 2)


class Recognition(nn.Module):
    """Reads references.

    Args:
        columns: of the prior; the subject's own are read, and of what kind it is.
    """

    def __init__(self, columns: Sequence[Column]) -> None:
        super().__init__()
        self.all = tuple(columns)
        self.at = self.own(columns)
        self.columns = [self.all[i] for i in self.at]
        sizes = [outputs_of(column) for column in self.columns]
        self.network = Network(sizes)
        self.rates = nn.Buffer(torch.zeros(sum(sizes)))
        """What the network would say of a picture that shows nothing, "n": how things are in the world."""

    @staticmethod
    def own(columns: Sequence[Column]) -> list[int]:
        """Numbers of the columns that are read: the subject's own, and its kind."""
        return [i for i, column in enumerate(columns) if column.subject or column.name == KIND]

    def loss(self, outputs: Float[Tensor, "b n"], truth: Float[Tensor, "b k"]) -> Tensor:
        """Of the network's outputs, with NaN in the truth where a column does not apply: mean over columns of
        cross-entropies and, of numbers, of a Gaussian's negative log-likelihoods.
        """
        applies, told = list[Tensor](), list[Tensor]()
        for column, part, label in zip(self.columns, self._parts(outputs), truth.unbind(1), strict=True):
            known = ~label.isnan()
            applies.append(F.binary_cross_entropy_with_logits(part[:, 0], known.to(part)))
            if known.any():
                told.append(_loss(column, part[known, 1:], label[known]))
        return torch.stack(applies).mean() + torch.stack(told).mean()

    def count(self, truth: Float[Tensor, "m k"]) -> None:
        """Take the rates from subjects of the world."""
        kind = next((i for i, column in enumerate(self.columns) if column.name == KIND), None)
        found: list[Tensor] = []
        for column, label in zip(self.columns, truth.unbind(1), strict=True):
            of = column.name.rpartition(".")[0]
            if kind is not None and of:
                label = label[truth[:, kind] == self.columns[kind].values.index(of)]
            known = label[~label.isnan()]
            share = torch.tensor((len(known) + 1) / (len(label) + 2))
            found += [share.logit()[None], _rate(column, known)]
        self.rates.copy_(torch.cat(found))

    @torch.no_grad()
    def forward(self, images: Float[Tensor, "r 3 256 256"]) -> Float[Tensor, " k"]:
        """What all references of one subject show together, by column of the prior; NaN where a column does
        not apply, or is not the subject's own.
        """
        told = torch.full((len(self.all),), math.nan)
        parts = self._parts(self.network(images).float().cpu())
        read = dict(zip(self.at, zip(parts, self._parts(self.rates[None].cpu()), strict=True), strict=True))
        kind = next((i for i in self.at if self.all[i].name == KIND), None)
        is_ = "" if kind is None else self.all[kind].values[int(_joined(self.all[kind], *read[kind]))]
        for i, (part, rate) in read.items():
            of = self.all[i].name.rpartition(".")[0]
            there = pooled(_chances(part[:, :1]), _chances(rate[:, :1]))
            if i == kind or (there[1] > there[0] and of in ("", is_)):
                told[i] = _joined(self.all[i], part, rate)
        return told

    def recognise(self, references: Sequence[Image.Image]) -> Float[Tensor, " k"]:
        """The same of pictures of any size."""
        return self(torch.stack([pixels_of(image) for image in references]))

    def _parts(self, outputs: Float[Tensor, "b n"]) -> Sequence[Tensor]:
        return outputs.float().split([outputs_of(column) for column in self.columns], 1)

    def save(self, folder: Path) -> None:
        """Write it to a folder."""
        write_columns(folder, self.all, self.state_dict())

    @classmethod
    def load(cls, folder: Path) -> Recognition:
        """That of a folder.

        Raises:
            OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, PackError: it is none, or
                is damaged.
        """
        told: dict[str, Any] = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        made = cls(columns_in(told))
        tensors, _ = read_safetensors((folder / WEIGHTS).read_bytes(), str(folder / WEIGHTS))
        if not all_finite(tensors):
            raise ValueError("it holds numbers that are not finite")
        made.load_state_dict(tensors)
        return made.eval().requires_grad_(False)


def pixels_of(image: Image.Image) -> Float[Tensor, "3 256 256"]:
    """A picture as the network reads it; one that is not square is padded."""
    found = squared(image)
    if found.size != (SIDE, SIDE):
        found = found.resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.array(found)).permute(2, 0, 1).float().div_(255)


def _loss(column: Column, part: Tensor, label: Tensor) -> Tensor:
    if column.values:
        return F.cross_entropy(part, label.long())
    if column.circle:
        turn = 2 * math.pi * label
        return 2 * F.mse_loss(part, torch.stack([turn.cos(), turn.sin()], 1))
    spread = part[:, 1].clamp(*SURENESS)
    return 0.5 * ((part[:, 0] - label).square() * (-spread).exp() + spread).mean()


def _rate(column: Column, known: Float[Tensor, " m"]) -> Tensor:
    """What readings of a column hold of the world anyway, as outputs."""
    if column.values:
        counts = torch.bincount(known.long(), minlength=len(column.values)) + 1.0
        return (counts / counts.sum()).log()
    if column.circle or len(known) < 2:
        return torch.zeros(2)
    return torch.stack([known.mean(), known.var().clamp(min=1e-3).log()])


def _joined(column: Column, part: Float[Tensor, "r n"], rate: Float[Tensor, "1 n"]) -> Tensor:
    """The value or number that all readings of a column together make likeliest."""
    if column.values:
        return pooled(part[:, 1:].log_softmax(1), rate[:, 1:].log_softmax(1)).argmax().float()
    if column.circle:
        cosine, sine = part[:, 1:].sum(0)
        return torch.atan2(sine, cosine) / (2 * math.pi) % 1.0
    sure, usual = (-part[:, 2].clamp(*SURENESS)).exp(), (-rate[0, 2]).exp()
    says = sure > usual
    if not says.any():
        return rate[0, 1]
    spare = (says.sum() - 1) * usual
    return ((sure * part[:, 1])[says].sum() - spare * rate[0, 1]) / (sure[says].sum() - spare)


def pooled(read: Float[Tensor, "r v"], rate: Float[Tensor, "1 v"]) -> Float[Tensor, " v"]:
    """Logarithms of chances, but for a constant, that readings have together, from each one's and the
    world's.

    The world's count once; a reading adds what it says beside, by the entropy that it takes away, as a share
    of what the surest of them does.
    """

    def entropy(logarithms: Tensor) -> Tensor:
        return -(logarithms.exp() * logarithms).sum(1)

    surer = (entropy(rate) - entropy(read)).clamp(min=0)
    share = surer / surer.max() if surer.max() > 0 else torch.full_like(surer, 1 / len(surer))
    return rate[0] + (share[:, None] * (read - rate)).sum(0)


def _chances(logit: Float[Tensor, "r 1"]) -> Float[Tensor, "r 2"]:
    """Logarithms of the chances that a column does not apply, and that it does."""
    return F.logsigmoid(torch.cat([-logit, logit], 1))
