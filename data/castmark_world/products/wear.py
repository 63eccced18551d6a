"""Things to wear: sneaker, backpack, watch, headphones, cap."""

from __future__ import annotations

from collections.abc import Callable

import skia

from castmark_world.brush import arc, dome, ellipse, fill, line, rounded, shade, smooth, stroke
from castmark_world.products.look import Look


def _sneaker(canvas: skia.Canvas, look: Look) -> None:
    half, height = look.size(76, 84)
    accent = look.accent
    upper = skia.Path()
    upper.moveTo(-half, -14)
    upper.lineTo(-half + 4, -height)
    upper.cubicTo(-half + 18, -height + 10, -half + 34, -height + 8, -half + 44, -height - 6)
    upper.cubicTo(-4, -height * 0.55, half * 0.4, -height * 0.55, half * 0.8, -height * 0.42)
    upper.cubicTo(half + 6, -height * 0.34, half + 4, -20, half, -14)
    upper.close()
    look.skin(canvas, upper)
    sole = 20 + 5 * look.spec.handle
    canvas.drawPath(rounded(-half - 3, -sole, half + 6, 0, 9), fill((246, 246, 242)))
    canvas.drawPath(rounded(-half - 3, -sole * 0.5, half + 6, -sole * 0.25, 2), fill(accent))
    canvas.drawPath(dome(half * 0.42, -height * 0.48, half + 6, -sole + 24), fill(accent))
    for i in range(4):
        x, y = -half + 54 + i * 13, -height + 18 + i * 7
        canvas.drawPath(line([(x - 6, y - 4), (x + 7, y + 3)]), stroke((250, 250, 250), 4))
    look.badge(canvas, -half * 0.52, -height * 0.5)


def _backpack(canvas: skia.Canvas, look: Look) -> None:
    half, height = look.size(46, 118)
    spec, color, accent = look.spec, look.color, look.accent
    canvas.drawPath(ellipse(0, -height - 2, 15 + 3 * spec.handle, 13), stroke(shade(accent, 0.8), 7))
    for side in (-1, 1):
        canvas.drawPath(
            rounded(side * (half + 7) - 9, -height * 0.42, side * (half + 7) + 9, -6, 7),
            fill(shade(color, 0.72)),
        )
    look.skin(canvas, rounded(-half, -height, half, 0, 24))
    flap = height * (0.62 + 0.06 * spec.band)
    canvas.drawPath(rounded(-half, -flap, half, -flap + 9, 2), fill(accent))
    pocket = half * (0.74 + 0.1 * spec.taper)
    canvas.drawPath(rounded(-pocket, -height * 0.46, pocket, -8, 10), fill(accent))
    canvas.drawPath(
        line([(-pocket + 7, -height * 0.38), (pocket - 7, -height * 0.38)]), stroke(shade(accent, 0.55), 3.5)
    )
    look.badge(canvas, 0, -height * 0.2)


def _watch(canvas: skia.Canvas, look: Look) -> None:
    half, height = look.size(37, 74)
    spec, accent = look.spec, look.accent
    y, strap = -height, half * (0.56 + 0.08 * spec.taper)
    for top, low in ((y - 68, y - 20), (y + 20, 0)):
        look.skin(canvas, rounded(-strap, top, strap, low, look.round(7)))
    for dy in (-58, -50):
        canvas.drawCircle(0, y + dy, 2.6, fill(shade(look.color, 0.5)))
    canvas.drawPath(rounded(half - 3, y - 6, half + 9 + 2 * spec.handle, y + 6, 3), fill(shade(accent, 0.7)))
    radius = half if spec.corner < 0 else half * 0.5
    look.coat(canvas, rounded(-half, y - half, half, y + half, radius), accent)
    inner = half - 7 - 1.5 * spec.band
    canvas.drawPath(rounded(-inner, y - inner, inner, y + inner, radius * 0.8), fill((250, 250, 246)))
    look.badge(canvas, 0, y + inner * 0.36, 7)
    for dx, dy in ((0, -1), (1, 0), (0, 1), (-1, 0)):
        tick = [(dx * inner * 0.8, y + dy * inner * 0.8), (dx * inner * 0.94, y + dy * inner * 0.94)]
        canvas.drawPath(line(tick), stroke((60, 60, 70), 2.4))
    hands = line([(-inner * 0.42, y - inner * 0.34), (0, y), (inner * 0.1, y - inner * 0.66)])
    canvas.drawPath(hands, stroke((36, 36, 46), 3.2))


def _headphones(canvas: skia.Canvas, look: Look) -> None:
    half, height = look.size(50, 112)
    spec, accent = look.spec, look.accent
    thick = 13 + 3 * spec.band
    band = arc(-half, -height, half, -height * 0.06, 180, 180)
    canvas.drawPath(band, stroke(shade(look.color, 0.75), thick))
    canvas.drawPath(arc(-half, -height, half, -height * 0.06, 205, 130), stroke(look.color, thick * 0.6))
    for side in (-1, 1):
        x, wide = side * half, 15 + 2 * spec.handle
        pad = rounded(x - side * 12 - 9, -height * 0.5, x - side * 12 + 9, -6, 8)
        canvas.drawPath(pad, fill(accent))
        cup = rounded(x - wide + side * 6, -height * 0.56, x + wide + side * 6, 0, look.round(13))
        look.skin(canvas, cup)
        look.badge(canvas, x + side * 6, -height * 0.28, 8.6)


def _cap(canvas: skia.Canvas, look: Look) -> None:
    half, height = look.size(58, 76)
    spec, accent = look.spec, look.accent
    crown = dome(-half, -height, half, height * 0.62)
    look.skin(canvas, crown)
    canvas.drawPath(
        arc(-half * 0.5, -height, half * 0.5, height * 0.6, 180, 180), stroke(shade(look.color, 0.7), 2)
    )
    canvas.drawPath(rounded(-7, -height - 6 - spec.band, 7, -height + 3, 3), fill(accent))
    reach = half * (1.72 + 0.12 * spec.taper)
    brim = [
        (-half * 0.2, -height * 0.3),
        (half, -height * 0.36),
        (reach, -6),
        (reach * 0.9, 2),
        (half * 0.4, -6),
        (-half * 0.3, -height * 0.16),
    ]
    look.coat(canvas, smooth(brim), accent)
    canvas.drawPath(
        rounded(-half, -height * 0.28, half * 0.96, -height * 0.17, 3), fill(shade(look.color, 0.72))
    )
    look.badge(canvas, -half * 0.1, -height * 0.58)


WEAR: dict[str, Callable[[skia.Canvas, Look], None]] = {
    "sneaker": _sneaker,
    "backpack": _backpack,
    "watch": _watch,
    "headphones": _headphones,
    "cap": _cap,
}
