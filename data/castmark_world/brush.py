"""Brushes shared by every drawing: colours, filled shapes, patterns and emblems.

Coordinates are those of a 256 x 256 canvas, y down; `render` scales it to any size.
"""

from __future__ import annotations

import colorsys
import math
from collections.abc import Sequence

import skia

from castmark_world.params import RGB

Point = tuple[float, float]


def shade(color: RGB, factor: float) -> RGB:
    """Darker below 1, lighter above (towards white)."""
    if factor <= 1:
        r, g, b = (int(c * factor) for c in color)
    else:
        r, g, b = (int(c + (255 - c) * (factor - 1)) for c in color)
    return r, g, b


def hue_shift(color: RGB, amount: float, *, degrees: float = 14.0) -> RGB:
    """Turn the hue by ``amount`` (-1 to 1) times ``degrees``, and the value by up to 10%."""
    h, s, v = colorsys.rgb_to_hsv(*(c / 255 for c in color))
    r, g, b = colorsys.hsv_to_rgb((h + amount * degrees / 360) % 1.0, s, min(1.0, v * (1 + 0.1 * amount)))
    return int(r * 255), int(g * 255), int(b * 255)


def from_hue(hue: float) -> RGB:
    """A saturated colour of the hue in [0, 1)."""
    r, g, b = colorsys.hsv_to_rgb(hue, 0.75, 0.92)
    return int(r * 255), int(g * 255), int(b * 255)


def fill(color: RGB, alpha: int = 255) -> skia.Paint:
    """Anti-aliased fill."""
    return skia.Paint(Color=skia.Color(*color, alpha), AntiAlias=True)


def stroke(color: RGB, width: float, alpha: int = 255) -> skia.Paint:
    """Anti-aliased stroke with round caps and joins."""
    return skia.Paint(
        Color=skia.Color(*color, alpha),
        AntiAlias=True,
        Style=skia.Paint.kStroke_Style,
        StrokeWidth=width,
        StrokeCap=skia.Paint.kRound_Cap,
        StrokeJoin=skia.Paint.kRound_Join,
    )


def polygon(points: Sequence[Point]) -> skia.Path:
    """Closed path through the points."""
    builder = skia.Path()
    builder.addPoly([skia.Point(*p) for p in points], True)
    return builder


def rounded(left: float, top: float, right: float, bottom: float, radius: float) -> skia.Path:
    """Rounded rectangle."""
    path = skia.Path()
    path.addRoundRect(skia.Rect.MakeLTRB(left, top, right, bottom), radius, radius)
    return path


def ellipse(x: float, y: float, rx: float, ry: float) -> skia.Path:
    """Ellipse about (x, y)."""
    path = skia.Path()
    path.addOval(skia.Rect.MakeLTRB(x - rx, y - ry, x + rx, y + ry))
    return path


def line(points: Sequence[Point]) -> skia.Path:
    """Open polyline."""
    path = skia.Path()
    path.addPoly([skia.Point(*p) for p in points], False)
    return path


def patterned(
    canvas: skia.Canvas, path: skia.Path, color: RGB, second: RGB, pattern: str, scale: float
) -> None:
    """Fill ``path`` with a pattern of two colours. ``scale`` in [-1, 1] makes it finer or coarser."""
    canvas.drawPath(path, fill(color))
    if pattern == "plain":
        return
    bounds = path.getBounds()
    pitch = 12.0 * (1 + 0.3 * scale)
    canvas.save()
    canvas.clipPath(path, doAntiAlias=True)
    paint = fill(second)
    top, left = bounds.top() - pitch / 4, bounds.left() - pitch / 4
    rows = math.ceil(bounds.height() / pitch) + 1
    columns = math.ceil(bounds.width() / pitch) + 1
    if pattern == "striped":
        for row in range(rows):
            canvas.drawRect(
                skia.Rect.MakeXYWH(left, top + row * pitch, bounds.width() + pitch, pitch / 2), paint
            )
    elif pattern == "dotted":
        for row in range(rows):
            for column in range(columns + 1):
                x = left + (column + 0.5 * (row % 2)) * pitch
                canvas.drawCircle(x, top + (row + 0.6) * pitch, pitch * 0.24, paint)
    else:  # checked
        for row in range(rows):
            for column in range(columns):
                if (row + column) % 2:
                    canvas.drawRect(
                        skia.Rect.MakeXYWH(left + column * pitch, top + row * pitch, pitch, pitch), paint
                    )
    canvas.restore()


def contrast(color: RGB) -> RGB:
    """Second colour of a pattern: light on dark, dark on light."""
    luminance = 0.299 * color[0] + 0.587 * color[1] + 0.114 * color[2]
    return shade(color, 0.55) if luminance > 150 else shade(color, 1.65)


def emblem(canvas: skia.Canvas, name: str, x: float, y: float, radius: float, color: RGB) -> None:
    """One of the world's emblems on a white badge, about (x, y)."""
    canvas.drawCircle(x, y, radius * 1.35, fill((250, 250, 248)))
    paint = fill(color)
    if name == "star":
        points = [
            (
                x + math.sin(i * math.pi / 5) * radius * (1.1 if i % 2 == 0 else 0.48),
                y - math.cos(i * math.pi / 5) * radius * (1.1 if i % 2 == 0 else 0.48),
            )
            for i in range(10)
        ]
        canvas.drawPath(polygon(points), paint)
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
    else:  # diamond
        canvas.drawPath(
            polygon([(x, y - radius), (x + radius * 0.75, y), (x, y + radius), (x - radius * 0.75, y)]), paint
        )
