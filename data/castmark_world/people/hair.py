"""Hair: what lies behind the head, and what lies over it."""

from __future__ import annotations

import math

import skia

from castmark_world.brush import arc, dome, ellipse, fill, line, polygon, rounded, shade, smooth, stroke
from castmark_world.people.body import Body

COVERING = ("headscarf",)
"""Headwear under which no hair is seen."""
HATS = (
    "cap",
    "beanie",
    "bucket hat",
    "sun hat",
    "top hat",
    "cowboy hat",
    "chef hat",
    "fire helmet",
    "hard hat",
    "police cap",
    "pilot cap",
    "bandana",
    "beret",
)
"""Headwear under which nothing stands up."""


def draw_back_hair(canvas: skia.Canvas, body: Body) -> None:
    """What lies behind head and shoulders."""
    style, y, rx, ry = body.spec.hair_style, body.head_y, body.head_rx, body.head_ry
    if body.spec.headwear in COVERING:
        return
    volume = 1 + 0.1 * body.spec.hair_volume
    paint = fill(shade(body.hair, 0.82))
    if style == "long":
        canvas.drawPath(rounded(-rx * 1.22 * volume, y - ry, rx * 1.22 * volume, y + ry + 42, 26), paint)
    elif style in ("bob", "fringe"):
        canvas.drawPath(
            rounded(-rx * 1.24 * volume, y - ry * 1.05, rx * 1.24 * volume, y + ry * 0.95, 22), paint
        )
    elif style == "ponytail":
        tail = ellipse(rx * 1.15, y + 12, 13 * volume, 34 * volume)
        canvas.drawPath(tail, paint)
    elif style == "curly":
        for i in range(11):
            angle = math.pi * (0.9 + 1.2 * i / 10)
            canvas.drawCircle(
                math.cos(angle) * rx * 1.12, y + math.sin(angle) * ry * 1.05, 15 * volume, paint
            )
    elif style == "afro":
        radius = rx * 1.5 * volume
        low = y + 2 if body.spec.headwear in HATS else y - 10
        canvas.drawCircle(0, low, radius, paint)
        for i in range(16):
            angle = i * math.tau / 16
            canvas.drawCircle(
                math.cos(angle) * radius * 0.92, low + math.sin(angle) * radius * 0.92, 9, paint
            )
    elif style == "wavy":
        canvas.drawPath(rounded(-rx * 1.15, y - ry, rx * 1.15, y + ry + 34, 20), paint)
        for side in (-1, 1):
            for i in range(5):
                out = rx * (1.2 if i % 2 else 1.02) * volume
                canvas.drawCircle(side * out, y - 8 + i * 20, 13, paint)
    elif style == "pigtails":
        for side in (-1, 1):
            tail = [
                (side * rx * 0.9, y - 4),
                (side * rx * 1.5 * volume, y - 8),
                (side * rx * 1.75 * volume, y + 34),
                (side * rx * 1.3, y + 52),
                (side * rx * 1.15, y + 22),
            ]
            canvas.drawPath(smooth(tail), paint)
    elif style == "locs":
        pen = stroke(shade(body.hair, 0.82), 9)
        for i in range(-5, 6):
            x = i * rx * 0.235 * volume
            canvas.drawPath(
                line(
                    [(x * 0.66, y - ry * (0.92 - 0.01 * i * i)), (x, y), (x * 1.02, y + ry + 22 - 3 * abs(i))]
                ),
                pen,
            )
    elif style == "braids":
        canvas.drawPath(rounded(-rx * 1.1, y - ry, rx * 1.1, y + 12, 24), paint)


def draw_front_hair(canvas: skia.Canvas, body: Body) -> None:
    """What lies over the head."""
    style, y, rx, ry = body.spec.hair_style, body.head_y, body.head_rx, body.head_ry
    if style == "bald" or body.spec.headwear in COVERING:
        return
    volume = 1 + 0.1 * body.spec.hair_volume
    paint = fill(body.hair)
    if style in ("mohawk", "buzz cut"):
        _shaved(canvas, body, volume)
        return
    hairline = y - 9.0
    cap = dome(-rx * 1.1, y - ry * 1.14 * volume, rx * 1.1, y + ry * 0.9)
    canvas.save()
    if body.full:
        canvas.clipPath(_hairline(body, style), doAntiAlias=True)
    else:
        canvas.clipRect(skia.Rect.MakeLTRB(-100, -400, 100, hairline))
    canvas.drawPath(cap, paint)
    if body.full:
        _sheen(canvas, body, style)
    canvas.restore()
    if style in ("bob", "long"):
        for side in (-1, 1):
            canvas.drawPath(ellipse(side * rx * 1.06, y + 2, 8, ry * 0.7), paint)
    elif style == "bun":
        canvas.drawCircle(0, y - ry * 1.22, 15 * volume, paint)
    elif style == "spiky":
        for i in range(-3, 4):
            x = i * rx * 0.3
            canvas.drawPath(
                polygon(
                    [
                        (x - 10, y - ry * 0.7),
                        (x + i * 2.2, y - ry * 1.52 * volume + abs(i) * 4),
                        (x + 10, y - ry * 0.7),
                    ]
                ),
                paint,
            )
    elif style == "curly":
        for i in range(6):
            canvas.drawCircle((i - 2.5) * rx * 0.38, y - ry * 0.72, 11 * volume, paint)
    else:
        _further(canvas, body, style, volume)


def _further(canvas: skia.Canvas, body: Body, style: str, volume: float) -> None:
    y, rx, ry = body.head_y, body.head_rx, body.head_ry
    paint, dark = fill(body.hair), stroke(shade(body.hair, 0.68), 2.4)
    if style == "afro":
        for i in range(7):
            angle = math.pi * (1.08 + 0.84 * i / 6)
            canvas.drawCircle(
                math.cos(angle) * rx * 0.94, y + math.sin(angle) * ry * 0.82, 10 * volume, paint
            )
    elif style == "fringe":
        for side in (-1, 1):
            canvas.drawPath(rounded(side * rx * 1.1 - 8, y - 14, side * rx * 1.1 + 8, y + ry * 0.8, 7), paint)
        for x in (-0.5, -0.17, 0.17, 0.5):
            canvas.drawPath(line([(x * rx, y - 5), (x * rx * 0.95, y - 14)]), dark)
    elif style == "wavy":
        for side in (-1, 1):
            curve = [
                (side * rx * 0.3, y - ry * 1.05),
                (side * rx * 1.0, y - ry * 0.75),
                (side * rx * 1.22, y - 2),
                (side * rx * 0.98, y + 12),
                (side * rx * 0.92, y - 8),
            ]
            canvas.drawPath(smooth(curve), paint)
        canvas.drawPath(line([(0, y - ry * 1.1), (-3, y - 10)]), dark)
    elif style == "braids":
        canvas.drawPath(line([(0, y - ry * 1.12), (0, y - 10)]), dark)
        for side in (-1, 1):
            for i in range(5):
                x, cy = side * rx * (1.08 + 0.02 * i), y + 8 + i * 13
                canvas.drawPath(ellipse(x, cy, (9.5 - i) * volume, 8.5), paint)
                canvas.drawPath(
                    line([(x - 5, cy - 3), (x + 5, cy + 3)] if i % 2 else [(x - 5, cy + 3), (x + 5, cy - 3)]),
                    dark,
                )
            canvas.drawPath(
                rounded(side * rx * 1.18 - 5, y + 66, side * rx * 1.18 + 5, y + 72, 2), fill((230, 80, 90))
            )
    elif style == "pigtails":
        canvas.drawPath(line([(0, y - ry * 1.12), (0, y - 10)]), dark)
        for side in (-1, 1):
            canvas.drawCircle(side * rx * 1.12, y - 4, 6.5, fill((230, 80, 90)))
    elif style == "locs":
        pen = stroke(body.hair, 8)
        for i in range(-4, 5):
            x = i * rx * 0.25
            top = y - ry * (1.1 - 0.022 * i * i) * volume
            canvas.drawPath(line([(x * 0.62, top), (x, y - ry * 0.42 + abs(i) * 3)]), pen)
        for side in (-1, 1):
            canvas.drawPath(line([(side * rx * 0.9, y - ry * 0.5), (side * rx * 1.14, y + ry * 0.9)]), pen)
            for dy in (0.3, 0.9):
                canvas.drawCircle(side * rx * (1.02 + 0.12 * dy), y + ry * dy, 3, fill((232, 186, 80)))
    elif style == "double buns":
        for side in (-1, 1):
            if body.spec.headwear not in HATS:
                canvas.drawCircle(side * rx * 0.82, y - ry * 1.08, 15 * volume, paint)
                canvas.drawPath(
                    arc(
                        side * rx * 0.82 - 8,
                        y - ry * 1.08 - 8,
                        side * rx * 0.82 + 8,
                        y - ry * 1.08 + 8,
                        200,
                        120,
                    ),
                    dark,
                )
    elif style == "side parting":
        sweep = [
            (-rx * 0.52, y - ry * 1.1 * volume),
            (rx * 0.3, y - ry * 1.26 * volume),
            (rx * 1.06, y - ry * 0.94),
            (rx * 1.2, y - ry * 0.1),
            (rx * 0.96, y + 2),
            (rx * 0.76, y - ry * 0.22),
            (rx * 0.1, y - ry * 0.3),
            (-rx * 0.42, y - ry * 0.66),
        ]
        canvas.drawPath(smooth(sweep), paint)
        canvas.drawPath(line([(-rx * 0.5, y - ry * 0.95), (-rx * 0.36, y - ry * 0.5)]), dark)


def _hairline(body: Body, style: str) -> skia.Path:
    """Everything above the hairline: low at the temples, high over the brow, straight for a fringe."""
    y, rx, ry = body.head_y, body.head_rx, body.head_ry
    if style == "fringe":
        low, brow = y - 3.0, y - 3.0
    else:
        low, brow = y + 3.0, y - ry * {"side parting": 0.62, "bun": 0.6, "ponytail": 0.6}.get(style, 0.5)
    edge = [
        (rx * 1.2, low),
        (rx * 0.97, low),
        (rx * 0.84, brow + (low - brow) * 0.3),
        (rx * 0.5, brow),
        (0, brow),
    ]
    mirror = [(-x, at) for x, at in reversed(edge[:-1])]
    top = [(-120.0, low - 4), (-120.0, -420.0), (120.0, -420.0), (120.0, low - 4)]
    return polygon([*top, *edge, *mirror])


def _shaved(canvas: skia.Canvas, body: Body, volume: float) -> None:
    """Hair cut to the skin; a mohawk leaves a crest."""
    style, y, rx, ry = body.spec.hair_style, body.head_y, body.head_rx, body.head_ry
    canvas.save()
    canvas.clipRect(skia.Rect.MakeLTRB(-100, -400, 100, y - 12))
    alpha = 215 if style == "buzz cut" else 90
    canvas.drawPath(dome(-rx * 1.02, y - ry * 1.03, rx * 1.02, y + ry * 0.9), fill(body.hair, alpha))
    canvas.restore()
    if style == "mohawk" and body.spec.headwear not in HATS:
        crest = [(-rx * 0.3, y - ry * 0.42)]
        for i in range(5):
            x = (i - 2) * rx * 0.16
            top = y - ry * (1.78 - 0.09 * abs(i - 2)) * volume
            crest += [(x * 1.7, top), (x * 1.4 + 4, top + 13)]
        canvas.drawPath(polygon([*crest, (rx * 0.3, y - ry * 0.42)]), fill(body.hair))


def _sheen(canvas: skia.Canvas, body: Body, style: str) -> None:
    """A soft band of light on the crown."""
    if style in ("afro", "curly", "locs"):
        return
    y, rx, ry = body.head_y, body.head_rx, body.head_ry
    band = arc(-rx * 0.78, y - ry * 0.88, rx * 0.78, y + ry * 0.7, 205, 62)
    canvas.drawPath(band, stroke(shade(body.hair, 1.22), 4.5, 170))
