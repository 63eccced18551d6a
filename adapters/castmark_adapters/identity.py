"""Identity: is the subject in this picture the one in the references?

The score is the cosine between an encoder's vector of the picture and the mean of the references' vectors.
What it means is measured, not assumed: ``identity.json`` beside the weights holds the threshold at a
stated rate of false accepts, what it was measured on, and how often it accepts the right subject.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from castmark_adapters.encoder import SubjectEncoder, as_image
from castmark_adapters.errors import AdapterError
from castmark_adapters.subject import Subject

CALIBRATION = "identity.json"
STRANGER_BELOW = 0.3
"""A reference that scores less against the others is called a stranger. Of 60 held-out subjects of the world
with four references: 82% of strangers of the same kind were found, and one subject was suspected wrongly."""


class IdentityEncoder(Protocol):
    """Reads a subject's likeness: `castmark_adapters.encoder.SubjectEncoder`, or any other."""

    @property
    def digest(self) -> str:
        """sha256 of what decides the vectors; a calibration is good for no other."""
        ...

    def identity(self, images: Sequence[Image.Image]) -> Float[torch.Tensor, "n dim"]:
        """Unit vectors whose cosine says how alike two subjects are, on the CPU."""
        ...


class IdentityCalibration(BaseModel):
    """What a score means. Rates are shares of 1; ``figures`` were measured on subjects no threshold was set
    on.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    encoder: str = Field(pattern=r"^[0-9a-f]{64}$")
    """The encoder's digest; the threshold is good for no other."""
    threshold: float = Field(ge=-1, le=1, allow_inf_nan=False)
    false_accepts: float = Field(gt=0, lt=1)
    """The rate the threshold was set at, over the impostors named in ``domain``."""
    domain: str
    references: int = Field(gt=0)
    subjects: int = Field(gt=0)
    figures: dict[str, float]


class IdentityScorer:
    """Scores pictures against a subject's references.

    Raises:
        AdapterError: the calibration is of another encoder.
    """

    def __init__(self, encoder: IdentityEncoder, calibration: IdentityCalibration) -> None:
        if calibration.encoder != encoder.digest:
            raise AdapterError(
                f"the identity calibration is of encoder {calibration.encoder[:12]}, not "
                f"{encoder.digest[:12]}; calibrate it with: castmark identity calibrate DIR"
            )
        self.encoder = encoder
        self.calibration = calibration
        self._references: dict[str, torch.Tensor] = {}

    @classmethod
    def load(cls, folder: str | Path) -> IdentityScorer:
        """Load ``image_encoder/`` and ``identity.json`` from the reference adapter's folder.

        Raises:
            AdapterError: one is missing or damaged, or the two do not belong together.
        """
        calibration = read_calibration(Path(folder) / CALIBRATION)
        return cls(SubjectEncoder.load(Path(folder) / "image_encoder"), calibration)

    @property
    def threshold(self) -> float:
        """At or above it, the subject counts as recognised."""
        return self.calibration.threshold

    def scores(self, pictures: Sequence[NDArray[np.uint8]], subject: Subject) -> list[float]:
        """One cosine in [-1, 1] for each UInt8 picture "h w 3".

        The mean direction of more references is nearer to everything: the threshold holds for as many as it
        was calibrated with. Of more, every such set is scored, and the mean counts; fewer score lower.

        Raises:
            SubjectError: the subject has no reference at hand, or a picture has another shape.
            AdapterError: a score is not finite.
        """
        key = "/".join(reference.sha256 for reference in subject.references)
        if key not in self._references:
            self._references = {
                key: centroids(self.encoder.identity(subject.images()), self.calibration.references)
            }
        vectors = self.encoder.identity([as_image(picture) for picture in pictures])
        scores = [float(score) for score in (vectors @ self._references[key].T).mean(1)]
        if not all(math.isfinite(score) for score in scores):
            raise AdapterError(
                "an identity score is not finite; the encoder's weights are damaged, install them again"
            )
        return scores

    def strangers(self, subject: Subject) -> list[str]:
        """Names of references that do not look like the others: two subjects mixed up as one. From three
        references on; of two, both or none.

        Raises:
            SubjectError: a reference is not at hand.
        """
        names = [reference.name for reference in subject.references]
        if len(names) < 2:
            return []
        vectors = self.encoder.identity(subject.images())
        found: list[str] = []
        for index, name in enumerate(names):
            others = torch.cat([vectors[:index], vectors[index + 1 :]]).mean(0)
            if float(vectors[index] @ torch.nn.functional.normalize(others, dim=-1)) < STRANGER_BELOW:
                found.append(name)
        return found

    def score(self, picture: NDArray[np.uint8], subject: Subject) -> float:
        """The score of one picture; see `scores`."""
        return self.scores([picture], subject)[0]


def read_calibration(path: Path) -> IdentityCalibration:
    """The calibration in a file.

    Raises:
        AdapterError: it is missing or damaged.
    """
    try:
        return IdentityCalibration.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise AdapterError(
            f"{path}: no usable identity calibration ({error}); install the weights or calibrate again"
        ) from error


def centroid(encoder: IdentityEncoder, images: Sequence[Image.Image]) -> torch.Tensor:
    """Unit vector in the mean direction of the references: Float "dim"."""
    return torch.nn.functional.normalize(encoder.identity(images).mean(0), dim=-1)


def centroids(vectors: Float[torch.Tensor, "n dim"], of: int) -> Float[torch.Tensor, "sets dim"]:
    """Unit vectors in the mean directions of every ``of`` of the references, or of all if they are fewer."""
    sets = combinations(range(len(vectors)), min(of, len(vectors)))
    means = torch.stack([vectors[list(each)].mean(0) for each in sets])
    return torch.nn.functional.normalize(means, dim=-1)
