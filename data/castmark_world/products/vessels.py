"""Vessels: mug, teapot, bottle, perfume, jar, can."""

from __future__ import annotations

from collections.abc import Callable

import skia

from castmark_world.brush import box, dome, ellipse, fill, line, polygon, rounded, shade, smooth, stroke
from castmark_world.products.look import Look


def _mug(canvas: skia.Canvas, look: Look) -> None:
    half, height = look.size(42, 96)
    spec, color, accent = look.spec, look.color, look.accent
    foot = half * (0.9 + 0.12 * spec.taper)
    canvas.drawPath(ellipse(half + 4, -height * 0.5, 22 + 5 * spec.handle, height * 0.27), stroke(accent, 10))
    look.skin(canvas, polygon([(-half, -height), (half, -height), (foot, -4), (-foot, -4)]))
    canvas.drawPath(ellipse(0, -4, foot, 7), fill(shade(color, 0.8)))
    canvas.drawPath(ellipse(0, -height, half, 11), fill(accent))
    canvas.drawPath(ellipse(0, -height, half - 6, 7), fill(shade(accent, 0.45)))
    look.badge(canvas, 0, -height * 0.48)


def _teapot(canvas: skia.Canvas, look: Look) -> None:
    half, height = look.size(50, 80)
    spec, color, accent = look.spec, look.color, look.accent
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
    look.skin(canvas, ellipse(0, middle, half, height * 0.5))
    canvas.drawPath(rounded(-half * 0.5, -8, half * 0.5, 0, 4), fill(accent))
    canvas.drawPath(dome(-half * 0.62, -height * 1.22, half * 0.62, -height * 0.7), fill(accent))
    canvas.drawCircle(0, -height * 1.27, 7 + 2 * spec.band, fill(shade(accent, 0.75)))
    look.badge(canvas, 0, middle)


def _bottle(canvas: skia.Canvas, look: Look) -> None:
    half, height = look.size(29, 138)
    spec, accent = look.spec, look.accent
    neck, shoulder = half * (0.38 + 0.08 * spec.taper), -height * 0.66
    body = skia.Path()
    body.moveTo(-half, -4)
    body.lineTo(-half, shoulder)
    body.cubicTo(-half, shoulder - 18, -neck, shoulder - 14, -neck, shoulder - 30)
    body.lineTo(-neck, -height + 8)
    body.lineTo(neck, -height + 8)
    body.lineTo(neck, shoulder - 30)
    body.cubicTo(neck, shoulder - 14, half, shoulder - 18, half, shoulder)
    body.lineTo(half, -4)
    body.cubicTo(half, 1, -half, 1, -half, -4)
    look.skin(canvas, body)
    canvas.drawPath(
        rounded(-neck - 3, -height - 6, neck + 3, -height + 14 + 4 * spec.band, look.round(3)), fill(accent)
    )
    canvas.drawPath(box(-half, -height * 0.56, half, -height * 0.56 + 5 + spec.handle), fill(accent))
    canvas.drawPath(box(-half, -height * 0.13, half, -height * 0.13 + 5 + spec.handle), fill(accent))
    look.badge(canvas, 0, -height * 0.33, 12.5)


def _perfume(canvas: skia.Canvas, look: Look) -> None:
    half, height = look.size(40, 76)
    spec, accent = look.spec, look.accent
    canvas.drawPath(rounded(-8, -height - 18, 8, -height + 4, 2), fill(shade(accent, 0.7)))
    cap = 15 + 3 * spec.handle
    look.coat(canvas, rounded(-cap, -height - 42, cap, -height - 13, look.round(5)), accent)
    canvas.drawPath(box(-11, -height - 8, 11, -height), fill((240, 214, 130)))
    slope = half * (0.16 + 0.1 * spec.taper)
    body = [
        (-half + slope, -height),
        (half - slope, -height),
        (half, -height * 0.72),
        (half, -3),
        (half - 5, 0),
        (-half + 5, 0),
        (-half, -3),
        (-half, -height * 0.72),
    ]
    look.skin(canvas, polygon(body))
    inner = rounded(-half * 0.78, -height * 0.86, half * 0.78, -8, look.round(6))
    canvas.drawPath(inner, stroke((255, 255, 255), 2.4, 170))
    canvas.drawPath(
        smooth([(cap + 2, -height - 34), (cap + 12, -height - 38), (cap + 20, -height - 36)], closed=False),
        stroke(accent, 4),
    )
    canvas.drawPath(ellipse(cap + 27, -height - 35, 10, 8), fill(shade(accent, 0.8)))
    look.badge(canvas, 0, -height * 0.45)


def _jar(canvas: skia.Canvas, look: Look) -> None:
    half, height = look.size(41, 84)
    spec, accent = look.spec, look.accent
    radius = look.round(14)
    look.skin(canvas, rounded(-half, -height, half, 0, radius))
    canvas.drawPath(
        rounded(-half * 0.86, -height - 6, half * 0.86, -height + 6, 2), fill(shade(look.color, 0.7))
    )
    lid = half * (0.94 + 0.06 * spec.taper)
    look.coat(canvas, rounded(-lid, -height - 26 - 4 * spec.band, lid, -height - 2, look.round(5)), accent)
    for i in range(7):
        x = (i - 3) * lid * 0.27
        canvas.drawPath(line([(x, -height - 20), (x, -height - 7)]), stroke(shade(accent, 0.76), 2.4))
    ribbon = -height * 0.84
    canvas.drawPath(box(-half, ribbon, half, ribbon + 6), fill((250, 246, 236)))
    for side in (-1, 1):
        bow = [
            (half * 0.5, ribbon + 3),
            (half * 0.5 + side * (13 + 2 * spec.handle), ribbon - 5),
            (half * 0.5 + side * (13 + 2 * spec.handle), ribbon + 11),
        ]
        canvas.drawPath(polygon(bow), fill((250, 246, 236)))
    look.badge(canvas, 0, -height * 0.4)


def _can(canvas: skia.Canvas, look: Look) -> None:
    half, height = look.size(33, 112)
    spec, accent = look.spec, look.accent
    rim = half * (0.84 + 0.05 * spec.taper)
    silver = (204, 210, 218)
    body = [
        (-rim, -height),
        (rim, -height),
        (half, -height + 12),
        (half, -12),
        (rim, 0),
        (-rim, 0),
        (-half, -12),
        (-half, -height + 12),
    ]
    canvas.drawPath(polygon(body), fill(silver))
    look.skin(canvas, box(-half, -height + 12, half, -12))
    band = 8 + 3 * spec.band
    canvas.drawPath(box(-half, -height + 16, half, -height + 16 + band), fill(accent))
    canvas.drawPath(box(-half, -16 - band, half, -16), fill(accent))
    canvas.drawPath(ellipse(0, -height, rim, 7), fill((178, 186, 196)))
    canvas.drawPath(ellipse(0, -height, rim - 4, 4.6), fill((222, 226, 232)))
    canvas.drawPath(ellipse(4, -height - 2, 8 + spec.handle, 2.8), stroke((120, 128, 140), 2.6))
    look.badge(canvas, 0, -height * 0.48, 14)


VESSELS: dict[str, Callable[[skia.Canvas, Look], None]] = {
    "mug": _mug,
    "teapot": _teapot,
    "bottle": _bottle,
    "perfume": _perfume,
    "jar": _jar,
    "can": _can,
}
