"""Bottles, glasses and cups: with alcohol, and without."""

from __future__ import annotations

from collections.abc import Callable

import skia

from castmark_world.brush import arc, ellipse, fill, line, polygon, rounded, smooth, stroke
from castmark_world.vocabulary import RGB


def _bottle(canvas: skia.Canvas, glass: RGB, label: RGB, *, neck: float) -> None:
    canvas.drawPath(rounded(-10, -18, 10, 16, 4), fill(glass))
    canvas.drawPath(rounded(-4, -20 - neck, 4, -10, 2), fill(glass))
    canvas.drawPath(polygon([(-10, -14), (-4, -24), (4, -24), (10, -14)]), fill(glass))
    canvas.drawRect(skia.Rect.MakeLTRB(-10, -10, 10, 8), fill(label))


def _beer_bottle(canvas: skia.Canvas) -> None:
    _bottle(canvas, (150, 88, 30), (236, 190, 70), neck=16)
    canvas.drawPath(rounded(-4, -43, 4, -38, 1), fill((236, 220, 140)))


def _wine_bottle(canvas: skia.Canvas) -> None:
    _bottle(canvas, (32, 66, 42), (240, 232, 214), neck=22)
    canvas.drawPath(rounded(-4, -49, 4, -40, 1), fill((130, 24, 44)))


def _water_bottle(canvas: skia.Canvas) -> None:
    canvas.drawPath(rounded(-9, -30, 9, 14, 5), fill((120, 200, 236)))
    canvas.drawPath(rounded(-6, -38, 6, -29, 2), fill((245, 245, 245)))
    canvas.drawRect(skia.Rect.MakeLTRB(-9, -12, 9, -4), fill((240, 250, 255)))


def _cup(canvas: skia.Canvas) -> None:
    canvas.drawPath(polygon([(-11, -20), (11, -20), (8, 10), (-8, 10)]), fill((248, 244, 236)))
    canvas.drawRect(skia.Rect.MakeLTRB(-12, -24, 12, -18), fill((150, 96, 60)))


def _beer_glass(canvas: skia.Canvas) -> None:
    canvas.drawPath(arc(3, -17, 23, 9, -90, 180), stroke((236, 222, 186), 4.5))
    canvas.drawPath(rounded(-13, -24, 13, 16, 3), fill((238, 168, 44)))
    for x in (-6, 1, 8):
        canvas.drawPath(line([(x - 1, -12), (x - 1, 11)]), stroke((250, 206, 100), 2.6))
    for x, y, radius in ((-9, -25, 6.5), (0, -28, 8), (9, -25, 6.5)):
        canvas.drawCircle(x, y, radius, fill((255, 252, 240)))
    canvas.drawPath(rounded(-13, -25, 13, -17, 4), fill((255, 252, 240)))


def _wine_glass(canvas: skia.Canvas) -> None:
    canvas.drawPath(smooth([(-13, -48), (13, -48), (13, -22), (0, -8), (-13, -22)]), fill((232, 240, 246)))
    wine = [(-11.6, -33), (11.6, -33), (10.5, -20), (0, -10), (-10.5, -20)]
    canvas.drawPath(smooth(wine), fill((136, 20, 50)))
    canvas.drawPath(line([(0, -14), (0, 13)]), stroke((214, 226, 236), 3))
    canvas.drawPath(ellipse(0, 14, 11, 3), fill((214, 226, 236)))


def _straw_glass(canvas: skia.Canvas, drink: RGB, straw: RGB) -> None:
    canvas.drawPath(polygon([(-12, -30), (12, -30), (9, 16), (-9, 16)]), fill((232, 242, 248)))
    canvas.drawPath(polygon([(-11, -21), (11, -21), (8.6, 14), (-8.6, 14)]), fill(drink))
    canvas.drawPath(line([(1, -6), (7, -38), (16, -43)]), stroke(straw, 3.6))


def _juice(canvas: skia.Canvas) -> None:
    _straw_glass(canvas, (250, 150, 40), (220, 60, 80))
    canvas.drawCircle(-11, -29, 8, fill((250, 176, 50)))
    canvas.drawCircle(-11, -29, 5.4, fill((255, 216, 130)))


def _milk(canvas: skia.Canvas) -> None:
    _straw_glass(canvas, (255, 255, 252), (70, 120, 210))


DRINKS: dict[str, Callable[[skia.Canvas], None]] = {
    "beer bottle": _beer_bottle,
    "wine bottle": _wine_bottle,
    "water bottle": _water_bottle,
    "cup": _cup,
    "beer glass": _beer_glass,
    "wine glass": _wine_glass,
    "glass of juice": _juice,
    "glass of milk": _milk,
}
