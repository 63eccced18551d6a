"""Exact-label probe: a small classifier on the judge's features, learned from renders of known truth.

On all views side by side: multinomial logistic regression, or with one hidden layer where there are lessons
enough for it. It belongs to one judge, is stored in the calibration (which is keyed by the judge's
fingerprint), and is used only where it beats the texts.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import cast

import torch
import torch.nn.functional as F
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from castmark.safety.packed import Packed

DECAY = 2e-2
"""Weight of the squared norm of the weights, on standardised features."""
STEPS = 60
DROPOUT, SMOOTHING, HIDDEN_DECAY, PEAK_RATE = 0.5, 0.02, 0.1, 1e-3
EPOCHS, LEAST_STEPS, LESSONS_AT_ONCE = 40, 800, 256


class Probe(BaseModel):
    """Log probabilities of classes from the embeddings of a picture's views."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    classes: tuple[str, ...]
    layers: tuple[Packed, ...] = Field(min_length=1)
    """Weights "out in+1" of each layer, the bias last; GELU in between."""

    @model_validator(mode="after")
    def _fits(self) -> Probe:
        shapes = [layer.shape for layer in self.layers]
        if any(len(shape) != 2 for shape in shapes) or shapes[-1][0] != len(self.classes):
            raise ValueError("a probe needs a row of weights for each class")
        if any(after[1] != before[0] + 1 for before, after in pairwise(shapes)):
            raise ValueError("a probe's layers do not fit each other")
        return self

    def log_probabilities(self, embeddings: Float[Tensor, "b v d"]) -> Float[Tensor, "b classes"]:
        """Log probability of every class for ``b`` pictures."""
        found = features(embeddings)
        for number, layer in enumerate(self.layers):
            weight = layer.tensor().to(embeddings.device)
            found = F.linear(F.gelu(found) if number else found, weight[:, :-1], weight[:, -1])
        return F.log_softmax(found, dim=-1)

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
    embeddings: Float[Tensor, "n v d"], labels: Sequence[str], classes: Sequence[str], *, hidden: int = 0
) -> Probe:
    """Fit a probe, classes weighted alike whatever their number; with ``hidden`` units in between, if any."""
    inputs = features(embeddings).double()
    mean, deviation = inputs.mean(0), inputs.std(0).clamp_min(1e-6)
    inputs = (inputs - mean) / deviation
    targets = torch.tensor([classes.index(label) for label in labels])
    share = torch.bincount(targets, minlength=len(classes)).double()
    weights = len(labels) / (len(classes) * share.clamp_min(1))
    with torch.enable_grad():
        fitted = _hidden(inputs, targets, weights, hidden) if hidden else [_linear(inputs, targets, weights)]
    weight, bias = fitted[0]
    fitted[0] = (weight / deviation, bias - weight @ (mean / deviation))
    kind = "f2" if hidden else "f4"
    return Probe(
        classes=tuple(classes),
        layers=tuple(Packed.of(torch.cat([w, b[:, None]], 1), kind) for w, b in fitted),
    )


def _linear(inputs: Tensor, targets: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Logistic regression by L-BFGS; deterministic."""
    matrix = torch.zeros(len(weights), inputs.shape[1], dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(len(weights), dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([matrix, bias], max_iter=STEPS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        each = F.cross_entropy(inputs @ matrix.T + bias, targets, reduction="none")
        total = (weights[targets] * each).mean() + DECAY * matrix.square().sum()
        total.backward()
        return total

    optimiser.step(cast("type[float]", loss))
    return matrix.detach(), bias.detach()


def _hidden(inputs: Tensor, targets: Tensor, weights: Tensor, units: int) -> list[tuple[Tensor, Tensor]]:
    """A perceptron of one hidden layer, with dropout; the same for the same lessons on one machine."""
    inputs, weights = inputs.float(), weights.float()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        first, last = nn.Linear(inputs.shape[1], units), nn.Linear(units, len(weights))
        model = nn.Sequential(nn.Dropout(DROPOUT / 2), first, nn.GELU(), nn.Dropout(DROPOUT), last)
        optimiser = torch.optim.AdamW(model.parameters(), PEAK_RATE, weight_decay=HIDDEN_DECAY)
        steps = max(LEAST_STEPS, EPOCHS * len(inputs) // LESSONS_AT_ONCE)
        rates = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
        for _ in range(steps):
            some = torch.randint(len(inputs), (LESSONS_AT_ONCE,))
            loss = F.cross_entropy(model(inputs[some]), targets[some], weights, label_smoothing=SMOOTHING)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            rates.step()
    return [(layer.weight.detach().double(), layer.bias.detach().double()) for layer in (first, last)]
