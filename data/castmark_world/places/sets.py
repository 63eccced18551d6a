"""Studio set-ups, for products above all: plain studio, colour backdrop, pedestal, tables."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import skia

from castmark_world.brush import box, ellipse, fill, line, polygon, shade, smooth, stroke
from castmark_world.places.light import SIDE, Light, gradient
from castmark_world.vocabulary import COLORS, RGB

_PALE: tuple[RGB, ...] = ((236, 236, 236), (220, 230, 240), (244, 228, 214), (224, 238, 224))


def _studio(canvas: skia.Canvas, light: Light, rng: np.random.Generator) -> None:
    tone = shade(_PALE[int(rng.integers(len(_PALE)))], 0.6 + 0.4 * light.dim)
    gradient(canvas, tone, shade(tone, 0.9), 0, 190)
    canvas.drawRect(skia.Rect.MakeLTRB(0, 190, SIDE, SIDE), fill(shade(tone, 0.82)))


def _backdrop(canvas: skia.Canvas, light: Light, rng: np.random.Generator) -> None:
    names = ("red", "orange", "yellow", "green", "teal", "blue", "purple", "pink")
    color = light.room(COLORS[names[int(rng.integers(len(names)))]])
    gradient(canvas, shade(color, 1.1), shade(color, 0.92), 0, 200)
    gradient(canvas, shade(color, 0.92), shade(color, 1.2), 200, SIDE)
    x = float(rng.uniform(60, 196))
    canvas.drawCircle(x, 110, 96, fill((255, 255, 255), 42))
    canvas.drawCircle(x, 110, 62, fill((255, 255, 255), 36))


def _pedestal(canvas: skia.Canvas, light: Light, rng: np.random.Generator) -> None:
    tone = light.room(_PALE[int(rng.integers(len(_PALE)))])
    gradient(canvas, shade(tone, 0.86), shade(tone, 1.2), 0, SIDE)
    x = 128 + float(rng.uniform(-16, 16))
    canvas.drawPath(box(x - 100, 212, x + 100, SIDE), fill(shade(tone, 0.74)))
    canvas.drawPath(box(x - 100, 212, x - 40, SIDE), fill(shade(tone, 0.84)))
    canvas.drawPath(ellipse(x, 212, 100, 19), fill(shade(tone, 1.6)))
    for dx, radius, top in ((-96, 20, 120), (98, 26, 96)):
        canvas.drawPath(box(x + dx - radius, top, x + dx + radius, 206), fill(shade(tone, 0.9), 150))
        canvas.drawPath(ellipse(x + dx, top, radius, 6), fill(shade(tone, 1.4), 170))


def _table(canvas: skia.Canvas, light: Light, rng: np.random.Generator) -> None:
    wall: RGB = ((226, 214, 200), (196, 210, 206), (214, 206, 220))[int(rng.integers(3))]
    gradient(canvas, light.room(wall), light.room(shade(wall, 0.9)), 0, 172)
    light.window(canvas, 18 + float(rng.uniform(0, 130)), 18, 76, 84)
    canvas.drawPath(box(0, 170, SIDE, SIDE), fill(light.room((178, 120, 72))))
    for y, bend in ((180, 2), (192, -3), (207, 4), (224, -4), (243, 3)):
        grain = smooth([(0, y), (70, y + bend), (160, y - bend), (256, y + 1)], closed=False)
        canvas.drawPath(grain, stroke(light.room((146, 92, 52)), 2))
    canvas.drawPath(box(0, 166, SIDE, 173), fill(light.room((206, 150, 98))))


def _marble(canvas: skia.Canvas, light: Light, rng: np.random.Generator) -> None:
    wall: RGB = ((70, 96, 98), (92, 84, 110), (120, 92, 84))[int(rng.integers(3))]
    canvas.drawPath(box(0, 0, SIDE, 172), fill(light.room(wall)))
    for row in range(7):
        for k in range(6):
            x = k * 52 - (26 if row % 2 else 0)
            canvas.drawPath(box(x, row * 25, x + 50, row * 25 + 23), fill(light.room(shade(wall, 1.14))))
    canvas.drawPath(box(0, 168, SIDE, SIDE), fill(light.room((240, 240, 242))))
    vein = stroke(light.room((176, 180, 190)), 2.2)
    shift = float(rng.uniform(-30, 30))
    for points in (
        ((-10, 190), (60, 206), (90, 196), (150, 230), (180, 256)),
        ((120, 172), (170, 190), (220, 186), (270, 210)),
        ((30, 256), (54, 232), (96, 240), (120, 256)),
    ):
        canvas.drawPath(line([(x + shift, y) for x, y in points]), vein)
    canvas.drawPath(polygon([(0, 164), (256, 164), (256, 172), (0, 172)]), fill(light.room((214, 216, 222))))


SETS: dict[str, Callable[[skia.Canvas, Light, np.random.Generator], None]] = {
    "studio": _studio,
    "colour backdrop": _backdrop,
    "pedestal": _pedestal,
    "wooden table": _table,
    "marble counter": _marble,
}
