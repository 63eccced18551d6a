"""Rung L0: is this a picture at all? Finite pixels, neither blank nor noise."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from castmark.take import Finding

DETAIL_MIN = 0.004
"""Mean absolute difference of neighbouring pixels at 64 px, of 1. Flat colour and soft gradients lie below
it."""
KINSHIP_MIN = 0.35
"""Correlation of neighbouring pixels, lowest over three scales. Noise of any grain lies below it."""
SCALES = (128, 64, 32)


def detail(pixels: Float[Tensor, "b 3 h w"]) -> Float[Tensor, " b"]:
    """How much there is to see: mean absolute difference of neighbours at 64 px."""
    small = F.interpolate(pixels, size=(64, 64), mode="bilinear", antialias=True, align_corners=False)
    across = (small[..., 1:] - small[..., :-1]).abs().mean((1, 2, 3))
    down = (small[..., 1:, :] - small[..., :-1, :]).abs().mean((1, 2, 3))
    return (across + down) / 2


def kinship(pixels: Float[Tensor, "b 3 h w"]) -> Float[Tensor, " b"]:
    """How alike neighbours are: correlation at lag one, the lowest over `SCALES`; 0 for noise, about 0.9 for
    pictures.

    A picture without any contrast counts as 1: it is `detail` that finds it.
    """
    found: list[Tensor] = []
    small = pixels
    for scale in SCALES:
        if small.shape[-2:] == (2 * scale, 2 * scale):
            small = F.avg_pool2d(small, 2)
        elif min(pixels.shape[-2:]) >= scale:
            small = F.interpolate(pixels, size=(scale, scale), mode="area")
        centred = small - small.mean((2, 3), keepdim=True)
        power = centred.square().mean((1, 2, 3))
        across = (centred[..., 1:] * centred[..., :-1]).mean((1, 2, 3))
        down = (centred[..., 1:, :] * centred[..., :-1, :]).mean((1, 2, 3))
        alike = (across + down) / (2 * power.clamp_min(1e-8))
        # Written so that a NaN stays one and forbids: no contrast is asked for, not "not some contrast".
        found.append(torch.where(power <= 1e-8, torch.ones_like(power), alike))
    return torch.stack(found).amin(0)


def integrity_findings(pixels: Float[Tensor, "b 3 h w"]) -> list[tuple[Finding, ...]]:
    """The findings of each picture; pixels in [0, 1]. Written so that a NaN forbids."""
    finite = torch.isfinite(pixels).all(dim=(1, 2, 3)) if pixels.ndim == 4 else torch.zeros(0)
    rows: list[tuple[Finding, ...]] = []
    for whole, much, alike in zip(
        finite.tolist(), detail(pixels).tolist(), kinship(pixels).tolist(), strict=True
    ):
        rows.append(
            (
                _at_least("finite", 1.0 if whole else 0.0, 1.0),
                _at_least("not blank (neighbour difference)", much, DETAIL_MIN),
                _at_least("not noise (neighbour correlation)", alike, KINSHIP_MIN),
            )
        )
    return rows


def _at_least(name: str, score: float, least: float) -> Finding:
    return Finding(rung="L0 integrity", name=name, score=score, threshold=least, allowed=score >= least)
