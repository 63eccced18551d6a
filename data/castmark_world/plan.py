"""The plan of a picture: where subjects are, and each of their parts, as soft maps of a few cells.

What a picture is to be is decided before it is drawn. A denoiser that draws this plan beside the picture,
whose maps are smooth and so stand out of the noise before any detail does, decides it first (Kouzelis et al.
2025, arXiv 2504.16064, where another model has learned the maps; here the world knows them).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import skia
from numpy.typing import NDArray

from castmark_world.brush import ellipse, fill
from castmark_world.params import CharacterSpec, Placement, ProductSpec, Scene
from castmark_world.people import Body
from castmark_world.people.accessories import draw_on_arms, draw_on_head, draw_on_torso
from castmark_world.people.bottoms import draw_legs
from castmark_world.people.face import draw_head
from castmark_world.people.gear import draw_gear
from castmark_world.people.hair import draw_back_hair, draw_front_hair
from castmark_world.people.headwear import draw_headwear
from castmark_world.people.poses import draw_arms
from castmark_world.people.tops import draw_hood, draw_top
from castmark_world.render import body_of, drawn_where, masks, stand

Mask = NDArray[np.bool_]

MEANS = {
    "subject": 0.22, "face": 0.054, "left hand": 0.0095, "right hand": 0.0095, "item": 0.011,
    "hair": 0.03, "top": 0.026, "bottom": 0.008, "headwear": 0.0185,
}  # fmt: skip
"""The maps, and what each is on average."""
SPREADS = {
    "subject": 0.33, "face": 0.17, "left hand": 0.1, "right hand": 0.1, "item": 0.14,
    "hair": 0.15, "top": 0.16, "bottom": 0.1, "headwear": 0.14,
}  # fmt: skip
"""What one is in a denoiser's numbers: about the maps' deviation; more for the small ones, whose few cells
would else be great numbers."""
PLANNED = tuple(MEANS)
SIDE = 16
_GRAIN = 8
"""Pixels a cell that masks are drawn in."""
_BLUR = 0.9
"""Deviation, in cells."""
_HAND = 17.0
"""Radius about a hand, in the subject's own units."""
_LAYERS: tuple[tuple[Callable[[skia.Canvas, Body], object], str | None], ...] = (
    (draw_back_hair, "hair"),
    (draw_hood, "top"),
    (draw_legs, "bottom"),
    (draw_top, "top"),
    (draw_on_torso, "top"),
    (draw_gear, "top"),
    (draw_head, None),
    (draw_front_hair, "hair"),
    (draw_headwear, "headwear"),
    (draw_on_head, None),
    (draw_arms, None),
    (draw_on_arms, None),
)
"""A character back to front, as it is drawn, and the map of each layer."""


def plan(scene: Scene) -> NDArray[np.float32]:
    """How much of each cell each of `PLANNED` covers, softened, less `MEANS` and over `SPREADS`: Float
    "parts 16 16".
    """
    size = SIDE * _GRAIN
    found = {name: np.zeros((size, size), np.bool_) for name in PLANNED}
    parts = masks(scene, size)
    for name, mask in parts.items():
        if (known := name.removeprefix("other ")) in found:
            found[known] |= mask
    if "other" in parts:
        found["subject"] |= parts["other"]
    for name, mask in _of_bodies(scene, size, parts):
        found[name] |= mask
    cells = np.stack([mask.reshape(SIDE, _GRAIN, SIDE, _GRAIN).mean((1, 3)) for mask in found.values()])
    at = np.arange(SIDE)
    kernel = np.exp(-0.5 * ((at[:, None] - at) / _BLUR) ** 2)
    kernel /= kernel.sum(1, keepdims=True)
    soft = kernel @ cells @ kernel.T
    mean, spread = (np.array(list(each.values()))[:, None, None] for each in (MEANS, SPREADS))
    return ((soft - mean) / spread).astype(np.float32)


def _of_bodies(scene: Scene, size: int, parts: dict[str, Mask]) -> Iterator[tuple[str, Mask]]:
    """Hands of characters and mascots, and characters' hair and clothes, as far as nothing covers them."""
    covered = np.zeros((size, size), np.bool_)
    for prefix, placement in reversed(list(zip(("", "other "), scene.cast, strict=False))):
        if not isinstance(placement.subject, ProductSpec):
            for side, name in ((-1, "left hand"), (1, "right hand")):
                seen = -side if placement.mirrored else side
                hand = drawn_where(size, lambda c, p=placement, seen=seen: _hand(c, scene, p, seen))
                yield name, hand & ~covered
        if isinstance(placement.subject, CharacterSpec):
            body = Body(placement.subject, placement)
            hidden = covered | parts.get(f"{prefix}item", covered)
            for draw, name in reversed(_LAYERS):
                layer = drawn_where(size, lambda c, p=placement, d=draw, b=body: _layer(c, scene, p, b, d))
                if name is not None:
                    yield name, layer & ~hidden
                hidden = hidden | layer
        covered = covered | parts[prefix.strip() or "subject"]


def _hand(canvas: skia.Canvas, scene: Scene, placement: Placement, side: int) -> None:
    stand(canvas, scene, placement)
    x, y = body_of(placement).hand(side)
    canvas.drawPath(ellipse(x, y, _HAND, _HAND), fill((255, 255, 255)))


def _layer(
    canvas: skia.Canvas,
    scene: Scene,
    placement: Placement,
    body: Body,
    draw: Callable[[skia.Canvas, Body], object],
) -> None:
    stand(canvas, scene, placement)
    draw(canvas, body)
