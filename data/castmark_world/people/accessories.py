"""Scarves, jewellery, ties, bags: each drawn on the layer where it is worn."""

from __future__ import annotations

import skia

from castmark_world.brush import arc, ellipse, fill, line, polygon, rounded, shade, smooth, stroke
from castmark_world.people.body import Body
from castmark_world.vocabulary import COLORS, RGB


def draw_on_torso(canvas: skia.Canvas, body: Body) -> None:
    """Necklace, ties and bag: over the top, under head and arms."""
    name, color = body.spec.accessory, COLORS[body.spec.accessory_color]
    half, top = body.half, body.shoulder_y
    if name == "necklace":
        chain = arc(-half * 0.5, top - 18, half * 0.5, top + 16, 5, 170)
        canvas.drawPath(chain, stroke((246, 206, 90), 2.6))
        for i in range(5):
            x = (i - 2) * half * 0.2
            canvas.drawCircle(x, top + 15 - abs(i - 2) * 2.2, 3.6, fill(color))
    elif name == "tie":
        canvas.drawPath(
            polygon([(-4, top + 2), (4, top + 2), (3, top + 9), (-3, top + 9)]), fill(shade(color, 0.75))
        )
        canvas.drawPath(
            polygon([(-3, top + 8), (3, top + 8), (6.5, top + 38), (0, top + 45), (-6.5, top + 38)]),
            fill(color),
        )
    elif name == "bow tie":
        for side in (-1, 1):
            canvas.drawPath(polygon([(0, top + 5), (side * 14, top - 2), (side * 14, top + 13)]), fill(color))
        canvas.drawCircle(0, top + 5.5, 4, fill(shade(color, 0.7)))
    elif name == "shoulder bag":
        hip = body.hip_y
        canvas.drawPath(line([(half * 0.7, top + 3), (-half * 0.8, hip - 6)]), stroke(shade(color, 0.7), 4.4))
        canvas.drawPath(rounded(-half - 13, hip - 8, -half + 15, hip + 15, 4), fill(color))
        canvas.drawPath(rounded(-half - 13, hip - 8, -half + 15, hip + 2, 4), fill(shade(color, 0.76)))
        canvas.drawCircle(-half + 1, hip + 2, 2.4, fill((250, 220, 120)))


def draw_on_head(canvas: skia.Canvas, body: Body) -> None:
    """Scarf, earrings, headband and headphones: over hair and headwear."""
    name, color = body.spec.accessory, COLORS[body.spec.accessory_color]
    y, rx, ry = body.head_y, body.head_rx, body.head_ry
    if name == "scarf":
        _scarf(canvas, body, color)
    elif name == "earrings":
        for side in (-1, 1):
            canvas.drawPath(ellipse(side * rx * 1.02, y + 19, 4.4, 5.6), stroke((250, 208, 80), 2.4))
            canvas.drawCircle(side * rx * 1.02, y + 26, 4, fill(color))
    elif name == "headband" and body.spec.headwear == "none":
        band = arc(-rx * 1.03, y - ry * 0.98, rx * 1.03, y + ry * 1.4, 208, 124)
        canvas.drawPath(band, stroke(color, 8))
        for side in (-1, 1):
            canvas.drawPath(
                smooth([(16, y - ry * 0.86), (16 + side * 15, y - ry * 1.2), (16 + side * 13, y - ry * 0.6)]),
                fill(shade(color, 0.84)),
            )
        canvas.drawCircle(16, y - ry * 0.88, 4, fill(shade(color, 0.66)))
    elif name == "headphones":
        if body.spec.headwear == "none":
            canvas.drawPath(
                arc(-rx * 1.14, y - ry * 1.3, rx * 1.14, y + ry * 1.1, 184, 172), stroke(color, 6)
            )
        for side in (-1, 1):
            canvas.drawPath(
                rounded(side * rx * 1.08 - 8, y - 9, side * rx * 1.08 + 8, y + 18, 7), fill(color)
            )
            canvas.drawPath(
                rounded(side * rx * 1.0 - 4, y - 6, side * rx * 1.0 + 4, y + 15, 4), fill(shade(color, 0.6))
            )


def draw_on_arms(canvas: skia.Canvas, body: Body) -> None:
    """The watch, on the left wrist."""
    if body.spec.accessory != "watch":
        return
    color: RGB = COLORS[body.spec.accessory_color]
    (ex, ey), (hx, hy) = body.elbow(-1), body.hand(-1)
    x, y = hx + (ex - hx) * 0.42, hy + (ey - hy) * 0.42
    canvas.drawPath(line([(x - 7, y), (x + 7, y)]), stroke(color, 6.4))
    canvas.drawCircle(x, y, 6.8, fill(color))
    canvas.drawCircle(x, y, 4.8, fill((252, 252, 250)))
    canvas.drawPath(line([(x, y - 3), (x, y), (x + 2.4, y)]), stroke((40, 40, 48), 1.4))


def _scarf(canvas: skia.Canvas, body: Body, color: RGB) -> None:
    top, rx = body.shoulder_y, body.head_rx
    tail = [(rx * 0.3, top + 6), (rx * 0.72, top + 6), (rx * 0.66, top + 42), (rx * 0.22, top + 42)]
    canvas.drawPath(polygon(tail), fill(shade(color, 0.84)))
    for i in range(3):
        x = rx * (0.28 + 0.14 * i)
        canvas.drawPath(line([(x, top + 42), (x, top + 47)]), stroke(shade(color, 0.84), 3))
    canvas.drawPath(line([(rx * 0.26, top + 33), (rx * 0.66, top + 33)]), stroke(shade(color, 1.45), 3.4))
    canvas.drawPath(rounded(-rx * 0.72, top - 5, rx * 0.72, top + 12, 8), fill(color))
    canvas.drawPath(line([(-rx * 0.5, top + 5), (rx * 0.4, top + 7)]), stroke(shade(color, 0.76), 2.4))
