"""Cutting the subject out of a plain backdrop: difference matting against a fitted backdrop.

The backdrop is a second-order surface fitted to the picture's border (soft light is no subject); what differs
from it is the subject, and what is connected to the border and does not is cut away. On the edge the alpha
follows the difference and the backdrop's colour is taken out (I = a F + (1 - a) B, Smith and Blinn, "Blue
screen matting", 1996). Holes that do not touch the border stay. A backdrop that is not plain is an error,
never a guess.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from castmark.errors import BaseError

PROMPT = "on a plain background"
RECIPE = "difference matte, fitted backdrop"
NEAR, RAMP = 10.0, 30.0
"""Differences, of 255 (Euclidean over RGB): up to NEAR it is backdrop, from NEAR + RAMP on subject."""
BORDER_SHARE = 0.6
"""Share of the border that must be backdrop: a subject may touch one side."""
COVER = (0.01, 0.95)
"""Share of the picture that a subject may take."""


@dataclass(frozen=True)
class Cutout:
    """The subject "h w 4" (RGBA, not premultiplied) and the fitted backdrop "h w 3", both UInt8."""

    subject: Image.Image
    backdrop: Image.Image


def cut_out(pixels: NDArray[np.uint8]) -> Cutout:
    """The subject of a picture "h w 3" on a plain backdrop.

    Raises:
        BaseError: the backdrop is not plain, or there is nothing or nothing else on it.
    """
    image = pixels.astype(np.float64)
    backdrop = _backdrop(image)
    difference = np.linalg.norm(image - backdrop, axis=2)
    rim = np.ones(difference.shape, bool)
    rim[1:-1, 1:-1] = False
    plain = float((difference[rim] < NEAR + RAMP / 2).mean())
    if plain < BORDER_SHARE:
        raise BaseError(
            f"the subject cannot be cut out: only {plain:.0%} of the picture's border is one plain backdrop "
            f"(at least {BORDER_SHARE:.0%}); draw it {PROMPT!r}, or with another seed"
        )
    regions = cast("tuple[NDArray[np.int32], int]", ndimage.label(difference < NEAR + RAMP))[0]
    outside = np.isin(regions, np.unique(regions[rim & (regions > 0)]))
    alpha = np.where(outside, np.clip((difference - NEAR) / RAMP, 0, 1), 1.0)
    share = float(alpha.mean())
    if not COVER[0] <= share <= COVER[1]:
        raise BaseError(f"nothing to cut out: the subject takes {share:.0%} of the picture; draw it again")
    solid = np.maximum(alpha, 1e-3)[..., None]
    colour = np.clip((image - (1 - solid) * backdrop) / solid, 0, 255)
    colour[alpha == 0] = 255  # nothing is hidden under what is cut away
    rgba = np.dstack([colour, 255 * alpha]).round().astype(np.uint8)
    rgba[rgba[..., 3] == 0] = (255, 255, 255, 0)
    return Cutout(
        Image.fromarray(rgba, "RGBA"), Image.fromarray(np.clip(backdrop, 0, 255).round().astype(np.uint8))
    )


def on_colour(image: Image.Image, colour: tuple[int, int, int]) -> Image.Image:
    """A cut-out in front of one colour."""
    return Image.alpha_composite(Image.new("RGBA", image.size, (*colour, 255)), image).convert("RGB")


def _backdrop(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """Second-order surface through the border's colours, fitted twice: once to all, once without outliers."""
    height, width, _ = image.shape
    down, across = np.mgrid[0:height, 0:width]
    x, y = across / max(1, width - 1) - 0.5, down / max(1, height - 1) - 0.5
    terms = np.stack([np.ones_like(x), x, y, x * x, y * y, x * y], axis=-1)
    band = max(1, min(height, width) // 32)
    border = np.ones((height, width), bool)
    border[band:-band, band:-band] = False
    rows, colours = terms[border], image[border]
    kept = np.linalg.norm(colours - np.median(colours, axis=0), axis=1) < 3 * (NEAR + RAMP)
    for limit in (NEAR + RAMP, NEAR):
        if kept.sum() < 12:
            kept[:] = True
        surface, *_ = np.linalg.lstsq(rows[kept], colours[kept], rcond=None)
        kept = np.linalg.norm(colours - rows @ surface, axis=1) < limit
    return np.asarray(terms @ surface, dtype=np.float64)
