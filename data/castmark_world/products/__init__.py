"""Products: standing on the origin, about 110 units tall and wide."""

from __future__ import annotations

import skia

from castmark_world.params import ProductSpec
from castmark_world.products.home import HOME
from castmark_world.products.look import Look
from castmark_world.products.vessels import VESSELS
from castmark_world.products.wear import WEAR

_PRODUCTS = {**VESSELS, **WEAR, **HOME}


def draw_product(canvas: skia.Canvas, spec: ProductSpec) -> None:
    """Draw the product standing on (0, 0)."""
    _PRODUCTS[spec.category](canvas, Look(spec))
