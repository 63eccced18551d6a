"""The eight places, each with its own variation, by day, at sunset and at night."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import skia

from castmark_world.brush import ellipse, fill, line, polygon, rounded, shade, stroke
from castmark_world.params import RGB

SIDE = 256.0
HORIZON = 150.0

SKY: dict[str, tuple[RGB, RGB]] = {
    "day": ((120, 190, 240), (205, 232, 250)),
    "sunset": ((240, 130, 90), (252, 210, 140)),
    "night": ((22, 28, 66), (58, 66, 120)),
}
DIM = {"day": 1.0, "sunset": 0.86, "night": 0.5}


def draw_place(canvas: skia.Canvas, place: str, time: str, seed: int) -> None:
    """Paint the whole canvas with a place."""
    rng = np.random.default_rng(seed)
    PLACES[place](canvas, time, rng)


def _gradient(canvas: skia.Canvas, top: RGB, bottom: RGB, y0: float = 0.0, y1: float = SIDE) -> None:
    paint = skia.Paint(
        Shader=skia.GradientShader.MakeLinear(
            points=[skia.Point(0, y0), skia.Point(0, y1)], colors=[skia.Color(*top), skia.Color(*bottom)]
        )
    )
    canvas.drawRect(skia.Rect.MakeLTRB(0, y0, SIDE, y1), paint)


def _sky(canvas: skia.Canvas, time: str, rng: np.random.Generator, *, clouds: bool = True) -> None:
    _gradient(canvas, *SKY[time], 0, HORIZON + 20)
    x = float(rng.uniform(30, 226))
    if time == "night":
        for _ in range(9):
            canvas.drawCircle(
                float(rng.uniform(0, 256)), float(rng.uniform(0, 90)), 1.6, fill((250, 245, 210))
            )
        canvas.drawCircle(x, 36, 15, fill((245, 240, 214)))
        canvas.drawCircle(x + 6, 32, 13, fill(SKY["night"][0]))
    elif time == "sunset":
        canvas.drawCircle(x, 112, 24, fill((255, 226, 130)))
    else:
        canvas.drawCircle(x, 36, 17, fill((255, 228, 110)))
        if clouds:
            for _ in range(2):
                cx, cy = float(rng.uniform(10, 246)), float(rng.uniform(22, 70))
                for dx, r in ((-14, 9), (0, 13), (14, 9)):
                    canvas.drawCircle(cx + dx, cy, r, fill((255, 255, 255), 230))


def _ground(canvas: skia.Canvas, color: RGB, time: str, y: float = HORIZON) -> None:
    canvas.drawRect(skia.Rect.MakeLTRB(0, y, SIDE, SIDE), fill(shade(color, DIM[time])))


def _beach(canvas: skia.Canvas, time: str, rng: np.random.Generator) -> None:
    _sky(canvas, time, rng)
    _ground(canvas, (60, 150, 205), time, 118)
    for y in (130, 146):
        x = float(rng.uniform(0, 160))
        canvas.drawPath(rounded(x, y, x + 70, y + 4, 2), fill(shade((225, 240, 250), DIM[time])))
    _ground(canvas, (240, 214, 150), time, 168)
    x = 34.0 if rng.random() < 0.5 else 222.0
    canvas.drawPath(line([(x, 190), (x + 4, 150), (x - 2, 108)]), stroke(shade((140, 95, 55), DIM[time]), 9))
    for dx, dy in ((-34, 6), (-22, -18), (10, -24), (34, -6), (24, 16)):
        leaf = polygon(
            [(x - 2, 104), (x + dx * 0.5, 98 + dy - 6), (x + dx, 106 + dy), (x + dx * 0.5, 106 + dy)]
        )
        canvas.drawPath(leaf, fill(shade((50, 150, 70), DIM[time])))


def _forest(canvas: skia.Canvas, time: str, rng: np.random.Generator) -> None:
    _sky(canvas, time, rng, clouds=False)
    _ground(canvas, (40, 105, 60), time, 108)
    _ground(canvas, (96, 150, 70), time, 176)
    dim = DIM[time]
    offset = float(rng.uniform(-14, 14))
    for i, x in enumerate((18, 66, 190, 240)):
        cx, top = x + offset, (34, 62, 54, 30)[i]
        canvas.drawRect(skia.Rect.MakeLTRB(cx - 6, 140, cx + 6, 190), fill(shade((110, 74, 46), dim)))
        for step in range(3):
            y = top + step * 34
            half = 20 + step * 8
            tree = polygon([(cx, y), (cx - half, y + 48), (cx + half, y + 48)])
            canvas.drawPath(tree, fill(shade((28 + 8 * step, 92 + 12 * step, 56), dim)))


def _city(canvas: skia.Canvas, time: str, rng: np.random.Generator) -> None:
    _sky(canvas, time, rng, clouds=False)
    dim = DIM[time]
    lit = (255, 226, 120) if time == "night" else shade((190, 220, 235), dim)
    tones: tuple[RGB, ...] = (
        (150, 156, 172),
        (176, 150, 140),
        (132, 146, 160),
        (168, 168, 178),
        (150, 136, 150),
    )
    order = rng.permutation(5)
    for i in range(5):
        left, top = i * 52.0 - 4, float(rng.uniform(26, 86))
        canvas.drawRect(skia.Rect.MakeLTRB(left, top, left + 50, 186), fill(shade(tones[order[i]], dim)))
        for wy in range(int(top) + 10, 170, 22):
            for wx in (left + 8, left + 30):
                canvas.drawRect(skia.Rect.MakeXYWH(wx, wy, 11, 12), fill(lit))
    _ground(canvas, (180, 180, 184), time, 178)
    _ground(canvas, (92, 94, 102), time, 194)
    for x in range(8, 256, 62):
        canvas.drawRect(skia.Rect.MakeXYWH(x, 222, 34, 6), fill(shade((240, 236, 200), dim)))


def _window(canvas: skia.Canvas, time: str, x: float, y: float, w: float, h: float) -> None:
    canvas.drawRect(skia.Rect.MakeXYWH(x - 5, y - 5, w + 10, h + 10), fill((250, 246, 238)))
    canvas.drawRect(
        skia.Rect.MakeXYWH(x, y, w, h), fill(SKY[time][1] if time != "night" else SKY["night"][0])
    )
    canvas.drawRect(skia.Rect.MakeXYWH(x + w / 2 - 2, y, 4, h), fill((250, 246, 238)))


def _kitchen(canvas: skia.Canvas, time: str, rng: np.random.Generator) -> None:
    dim = 0.5 + 0.5 * DIM[time]
    wall: RGB = ((250, 240, 214), (226, 240, 232), (250, 228, 216))[int(rng.integers(3))]
    canvas.drawRect(skia.Rect.MakeLTRB(0, 0, SIDE, SIDE), fill(shade(wall, dim)))
    for x in range(0, 256, 32):
        canvas.drawRect(skia.Rect.MakeXYWH(x, 92, 30, 30), fill(shade((255, 255, 255), dim)))
    flip = rng.random() < 0.5
    _window(canvas, time, 168 if flip else 20, 22, 66, 52)
    left = 8 if flip else 122
    canvas.drawPath(rounded(left, 12, left + 124, 72, 4), fill(shade((196, 132, 84), dim)))
    canvas.drawRect(skia.Rect.MakeXYWH(left + 60, 12, 3, 60), fill(shade((150, 96, 58), dim)))
    canvas.drawRect(skia.Rect.MakeLTRB(0, 124, SIDE, 134), fill(shade((110, 104, 104), dim)))
    canvas.drawRect(skia.Rect.MakeLTRB(0, 134, SIDE, 200), fill(shade((208, 146, 96), dim)))
    for x in (62, 126, 190):
        canvas.drawRect(skia.Rect.MakeXYWH(x, 134, 3, 66), fill(shade((160, 104, 64), dim)))
    canvas.drawRect(skia.Rect.MakeLTRB(0, 200, SIDE, SIDE), fill(shade((232, 226, 216), dim)))


def _bedroom(canvas: skia.Canvas, time: str, rng: np.random.Generator) -> None:
    dim = 0.5 + 0.5 * DIM[time]
    wall: RGB = ((200, 190, 228), (190, 210, 232), (236, 200, 208))[int(rng.integers(3))]
    canvas.drawRect(skia.Rect.MakeLTRB(0, 0, SIDE, 190), fill(shade(wall, dim)))
    canvas.drawRect(skia.Rect.MakeLTRB(0, 190, SIDE, SIDE), fill(shade((190, 146, 104), dim)))
    flip = rng.random() < 0.5
    _window(canvas, time, 26 if flip else 164, 26, 66, 66)
    bed = 120.0 if flip else -24.0
    canvas.drawPath(rounded(bed, 112, bed + 16, 206, 4), fill(shade((130, 84, 54), dim)))
    canvas.drawPath(rounded(bed + 8, 156, bed + 156, 206, 8), fill(shade((90, 120, 190), dim)))
    canvas.drawPath(rounded(bed + 14, 142, bed + 62, 168, 10), fill(shade((255, 252, 246), dim)))
    canvas.drawPath(ellipse(128, 230, 96, 18), fill(shade((224, 120, 110), dim)))


def _snow(canvas: skia.Canvas, time: str, rng: np.random.Generator) -> None:
    _sky(canvas, time, rng, clouds=False)
    dim = 0.35 + 0.65 * DIM[time]
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


def _desert(canvas: skia.Canvas, time: str, rng: np.random.Generator) -> None:
    _sky(canvas, time, rng, clouds=False)
    dim = DIM[time]
    canvas.drawPath(ellipse(float(rng.uniform(20, 90)), 176, 130, 54), fill(shade((222, 160, 96), dim)))
    canvas.drawPath(ellipse(float(rng.uniform(170, 240)), 184, 120, 50), fill(shade((206, 140, 80), dim)))
    _ground(canvas, (232, 178, 112), time, 178)
    x = 30.0 if rng.random() < 0.5 else 226.0
    green = shade((60, 130, 70), dim)
    canvas.drawPath(line([(x, 200), (x, 112)]), stroke(green, 17))
    canvas.drawPath(line([(x, 164), (x - 22, 160), (x - 22, 136)]), stroke(green, 10))
    canvas.drawPath(line([(x, 150), (x + 22, 146), (x + 22, 122)]), stroke(green, 10))


def _studio(canvas: skia.Canvas, time: str, rng: np.random.Generator) -> None:
    tones: tuple[RGB, ...] = ((236, 236, 236), (220, 230, 240), (244, 228, 214), (224, 238, 224))
    tone = shade(tones[int(rng.integers(len(tones)))], 0.6 + 0.4 * DIM[time])
    _gradient(canvas, tone, shade(tone, 0.9), 0, 190)
    canvas.drawRect(skia.Rect.MakeLTRB(0, 190, SIDE, SIDE), fill(shade(tone, 0.82)))


PLACES: dict[str, Callable[[skia.Canvas, str, np.random.Generator], None]] = {
    "beach": _beach,
    "forest": _forest,
    "city": _city,
    "kitchen": _kitchen,
    "bedroom": _bedroom,
    "snow": _snow,
    "desert": _desert,
    "studio": _studio,
}
