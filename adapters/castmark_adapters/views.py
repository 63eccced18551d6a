"""Reference images made ready to learn from: where the subject is, and small shifts and zooms of each.

Never mirrored: an emblem or a handle sits on one side.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from castmark_adapters.encoder import squared
from castmark_adapters.subject import Subject, open_image, open_mask

PLAIN_SPREAD = 14.0
"""Largest deviation of the border's colours (8-bit levels) that still counts as a plain background."""
PLAIN_DISTANCE = 28.0
"""A pixel this far (8-bit levels, largest channel) from a plain background belongs to the subject."""
_EVERYWHERE = 1.0


@dataclass(frozen=True)
class ReferenceView:
    """One reference: RGB in [0, 1] "3 s s", subject mask in [0, 1] "1 s s", and whether its background is
    plain.
    """

    image: Float[Tensor, "3 s s"]
    mask: Float[Tensor, "1 s s"]
    plain: bool
    known: bool = True
    """Whether the mask says where the subject is; otherwise it covers the whole image."""


def reference_views(files: Iterable[bytes], side: int) -> list[ReferenceView]:
    """References at ``side`` pixels with their masks: alpha if there is any, else what stands out of a plain
    background, else the whole image."""
    return [_view(open_image(data), side) for data in files]


def subject_views(subject: Subject, side: int) -> list[ReferenceView]:
    """A subject's references at ``side`` pixels; a mask that the user gave comes before any found.

    Raises:
        SubjectError: a file is not at hand.
    """
    views = reference_views([subject.file(r.name) for r in subject.references], side)
    for index, reference in enumerate(subject.references):
        if reference.mask is not None:
            given = np.asarray(open_mask(subject.file(reference.mask))) > 127
            square = _square_mask(given).resize((side, side), Image.Resampling.BILINEAR)
            mask = torch.from_numpy(np.asarray(square).copy())[None].float() / 255
            views[index] = replace(views[index], mask=mask, known=True)
    return views


def moved(
    view: ReferenceView, generator: torch.Generator, shift: float = 0.06, zoom: float = 0.12
) -> ReferenceView:
    """A view shifted by up to ``shift`` of its side and zoomed by up to ``zoom``; its border colours fill the
    gap.
    """
    x, y, z = (torch.rand(3, generator=generator) * 2 - 1).tolist()
    scale = 1 / (1 + z * zoom)
    theta = torch.tensor([[[scale, 0.0, 2 * x * shift], [0.0, scale, 2 * y * shift]]])
    both = torch.cat([view.image, view.mask])[None]
    grid = F.affine_grid(theta, list(both.shape), align_corners=False)
    out = F.grid_sample(both, grid, mode="bilinear", padding_mode="border", align_corners=False)[0]
    return replace(view, image=out[:3].clamp(0, 1), mask=out[3:].clamp(0, 1))


def _view(image: Image.Image, side: int) -> ReferenceView:
    rgba = image.convert("RGBA")
    alpha = np.asarray(rgba.getchannel("A"))
    if alpha.min() < 250:
        rgb = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
        mask, plain = alpha > 127, True
    else:
        rgb = rgba.convert("RGB")
        mask, plain = _plain_background(np.asarray(rgb).astype(np.float32))
    sized = squared(rgb).resize((side, side), Image.Resampling.LANCZOS)
    square = _square_mask(mask).resize((side, side), Image.Resampling.BILINEAR)
    return ReferenceView(
        torch.from_numpy(np.asarray(sized).copy()).permute(2, 0, 1).float() / 255,
        torch.from_numpy(np.asarray(square).copy())[None].float() / 255,
        plain,
        known=plain,
    )


def _plain_background(pixels: NDArray[np.float32]) -> tuple[NDArray[np.bool_], bool]:
    """What stands out of the border's colour; everything, if the border is not of one colour."""
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    ground = np.median(border, axis=0)
    spread = float(np.percentile(np.abs(border - ground).max(axis=1), 90))
    mask = np.abs(pixels - ground).max(axis=2) > PLAIN_DISTANCE
    if spread > PLAIN_SPREAD or not 0.01 < mask.mean() < 0.95:
        return np.ones(pixels.shape[:2], np.bool_), False
    return mask, True


def _square_mask(mask: NDArray[np.bool_]) -> Image.Image:
    height, width = mask.shape
    side = max(height, width)
    canvas = Image.new("L", (side, side), 0)
    canvas.paste(Image.fromarray(mask.astype(np.uint8) * 255), ((side - width) // 2, (side - height) // 2))
    return canvas
