"""Cutting the subject out of a plain backdrop: difference matting against a fitted backdrop.

The backdrop is a second-order surface fitted to the picture's border (soft light is no subject), or two of
them where wall and floor meet in a level line. What is connected to the border and like it is cut away; on
the edge the alpha follows the difference and the backdrop's colour is taken out (I = a F + (1 - a) B, Smith
and Blinn, "Blue screen matting", 1996). Holes that do not touch the border stay, and so does a cast shadow. A
backdrop that is not plain is an error, never a guess.
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
NEAR, RAMP = 10.0, 40.0
"""Differences, of 255 (Euclidean over RGB): up to NEAR it is backdrop; at NEAR + RAMP all subject."""
EDGE = 2
"""Pixels beside the backdrop on which the alpha may be partial: skin that is near the wall's colour stays."""
FRAME = 64
"""One part in this many of each side is not looked at: a small base draws its outermost pixels badly."""
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
    inset = max(1, min(image.shape[:2]) // FRAME)
    inner = (slice(inset, -inset), slice(inset, -inset))
    backdrop = _backdrop(image, inset)
    difference = np.linalg.norm(image - backdrop, axis=2)[inner]
    rim = np.ones(difference.shape, bool)
    rim[1:-1, 1:-1] = False
    plain = float((difference[rim] < 2 * NEAR).mean())
    if plain < BORDER_SHARE:
        raise BaseError(
            f"the subject cannot be cut out: only {plain:.0%} of the picture's border is one plain backdrop "
            f"(at least {BORDER_SHARE:.0%}); draw it {PROMPT!r}, or with another seed"
        )
    regions = cast("tuple[NDArray[np.int32], int]", ndimage.label(difference < NEAR))[0]
    outside: NDArray[np.bool_] = np.isin(regions, np.unique(regions[rim & (regions > 0)]))
    edge = np.asarray(ndimage.binary_dilation(outside, iterations=EDGE), dtype=bool)
    alpha = np.where(edge, np.clip((difference - NEAR) / RAMP, 0, 1), 1.0)
    deep = outside & ~np.asarray(ndimage.binary_dilation(~outside, iterations=EDGE), dtype=bool)
    alpha[deep] = 0
    alpha = np.pad(alpha, inset, mode="edge")
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


def _backdrop(image: NDArray[np.float64], inset: int) -> NDArray[np.float64]:
    """What the picture would be without its subject, from its border."""
    height, width, _ = image.shape
    band = max(2, min(height, width) // 32)
    border = np.zeros((height, width), bool)
    border[inset:-inset, inset:-inset] = True
    border[inset + band : -inset - band, inset + band : -inset - band] = False
    line = _horizon(image[:, inset : inset + band].mean(1), image[:, -inset - band : -inset].mean(1))
    backdrop = np.empty_like(image)
    for rows in (slice(0, line), slice(line, height)) if line else (slice(0, height),):
        backdrop[rows] = _surface(image[rows], border[rows])
    return backdrop


def _horizon(left: NDArray[np.float64], right: NDArray[np.float64]) -> int:
    """The row where wall meets floor, seen as a step at both sides "h 3"; 0 where there is none."""
    reach = max(2, len(left) // 64)

    def steps(side: NDArray[np.float64]) -> NDArray[np.float64]:
        rows = range(4 * reach, len(side) - 4 * reach)
        means = [(side[row : row + reach].mean(0), side[row - reach : row].mean(0)) for row in rows]
        return np.array([np.linalg.norm(below - above) for below, above in means], dtype=np.float64)

    both = np.minimum(steps(left), steps(right))
    return int(both.argmax()) + 4 * reach if both.size and both.max() > NEAR / 2 else 0


def _surface(image: NDArray[np.float64], border: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Second-order surface through the border's colours, fitted again and again without its outliers."""
    height, width, _ = image.shape
    down, across = np.mgrid[0:height, 0:width]
    x, y = across / max(1, width - 1) - 0.5, down / max(1, height - 1) - 0.5
    terms = np.stack([np.ones_like(x), x, y, x * x, y * y, x * y], axis=-1)
    rows, colours = terms[border], image[border]
    kept = np.linalg.norm(colours - np.median(colours, axis=0), axis=1) < 3 * (NEAR + RAMP)
    surface = np.zeros((terms.shape[-1], 3))
    for limit in (NEAR + RAMP, 2 * NEAR, NEAR):
        if kept.sum() < 12:
            kept[:] = True
        surface, *_ = np.linalg.lstsq(rows[kept], colours[kept], rcond=None)
        kept = np.linalg.norm(colours - rows @ surface, axis=1) < limit
    return np.asarray(terms @ surface, dtype=np.float64)
