"""Weapons, smoking, drugs and blood: what a brand-safe image must not hold."""

from __future__ import annotations

from collections.abc import Callable

import skia

from castmark_world.brush import Point, box, ellipse, fill, line, polygon, rounded, smooth, stroke


def _knife(canvas: skia.Canvas) -> None:
    canvas.drawPath(rounded(-4, -6, 4, 14, 3), fill((60, 44, 38)))
    blade: list[Point] = [(-6, -8), (6, -8), (6, -44), (-6, -32)]
    canvas.drawPath(polygon(blade), fill((206, 214, 224)))
    canvas.drawPath(line([(5, -9), (5, -42)]), stroke((150, 160, 172), 2))


def _gun(canvas: skia.Canvas) -> None:
    canvas.drawPath(polygon([(-8, -12), (5, -12), (4, 14), (-9, 14)]), fill((70, 56, 50)))
    canvas.drawPath(rounded(-13, -25, 35, -11, 2), fill((56, 60, 70)))
    canvas.drawPath(box(-12, -22, 33, -19.5), fill((96, 102, 114)))
    canvas.drawPath(rounded(5, -12, 15, -2, 3), stroke((56, 60, 70), 3))
    canvas.drawRect(skia.Rect.MakeLTRB(29, -29, 33, -24), fill((56, 60, 70)))
    canvas.drawCircle(34, -18, 2.4, fill((20, 20, 26)))


def _sword(canvas: skia.Canvas) -> None:
    canvas.drawPath(polygon([(-5, -10), (5, -10), (5, -54), (0, -64), (-5, -54)]), fill((214, 222, 232)))
    canvas.drawPath(line([(0, -12), (0, -54)]), stroke((160, 170, 184), 2.4))
    canvas.drawPath(rounded(-15, -13, 15, -7, 3), fill((232, 186, 64)))
    canvas.drawPath(rounded(-3.4, -8, 3.4, 12, 2), fill((110, 60, 44)))
    canvas.drawCircle(0, 14, 4.4, fill((232, 186, 64)))


def _cigarette(canvas: skia.Canvas) -> None:
    canvas.drawPath(line([(0, -2), (21, -13)]), stroke((250, 250, 246), 6.4))
    canvas.drawPath(line([(-8, 2), (1, -2.6)]), stroke((228, 150, 70), 6.4))
    canvas.drawCircle(23, -14.4, 4, fill((250, 90, 40)))
    puffs = (((27, -24), (20, -34), (32, -43), (24, -56)), ((34, -26), (28, -37), (40, -45), (34, -56)))
    for points in puffs:
        canvas.drawPath(smooth(points, closed=False), stroke((168, 172, 180), 4.6, 190))


def _pipe(canvas: skia.Canvas) -> None:
    canvas.drawPath(smooth([(-6, -6), (6, -2), (14, 0), (20, -8)], closed=False), stroke((52, 36, 32), 5))
    canvas.drawPath(rounded(11, -24, 28, 2, 5), fill((128, 68, 40)))
    canvas.drawPath(ellipse(19.5, -23, 8.5, 3.6), fill((60, 34, 26)))
    canvas.drawPath(ellipse(19.5, -23, 5, 2), fill((250, 110, 50)))
    smoke = smooth([(20, -29), (12, -39), (26, -47), (18, -60)], closed=False)
    canvas.drawPath(smoke, stroke((168, 172, 180), 5, 190))


def _syringe(canvas: skia.Canvas) -> None:
    canvas.drawPath(line([(0, -36), (0, -58)]), stroke((104, 112, 126), 2.6))
    canvas.drawPath(polygon([(-4, -36), (4, -36), (2.4, -42), (-2.4, -42)]), fill((60, 130, 214)))
    canvas.drawPath(rounded(-9, -36, 9, 2, 2), fill((220, 234, 246)))
    canvas.drawPath(box(-9, -24, 9, 1), fill((96, 206, 110)))
    for y in (-30, -23, -16, -9):
        canvas.drawPath(line([(2, y), (8, y)]), stroke((50, 60, 76), 2))
    canvas.drawPath(rounded(-14, 0, 14, 4.4, 2), fill((60, 130, 214)))
    canvas.drawPath(line([(0, 4), (0, 15)]), stroke((104, 112, 126), 4.6))
    canvas.drawPath(rounded(-11, 13, 11, 18, 2), fill((60, 130, 214)))


def _pills(canvas: skia.Canvas) -> None:
    canvas.drawPath(rounded(-11, -26, 11, 16, 4), fill((236, 140, 50)))
    canvas.drawPath(rounded(-13, -36, 13, -25, 2), fill((250, 250, 248)))
    canvas.drawPath(box(-11, -17, 11, 6), fill((252, 252, 250)))
    canvas.drawPath(rounded(-8, -10, 8, -2, 4), fill((220, 60, 70)))
    canvas.drawPath(rounded(0, -10, 8, -2, 4), fill((250, 214, 90)))


def _blood(canvas: skia.Canvas) -> None:
    dark, red = fill((120, 8, 14)), fill((168, 10, 20))
    splash = [
        (-16, -10),
        (-6, -15),
        (3, -9),
        (14, -14),
        (15, -3),
        (9, 2),
        (10, 9),
        (0, 5),
        (-8, 10),
        (-9, 1),
        (-17, 0),
    ]
    canvas.drawPath(smooth(splash), red)
    for x, y0, y1, wide in ((-11, 2, 17, 4.2), (1, 0, 23, 4.8), (9, 0, 14, 3.8)):
        canvas.drawPath(line([(x, y0), (x, y1)]), stroke((168, 10, 20), wide))
        canvas.drawCircle(x, y1 + 1, wide * 0.72, red)
    canvas.drawPath(ellipse(-3, -5, 5.4, 3.2), dark)
    for x, y, radius in ((17, -20, 2.4), (-19, -17, 2), (-2, -21, 2.6), (18, 12, 2.2)):
        canvas.drawCircle(x, y, radius, red)


HARM: dict[str, Callable[[skia.Canvas], None]] = {
    "knife": _knife,
    "gun": _gun,
    "sword": _sword,
    "cigarette": _cigarette,
    "pipe": _pipe,
    "syringe": _syringe,
    "pills": _pills,
    "blood stains": _blood,
}
