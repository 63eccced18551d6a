"""Brushes shared by every drawing: colours, paints and shapes.

Coordinates are those of a 256 x 256 canvas, y down; `render` scales it to any size.
"""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from itertools import pairwise

import skia

from castmark_world.vocabulary import RGB

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


def dome(left: float, top: float, right: float, bottom: float) -> skia.Path:
    """Upper half of the ellipse in the box, closed below."""
    path = skia.Path()
    path.addArc(skia.Rect.MakeLTRB(left, top, right, bottom), 180, 180)
    path.close()
    return path


def bowl(left: float, top: float, right: float, bottom: float) -> skia.Path:
    """Lower half of the ellipse in the box, closed above."""
    path = skia.Path()
    path.addArc(skia.Rect.MakeLTRB(left, top, right, bottom), 0, 180)
    path.close()
    return path


def arc(left: float, top: float, right: float, bottom: float, start: float, sweep: float) -> skia.Path:
    """Open arc of the ellipse in the box; degrees clockwise from the right."""
    path = skia.Path()
    path.addArc(skia.Rect.MakeLTRB(left, top, right, bottom), start, sweep)
    return path


def box(left: float, top: float, right: float, bottom: float) -> skia.Path:
    """Rectangle."""
    path = skia.Path()
    path.addRect(skia.Rect.MakeLTRB(left, top, right, bottom))
    return path


def smooth(points: Sequence[Point], *, closed: bool = True) -> skia.Path:
    """Soft curve that is drawn towards each of the points and passes through the middles between them."""
    path = skia.Path()
    ends = [*points, points[0]] if closed else list(points)
    middles = [((a[0] + b[0]) / 2, (a[1] + b[1]) / 2) for a, b in pairwise(ends)]
    path.moveTo(*(middles[0] if closed else points[0]))
    if closed:
        for corner, middle in zip(ends[1:], [*middles[1:], middles[0]], strict=False):
            path.quadTo(*corner, *middle)
        path.close()
    else:
        for corner, middle in zip(ends[1:-1], [*middles[1:-1], ends[-1]], strict=True):
            path.quadTo(*corner, *middle)
    return path


def luminance(color: RGB) -> float:
    """Perceived brightness, 0 to 255."""
    return 0.299 * color[0] + 0.587 * color[1] + 0.114 * color[2]


def mix(one: RGB, other: RGB, share: float) -> RGB:
    """``share`` of the other colour in the one."""
    r, g, b = (int(a + (c - a) * share) for a, c in zip(one, other, strict=True))
    return r, g, b


def contrast(color: RGB) -> RGB:
    """Second colour of a pattern: light on dark, dark on light."""
    return shade(color, 0.55) if luminance(color) > 150 else shade(color, 1.65)
