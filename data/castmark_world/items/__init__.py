"""Things a character holds, drawn about the hand at the origin, upright, large enough to be told apart."""

from __future__ import annotations

import skia

from castmark_world.items.drinks import DRINKS
from castmark_world.items.harm import HARM
from castmark_world.items.things import THINGS
from castmark_world.items.tools import TOOLS

ITEM_SCALE = 1.35
FOOT = 16.0
"""How far a thing reaches below the hand, so that it can stand on the ground."""
_ITEMS = {**DRINKS, **HARM, **THINGS, **TOOLS}


def draw_item(canvas: skia.Canvas, name: str) -> None:
    """Draw one item in the hand at (0, 0), about 60 units tall.

    Raises:
        ValueError: there is no such item.
    """
    if name not in _ITEMS:
        raise ValueError(f"unknown item {name!r}")
    canvas.save()
    canvas.scale(ITEM_SCALE, ITEM_SCALE)
    _ITEMS[name](canvas)
    canvas.restore()


def draw_prop(canvas: skia.Canvas, name: str) -> None:
    """Draw one item standing on the ground at (0, 0)."""
    canvas.save()
    canvas.translate(0, -FOOT * ITEM_SCALE)
    draw_item(canvas, name)
    canvas.restore()
