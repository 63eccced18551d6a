"""Things a character holds, drawn about the hand at the origin, upright, large enough to be told apart."""

from __future__ import annotations

import skia

from castmark_world.brush import Point, ellipse, fill, line, polygon, rounded, stroke
from castmark_world.params import RGB

ITEM_SCALE = 1.35


def draw_item(canvas: skia.Canvas, name: str) -> None:
    """Draw one item in the hand at (0, 0), about 60 units tall."""
    canvas.save()
    canvas.scale(ITEM_SCALE, ITEM_SCALE)
    _draw(canvas, name)
    canvas.restore()


def _draw(canvas: skia.Canvas, name: str) -> None:
    if name == "knife":
        canvas.drawPath(rounded(-4, -6, 4, 14, 3), fill((60, 44, 38)))
        blade: list[Point] = [(-6, -8), (6, -8), (6, -44), (-6, -32)]
        canvas.drawPath(polygon(blade), fill((206, 214, 224)))
        canvas.drawPath(line([(5, -9), (5, -42)]), stroke((150, 160, 172), 2))
    elif name == "beer bottle":
        _bottle(canvas, (150, 88, 30), (236, 190, 70), neck=16)
        canvas.drawPath(rounded(-4, -43, 4, -38, 1), fill((236, 220, 140)))
    elif name == "wine bottle":
        _bottle(canvas, (32, 66, 42), (240, 232, 214), neck=22)
        canvas.drawPath(rounded(-4, -49, 4, -40, 1), fill((130, 24, 44)))
    elif name == "water bottle":
        canvas.drawPath(rounded(-9, -30, 9, 14, 5), fill((120, 200, 236)))
        canvas.drawPath(rounded(-6, -38, 6, -29, 2), fill((245, 245, 245)))
        canvas.drawRect(skia.Rect.MakeLTRB(-9, -12, 9, -4), fill((240, 250, 255)))
    elif name == "cup":
        canvas.drawPath(polygon([(-11, -20), (11, -20), (8, 10), (-8, 10)]), fill((248, 244, 236)))
        canvas.drawRect(skia.Rect.MakeLTRB(-12, -24, 12, -18), fill((150, 96, 60)))
    elif name == "book":
        canvas.drawPath(rounded(-15, -28, 15, 10, 2), fill((176, 44, 60)))
        canvas.drawRect(skia.Rect.MakeLTRB(-11, -24, 12, 6), fill((250, 244, 226)))
        canvas.drawRect(skia.Rect.MakeLTRB(-15, -28, -9, 10), fill((140, 30, 44)))
    elif name == "flower":
        canvas.drawPath(line([(0, 14), (0, -26)]), stroke((60, 140, 66), 4))
        for x, y in ((0, -42), (11, -33), (7, -21), (-7, -21), (-11, -33)):
            canvas.drawCircle(x, y, 8, fill((240, 110, 160)))
        canvas.drawCircle(0, -31, 7, fill((250, 214, 80)))
    elif name == "ladle":
        canvas.drawPath(line([(0, 14), (0, -26)]), stroke((176, 182, 192), 4))
        canvas.drawPath(ellipse(0, -34, 12, 10), fill((196, 202, 212)))
        canvas.drawPath(ellipse(0, -36, 8, 5), fill((140, 146, 158)))
    elif name == "ball":
        canvas.drawCircle(0, -12, 19, fill((238, 120, 50)))
        canvas.drawPath(line([(-19, -12), (19, -12)]), stroke((90, 46, 26), 2.5))
        canvas.drawPath(line([(0, -31), (0, 7)]), stroke((90, 46, 26), 2.5))
    elif name == "umbrella":
        canvas.drawPath(line([(0, 14), (0, -40)]), stroke((90, 70, 60), 4))
        canopy = skia.Path()
        canopy.addArc(skia.Rect.MakeLTRB(-36, -68, 36, -4), 180, 180)
        canopy.close()
        canvas.drawPath(canopy, fill((60, 120, 200)))
        canvas.drawPath(polygon([(-12, -36), (0, -68), (12, -36)]), fill((246, 246, 246)))
    else:
        raise ValueError(f"unknown item {name!r}")


def _bottle(canvas: skia.Canvas, glass: RGB, label: RGB, *, neck: float) -> None:
    canvas.drawPath(rounded(-10, -18, 10, 16, 4), fill(glass))
    canvas.drawPath(rounded(-4, -20 - neck, 4, -10, 2), fill(glass))
    canvas.drawPath(polygon([(-10, -14), (-4, -24), (4, -24), (10, -14)]), fill(glass))
    canvas.drawRect(skia.Rect.MakeLTRB(-10, -10, 10, 8), fill(label))
