"""Places out of town: beach, forest, snow, desert, lake, farm, park, garden."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import skia

from castmark_world.brush import arc, box, ellipse, fill, line, polygon, rounded, shade, smooth, stroke
from castmark_world.places.light import SIDE, Light
from castmark_world.vocabulary import RGB


def _beach(canvas: skia.Canvas, light: Light, rng: np.random.Generator) -> None:
    light.sky(canvas, rng)
    light.ground(canvas, (60, 150, 205), 118)
    for y in (130, 146):
        x = float(rng.uniform(0, 160))
        canvas.drawPath(rounded(x, y, x + 70, y + 4, 2), fill(light.of((225, 240, 250))))
    light.ground(canvas, (240, 214, 150), 168)
    x = 34.0 if rng.random() < 0.5 else 222.0
    canvas.drawPath(line([(x, 190), (x + 4, 150), (x - 2, 108)]), stroke(light.of((140, 95, 55)), 9))
    for dx, dy in ((-34, 6), (-22, -18), (10, -24), (34, -6), (24, 16)):
        leaf = polygon(
            [(x - 2, 104), (x + dx * 0.5, 98 + dy - 6), (x + dx, 106 + dy), (x + dx * 0.5, 106 + dy)]
        )
        canvas.drawPath(leaf, fill(light.of((50, 150, 70))))


def _forest(canvas: skia.Canvas, light: Light, rng: np.random.Generator) -> None:
    light.sky(canvas, rng, clouds=False)
    light.ground(canvas, (40, 105, 60), 108)
    light.ground(canvas, (96, 150, 70), 176)
    offset = float(rng.uniform(-14, 14))
    for i, x in enumerate((18, 66, 190, 240)):
        cx, top = x + offset, (34, 62, 54, 30)[i]
        canvas.drawRect(skia.Rect.MakeLTRB(cx - 6, 140, cx + 6, 190), fill(light.of((110, 74, 46))))
        for step in range(3):
            y = top + step * 34
            half = 20 + step * 8
            tree = polygon([(cx, y), (cx - half, y + 48), (cx + half, y + 48)])
            canvas.drawPath(tree, fill(light.of((28 + 8 * step, 92 + 12 * step, 56))))


def _snow(canvas: skia.Canvas, light: Light, rng: np.random.Generator) -> None:
    light.sky(canvas, rng, clouds=False)
    dim = 0.35 + 0.65 * light.dim
    shift = float(rng.uniform(-26, 26))
    for cx, top, half in ((60, 44, 84), (196, 62, 80), (128, 76, 60)):
        x = cx + shift
        canvas.drawPath(
            polygon([(x, top), (x - half, 170), (x + half, 170)]), fill(shade((120, 136, 168), dim))
        )
        cap = polygon([(x, top), (x - half * 0.3, top + 36), (x, top + 28), (x + half * 0.3, top + 36)])
        canvas.drawPath(cap, fill(shade((252, 252, 255), dim)))
    canvas.drawRect(skia.Rect.MakeLTRB(0, 160, SIDE, SIDE), fill(shade((238, 244, 252), dim)))
    for _ in range(16):
        x, y = float(rng.uniform(0, 256)), float(rng.uniform(0, 160))
        canvas.drawCircle(x, y, 2.6, fill((255, 255, 255)))


def _desert(canvas: skia.Canvas, light: Light, rng: np.random.Generator) -> None:
    light.sky(canvas, rng, clouds=False)
    canvas.drawPath(ellipse(float(rng.uniform(20, 90)), 176, 130, 54), fill(light.of((222, 160, 96))))
    canvas.drawPath(ellipse(float(rng.uniform(170, 240)), 184, 120, 50), fill(light.of((206, 140, 80))))
    light.ground(canvas, (232, 178, 112), 178)
    x = 30.0 if rng.random() < 0.5 else 226.0
    green = light.of((60, 130, 70))
    canvas.drawPath(line([(x, 200), (x, 112)]), stroke(green, 17))
    canvas.drawPath(line([(x, 164), (x - 22, 160), (x - 22, 136)]), stroke(green, 10))
    canvas.drawPath(line([(x, 150), (x + 22, 146), (x + 22, 122)]), stroke(green, 10))


def round_tree(canvas: skia.Canvas, light: Light, x: float, foot: float, size: float) -> None:
    """A leafy tree on a trunk."""
    canvas.drawPath(line([(x, foot), (x, foot - 60 * size)]), stroke(light.of((120, 80, 50)), 9 * size))
    for dx, dy, r in ((-20, -66, 22), (20, -66, 22), (0, -88, 26), (0, -64, 22)):
        canvas.drawCircle(x + dx * size, foot + dy * size, r * size, fill(light.of((74, 156, 78))))
    canvas.drawCircle(x - 8 * size, foot - 90 * size, 10 * size, fill(light.of((110, 184, 100))))


def _park(canvas: skia.Canvas, light: Light, rng: np.random.Generator) -> None:
    light.sky(canvas, rng)
    light.ground(canvas, (130, 190, 100), 146)
    shift = float(rng.uniform(-10, 10))
    for x, size in ((22, 1.0), (206, 1.1), (248, 0.8)):
        round_tree(canvas, light, x + shift, 168, size)
    path = smooth([(90, 256), (150, 200), (112, 146), (124, 146), (196, 200), (190, 256)])
    canvas.drawPath(path, fill(light.of((232, 210, 170))))
    x = 48.0 if rng.random() < 0.5 else 152.0
    wood = stroke(light.of((164, 104, 60)), 5)
    for y in (152, 161, 176):
        canvas.drawPath(line([(x, y), (x + 58, y)]), wood)
    for dx in (6, 52):
        canvas.drawPath(line([(x + dx, 150), (x + dx, 194)]), stroke(light.of((70, 74, 84)), 4))
    _street_lamp(canvas, light, 96 + shift)


def _street_lamp(canvas: skia.Canvas, light: Light, x: float) -> None:
    canvas.drawPath(line([(x, 190), (x, 74)]), stroke(light.of((60, 70, 80)), 4))
    glow: RGB = (255, 240, 170) if light.time in ("night", "sunset") else (240, 240, 232)
    if light.time == "night":
        canvas.drawCircle(x, 68, 22, fill((255, 240, 170), 60))
    canvas.drawCircle(x, 68, 9, fill(glow))


def _farm(canvas: skia.Canvas, light: Light, rng: np.random.Generator) -> None:
    light.sky(canvas, rng)
    light.ground(canvas, (150, 188, 84), 132)
    for i in range(7):
        start, end = 40 + 30 * i, -150 + 92 * i
        canvas.drawPath(line([(start, 150), (end, 256)]), stroke(light.of((196, 176, 84)), 7))
    x = (14.0 if rng.random() < 0.5 else 150.0) + float(rng.uniform(-6, 6))
    red, white = fill(light.of((188, 56, 48))), light.of((246, 240, 232))
    canvas.drawPath(
        polygon([(x, 156), (x, 100), (x + 22, 72), (x + 70, 72), (x + 92, 100), (x + 92, 156)]), red
    )
    canvas.drawPath(
        polygon(
            [
                (x - 6, 102),
                (x + 20, 66),
                (x + 72, 66),
                (x + 98, 102),
                (x + 90, 102),
                (x + 68, 76),
                (x + 24, 76),
                (x + 2, 102),
            ]
        ),
        fill(light.of((110, 100, 104))),
    )
    canvas.drawPath(box(x + 30, 116, x + 62, 156), stroke(white, 4))
    canvas.drawPath(line([(x + 30, 116), (x + 62, 156)]), stroke(white, 4))
    canvas.drawPath(line([(x + 62, 116), (x + 30, 156)]), stroke(white, 4))
    canvas.drawPath(box(x + 38, 86, x + 54, 102), fill(white))
    fence = stroke(light.of((214, 190, 150)), 4.4)
    for y in (164, 176):
        canvas.drawPath(line([(0, y), (256, y)]), fence)
    for i in range(7):
        canvas.drawPath(line([(14 + 38 * i, 156), (14 + 38 * i, 188)]), fence)


def _lake(canvas: skia.Canvas, light: Light, rng: np.random.Generator) -> None:
    light.sky(canvas, rng)
    shift = float(rng.uniform(-20, 20))
    for cx, top, half, color in (
        (50, 66, 90, (96, 128, 132)),
        (190, 52, 100, (82, 112, 124)),
        (118, 88, 70, (112, 146, 136)),
    ):
        canvas.drawPath(
            polygon([(cx + shift, top), (cx + shift - half, 140), (cx + shift + half, 140)]),
            fill(light.of(color)),
        )
    light.ground(canvas, (84, 160, 200), 136)
    for y, wide in ((148, 60), (160, 90), (174, 50)):
        x = float(rng.uniform(0, 180))
        canvas.drawPath(rounded(x, y, x + wide, y + 3, 1.5), fill(light.of((190, 224, 240))))
    x = 56.0 if shift < 0 else 200.0
    canvas.drawPath(
        smooth([(x - 30, 156), (x + 30, 156), (x + 20, 172), (x - 20, 172)]), fill(light.of((190, 84, 56)))
    )
    canvas.drawPath(line([(x - 6, 162), (x + 24, 148)]), stroke(light.of((236, 210, 170)), 3))
    light.ground(canvas, (122, 170, 92), 194)
    for dx in (-9, 0, 8, 15):
        reed = (236 if shift < 0 else 14) + dx
        canvas.drawPath(line([(reed, 204), (reed + 2, 162)]), stroke(light.of((74, 128, 66)), 3))
        canvas.drawPath(line([(reed + 2, 160), (reed + 2, 150)]), stroke(light.of((124, 78, 46)), 6))


def _garden(canvas: skia.Canvas, light: Light, rng: np.random.Generator) -> None:
    light.sky(canvas, rng)
    light.ground(canvas, (120, 186, 96), 160)
    hedge = light.of((62, 132, 72))
    canvas.drawPath(box(0, 116, SIDE, 166), fill(hedge))
    for i in range(10):
        canvas.drawCircle(8 + 27 * i, 116, 17, fill(hedge))
    arch = 128 + float(rng.uniform(-70, 70))
    canvas.drawPath(arc(arch - 36, 64, arch + 36, 136, 180, 180), stroke(light.of((246, 244, 238)), 6))
    for side in (-1, 1):
        canvas.drawPath(
            line([(arch + side * 36, 100), (arch + side * 36, 168)]), stroke(light.of((246, 244, 238)), 6)
        )
    for i in range(7):
        angle = np.pi * (1 + i / 6)
        canvas.drawCircle(
            arch + float(np.cos(angle)) * 36,
            100 + float(np.sin(angle)) * 36,
            5.5,
            fill(light.of((236, 96, 130))),
        )
    colors: tuple[RGB, ...] = ((236, 72, 96), (250, 206, 70), (170, 96, 214), (250, 250, 246), (244, 140, 60))
    for side in (0, 1):
        left = 4 if side == 0 else 176
        canvas.drawPath(ellipse(left + 38, 198, 44, 15), fill(light.of((120, 82, 58))))
        for i in range(9):
            x, y = left + 4 + 8.6 * i, 186 + 9 * (i % 2)
            canvas.drawPath(line([(x, y), (x, y + 14)]), stroke(light.of((60, 130, 66)), 2.4))
            canvas.drawCircle(x, y, 5.6, fill(light.of(colors[(i + side) % 5])))
            canvas.drawCircle(x, y, 2, fill(light.of((250, 226, 120))))


NATURE: dict[str, Callable[[skia.Canvas, Light, np.random.Generator], None]] = {
    "beach": _beach,
    "forest": _forest,
    "snow": _snow,
    "desert": _desert,
    "park": _park,
    "farm": _farm,
    "lake": _lake,
    "garden": _garden,
}
