"""Calibrates the identity score: on calibration subjects a threshold, on test subjects what it is worth."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from castmark_adapters.encoder import SubjectEncoder, as_image
from castmark_adapters.identity import CALIBRATION, IdentityCalibration, centroid
from castmark_world import DEFAULT, Kind, Split, Subject, look_alike, render, sample_subject, stage

REFERENCES = 3
KINDS: tuple[Kind, ...] = tuple(
    kind for kind in ("character", "product", "character", "product", "mascot") if kind in DEFAULT.attributes
)
FALSE_ACCEPTS = 0.01
SIZE = 128


@dataclass(frozen=True)
class Scores:
    """Scores of pictures of the subject, of a look-alike, and of another of its kind: Float "n" each."""

    same: NDArray[np.float64]
    look_alike: NDArray[np.float64]
    other: NDArray[np.float64]

    def figures(self, threshold: float) -> dict[str, float]:
        """Accept rates at the threshold, and how often the subject scores above the impostor."""
        return {
            "accepted, same subject": float((self.same >= threshold).mean()),
            "accepted, look-alike": float((self.look_alike >= threshold).mean()),
            "accepted, other of its kind": float((self.other >= threshold).mean()),
            "told from look-alike": float((self.same > self.look_alike).mean()),
            "told from other of its kind": float((self.same > self.other).mean()),
        }


def measure(encoder: SubjectEncoder, split: Split, subjects: int, seed: int) -> Scores:
    """Score one new picture each of ``subjects`` subjects, their look-alikes, and others of their kind."""
    rows: list[list[float]] = []
    for index in range(subjects):
        rng = np.random.default_rng((seed, index))
        subject = sample_subject(rng, KINDS[index % len(KINDS)], split)
        other = sample_subject(rng, subject.kind, split)
        mean = centroid(encoder, [_picture(subject, rng) for _ in range(REFERENCES)])
        asked = [_picture(s, rng) for s in (subject, look_alike(subject, rng), other)]
        rows.append([float(score) for score in encoder.identity(asked) @ mean])
    same, alike, others = np.asarray(rows).T
    return Scores(same, alike, others)


def calibrate(
    folder: Path, subjects: int = 300, seed: int = 7, report: Callable[[str], None] = lambda _: None
) -> IdentityCalibration:
    """Set the threshold on split calibration, measure it on split test, write ``identity.json``.

    The threshold accepts `FALSE_ACCEPTS` of others of the subject's kind. How often it accepts a look-alike,
    which differs in hidden traits alone, is among the figures, with the threshold that would stop those too.
    """
    encoder = SubjectEncoder.load(folder / "image_encoder")
    found = measure(encoder, "calibration", subjects, seed)
    threshold, strict = (_at(1 - FALSE_ACCEPTS, scores) for scores in (found.other, found.look_alike))
    held_out = measure(encoder, "test", subjects, seed + 1)
    figures = held_out.figures(threshold)
    figures["strict threshold"] = strict
    figures["accepted at it, same subject"] = held_out.figures(strict)["accepted, same subject"]
    calibration = IdentityCalibration(
        encoder=encoder.digest,
        threshold=threshold,
        false_accepts=FALSE_ACCEPTS,
        domain=(
            "pictures of castmark_world, split calibration; impostors are others of the subject's kind; "
            "figures from split test"
        ),
        references=REFERENCES,
        subjects=subjects,
        figures={name: round(value, 4) for name, value in figures.items()},
    )
    (folder / CALIBRATION).write_text(calibration.model_dump_json(indent=2) + "\n")
    for name, value in figures.items():
        report(f"{name}: {value:.3f}")
    return calibration


def _at(quantile: float, scores: NDArray[np.float64]) -> float:
    """The least number of four digits above that quantile: a score as high as a threshold is accepted."""
    return (math.floor(float(np.quantile(scores, quantile, method="higher")) * 1e4) + 1) / 1e4


def _picture(subject: Subject, rng: np.random.Generator) -> Image.Image:
    return as_image(render(stage(subject, rng, scope=DEFAULT.alone), SIZE))
