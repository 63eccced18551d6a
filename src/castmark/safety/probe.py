"""Exact-label probe: a linear classifier on the judge's features, learned from renders of known truth.

Multinomial logistic regression on all views side by side. It belongs to one judge, is stored in the
calibration (which is keyed by the judge's fingerprint), and is used only where it measurably beats the texts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, model_validator
from torch import Tensor

from castmark.safety.packed import Packed

DECAY = 2e-2
"""Weight of the squared norm of the weights, on standardised features."""
STEPS = 60


class Probe(BaseModel):
    """Log probabilities of classes from the embeddings of a picture's views."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    classes: tuple[str, ...]
    weight: Packed
    """"classes features+1", the bias last."""

    @model_validator(mode="after")
    def _fits(self) -> Probe:
        if len(self.weight.shape) != 2 or self.weight.shape[0] != len(self.classes):
            raise ValueError("a probe needs a row of weights for each class")
        return self

    def log_probabilities(self, embeddings: Float[Tensor, "b v d"]) -> Float[Tensor, "b classes"]:
        """Log probability of every class for ``b`` pictures."""
        weight = self.weight.tensor().to(embeddings.device)
        return F.log_softmax(F.linear(features(embeddings), weight[:, :-1], weight[:, -1]), dim=-1)

    def log_odds(self, embeddings: Float[Tensor, "b v d"], of: str) -> Float[Tensor, " b"]:
        """Log odds of one class against all others."""
        found = self.log_probabilities(embeddings).double()
        index = self.classes.index(of)
        rest = [i for i in range(len(self.classes)) if i != index]
        return (found[:, index] - torch.logsumexp(found[:, rest], -1)).float()


def features(embeddings: Float[Tensor, "b v d"]) -> Float[Tensor, "b f"]:
    """What a probe reads: the views side by side."""
    return embeddings.flatten(1)


def learn(
    embeddings: Float[Tensor, "n v d"], labels: Sequence[str], classes: Sequence[str], decay: float = DECAY
) -> Probe:
    """Fit a probe, classes weighted alike whatever their number (L-BFGS; deterministic)."""
    inputs = features(embeddings).double()
    mean, deviation = inputs.mean(0), inputs.std(0).clamp_min(1e-6)
    inputs = (inputs - mean) / deviation
    targets = torch.tensor([classes.index(label) for label in labels])
    share = torch.bincount(targets, minlength=len(classes)).double()
    weights = (len(labels) / (len(classes) * share.clamp_min(1)))[targets]
    matrix = torch.zeros(len(classes), inputs.shape[1], dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(len(classes), dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([matrix, bias], max_iter=STEPS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        each = F.cross_entropy(inputs @ matrix.T + bias, targets, reduction="none")
        total = (weights * each).mean() + decay * matrix.square().sum()
        total.backward()
        return total

    with torch.enable_grad():
        optimiser.step(cast("type[float]", loss))
    with torch.no_grad():
        scaled = matrix / deviation
        moved = bias - scaled @ mean
        return Probe(classes=tuple(classes), weight=Packed.of(torch.cat([scaled, moved[:, None]], 1)))
