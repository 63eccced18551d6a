"""Tails and wings, behind the body."""

from __future__ import annotations

import skia

from castmark_world.brush import fill, line, polygon, shade, smooth, stroke
from castmark_world.mascots.body import MascotBody


def draw_tail(canvas: skia.Canvas, body: MascotBody) -> None:
    """What of a species lies behind it."""
    species, half, hip = body.spec.species, body.half, body.hip_y
    long = 1 + 0.2 * body.spec.tail
    color = shade(body.color, 0.86)
    if species == "fox":
        tail = [
            (half * 0.4, hip - 4),
            (half + 18, hip + 8),
            (half + 40 * long, hip - 22),
            (half + 30 * long, hip - 58 * long),
            (half + 12, hip - 34),
        ]
        canvas.drawPath(smooth(tail), fill(color))
        tip = [
            (half + 38 * long, hip - 40),
            (half + 32 * long, hip - 58 * long),
            (half + 19 * long, hip - 44 * long),
            (half + 26 * long, hip - 38),
        ]
        canvas.drawPath(smooth(tip), fill((254, 250, 244)))
    elif species == "cat":
        tail = smooth(
            [
                (half * 0.5, hip - 8),
                (half + 30, hip + 2),
                (half + 22 * long, hip - 40),
                (half + 36 * long, hip - 60 * long),
            ],
            closed=False,
        )
        canvas.drawPath(tail, stroke(color, 10))
    elif species == "rabbit":
        for dx, dy in ((8, -10), (16, -14), (13, -4)):
            canvas.drawCircle(half + dx * 0.6, hip + dy, 10 * long, fill((252, 250, 248)))
    elif species == "bear":
        canvas.drawCircle(half + 3, hip - 10, 9 * long, fill(color))
    elif species == "dragon":
        top = body.shoulder_y
        for side in (-1, 1):
            wing = [
                (side * half * 0.6, top + 16),
                (side * (half + 44 * long), top - 26),
                (side * (half + 38 * long), top + 4),
                (side * (half + 26 * long), top + 2),
                (side * (half + 24), top + 22),
                (side * (half + 10), top + 18),
                (side * half * 0.8, top + 36),
            ]
            canvas.drawPath(polygon(wing), fill(shade(body.color, 0.68)))
            canvas.drawPath(
                line([(side * half * 0.6, top + 16), (side * (half + 44 * long), top - 26)]),
                stroke(shade(body.color, 0.52), 3),
            )
        tail = smooth(
            [
                (half * 0.4, hip - 8),
                (half + 20, hip + 6),
                (half + 34 * long, hip - 8),
                (half + 34 * long, hip - 30),
            ],
            closed=False,
        )
        canvas.drawPath(tail, stroke(color, 11))
        x, y = half + 34 * long, hip - 34
        canvas.drawPath(
            polygon([(x - 11, y + 4), (x, y - 17), (x + 11, y + 4)]), fill(shade(body.color, 0.68))
        )
