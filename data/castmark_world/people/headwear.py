"""Hats and what else is worn on the head."""

from __future__ import annotations

from collections.abc import Callable

import skia

from castmark_world.brush import (
    Point,
    arc,
    box,
    dome,
    ellipse,
    fill,
    line,
    polygon,
    rounded,
    shade,
    smooth,
    stroke,
)
from castmark_world.emblems import star
from castmark_world.people.body import Body
from castmark_world.vocabulary import COLORS, RGB

GOLD: RGB = (246, 204, 84)


def draw_headwear(canvas: skia.Canvas, body: Body) -> None:
    """The spec's headwear, over the hair."""
    name = body.spec.headwear
    if name != "none":
        color = COLORS[body.spec.headwear_color]
        _HEADWEAR[name](canvas, body.head_y, body.head_rx, body.head_ry, color)


def _cap(canvas: skia.Canvas, y: float, rx: float, ry: float, color: RGB) -> None:
    canvas.drawPath(dome(-rx * 1.12, y - ry * 1.3, rx * 1.12, y + ry * 0.6), fill(color))
    canvas.drawPath(rounded(-4, y - ry * 0.42, rx * 1.62, y - ry * 0.2, 5), fill(shade(color, 0.75)))


def _beanie(canvas: skia.Canvas, y: float, rx: float, ry: float, color: RGB) -> None:
    canvas.drawPath(dome(-rx * 1.12, y - ry * 1.5, rx * 1.12, y + ry * 0.8), fill(color))
    canvas.drawPath(rounded(-rx * 1.16, y - ry * 0.58, rx * 1.16, y - ry * 0.22, 6), fill(shade(color, 0.75)))
    canvas.drawCircle(0, y - ry * 1.5, 9, fill((248, 248, 244)))


def _sun_hat(canvas: skia.Canvas, y: float, rx: float, ry: float, color: RGB) -> None:
    canvas.drawPath(ellipse(0, y - ry * 0.46, rx * 1.75, 11), fill((236, 206, 130)))
    canvas.drawPath(dome(-rx * 0.98, y - ry * 1.5, rx * 0.98, y + ry * 0.5), fill((244, 218, 146)))
    canvas.drawPath(rounded(-rx * 0.98, y - ry * 0.72, rx * 0.98, y - ry * 0.5, 2), fill(color))


def _crown(canvas: skia.Canvas, y: float, rx: float, ry: float, color: RGB) -> None:
    base = y - ry * 0.62
    points: list[Point] = [(-rx * 0.8, base)]
    for i in range(3):
        left = -rx * 0.8 + i * rx * 1.6 / 3
        points += [(left, base - 26), (left + rx * 1.6 / 6, base - 13)]
    points += [(rx * 0.8, base - 26), (rx * 0.8, base)]
    canvas.drawPath(polygon(points), fill((250, 204, 60)))
    for x in (-0.5, 0.0, 0.5):
        canvas.drawCircle(x * rx, base - 6, 3.4, fill(color))


def _bucket_hat(canvas: skia.Canvas, y: float, rx: float, ry: float, color: RGB) -> None:
    crown = [
        (-rx * 0.84, y - ry * 1.36),
        (rx * 0.84, y - ry * 1.36),
        (rx * 1.04, y - ry * 0.56),
        (-rx * 1.04, y - ry * 0.56),
    ]
    brim = [
        (-rx * 1.02, y - ry * 0.66),
        (rx * 1.02, y - ry * 0.66),
        (rx * 1.5, y - ry * 0.12),
        (-rx * 1.5, y - ry * 0.12),
    ]
    canvas.drawPath(polygon(crown), fill(color))
    canvas.drawPath(ellipse(0, y - ry * 1.36, rx * 0.84, 4), fill(shade(color, 1.15)))
    canvas.drawPath(polygon(brim), fill(shade(color, 0.84)))
    for t in (0.35, 0.7):
        x, cy = rx * (1.02 + 0.48 * t), y - ry * (0.66 - 0.54 * t)
        canvas.drawPath(line([(-x + 3, cy), (x - 3, cy)]), stroke(shade(color, 0.68), 1.4))


def _beret(canvas: skia.Canvas, y: float, rx: float, ry: float, color: RGB) -> None:
    shape = [
        (-rx * 1.2, y - ry * 0.3),
        (-rx * 1.25, y - ry * 1.1),
        (rx * 0.3, y - ry * 1.65),
        (rx * 1.65, y - ry * 1.2),
        (rx * 1.55, y - ry * 0.45),
        (rx * 0.6, y - ry * 0.5),
    ]
    canvas.drawPath(smooth(shape), fill(color))
    canvas.drawPath(rounded(-rx * 1.0, y - ry * 0.62, rx * 1.0, y - ry * 0.38, 4), fill(shade(color, 0.7)))
    canvas.drawPath(
        line([(rx * 0.3, y - ry * 1.32), (rx * 0.4, y - ry * 1.58)]), stroke(shade(color, 0.7), 4)
    )


def _top_hat(canvas: skia.Canvas, y: float, rx: float, ry: float, color: RGB) -> None:
    canvas.drawPath(
        polygon(
            [
                (-rx * 0.86, y - ry * 2.0),
                (rx * 0.86, y - ry * 2.0),
                (rx * 0.76, y - ry * 0.6),
                (-rx * 0.76, y - ry * 0.6),
            ]
        ),
        fill(color),
    )
    canvas.drawPath(ellipse(0, y - ry * 2.0, rx * 0.86, 4.4), fill(shade(color, 1.2)))
    canvas.drawPath(
        box(-rx * 0.78, y - ry * 0.96, rx * 0.78, y - ry * 0.68),
        fill(shade(color, 0.55) if sum(color) > 240 else (190, 50, 60)),
    )
    canvas.drawPath(ellipse(0, y - ry * 0.6, rx * 1.34, 6.4), fill(shade(color, 0.84)))


def _headscarf(canvas: skia.Canvas, y: float, rx: float, ry: float, color: RGB) -> None:
    ring = skia.Path()
    ring.addPath(
        smooth(
            [
                (-rx * 1.2, y - ry * 1.3),
                (rx * 1.2, y - ry * 1.3),
                (rx * 1.3, y),
                (rx * 1.2, y + ry * 1.2),
                (rx * 0.9, y + ry * 1.66),
                (-rx * 0.9, y + ry * 1.66),
                (-rx * 1.2, y + ry * 1.2),
                (-rx * 1.3, y),
            ]
        )
    )
    ring.addPath(ellipse(0, y + 4, rx * 0.84, ry * 0.88))
    ring.setFillType(skia.PathFillType.kEvenOdd)
    canvas.drawPath(ring, fill(color))
    fold = stroke(shade(color, 0.78), 2.6)
    canvas.drawPath(arc(-rx * 1.02, y - ry * 1.05, rx * 1.02, y + ry * 1.1, 200, 140), fold)
    canvas.drawPath(
        smooth([(-rx * 0.7, y + ry * 0.9), (0, y + ry * 1.36), (rx * 0.9, y + ry * 0.96)], closed=False), fold
    )
    canvas.drawPath(line([(-rx * 0.3, y + ry * 1.5), (rx * 0.5, y + ry * 1.16)]), fold)


def _cowboy_hat(canvas: skia.Canvas, y: float, rx: float, ry: float, color: RGB) -> None:
    crown = [
        (-rx * 0.86, y - ry * 0.5),
        (-rx * 0.8, y - ry * 1.66),
        (-rx * 0.2, y - ry * 1.5),
        (rx * 0.2, y - ry * 1.5),
        (rx * 0.8, y - ry * 1.66),
        (rx * 0.86, y - ry * 0.5),
    ]
    brim = [
        (-rx * 1.9, y - ry * 1.0),
        (-rx * 1.4, y - ry * 0.4),
        (0, y - ry * 0.26),
        (rx * 1.4, y - ry * 0.4),
        (rx * 1.9, y - ry * 1.0),
        (rx * 1.1, y - ry * 0.62),
        (0, y - ry * 0.68),
        (-rx * 1.1, y - ry * 0.62),
    ]
    canvas.drawPath(smooth(crown), fill(color))
    canvas.drawPath(
        box(-rx * 0.82, y - ry * 0.84, rx * 0.82, y - ry * 0.66),
        fill(shade(color, 0.5) if sum(color) > 240 else (214, 180, 110)),
    )
    canvas.drawPath(smooth(brim), fill(shade(color, 0.82)))


def _party_hat(canvas: skia.Canvas, y: float, rx: float, ry: float, color: RGB) -> None:
    base, tip = y - ry * 0.7, y - ry * 2.1
    cone = polygon([(-rx * 0.62, base), (0, tip), (rx * 0.62, base)])
    canvas.drawPath(cone, fill(color))
    canvas.save()
    canvas.clipPath(cone, doAntiAlias=True)
    for i in range(3):
        at = base - 6 - i * 15
        canvas.drawPath(line([(-40, at + 8), (40, at - 8)]), stroke((252, 250, 244), 4.6))
    canvas.restore()
    canvas.drawCircle(0, tip, 7, fill((250, 220, 90)))


def _chef_hat(canvas: skia.Canvas, y: float, rx: float, ry: float, color: RGB) -> None:
    for x, top, radius in ((-0.62, 1.5, 17), (0.62, 1.5, 17), (0.0, 1.72, 21)):
        canvas.drawCircle(x * rx, y - ry * top, radius, fill(color))
    canvas.drawPath(box(-rx * 0.78, y - ry * 1.36, rx * 0.78, y - ry * 0.5), fill(color))
    canvas.drawPath(rounded(-rx * 0.84, y - ry * 0.78, rx * 0.84, y - ry * 0.46, 3), fill(shade(color, 0.86)))
    for x in (-0.36, 0.0, 0.36):
        canvas.drawPath(
            line([(x * rx, y - ry * 1.4), (x * rx, y - ry * 0.86)]), stroke(shade(color, 0.82), 2)
        )


def _fire_helmet(canvas: skia.Canvas, y: float, rx: float, ry: float, color: RGB) -> None:
    canvas.drawPath(dome(-rx * 1.08, y - ry * 1.5, rx * 1.08, y + ry * 0.56), fill(color))
    canvas.drawPath(rounded(-4, y - ry * 1.62, 4, y - ry * 0.5, 3), fill(shade(color, 0.72)))
    canvas.drawPath(ellipse(0, y - ry * 0.44, rx * 1.5, 7.5), fill(shade(color, 0.8)))
    canvas.drawPath(
        polygon(
            [
                (-10, y - ry * 1.18),
                (10, y - ry * 1.18),
                (8, y - ry * 0.62),
                (0, y - ry * 0.5),
                (-8, y - ry * 0.62),
            ]
        ),
        fill(GOLD),
    )
    canvas.drawPath(star(0, y - ry * 0.88, 4.6), fill((180, 40, 40)))


def _hard_hat(canvas: skia.Canvas, y: float, rx: float, ry: float, color: RGB) -> None:
    canvas.drawPath(dome(-rx * 1.06, y - ry * 1.42, rx * 1.06, y + ry * 0.52), fill(color))
    canvas.drawPath(rounded(-7, y - ry * 1.5, 7, y - ry * 0.5, 4), fill(shade(color, 1.3)))
    for side in (-1, 1):
        canvas.drawPath(
            line([(side * rx * 0.52, y - ry * 1.22), (side * rx * 0.6, y - ry * 0.56)]),
            stroke(shade(color, 0.82), 3.4),
        )
    canvas.drawPath(rounded(-rx * 1.28, y - ry * 0.56, rx * 1.28, y - ry * 0.34, 4), fill(shade(color, 0.84)))


def _peaked(canvas: skia.Canvas, y: float, rx: float, ry: float, color: RGB) -> None:
    crown = [
        (-rx * 1.5, y - ry * 1.16),
        (-rx * 0.9, y - ry * 1.62),
        (rx * 0.9, y - ry * 1.62),
        (rx * 1.5, y - ry * 1.16),
        (rx * 0.98, y - ry * 0.66),
        (-rx * 0.98, y - ry * 0.66),
    ]
    canvas.drawPath(smooth(crown), fill(color))
    canvas.drawPath(box(-rx * 1.0, y - ry * 0.86, rx * 1.0, y - ry * 0.56), fill((30, 34, 48)))
    canvas.drawPath(line([(-rx * 1.0, y - ry * 0.6), (rx * 1.0, y - ry * 0.6)]), stroke(GOLD, 2.2))
    visor = [
        (-rx * 0.92, y - ry * 0.58),
        (rx * 0.92, y - ry * 0.58),
        (rx * 0.8, y - ry * 0.2),
        (-rx * 0.8, y - ry * 0.2),
    ]
    canvas.drawPath(smooth(visor), fill((18, 20, 28)))


def _police_cap(canvas: skia.Canvas, y: float, rx: float, ry: float, color: RGB) -> None:
    _peaked(canvas, y, rx, ry, color)
    canvas.drawPath(star(0, y - ry * 1.04, 9), fill(GOLD))


def _pilot_cap(canvas: skia.Canvas, y: float, rx: float, ry: float, color: RGB) -> None:
    _peaked(canvas, y, rx, ry, color)
    for side in (-1, 1):
        canvas.drawPath(
            polygon([(0, y - ry * 1.0), (side * 17, y - ry * 1.18), (side * 9, y - ry * 0.92)]), fill(GOLD)
        )
    canvas.drawCircle(0, y - ry * 1.04, 4.6, fill(GOLD))


def _nurse_cap(canvas: skia.Canvas, y: float, rx: float, ry: float, color: RGB) -> None:
    canvas.drawPath(
        polygon(
            [
                (-rx * 0.72, y - ry * 0.76),
                (-rx * 0.86, y - ry * 1.44),
                (rx * 0.86, y - ry * 1.44),
                (rx * 0.72, y - ry * 0.76),
            ]
        ),
        fill(color),
    )
    canvas.drawPath(
        line([(-rx * 0.72, y - ry * 0.84), (rx * 0.72, y - ry * 0.84)]), stroke((120, 170, 210), 3)
    )
    cross = stroke((216, 44, 56), 5)
    canvas.drawPath(line([(-8, y - ry * 1.14), (8, y - ry * 1.14)]), cross)
    canvas.drawPath(line([(0, y - ry * 1.14 - 8), (0, y - ry * 1.14 + 8)]), cross)


def _bandana(canvas: skia.Canvas, y: float, rx: float, ry: float, color: RGB) -> None:
    canvas.drawPath(dome(-rx * 1.1, y - ry * 1.2, rx * 1.1, y + ry * 0.44), fill(color))
    for side in (-1, 1):
        canvas.drawPath(
            smooth([(0, y - ry * 1.14), (side * 20, y - ry * 1.6), (side * 17, y - ry * 1.1)]),
            fill(shade(color, 0.84)),
        )
    canvas.drawCircle(0, y - ry * 1.18, 5.4, fill(shade(color, 0.72)))
    for x, at in ((-0.6, 0.66), (-0.2, 0.9), (0.2, 0.62), (0.62, 0.8)):
        canvas.drawCircle(x * rx, y - ry * at, 2.6, fill((252, 250, 246)))


_HEADWEAR: dict[str, Callable[[skia.Canvas, float, float, float, RGB], None]] = {
    "cap": _cap,
    "beanie": _beanie,
    "sun hat": _sun_hat,
    "crown": _crown,
    "bucket hat": _bucket_hat,
    "beret": _beret,
    "top hat": _top_hat,
    "headscarf": _headscarf,
    "cowboy hat": _cowboy_hat,
    "party hat": _party_hat,
    "chef hat": _chef_hat,
    "fire helmet": _fire_helmet,
    "hard hat": _hard_hat,
    "police cap": _police_cap,
    "pilot cap": _pilot_cap,
    "nurse cap": _nurse_cap,
    "bandana": _bandana,
}
