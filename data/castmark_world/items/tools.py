"""Tools and small devices, many of them shaped like something that is not harmless."""

from __future__ import annotations

from collections.abc import Callable

import skia

from castmark_world.brush import box, ellipse, fill, line, polygon, rounded, smooth, stroke
from castmark_world.emblems import star


def _ladle(canvas: skia.Canvas) -> None:
    canvas.drawPath(line([(0, 14), (0, -26)]), stroke((176, 182, 192), 4))
    canvas.drawPath(ellipse(0, -34, 12, 10), fill((196, 202, 212)))
    canvas.drawPath(ellipse(0, -36, 8, 5), fill((140, 146, 158)))


def _hair_dryer(canvas: skia.Canvas) -> None:
    canvas.drawPath(rounded(-5, -14, 6, 15, 4), fill((214, 66, 120)))
    canvas.drawCircle(-2, -21, 14, fill((236, 96, 150)))
    canvas.drawPath(polygon([(4, -32), (27, -28), (27, -14), (4, -10)]), fill((236, 96, 150)))
    canvas.drawPath(rounded(25, -30, 31, -12, 2), fill((70, 62, 74)))
    canvas.drawCircle(-3, -21, 6.4, fill((252, 214, 228)))
    for dy in (-28, -21, -14):
        air = smooth([(35, dy), (39, dy - 3), (43, dy + 3), (47, dy)], closed=False)
        canvas.drawPath(air, stroke((190, 222, 244), 2.6))


def _drill(canvas: skia.Canvas) -> None:
    canvas.drawPath(polygon([(-8, -12), (4, -12), (3, 10), (-9, 10)]), fill((60, 60, 66)))
    canvas.drawPath(rounded(-13, 8, 8, 18, 2), fill((246, 196, 50)))
    canvas.drawPath(rounded(-14, -28, 15, -10, 4), fill((246, 196, 50)))
    canvas.drawPath(polygon([(15, -26), (23, -23), (23, -15), (15, -12)]), fill((60, 60, 66)))
    canvas.drawPath(line([(23, -19), (40, -19)]), stroke((170, 178, 190), 3.6))
    canvas.drawPath(line([(26, -21), (30, -17), (34, -21), (38, -17)]), stroke((110, 118, 130), 1.6))


def _wand(canvas: skia.Canvas) -> None:
    canvas.drawPath(line([(0, 12), (0, -36)]), stroke((40, 38, 48), 5))
    canvas.drawPath(line([(0, -30), (0, -37)]), stroke((252, 252, 250), 5))
    canvas.drawPath(star(0, -46, 13), fill((252, 212, 70)))


def _pen(canvas: skia.Canvas) -> None:
    canvas.drawPath(polygon([(-4.6, -40), (4.6, -40), (0, -50)]), fill((236, 214, 170)))
    canvas.drawPath(polygon([(-1.6, -46.5), (1.6, -46.5), (0, -50)]), fill((30, 30, 40)))
    canvas.drawPath(rounded(-4.6, -41, 4.6, 12, 2), fill((40, 90, 200)))
    canvas.drawPath(box(-4.6, -8, 4.6, -3), fill((250, 206, 80)))
    canvas.drawPath(line([(6.4, 10), (6.4, -8)]), stroke((250, 206, 80), 2.4))


def _toothbrush(canvas: skia.Canvas) -> None:
    canvas.drawPath(line([(0, 13), (0, -44)]), stroke((60, 180, 190), 5.6))
    canvas.drawPath(box(1, -47, 12, -27), fill((250, 252, 255)))
    for y in (-43, -37, -31):
        canvas.drawPath(line([(2, y), (12, y)]), stroke((120, 190, 240), 2.2))


def _phone(canvas: skia.Canvas) -> None:
    canvas.drawPath(rounded(-11, -34, 11, 8, 4), fill((36, 38, 48)))
    canvas.drawPath(rounded(-8.6, -29, 8.6, 2, 1.5), fill((130, 200, 250)))
    for x in (-4.5, 4.5):
        for y in (-23, -14, -5):
            canvas.drawPath(rounded(x - 2.6, y - 2.6, x + 2.6, y + 2.6, 1), fill((250, 252, 255)))


def _paintbrush(canvas: skia.Canvas) -> None:
    canvas.drawPath(line([(0, 14), (0, -22)]), stroke((206, 140, 70), 4.8))
    canvas.drawPath(box(-4.4, -32, 4.4, -21), fill((190, 196, 206)))
    canvas.drawPath(smooth([(-7, -32), (7, -32), (6, -44), (0, -60), (-6, -44)]), fill((40, 120, 220)))


TOOLS: dict[str, Callable[[skia.Canvas], None]] = {
    "ladle": _ladle,
    "hair dryer": _hair_dryer,
    "drill": _drill,
    "wand": _wand,
    "pen": _pen,
    "toothbrush": _toothbrush,
    "phone": _phone,
    "paintbrush": _paintbrush,
}
