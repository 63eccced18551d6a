"""Emblems: the marks of identity that no caption speaks of."""

from __future__ import annotations

import math

import skia

from castmark_world.brush import arc, ellipse, fill, line, polygon, rounded, smooth, stroke
from castmark_world.vocabulary import RGB


def star(x: float, y: float, radius: float) -> skia.Path:
    """Five-pointed star about (x, y)."""
    return polygon(
        [
            (
                x + math.sin(i * math.pi / 5) * radius * (1.1 if i % 2 == 0 else 0.48),
                y - math.cos(i * math.pi / 5) * radius * (1.1 if i % 2 == 0 else 0.48),
            )
            for i in range(10)
        ]
    )


def emblem(
    canvas: skia.Canvas, name: str, x: float, y: float, radius: float, color: RGB, label: str = "round"
) -> None:
    """One of the world's emblems on a white label, about (x, y)."""
    _label(canvas, label, x, y, radius * 1.35)
    paint = fill(color)
    if name == "star":
        canvas.drawPath(star(x, y, radius), paint)
    elif name == "heart":
        canvas.drawCircle(x - radius * 0.42, y - radius * 0.25, radius * 0.5, paint)
        canvas.drawCircle(x + radius * 0.42, y - radius * 0.25, radius * 0.5, paint)
        sides = [(x - radius * 0.88, y - radius * 0.02), (x + radius * 0.88, y - radius * 0.02)]
        canvas.drawPath(polygon([*sides, (x, y + radius * 0.95)]), paint)
    elif name == "circle":
        canvas.drawCircle(x, y, radius * 0.85, paint)
    elif name == "bolt":
        shape = [(0.3, -1), (-0.6, 0.15), (-0.05, 0.15), (-0.3, 1), (0.6, -0.2), (0.05, -0.2)]
        canvas.drawPath(polygon([(x + a * radius, y + b * radius) for a, b in shape]), paint)
    elif name == "leaf":
        path = skia.Path()
        path.moveTo(x - radius * 0.8, y + radius * 0.8)
        path.cubicTo(x - radius, y - radius, x, y - radius, x + radius * 0.9, y - radius * 0.9)
        path.cubicTo(x + radius, y, x + radius, y + radius, x - radius * 0.8, y + radius * 0.8)
        canvas.drawPath(path, paint)
    elif name == "diamond":
        canvas.drawPath(
            polygon([(x, y - radius), (x + radius * 0.75, y), (x, y + radius), (x - radius * 0.75, y)]), paint
        )
    else:
        _further(canvas, name, x, y, radius, color)


def _label(canvas: skia.Canvas, label: str, x: float, y: float, radius: float) -> None:
    paint = fill((250, 250, 248))
    if label == "round":
        canvas.drawCircle(x, y, radius, paint)
    elif label == "square":
        canvas.drawPath(
            rounded(x - radius * 0.95, y - radius * 0.95, x + radius * 0.95, y + radius * 0.95, radius * 0.2),
            paint,
        )
    elif label == "shield":
        path = skia.Path()
        path.moveTo(x - radius, y - radius)
        path.lineTo(x + radius, y - radius)
        path.cubicTo(x + radius, y + radius * 0.6, x + radius * 0.4, y + radius, x, y + radius * 1.25)
        path.cubicTo(x - radius * 0.4, y + radius, x - radius, y + radius * 0.6, x - radius, y - radius)
        canvas.drawPath(path, paint)
    else:  # banner
        wide = radius * 1.5
        ends = [(x + wide, y - radius * 0.85), (x + wide * 0.8, y), (x + wide, y + radius * 0.85)]
        left = [(2 * x - a, b) for a, b in reversed(ends)]
        canvas.drawPath(polygon([*ends, *left]), paint)


def _further(canvas: skia.Canvas, name: str, x: float, y: float, radius: float, color: RGB) -> None:
    paint = fill(color)
    if name == "moon":
        canvas.drawCircle(x, y, radius * 0.95, paint)
        canvas.drawCircle(x + radius * 0.42, y - radius * 0.2, radius * 0.72, fill((250, 250, 248)))
    elif name == "sun":
        canvas.drawCircle(x, y, radius * 0.5, paint)
        for i in range(8):
            dx, dy = math.cos(i * math.pi / 4), math.sin(i * math.pi / 4)
            ray = [(x + dx * radius * 0.7, y + dy * radius * 0.7), (x + dx * radius, y + dy * radius)]
            canvas.drawPath(line(ray), stroke(color, radius * 0.24))
    elif name == "blossom":
        for i in range(5):
            angle = i * math.tau / 5 - math.pi / 2
            canvas.drawCircle(
                x + math.cos(angle) * radius * 0.58, y + math.sin(angle) * radius * 0.58, radius * 0.42, paint
            )
        canvas.drawCircle(x, y, radius * 0.3, fill((250, 250, 248)))
    elif name == "drop":
        canvas.drawPath(
            smooth(
                [
                    (x, y - radius * 1.7),
                    (x + radius * 0.95, y + radius * 0.5),
                    (x, y + radius * 1.25),
                    (x - radius * 0.95, y + radius * 0.5),
                ]
            ),
            paint,
        )
    elif name == "anchor":
        pen = stroke(color, radius * 0.28)
        canvas.drawPath(line([(x, y - radius * 0.5), (x, y + radius * 0.8)]), pen)
        canvas.drawPath(
            line([(x - radius * 0.45, y - radius * 0.2), (x + radius * 0.45, y - radius * 0.2)]), pen
        )
        canvas.drawPath(ellipse(x, y - radius * 0.75, radius * 0.22, radius * 0.22), pen)
        hook = arc(x - radius * 0.8, y - radius * 0.6, x + radius * 0.8, y + radius * 0.85, 15, 150)
        canvas.drawPath(hook, pen)
    elif name == "mountain":
        canvas.drawPath(
            polygon(
                [
                    (x - radius, y + radius * 0.7),
                    (x - radius * 0.2, y - radius * 0.8),
                    (x + radius * 0.5, y + radius * 0.7),
                ]
            ),
            paint,
        )
        canvas.drawPath(
            polygon(
                [(x, y + radius * 0.7), (x + radius * 0.5, y - radius * 0.2), (x + radius, y + radius * 0.7)]
            ),
            paint,
        )
    else:
        raise ValueError(f"unknown emblem {name!r}")
