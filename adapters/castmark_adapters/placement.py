"""Where a drawing has its subject: a reference moved and scaled to where it looks most alike.

The measure is the mean squared colour distance under the reference's mask, for every shift at once by
correlation, sum m (v - b)^2 = sum m v^2 - 2 corr(m v, b) + corr(m, b^2), over a few scales and all of the
references.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from castmark_adapters.errors import SubjectError
from castmark_adapters.views import ReferenceView

SEARCH_SIDE = 32
"""Pixels a side of the pictures that are compared; a shift of one is 1/32 of the picture."""
REACH = 10
"""Largest shift, in those pixels."""
LEAST_MASK = 4.0
"""Pixels of a mask below which a reference is like everything, and so like nothing."""
SCALES = (0.75, 0.87, 1.0, 1.15, 1.3)


@dataclass(frozen=True)
class Placement:
    """A reference, its size there against its own, and its shift right and down in shares of the side."""

    reference: int
    scale: float
    x: float
    y: float
    distance: float
    """Mean squared colour distance under the mask, colours in [0, 1]."""


def find(picture: Float[Tensor, "3 s s"], views: Sequence[ReferenceView]) -> Placement:
    """Where, and how large, which view is most like the picture.

    Raises:
        SubjectError: no view shows enough of the subject.
    """
    low = _low(picture[None])
    around = F.pad(low, [REACH] * 4, mode="replicate")
    found: list[Placement] = []
    for index, view in enumerate(views):
        small = torch.cat([_low(view.image[None]), _low(view.mask[None])], dim=1)
        for scale in SCALES:
            sized = F.grid_sample(small, _grid(small, scale, 0, 0), padding_mode="zeros", align_corners=False)
            colours, mask = sized[:, :3], sized[:, 3:]
            kernel = mask.expand(-1, 3, -1, -1)
            distance = (mask * colours**2).sum() - 2 * F.conv2d(around, mask * colours)
            distance = (distance + F.conv2d(around**2, kernel))[0, 0] / (3 * mask.sum()).clamp(min=1)
            if mask.sum() < LEAST_MASK:
                continue
            y, x = divmod(int(distance.argmin()), distance.shape[1])
            shift = ((x - REACH) / SEARCH_SIDE, (y - REACH) / SEARCH_SIDE)
            found.append(Placement(index, scale, *shift, float(distance.min())))
    if not found:
        raise SubjectError(
            "none of the references shows where the subject is: their masks or transparency cover next to "
            "nothing; give others"
        )
    return min(found, key=lambda placement: placement.distance)


def put(view: ReferenceView, placement: Placement) -> ReferenceView:
    """The view moved and scaled to its placement; beyond its edges its border goes on, and is not masked."""
    both = torch.cat([view.image, view.mask])[None]
    grid = _grid(both, placement.scale, placement.x, placement.y)
    moved = F.grid_sample(both, grid, padding_mode="border", align_corners=False)[0]
    there = F.grid_sample(torch.ones_like(both[:, :1]), grid, padding_mode="zeros", align_corners=False)[0]
    return ReferenceView(moved[:3].clamp(0, 1), (moved[3:] * there).clamp(0, 1), view.plain)


def _grid(like: Tensor, scale: float, x: float, y: float) -> Tensor:
    theta = torch.tensor([[[1 / scale, 0.0, -2 * x / scale], [0.0, 1 / scale, -2 * y / scale]]])
    return F.affine_grid(theta, list(like.shape), align_corners=False)


def _low(pictures: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c s s"]:
    return F.interpolate(pictures, size=(SEARCH_SIDE, SEARCH_SIDE), mode="area")
