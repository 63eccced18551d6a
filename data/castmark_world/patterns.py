"""Patterns: a shape filled with two colours."""

from __future__ import annotations

import math
from collections.abc import Callable

import skia

from castmark_world.brush import fill, line, stroke
from castmark_world.emblems import star
from castmark_world.vocabulary import RGB


def patterned(
    canvas: skia.Canvas, path: skia.Path, color: RGB, second: RGB, pattern: str, scale: float
) -> None:
    """Fill ``path`` with a pattern of two colours. ``scale`` in [-1, 1] makes it finer or coarser."""
    canvas.drawPath(path, fill(color))
    if pattern == "plain":
        return
    pitch = 12.0 * (1 + 0.3 * scale)
    canvas.save()
    canvas.clipPath(path, doAntiAlias=True)
    _PATTERNS[pattern](canvas, path.getBounds(), pitch, second)
    canvas.restore()


def _grid(bounds: skia.Rect, pitch: float) -> tuple[float, float, int, int]:
    """Left, top, columns and rows of cells that cover the bounds."""
    columns = math.ceil(bounds.width() / pitch) + 1
    rows = math.ceil(bounds.height() / pitch) + 1
    return bounds.left() - pitch / 4, bounds.top() - pitch / 4, columns, rows


def _striped(canvas: skia.Canvas, bounds: skia.Rect, pitch: float, color: RGB) -> None:
    left, top, _, rows = _grid(bounds, pitch)
    paint = fill(color)
    for row in range(rows):
        canvas.drawRect(skia.Rect.MakeXYWH(left, top + row * pitch, bounds.width() + pitch, pitch / 2), paint)


def _pinstriped(canvas: skia.Canvas, bounds: skia.Rect, pitch: float, color: RGB) -> None:
    left, top, columns, _ = _grid(bounds, pitch * 0.8)
    paint = fill(color)
    for column in range(columns):
        x = left + (column + 0.4) * pitch * 0.8
        canvas.drawRect(skia.Rect.MakeXYWH(x, top, pitch * 0.24, bounds.height() + pitch), paint)


def _dotted(canvas: skia.Canvas, bounds: skia.Rect, pitch: float, color: RGB) -> None:
    left, top, columns, rows = _grid(bounds, pitch)
    paint = fill(color)
    for row in range(rows):
        for column in range(columns + 1):
            x = left + (column + 0.5 * (row % 2)) * pitch
            canvas.drawCircle(x, top + (row + 0.6) * pitch, pitch * 0.24, paint)


def _checked(canvas: skia.Canvas, bounds: skia.Rect, pitch: float, color: RGB) -> None:
    left, top, columns, rows = _grid(bounds, pitch)
    paint = fill(color)
    for row in range(rows):
        for column in range(columns):
            if (row + column) % 2:
                canvas.drawRect(
                    skia.Rect.MakeXYWH(left + column * pitch, top + row * pitch, pitch, pitch), paint
                )


def _zigzag(canvas: skia.Canvas, bounds: skia.Rect, pitch: float, color: RGB) -> None:
    left, top, columns, rows = _grid(bounds, pitch)
    paint = stroke(color, pitch * 0.26)
    for row in range(rows):
        y = top + (row + 0.5) * pitch
        steps = range(2 * columns + 1)
        canvas.drawPath(
            line([(left + i * pitch / 2, y + (pitch * 0.42 if i % 2 else 0.0)) for i in steps]), paint
        )


def _flowered(canvas: skia.Canvas, bounds: skia.Rect, pitch: float, color: RGB) -> None:
    wide = pitch * 1.45
    left, top, columns, rows = _grid(bounds, wide)
    petal, heart = fill(color), fill((252, 220, 110))
    for row in range(rows):
        for column in range(columns + 1):
            x, y = left + (column + 0.5 * (row % 2)) * wide, top + (row + 0.55) * wide
            for dx, dy in ((0.0, -1.0), (0.95, -0.3), (0.6, 0.8), (-0.6, 0.8), (-0.95, -0.3)):
                canvas.drawCircle(x + dx * wide * 0.19, y + dy * wide * 0.19, wide * 0.16, petal)
            canvas.drawCircle(x, y, wide * 0.12, heart)


def _starred(canvas: skia.Canvas, bounds: skia.Rect, pitch: float, color: RGB) -> None:
    wide = pitch * 1.25
    left, top, columns, rows = _grid(bounds, wide)
    paint = fill(color)
    for row in range(rows):
        for column in range(columns + 1):
            x, y = left + (column + 0.5 * (row % 2)) * wide, top + (row + 0.55) * wide
            canvas.drawPath(star(x, y, wide * 0.34), paint)


_PATTERNS: dict[str, Callable[[skia.Canvas, skia.Rect, float, RGB], None]] = {
    "striped": _striped,
    "pinstriped": _pinstriped,
    "dotted": _dotted,
    "checked": _checked,
    "zigzag": _zigzag,
    "flowered": _flowered,
    "starred": _starred,
}
