"""Everyday things to hold."""

from __future__ import annotations

from collections.abc import Callable

import skia

from castmark_world.brush import arc, box, dome, ellipse, fill, line, polygon, rounded, smooth, stroke


def _book(canvas: skia.Canvas) -> None:
    canvas.drawPath(rounded(-15, -28, 15, 10, 2), fill((176, 44, 60)))
    canvas.drawRect(skia.Rect.MakeLTRB(-11, -24, 12, 6), fill((250, 244, 226)))
    canvas.drawRect(skia.Rect.MakeLTRB(-15, -28, -9, 10), fill((140, 30, 44)))


def _flower(canvas: skia.Canvas) -> None:
    canvas.drawPath(line([(0, 14), (0, -26)]), stroke((60, 140, 66), 4))
    for x, y in ((0, -42), (11, -33), (7, -21), (-7, -21), (-11, -33)):
        canvas.drawCircle(x, y, 8, fill((240, 110, 160)))
    canvas.drawCircle(0, -31, 7, fill((250, 214, 80)))


def _ball(canvas: skia.Canvas) -> None:
    canvas.drawCircle(0, -12, 19, fill((238, 120, 50)))
    canvas.drawPath(line([(-19, -12), (19, -12)]), stroke((90, 46, 26), 2.5))
    canvas.drawPath(line([(0, -31), (0, 7)]), stroke((90, 46, 26), 2.5))


def _umbrella(canvas: skia.Canvas) -> None:
    canvas.drawPath(line([(0, 14), (0, -40)]), stroke((90, 70, 60), 4))
    canvas.drawPath(dome(-36, -68, 36, -4), fill((60, 120, 200)))
    canvas.drawPath(polygon([(-12, -36), (0, -68), (12, -36)]), fill((246, 246, 246)))


def _paint(canvas: skia.Canvas) -> None:
    blots = (
        (-11, -9, 7, (60, 120, 220)),
        (5, -13, 6, (250, 206, 60)),
        (12, 0, 7, (226, 70, 90)),
        (-4, 3, 8, (80, 180, 100)),
        (-13, 9, 4.6, (250, 140, 50)),
        (6, 12, 5.4, (150, 90, 200)),
    )
    for x, y, radius, color in blots:
        edge = [
            (x + radius, y),
            (x + radius * 0.6, y + radius * 0.9),
            (x - radius * 0.4, y + radius * 1.2),
            (x - radius * 1.2, y + radius * 0.3),
            (x - radius * 0.8, y - radius),
            (x + radius * 0.5, y - radius * 1.1),
        ]
        canvas.drawPath(smooth(edge), fill(color))
        canvas.drawCircle(x + radius * 1.3, y - radius * 1.1, radius * 0.28, fill(color))


def _lollipop(canvas: skia.Canvas) -> None:
    canvas.drawPath(line([(0, 14), (0, -20)]), stroke((250, 250, 246), 4))
    canvas.drawCircle(0, -34, 15, fill((236, 80, 130)))
    for radius, start in ((11, 0), (7, 120), (3.4, 250)):
        canvas.drawPath(
            arc(-radius, -34 - radius, radius, -34 + radius, start, 250), stroke((255, 226, 236), 3)
        )


def _ice_cream(canvas: skia.Canvas) -> None:
    canvas.drawPath(polygon([(-11, -18), (11, -18), (0, 15)]), fill((226, 170, 96)))
    for ends in (((-8, -12), (3, 6)), ((8, -12), (-3, 6))):
        canvas.drawPath(line(ends), stroke((186, 126, 64), 1.8))
    canvas.drawCircle(-6, -25, 10, fill((250, 170, 196)))
    canvas.drawCircle(6, -25, 10, fill((250, 236, 190)))
    canvas.drawCircle(0, -36, 10, fill((140, 90, 66)))
    canvas.drawCircle(0, -47, 4.4, fill((214, 40, 54)))


def _balloon(canvas: skia.Canvas) -> None:
    canvas.drawPath(smooth([(0, 8), (3, -6), (-3, -16), (0, -26)], closed=False), stroke((110, 110, 120), 2))
    canvas.drawPath(ellipse(0, -48, 17, 21), fill((226, 56, 70)))
    canvas.drawPath(polygon([(-4, -24), (4, -24), (0, -30)]), fill((190, 40, 54)))
    canvas.drawPath(ellipse(-6, -56, 4, 6.4), fill((255, 190, 196)))


def _apple(canvas: skia.Canvas) -> None:
    canvas.drawPath(
        smooth([(0, -24), (16, -28), (17, -4), (7, 15), (0, 10), (-7, 15), (-17, -4), (-16, -28)]),
        fill((214, 48, 50)),
    )
    canvas.drawPath(line([(0, -19), (2, -30)]), stroke((96, 62, 40), 3))
    canvas.drawPath(smooth([(2, -26), (13, -36), (17, -28)]), fill((90, 170, 70)))
    canvas.drawPath(ellipse(-7, -12, 2.6, 5), fill((246, 150, 146)))


def _gift(canvas: skia.Canvas) -> None:
    canvas.drawPath(box(-18, -18, 18, 16), fill((130, 90, 200)))
    canvas.drawPath(box(-20, -24, 20, -14), fill((150, 112, 218)))
    canvas.drawPath(box(-4, -24, 4, 16), fill((252, 214, 90)))
    for side in (-1, 1):
        canvas.drawPath(smooth([(0, -23), (side * 15, -38), (side * 17, -24)]), fill((252, 214, 90)))


def _basket(canvas: skia.Canvas) -> None:
    canvas.drawPath(arc(-18, -36, 18, 8, 180, 180), stroke((150, 98, 52), 4.6))
    for x, color in ((-9, (214, 50, 48)), (3, (246, 190, 60)), (11, (110, 180, 80))):
        canvas.drawCircle(x, -14, 7, fill(color))
    canvas.drawPath(polygon([(-20, -12), (20, -12), (15, 16), (-15, 16)]), fill((202, 146, 84)))
    for y in (-4, 5):
        canvas.drawPath(line([(-18 + y * 0.15, y), (18 - y * 0.15, y)]), stroke((150, 98, 52), 2.4))


def _plant(canvas: skia.Canvas) -> None:
    for dx, top in ((-14, -34), (14, -34), (-5, -46), (7, -44)):
        canvas.drawPath(
            smooth([(0, -6), (dx * 1.2 - 5, top * 0.6), (dx, top), (dx + 5, top * 0.5)]), fill((70, 160, 84))
        )
    canvas.drawPath(polygon([(-13, -10), (13, -10), (9, 16), (-9, 16)]), fill((206, 110, 66)))
    canvas.drawPath(box(-15, -13, 15, -6), fill((226, 132, 84)))


THINGS: dict[str, Callable[[skia.Canvas], None]] = {
    "book": _book,
    "flower": _flower,
    "ball": _ball,
    "umbrella": _umbrella,
    "paint stains": _paint,
    "lollipop": _lollipop,
    "ice cream": _ice_cream,
    "balloon": _balloon,
    "apple": _apple,
    "gift": _gift,
    "basket": _basket,
    "potted plant": _plant,
}
