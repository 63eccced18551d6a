"""Places in town: street, harbour, playground, market, bridge, rooftop."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import skia

from castmark_world.brush import box, dome, ellipse, fill, line, polygon, rounded, smooth, stroke
from castmark_world.places.light import SIDE, Light
from castmark_world.vocabulary import RGB


def _lit(light: Light) -> RGB:
    return (255, 226, 120) if light.time == "night" else light.of((190, 220, 235))


def _city(canvas: skia.Canvas, light: Light, rng: np.random.Generator) -> None:
    light.sky(canvas, rng, clouds=False)
    lit = _lit(light)
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
        canvas.drawRect(skia.Rect.MakeLTRB(left, top, left + 50, 186), fill(light.of(tones[order[i]])))
        for wy in range(int(top) + 10, 170, 22):
            for wx in (left + 8, left + 30):
                canvas.drawRect(skia.Rect.MakeXYWH(wx, wy, 11, 12), fill(lit))
    light.ground(canvas, (180, 180, 184), 178)
    light.ground(canvas, (92, 94, 102), 194)
    for x in range(8, 256, 62):
        canvas.drawRect(skia.Rect.MakeXYWH(x, 222, 34, 6), fill(light.of((240, 236, 200))))


def _harbour(canvas: skia.Canvas, light: Light, rng: np.random.Generator) -> None:
    light.sky(canvas, rng)
    light.ground(canvas, (52, 122, 172), 122)
    x = 34.0 if rng.random() < 0.5 else 222.0
    tower = [(x - 13, 134), (x - 9, 56), (x + 9, 56), (x + 13, 134)]
    canvas.drawPath(polygon(tower), fill(light.of((250, 248, 244))))
    for y in (66, 92, 118):
        canvas.drawPath(
            box(x - 10 - (y - 56) * 0.05, y, x + 10 + (y - 56) * 0.05, y + 12), fill(light.of((206, 56, 52)))
        )
    canvas.drawPath(
        box(x - 8, 44, x + 8, 57),
        fill((255, 236, 150) if light.time == "night" else light.of((120, 190, 220))),
    )
    canvas.drawPath(dome(x - 9, 34, x + 9, 56), fill(light.of((206, 56, 52))))
    canvas.drawPath(ellipse(x, 136, 28, 8), fill(light.of((120, 116, 112))))
    for bx in (256 - x, 128 + float(rng.uniform(-20, 20))):
        canvas.drawPath(line([(bx, 150), (bx, 84)]), stroke(light.of((120, 84, 56)), 3))
        canvas.drawPath(
            polygon([(bx + 3, 86), (bx + 3, 142), (bx + 32, 142)]), fill(light.of((250, 248, 242)))
        )
        canvas.drawPath(
            polygon([(bx - 3, 96), (bx - 3, 142), (bx - 22, 142)]), fill(light.of((240, 222, 190)))
        )
        hull = [(bx - 30, 147), (bx + 36, 147), (bx + 24, 162), (bx - 20, 162)]
        canvas.drawPath(polygon(hull), fill(light.of((36, 66, 120))))
    light.ground(canvas, (170, 124, 82), 186)
    for i in range(7):
        canvas.drawPath(line([(22 + 36 * i, 188), (4 + 42 * i, 256)]), stroke(light.of((136, 94, 60)), 2.4))
    for px in (16, 240):
        canvas.drawPath(rounded(px - 9, 166, px + 9, 200, 4), fill(light.of((104, 72, 48))))
        canvas.drawPath(box(px - 10, 176, px + 10, 182), fill(light.of((236, 220, 180))))


def _playground(canvas: skia.Canvas, light: Light, rng: np.random.Generator) -> None:
    light.sky(canvas, rng)
    light.ground(canvas, (126, 190, 104), 150)
    canvas.drawPath(ellipse(128, 222, 150, 40), fill(light.of((240, 214, 150))))
    flip = rng.random() < 0.5
    canvas.save()
    if flip:
        canvas.translate(256, 0)
        canvas.scale(-1, 1)
    blue, red, yellow = (stroke(light.of(c), 6) for c in ((60, 110, 200), (220, 70, 66), (246, 200, 60)))
    for x in (14, 40):
        canvas.drawPath(line([(x, 196), (x, 84)]), blue)
    for y in (108, 132, 156, 180):
        canvas.drawPath(line([(14, y), (40, y)]), yellow)
    canvas.drawPath(polygon([(6, 86), (27, 62), (50, 86)]), fill(light.of((220, 70, 66))))
    slide = smooth([(40, 100), (58, 112), (76, 182), (104, 198)], closed=False)
    canvas.drawPath(slide, stroke(light.of((246, 200, 60)), 13))
    canvas.drawPath(line([(150, 196), (166, 76)]), red)
    canvas.drawPath(line([(252, 196), (238, 76)]), red)
    canvas.drawPath(line([(162, 76), (242, 76)]), red)
    for x in (186, 216):
        for dx in (-8, 8):
            canvas.drawPath(line([(x + dx, 78), (x + dx, 160)]), stroke(light.of((90, 94, 104)), 1.8))
        canvas.drawPath(rounded(x - 12, 158, x + 12, 164, 2), fill(light.of((60, 110, 200))))
    canvas.restore()


def _market(canvas: skia.Canvas, light: Light, rng: np.random.Generator) -> None:
    light.sky(canvas, rng, clouds=False)
    for i, color in enumerate(((206, 176, 150), (186, 160, 150), (214, 190, 160))):
        canvas.drawPath(box(i * 88 - 4, 40 + 12 * (i % 2), i * 88 + 84, 180), fill(light.of(color)))
        for x in (14, 52):
            canvas.drawPath(box(i * 88 + x, 56 + 12 * (i % 2), i * 88 + x + 16, 80), fill(_lit(light)))
    light.ground(canvas, (190, 178, 166), 176)
    order = rng.permutation(3)
    awnings: tuple[RGB, ...] = ((214, 60, 56), (60, 130, 90), (60, 110, 190))
    fruit: tuple[RGB, ...] = ((226, 60, 56), (246, 190, 60), (110, 176, 70))
    for i in range(3):
        left = i * 86.0 + 2
        for post in (4, 78):
            canvas.drawPath(
                line([(left + post, 96), (left + post, 188)]), stroke(light.of((140, 100, 66)), 4)
            )
        for stripe in range(5):
            x = left + stripe * 16.4
            color = awnings[order[i]] if stripe % 2 == 0 else (250, 246, 238)
            canvas.drawPath(box(x, 92, x + 16.4, 114), fill(light.of(color)))
            canvas.drawCircle(x + 8.2, 114, 8.2, fill(light.of(color)))
        canvas.drawPath(box(left + 2, 156, left + 80, 192), fill(light.of((170, 120, 76))))
        for k in range(7):
            canvas.drawCircle(left + 10 + 10.4 * k, 155, 6.4, fill(light.of(fruit[(i + k // 3) % 3])))
    for y in (208, 228, 248):
        canvas.drawPath(line([(0, y), (256, y)]), stroke(light.of((168, 156, 146)), 1.8))


def _bridge(canvas: skia.Canvas, light: Light, rng: np.random.Generator) -> None:
    light.sky(canvas, rng)
    light.ground(canvas, (70, 136, 176), 128)
    shift = float(rng.uniform(-16, 16))
    red = light.of((196, 70, 50))
    for x in (58 + shift, 198 + shift):
        for dx in (-9, 9):
            canvas.drawPath(line([(x + dx, 150), (x + dx, 26)]), stroke(red, 7))
        for y in (34, 66, 98):
            canvas.drawPath(line([(x - 9, y), (x + 9, y)]), stroke(red, 5))
    cable = stroke(red, 3.4)
    middle = smooth(
        [(58 + shift, 28), (92 + shift, 140), (164 + shift, 140), (198 + shift, 28)], closed=False
    )
    canvas.drawPath(middle, cable)
    canvas.drawPath(line([(58 + shift, 28), (-40 + shift, 124)]), cable)
    canvas.drawPath(line([(198 + shift, 28), (296 + shift, 124)]), cable)
    for i in range(9):
        x = 72 + 14 * i + shift
        canvas.drawPath(line([(x, 128), (x, 96 + 18 * (1 - abs(i - 4) / 4))]), stroke(red, 1.6))
    canvas.drawPath(box(0, 128, SIDE, 138), fill(red))
    light.ground(canvas, (150, 152, 158), 176)
    rail = stroke(light.of((230, 232, 236)), 4)
    for y in (158, 170):
        canvas.drawPath(line([(0, y), (256, y)]), rail)
    for x in range(10, 256, 34):
        canvas.drawPath(line([(x, 156), (x, 182)]), rail)


def _rooftop(canvas: skia.Canvas, light: Light, rng: np.random.Generator) -> None:
    light.sky(canvas, rng)
    for i in range(8):
        left, top = i * 34.0 - 6, float(rng.uniform(96, 142))
        canvas.drawPath(box(left, top, left + 30, 178), fill(light.of((134, 140, 160))))
        for wy in (top + 8, top + 22):
            canvas.drawPath(box(left + 6, wy, left + 12, wy + 7), fill(_lit(light)))
            canvas.drawPath(box(left + 18, wy, left + 24, wy + 7), fill(_lit(light)))
    x = 42.0 if rng.random() < 0.5 else 214.0
    for dx in (-18, 18):
        canvas.drawPath(line([(x + dx, 190), (x + dx * 0.8, 124)]), stroke(light.of((90, 66, 50)), 5))
    canvas.drawPath(box(x - 24, 72, x + 24, 128), fill(light.of((158, 104, 66))))
    canvas.drawPath(polygon([(x - 28, 74), (x, 46), (x + 28, 74)]), fill(light.of((110, 72, 50))))
    for y in (86, 104):
        canvas.drawPath(line([(x - 24, y), (x + 24, y)]), stroke(light.of((110, 72, 50)), 2.4))
    light.ground(canvas, (176, 110, 88), 164)
    for row, y in enumerate((172, 182)):
        for k in range(9):
            bx = k * 30 - (15 if row else 0)
            canvas.drawPath(box(bx, y - 8, bx + 28, y), fill(light.of((196, 126, 100))))
    light.ground(canvas, (170, 168, 170), 186)
    for k in range(4):
        canvas.drawPath(line([(k * 80 - 10, 256), (40 + k * 56, 188)]), stroke(light.of((150, 148, 152)), 2))


TOWN: dict[str, Callable[[skia.Canvas, Light, np.random.Generator], None]] = {
    "city": _city,
    "harbour": _harbour,
    "playground": _playground,
    "market": _market,
    "bridge": _bridge,
    "rooftop": _rooftop,
}
