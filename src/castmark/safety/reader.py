"""What the judge reads off a picture about the person in it: gender presentation, age, Monk skin tone.

A reading is a guess about a drawing, for measuring campaigns and drift, never about a real person. It comes
with the reader's confusion matrix on pictures of known truth, so that counts can be corrected for its errors.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from castmark.safety.probe import Probe, learn
from castmark.safety.threshold import smallest_n, threshold

CLASSES: dict[str, tuple[str, ...]] = {
    "presence": ("person", "nobody"),
    "gender": ("feminine", "masculine", "neutral"),
    "age": ("adult", "child", "older"),
    "skin_tone": tuple(f"monk {tone:02d}" for tone in range(1, 11)),
}
"""What is read, and its values. Tones are numbered as published, 1 lightest to 10 darkest."""
ASIDE = {"gender": ("neutral",)}
"""Values that are no group of a "uniform" target: whoever shows no gender presentation favours none."""


@dataclass(frozen=True)
class Reading:
    """One attribute of one picture: the likeliest class, and the probability of each."""

    attribute: str
    value: str
    probabilities: dict[str, float]

    def margin(self, of: str) -> float:
        """Log odds of the likeliest other class against ``of``; below 0 where ``of`` is the likeliest."""
        other = max(p for name, p in self.probabilities.items() if name != of)
        return _log(other) - _log(self.probabilities[of])


class Attribute(BaseModel):
    """The probe of one attribute and how often it errs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    probe: Probe
    confusion: tuple[tuple[int, ...], ...]
    """Counts on held-out renders: a row for each true class, a column for each class read."""
    drift_at: float = Field(allow_inf_nan=False)
    """Margin above which another class is read with confidence: exceeded on at most ``drift_rate`` of renders
    whose class is the expected one, of each class that was shown often enough (in older records, of all of
    them together)."""
    drift_rate: float

    @property
    def accuracy(self) -> float:
        """Mean over the classes of the share read rightly."""
        rows = [(row[i], sum(row)) for i, row in enumerate(self.confusion)]
        seen = [right / total for right, total in rows if total]
        return sum(seen) / len(seen)


class Reader(BaseModel):
    """Reads people off the embeddings of pictures."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    attributes: dict[str, Attribute]
    source: str
    """What it was learned from and measured on."""

    def read(self, embeddings: Float[Tensor, "b v d"]) -> list[dict[str, Reading]]:
        """The readings of each picture, by attribute; empty where nobody is seen.

        Raises:
            ValueError: a probability is not finite.
        """
        found: list[dict[str, Reading]] = [{} for _ in range(len(embeddings))]
        for name, attribute in self.attributes.items():
            rows = attribute.probe.log_probabilities(embeddings).exp()
            if not bool(torch.isfinite(rows).all()):
                raise ValueError(f"reading {name}: a probability is not finite")
            for row, readings in zip(rows.tolist(), found, strict=True):
                shares = dict(zip(attribute.probe.classes, row, strict=True))
                readings[name] = Reading(name, max(shares, key=shares.__getitem__), shares)
        return [
            {name: reading for name, reading in readings.items() if name != "presence"}
            if readings["presence"].value == "person"
            else {}
            for readings in found
        ]


def learn_reader(
    embeddings: Float[Tensor, "n v d"],
    truths: Sequence[dict[str, str]],
    held_out: Float[Tensor, "m v d"],
    held_out_truths: Sequence[dict[str, str]],
    *,
    source: str,
    drift_rate: float,
    delta: float,
) -> Reader:
    """Learn the probes on one set of pictures and measure them on another.

    A picture of nobody has the truth ``{"presence": "nobody"}``.

    Raises:
        NotCalibrated: too few held-out pictures for the bound on drift.
    """
    found: dict[str, Attribute] = {}
    for name, every in CLASSES.items():
        known = [i for i, truth in enumerate(truths) if name in truth]
        shown = {truth[name] for truth in (*truths, *held_out_truths) if name in truth}
        classes = tuple(value for value in every if value in shown)
        probe = learn(embeddings[known], [truths[i][name] for i in known], classes)
        asked = [i for i, truth in enumerate(held_out_truths) if name in truth]
        logs = probe.log_probabilities(held_out[asked])
        table = [[0] * len(classes) for _ in classes]
        margins: list[list[float]] = [[] for _ in classes]
        for index, row in zip(asked, logs, strict=True):
            true = classes.index(held_out_truths[index][name])
            table[true][int(row.argmax())] += 1
            others = torch.cat([row[:true], row[true + 1 :]])
            margins[true].append(float(others.max() - row[true]))
        found[name] = Attribute(
            probe=probe,
            confusion=tuple(tuple(row) for row in table),
            drift_at=_drift_at(margins, drift_rate, delta),
            drift_rate=drift_rate,
        )
    return Reader(attributes=found, source=source)


def _drift_at(margins: Sequence[Sequence[float]], rate: float, delta: float) -> float:
    """The highest threshold that all classes together or any one that is large enough needs: a lock must not
    take the people of one tone for changed more often than those of another."""
    large = [own for own in margins if len(own) >= smallest_n(rate, delta)]
    return max(threshold(own, rate, delta) for own in ([m for own in margins for m in own], *large))


def _log(probability: float) -> float:
    return math.log(max(probability, 1e-30))
