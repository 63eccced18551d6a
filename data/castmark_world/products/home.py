"""Things about the house: lamp, chair, box, camera, guitar."""

from __future__ import annotations

from collections.abc import Callable

import skia

from castmark_world.brush import box, ellipse, fill, line, polygon, rounded, shade, smooth, stroke
from castmark_world.products.look import Look


def _lamp(canvas: skia.Canvas, look: Look) -> None:
    half, height = look.size(50, 136)
    spec, accent = look.spec, look.accent
    foot = 30 + 6 * spec.handle
    canvas.drawPath(ellipse(0, -6, foot, 9), fill(accent))
    canvas.drawRect(skia.Rect.MakeLTRB(-5, -height * 0.55, 5, -6), fill(accent))
    canvas.drawPath(ellipse(0, -height * 0.27, 10 + 4 * spec.band, 13), fill(accent))
    neck = half * (0.55 + 0.18 * spec.taper)
    hood = polygon([(-neck, -height), (neck, -height), (half, -height * 0.46), (-half, -height * 0.46)])
    look.skin(canvas, hood)
    canvas.drawPath(ellipse(0, -height * 0.46, half, 6), fill((255, 240, 180)))
    look.badge(canvas, 0, -height * 0.68)


def _chair(canvas: skia.Canvas, look: Look) -> None:
    half, height = look.size(42, 134)
    spec, accent = look.spec, look.accent
    seat = -height * 0.4
    leg = stroke(accent, 9 + 2 * spec.handle)
    for side in (-1, 1):
        canvas.drawPath(
            line([(side * half * 0.62, seat), (side * half * 0.66, -14)]), stroke(shade(accent, 0.7), 8)
        )
    back = half * (0.92 + 0.1 * spec.taper)
    for side in (-1, 1):
        canvas.drawPath(line([(side * half * 0.7, -height * 0.62), (side * half * 0.74, seat)]), leg)
    look.skin(canvas, rounded(-back, -height, back, -height * 0.54, look.round(12)))
    for side in (-1, 1):
        canvas.drawPath(
            line([(side * half * 0.96, seat + 4), (side * half * (1.1 + 0.04 * spec.taper), -4)]), leg
        )
    cushion = [
        (-half * 0.92, seat - 12),
        (half * 0.92, seat - 12),
        (half * 1.2, seat + 8),
        (-half * 1.2, seat + 8),
    ]
    look.skin(canvas, polygon(cushion))
    edge = 9 + 3 * spec.band
    canvas.drawPath(
        rounded(-half * 1.2, seat + 6, half * 1.2, seat + 6 + edge, 4), fill(shade(look.color, 0.72))
    )
    look.badge(canvas, 0, -height * 0.77)


def _box(canvas: skia.Canvas, look: Look) -> None:
    half, height = look.size(46, 78)
    spec, accent = look.spec, look.accent
    deep = 24 + 4 * spec.handle
    left, right = -half - deep * 0.5, half - deep * 0.5
    side = [(right, -height), (right + deep, -height - deep * 0.6), (right + deep, -deep * 0.6), (right, 0)]
    canvas.drawPath(polygon(side), fill(shade(look.color, 0.64)))
    top = [
        (left, -height),
        (left + deep, -height - deep * 0.6),
        (right + deep, -height - deep * 0.6),
        (right, -height),
    ]
    canvas.drawPath(polygon(top), fill(shade(look.color, 1.3)))
    look.skin(canvas, box(left, -height, right, 0))
    wide = 7 + 2 * spec.band
    middle = left + (right - left) * (0.5 + 0.06 * spec.taper)
    canvas.drawPath(box(middle - wide, -height, middle + wide, 0), fill(accent))
    shift = deep
    tape = [
        (middle - wide, -height),
        (middle - wide + shift, -height - deep * 0.6),
        (middle + wide + shift, -height - deep * 0.6),
        (middle + wide, -height),
    ]
    canvas.drawPath(polygon(tape), fill(shade(accent, 1.2)))
    canvas.drawPath(box(left, -height, right, -height + 4), fill(shade(look.color, 0.8)))
    look.badge(canvas, middle, -height * 0.48, 14)


def _camera(canvas: skia.Canvas, look: Look) -> None:
    half, height = look.size(58, 78)
    spec, accent = look.spec, look.accent
    canvas.drawPath(rounded(half * 0.42, -height - 12, half * 0.78, -height + 4, 4), fill((206, 60, 60)))
    hump = [
        (-half * 0.42, -height + 4),
        (-half * 0.3, -height - 17),
        (half * 0.24, -height - 17),
        (half * 0.34, -height + 4),
    ]
    canvas.drawPath(polygon(hump), fill(shade(accent, 0.85)))
    look.coat(canvas, rounded(-half, -height, half, 0, look.round(11)), accent)
    look.skin(canvas, box(-half, -height * 0.76, half, -height * 0.16))
    radius = height * (0.36 + 0.03 * spec.band)
    x = -half * 0.06 + 3 * spec.taper
    canvas.drawCircle(x, -height * 0.46, radius, fill((44, 46, 56)))
    canvas.drawCircle(x, -height * 0.46, radius * 0.78, fill((90, 94, 108)))
    canvas.drawCircle(x, -height * 0.46, radius * 0.6, fill((30, 60, 110)))
    canvas.drawCircle(x - radius * 0.22, -height * 0.46 - radius * 0.22, radius * 0.18, fill((190, 220, 250)))
    canvas.drawPath(
        rounded(-half * 0.86, -height * 0.94, -half * 0.5, -height * 0.8, 2), fill((250, 246, 220))
    )
    look.badge(canvas, half * 0.7, -height * 0.46, 8.4 + spec.handle)


def _guitar(canvas: skia.Canvas, look: Look) -> None:
    half, height = look.size(37, 168)
    spec, accent = look.spec, look.accent
    waist = half * (0.62 + 0.08 * spec.taper)
    low, mid, high = -height * 0.17, -height * 0.35, -height * 0.5
    body = smooth(
        [
            (0, 4),
            (half * 1.15, 2),
            (half * 1.25, low - 8),
            (waist, mid),
            (half * 0.94, high),
            (half * 0.6, -height * 0.6),
            (-half * 0.6, -height * 0.6),
            (-half * 0.94, high),
            (-waist, mid),
            (-half * 1.25, low - 8),
            (-half * 1.15, 2),
        ]
    )
    look.skin(canvas, body)
    canvas.drawPath(body, stroke(shade(look.color, 0.55), 3))
    neck = 7 + spec.handle
    canvas.drawPath(box(-neck, -height * 0.9, neck, -height * 0.42), fill(shade(accent, 0.8)))
    canvas.drawPath(rounded(-neck - 5, -height - 2, neck + 5, -height * 0.87, look.round(5)), fill(accent))
    for side in (-1, 1):
        for y in (-0.97, -0.91):
            canvas.drawCircle(side * (neck + 8), height * y, 3.4, fill((236, 232, 222)))
    hole = 12 + 2 * spec.band
    canvas.drawCircle(0, mid - 2, hole, fill((40, 28, 24)))
    canvas.drawCircle(0, mid - 2, hole, stroke((250, 240, 214), 2.6))
    canvas.drawPath(rounded(-15, low + 6, 15, low + 12, 2), fill((40, 28, 24)))
    for x in (-4, 0, 4):
        canvas.drawPath(line([(x, -height * 0.9), (x, low + 8)]), stroke((244, 240, 230), 1.1))
    for i in range(4):
        y = -height * (0.84 - 0.08 * i)
        canvas.drawPath(line([(-neck, y), (neck, y)]), stroke((230, 224, 210), 1.4))
    look.badge(canvas, half * 0.62, low + 4, 8)


HOME: dict[str, Callable[[skia.Canvas, Look], None]] = {
    "lamp": _lamp,
    "chair": _chair,
    "box": _box,
    "camera": _camera,
    "guitar": _guitar,
}
