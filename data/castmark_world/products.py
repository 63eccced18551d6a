"""Products: standing on the origin, about 110 units tall and wide."""

from __future__ import annotations

import skia

from castmark_world.brush import (
    contrast,
    ellipse,
    emblem,
    fill,
    from_hue,
    hue_shift,
    line,
    patterned,
    polygon,
    rounded,
    shade,
    stroke,
)
from castmark_world.params import COLORS, RGB, ProductSpec


def draw_product(canvas: skia.Canvas, spec: ProductSpec) -> None:
    """Draw the product standing on (0, 0)."""
    color = hue_shift(COLORS[spec.color], spec.hue)
    accent = hue_shift(COLORS[spec.accent_color], spec.accent_hue)
    {
        "mug": _mug,
        "sneaker": _sneaker,
        "backpack": _backpack,
        "lamp": _lamp,
        "teapot": _teapot,
    }[spec.category](canvas, spec, color, accent)


def _size(spec: ProductSpec, width: float, height: float) -> tuple[float, float]:
    return width * (1 + 0.16 * spec.width), height * (1 + 0.16 * spec.tallness)


def _skin(canvas: skia.Canvas, path: skia.Path, spec: ProductSpec, color: RGB) -> None:
    patterned(canvas, path, color, contrast(color), spec.pattern, spec.pattern_scale)


def _badge(canvas: skia.Canvas, spec: ProductSpec, x: float, y: float) -> None:
    emblem(canvas, spec.emblem, x, y, 13 * (1 + 0.2 * spec.emblem_size), from_hue(spec.emblem_hue))


def _mug(canvas: skia.Canvas, spec: ProductSpec, color: RGB, accent: RGB) -> None:
    half, height = _size(spec, 42, 96)
    foot = half * (0.9 + 0.12 * spec.taper)
    canvas.drawPath(ellipse(half + 4, -height * 0.5, 22 + 5 * spec.handle, height * 0.27), stroke(accent, 10))
    body = polygon([(-half, -height), (half, -height), (foot, -4), (-foot, -4)])
    _skin(canvas, body, spec, color)
    canvas.drawPath(ellipse(0, -4, foot, 7), fill(shade(color, 0.8)))
    canvas.drawPath(ellipse(0, -height, half, 11), fill(accent))
    canvas.drawPath(ellipse(0, -height, half - 6, 7), fill(shade(accent, 0.45)))
    _badge(canvas, spec, 0, -height * 0.48)


def _sneaker(canvas: skia.Canvas, spec: ProductSpec, color: RGB, accent: RGB) -> None:
    half, height = _size(spec, 76, 84)
    upper = skia.Path()
    upper.moveTo(-half, -14)
    upper.lineTo(-half + 4, -height)
    upper.cubicTo(-half + 18, -height + 10, -half + 34, -height + 8, -half + 44, -height - 6)
    upper.cubicTo(-4, -height * 0.55, half * 0.4, -height * 0.55, half * 0.8, -height * 0.42)
    upper.cubicTo(half + 6, -height * 0.34, half + 4, -20, half, -14)
    upper.close()
    _skin(canvas, upper, spec, color)
    sole = 20 + 5 * spec.handle
    canvas.drawPath(rounded(-half - 3, -sole, half + 6, 0, 9), fill((246, 246, 242)))
    canvas.drawPath(rounded(-half - 3, -sole * 0.5, half + 6, -sole * 0.25, 2), fill(accent))
    toe = skia.Path()
    toe.addArc(skia.Rect.MakeLTRB(half * 0.42, -height * 0.48, half + 6, -sole + 24), 180, 180)
    toe.close()
    canvas.drawPath(toe, fill(accent))
    for i in range(4):
        x, y = -half + 54 + i * 13, -height + 18 + i * 7
        canvas.drawPath(line([(x - 6, y - 4), (x + 7, y + 3)]), stroke((250, 250, 250), 4))
    _badge(canvas, spec, -half * 0.52, -height * 0.5)


def _backpack(canvas: skia.Canvas, spec: ProductSpec, color: RGB, accent: RGB) -> None:
    half, height = _size(spec, 46, 118)
    canvas.drawPath(ellipse(0, -height - 2, 15 + 3 * spec.handle, 13), stroke(shade(accent, 0.8), 7))
    for side in (-1, 1):
        canvas.drawPath(
            rounded(side * (half + 7) - 9, -height * 0.42, side * (half + 7) + 9, -6, 7),
            fill(shade(color, 0.72)),
        )
    _skin(canvas, rounded(-half, -height, half, 0, 24), spec, color)
    flap = height * (0.62 + 0.06 * spec.band)
    canvas.drawPath(rounded(-half, -flap, half, -flap + 9, 2), fill(accent))
    pocket = half * (0.74 + 0.1 * spec.taper)
    canvas.drawPath(rounded(-pocket, -height * 0.46, pocket, -8, 10), fill(accent))
    canvas.drawPath(
        line([(-pocket + 7, -height * 0.38), (pocket - 7, -height * 0.38)]), stroke(shade(accent, 0.55), 3.5)
    )
    _badge(canvas, spec, 0, -height * 0.2)


def _lamp(canvas: skia.Canvas, spec: ProductSpec, color: RGB, accent: RGB) -> None:
    half, height = _size(spec, 50, 136)
    foot = 30 + 6 * spec.handle
    canvas.drawPath(ellipse(0, -6, foot, 9), fill(accent))
    canvas.drawRect(skia.Rect.MakeLTRB(-5, -height * 0.55, 5, -6), fill(accent))
    canvas.drawPath(ellipse(0, -height * 0.27, 10 + 4 * spec.band, 13), fill(accent))
    neck = half * (0.55 + 0.18 * spec.taper)
    hood = polygon([(-neck, -height), (neck, -height), (half, -height * 0.46), (-half, -height * 0.46)])
    _skin(canvas, hood, spec, color)
    canvas.drawPath(ellipse(0, -height * 0.46, half, 6), fill((255, 240, 180)))
    _badge(canvas, spec, 0, -height * 0.68)


def _teapot(canvas: skia.Canvas, spec: ProductSpec, color: RGB, accent: RGB) -> None:
    half, height = _size(spec, 50, 80)
    middle = -height * 0.52
    canvas.drawPath(ellipse(-half - 6, middle, 20 + 4 * spec.handle, height * 0.3), stroke(accent, 9))
    spout = polygon(
        [
            (half * 0.6, middle + 20),
            (half * 0.75, middle - 6),
            (half + 30, middle - 32),
            (half + 38, middle - 24),
            (half + 18, middle + 12),
        ]
    )
    canvas.drawPath(spout, fill(shade(color, 0.82)))
    _skin(canvas, ellipse(0, middle, half, height * 0.5), spec, color)
    canvas.drawPath(rounded(-half * 0.5, -8, half * 0.5, 0, 4), fill(accent))
    lid = skia.Path()
    lid.addArc(skia.Rect.MakeLTRB(-half * 0.62, -height * 1.22, half * 0.62, -height * 0.7), 180, 180)
    lid.close()
    canvas.drawPath(lid, fill(accent))
    canvas.drawCircle(0, -height * 1.27, 7 + 2 * spec.band, fill(shade(accent, 0.75)))
    _badge(canvas, spec, 0, middle)
