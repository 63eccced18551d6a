"""Is a picture of a kind that was calibrated? Distance to the calibrated kinds in features of its texture.

A small judge's embedding hardly tells a photograph from an illustration; the picture's own statistics do: how
strong edges, colour changes and fine detail are, over three scales. Each kind (renders; drawings of one base)
is a Gaussian by probabilistic principal components (Tipping and Bishop 1999) with a limit of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from castmark.safety.packed import Packed

if TYPE_CHECKING:
    from castmark.take import Finding

DOMAIN = "of a calibrated kind (distance)"
"""Name of the finding."""
DIRECTIONS = 16
SIDES = (128, 64, 32)
SCALE_MIN = 0.05
"""What never varies among the calibrated pictures must not make a hair's breadth of it infinitely strange."""
LEVELS = (0.1, 0.25, 0.5, 0.75, 0.9, 0.98)


def texture(pixels: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b t"]:
    """Statistics of pictures in [0, 1]: at each of three sizes, log quantiles of the differences between
    neighbours in grey and in colour and of the Laplacian; and the moments and saturation of the colours."""
    found: list[Tensor] = []
    small = pixels
    for side in SIDES:
        small = F.interpolate(pixels, size=(side, side), mode="bilinear", antialias=True, align_corners=False)
        grey = small.mean(1, keepdim=True)
        for part in (grey, small - grey):
            across = (part[..., 1:, 1:] - part[..., 1:, :-1]).abs().sum(1)
            down = (part[..., 1:, 1:] - part[..., :-1, 1:]).abs().sum(1)
            found.append(_log_quantiles(across + down))
        framed = F.pad(grey, (1, 1, 1, 1), mode="replicate")
        around = (
            framed[..., :-2, 1:-1] + framed[..., 2:, 1:-1] + framed[..., 1:-1, :-2] + framed[..., 1:-1, 2:]
        )
        found.append(_log_quantiles((4 * grey - around).abs()))
    spread = small.amax(1) - small.amin(1)
    found += [small.mean((2, 3)), small.std((2, 3)), _quantiles(spread, LEVELS)]
    return torch.cat(found, 1)


class Kind(BaseModel):
    """One kind of pictures: a Gaussian about their textures, and how far from it they reach."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mean: Packed
    scale: Packed
    """"t": textures are centred and divided by these."""
    axes: Packed
    """"t k", orthonormal."""
    variances: Packed
    """"k+1": along the axes, and of each remaining direction."""
    limit: float = Field(gt=0, allow_inf_nan=False)
    """Distance that at most the policy's share of such pictures exceeds."""

    def distance(self, textures: Float[Tensor, "b t"]) -> Float[Tensor, " b"]:
        """Squared distance per dimension: about 1 for pictures of the kind."""
        mean, scale, axes, variances = (
            part.tensor().to(textures.device).double()
            for part in (self.mean, self.scale, self.axes, self.variances)
        )
        away = (textures.double() - mean) / scale
        along = away @ axes
        rest = (away.square().sum(-1) - along.square().sum(-1)).clamp_min(0)
        total = (along.square() / variances[:-1]).sum(-1) + rest / variances[-1]
        return (total / len(mean)).float()

    @classmethod
    def of(cls, textures: Float[Tensor, "n t"], directions: int = DIRECTIONS) -> Kind:
        """The Gaussian of ``n`` pictures; the limit is still to be calibrated."""
        values = textures.double()
        mean, scale = values.mean(0), values.std(0).clamp_min(SCALE_MIN)
        _, singular, rows = torch.linalg.svd((values - mean) / scale, full_matrices=False)
        spread = singular.square() / max(1, len(values) - 1)
        kept = max(1, min(directions, len(values) // 6, values.shape[1] - 1))
        rest = (spread[kept:].sum() / (values.shape[1] - kept)).clamp_min(1e-3)[None]
        return cls(
            mean=Packed.of(mean),
            scale=Packed.of(scale),
            axes=Packed.of(rows[:kept].T),
            variances=Packed.of(torch.cat([spread[:kept].clamp_min(1e-3), rest])),
            limit=1.0,
        )


def strangeness(kinds: Mapping[str, Kind], textures: Float[Tensor, "b t"]) -> Float[Tensor, " b"]:
    """Distance to the nearest kind in units of its limit: at most 1 for what was calibrated. NaN stays."""
    return torch.stack([kind.distance(textures) / kind.limit for kind in kinds.values()]).amin(0)


def of_a_calibrated_kind(findings: Iterable[Finding]) -> bool:
    """Whether a picture's record does not say that it is of another kind than was calibrated."""
    return all(finding.allowed for finding in findings if finding.name == DOMAIN)


def _log_quantiles(values: Tensor) -> Float[Tensor, "b q"]:
    return (_quantiles(values, LEVELS) + 1e-3).log()


def _quantiles(values: Tensor, levels: Sequence[float]) -> Float[Tensor, "b q"]:
    """Quantiles of each picture's values, interpolated as `torch.quantile` does; sorted by numpy on a CPU,
    which has vector instructions for it. A NaN makes all of them NaN."""
    flat = values.flatten(1)
    if flat.device.type != "cpu":
        return torch.quantile(flat, torch.tensor(levels, device=flat.device), dim=1).T
    ordered = torch.from_numpy(np.sort(flat.numpy(), axis=1))
    places = torch.tensor(levels) * (ordered.shape[1] - 1)
    below = places.floor().long()
    found = torch.lerp(ordered[:, below], ordered[:, places.ceil().long()], places - below)
    return torch.where(ordered[:, -1:].isnan(), torch.nan, found)  # numpy sorts them to the end
