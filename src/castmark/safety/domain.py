"""Is a picture of a kind that was calibrated? Distance to the calibrated pictures in the judge's features.

Probabilistic principal components (Tipping and Bishop 1999): Mahalanobis distance within the leading
directions, and the rest with one common variance. Photographs and drawings from elsewhere lie far out.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from castmark.safety.packed import Packed

DIRECTIONS = 32


class Domain(BaseModel):
    """A Gaussian about the calibrated pictures' features."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mean: Packed
    """"d"."""
    axes: Packed
    """"d k", orthonormal."""
    variances: Packed
    """"k+1": along the axes, and of each remaining direction."""

    def distance(self, embeddings: Float[Tensor, "b v d"]) -> Float[Tensor, " b"]:
        """Squared distance of the whole picture, per dimension: about 1 for what was calibrated."""
        mean, axes, variances = (
            part.tensor().to(embeddings.device).double() for part in (self.mean, self.axes, self.variances)
        )
        away = embeddings[:, 0].double() - mean
        along = away @ axes
        rest = (away.square().sum(-1) - along.square().sum(-1)).clamp_min(0)
        total = (along.square() / variances[:-1]).sum(-1) + rest / variances[-1]
        return (total / len(mean)).float()

    @classmethod
    def of(cls, embeddings: Float[Tensor, "n v d"], directions: int = DIRECTIONS) -> Domain:
        """The Gaussian of ``n`` pictures."""
        whole = embeddings[:, 0].double()
        mean = whole.mean(0)
        _, singular, rows = torch.linalg.svd(whole - mean, full_matrices=False)
        spread = singular.square() / max(1, len(whole) - 1)
        kept = min(directions, len(spread) - 1, whole.shape[1] - 1)
        rest = (spread[kept:].sum() / (whole.shape[1] - kept)).clamp_min(1e-9)[None]
        variances = torch.cat([spread[:kept].clamp_min(1e-9), rest])
        return cls(mean=Packed.of(mean), axes=Packed.of(rows[:kept].T), variances=Packed.of(variances))
