"""Rooms to work, learn and look in: office, classroom, library, gym, hospital, laboratory, workshop,
gallery, stage.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import skia

from castmark_world.brush import box, dome, ellipse, fill, line, polygon, rounded, smooth, stroke
from castmark_world.places.light import SIDE, Light, gradient
from castmark_world.vocabulary import RGB

_SPINES: tuple[RGB, ...] = (
    (190, 60, 60),
    (60, 100, 170),
    (230, 180, 80),
    (70, 140, 100),
    (130, 80, 150),
    (220, 210, 190),
)


def _books(
    canvas: skia.Canvas, light: Light, rng: np.random.Generator, x: float, end: float, floor: float
) -> None:
    """A row of books that stands on ``floor``."""
    while x < end - 7:
        wide, tall = float(rng.uniform(6, 10)), float(rng.uniform(22, 32))
        color = _SPINES[int(rng.integers(len(_SPINES)))]
        canvas.drawPath(box(x, floor - tall, min(x + wide, end), floor), fill(light.room(color)))
        x += wide + 1


def _office(canvas: skia.Canvas, light: Light, rng: np.random.Generator) -> None:
    light.walls(canvas, ((222, 228, 234), (214, 224, 220))[int(rng.integers(2))], (128, 138, 152))
    flip = rng.random() < 0.5
    light.window(canvas, 20 if flip else 140, 24, 96, 64)
    for y in range(30, 86, 9):
        canvas.drawPath(
            line([(20 if flip else 140, y), (116 if flip else 236, y)]),
            stroke(light.room((236, 240, 244)), 3),
        )
    shelf = 150.0 if flip else 14.0
    for y in (52, 90):
        _books(canvas, light, rng, shelf + 4, shelf + 60, y)
        canvas.drawPath(box(shelf, y, shelf + 90, y + 5), fill(light.room((150, 110, 76))))
    canvas.drawPath(
        polygon([(shelf + 70, 52), (shelf + 84, 52), (shelf + 81, 38), (shelf + 73, 38)]),
        fill(light.room((210, 110, 70))),
    )
    canvas.drawCircle(shelf + 77, 32, 9, fill(light.room((84, 160, 90))))
    canvas.drawPath(box(0, 150, SIDE, 158), fill(light.room((196, 150, 104))))
    for x in (12, 176):
        canvas.drawPath(box(x, 158, x + 68, 206), fill(light.room((226, 228, 232))))
        canvas.drawPath(line([(x + 26, 172), (x + 42, 172)]), stroke(light.room((130, 136, 146)), 3))
    screen = 196.0 if flip else 60.0
    canvas.drawPath(rounded(screen - 34, 100, screen + 34, 142, 3), fill(light.room((44, 48, 58))))
    canvas.drawPath(box(screen - 30, 104, screen + 30, 138), fill((120, 186, 236)))
    for i, tall in enumerate((10, 18, 14, 25)):
        canvas.drawPath(
            box(screen - 22 + 12 * i, 135 - tall, screen - 14 + 12 * i, 135), fill((250, 252, 255))
        )
    canvas.drawPath(
        polygon([(screen - 8, 142), (screen + 8, 142), (screen + 14, 151), (screen - 14, 151)]),
        fill(light.room((70, 74, 84))),
    )


def _classroom(canvas: skia.Canvas, light: Light, rng: np.random.Generator) -> None:
    light.walls(canvas, ((250, 236, 200), (222, 236, 226))[int(rng.integers(2))], (196, 152, 108))
    canvas.drawPath(rounded(30, 22, 226, 118, 3), fill(light.room((166, 114, 70))))
    canvas.drawPath(box(36, 28, 220, 112), fill(light.room((46, 98, 80))))
    chalk = stroke(light.room((246, 246, 240)), 3)
    shift = float(rng.uniform(-8, 8))
    canvas.drawPath(line([(50 + shift, 66), (60 + shift, 42), (70 + shift, 66)]), chalk)
    canvas.drawPath(line([(54 + shift, 58), (66 + shift, 58)]), chalk)
    for y in (48, 60):
        canvas.drawPath(ellipse(88 + shift, y, 7, 6), chalk)
    canvas.drawPath(line([(80 + shift, 42), (80 + shift, 66)]), chalk)
    canvas.drawPath(polygon([(176, 70), (192, 42), (208, 70)]), chalk)
    canvas.drawPath(ellipse(150, 56, 12, 12), chalk)
    for y in (84, 96):
        canvas.drawPath(line([(50, y), (130 + shift, y)]), stroke(light.room((200, 220, 210)), 2))
    canvas.drawPath(rounded(120, 112, 176, 118, 2), fill(light.room((196, 146, 100))))
    canvas.drawCircle(128, 11, 9, fill(light.room((250, 250, 248))))
    for left in (-16, 184):
        canvas.drawPath(box(left, 160, left + 88, 170), fill(light.room((226, 176, 110))))
        for x in (left + 8, left + 78):
            canvas.drawPath(line([(x, 170), (x, 214)]), stroke(light.room((110, 116, 130)), 4.4))
    canvas.drawCircle(206, 153, 8, fill(light.room((210, 56, 54))))
    canvas.drawPath(line([(206, 146), (208, 140)]), stroke(light.room((90, 60, 40)), 2))


def _library(canvas: skia.Canvas, light: Light, rng: np.random.Generator) -> None:
    light.walls(canvas, (150, 110, 76), (120, 82, 58))
    wood, dark = fill(light.room((126, 84, 54))), fill(light.room((84, 56, 40)))
    for left in (0, 88, 176):
        canvas.drawPath(box(left, 8, left + 80, 192), wood)
        for y in (48, 88, 128, 168):
            canvas.drawPath(box(left + 6, y - 36, left + 74, y), dark)
            _books(canvas, light, rng, left + 7, left + 74, y)
    canvas.drawPath(line([(40, 6), (62, 198)]), stroke(light.room((214, 170, 110)), 5))
    canvas.drawPath(line([(62, 6), (84, 198)]), stroke(light.room((214, 170, 110)), 5))
    for i in range(7):
        x, y = 42 + 2.9 * i, 22 + 26 * i
        canvas.drawPath(line([(x, y), (x + 22, y)]), stroke(light.room((214, 170, 110)), 4))
    canvas.drawPath(ellipse(128, 232, 112, 19), fill(light.room((150, 56, 60))))


def _gym(canvas: skia.Canvas, light: Light, rng: np.random.Generator) -> None:
    light.walls(canvas, ((206, 214, 222), (232, 214, 190))[int(rng.integers(2))], (96, 104, 120))
    flip = rng.random() < 0.5
    bars = 170.0 if flip else 14.0
    for x in (bars, bars + 70):
        canvas.drawPath(line([(x, 20), (x, 186)]), stroke(light.room((176, 120, 70)), 6))
    for y in range(30, 186, 18):
        canvas.drawPath(line([(bars, y), (bars + 70, y)]), stroke(light.room((206, 150, 96)), 5))
    bag = 58.0 if flip else 198.0
    canvas.drawPath(line([(bag, 0), (bag, 46)]), stroke(light.room((80, 84, 94)), 3))
    canvas.drawPath(rounded(bag - 18, 44, bag + 18, 128, 10), fill(light.room((190, 52, 50))))
    canvas.drawPath(box(bag - 18, 60, bag + 18, 68), fill(light.room((250, 246, 240))))
    canvas.drawPath(box(104, 160, 154, 166), fill(light.room((70, 76, 88))))
    rack = 18.0 if flip else 156.0
    canvas.drawPath(box(rack, 164, rack + 84, 171), fill(light.room((60, 64, 76))))
    for x in (rack + 5, rack + 79):
        canvas.drawPath(line([(x, 166), (x, 204)]), stroke(light.room((60, 64, 76)), 5))
    for i in range(3):
        x = rack + 16 + 26 * i
        canvas.drawPath(line([(x - 9, 157), (x + 9, 157)]), stroke(light.room((150, 156, 168)), 4))
        for side in (-1, 1):
            canvas.drawPath(
                rounded(x + side * 9 - 4, 148, x + side * 9 + 4, 166, 2), fill(light.room((36, 40, 50)))
            )
    canvas.drawPath(polygon([(56, 214), (200, 214), (226, 250), (30, 250)]), fill(light.room((70, 130, 180))))


def _hospital(canvas: skia.Canvas, light: Light, rng: np.random.Generator) -> None:
    light.walls(canvas, ((220, 238, 240), (226, 240, 228))[int(rng.integers(2))], (196, 212, 216))
    flip = rng.random() < 0.5
    light.window(canvas, 178 if flip else 24, 26, 54, 58)
    x = 70.0 if flip else 182.0
    canvas.drawCircle(x, 52, 25, fill((252, 254, 254)))
    red = fill((214, 44, 54))
    canvas.drawPath(box(x - 6, 36, x + 6, 68), red)
    canvas.drawPath(box(x - 16, 46, x + 16, 58), red)
    bed = -10.0 if flip else 132.0
    canvas.drawPath(rounded(bed, 112, bed + 8, 206, 3), fill(light.room((150, 160, 174))))
    canvas.drawPath(rounded(bed + 126, 132, bed + 134, 206, 3), fill(light.room((150, 160, 174))))
    canvas.drawPath(rounded(bed + 4, 150, bed + 130, 180, 7), fill(light.room((252, 254, 255))))
    canvas.drawPath(rounded(bed + 50, 148, bed + 130, 184, 7), fill(light.room((120, 184, 206))))
    canvas.drawPath(rounded(bed + 10, 138, bed + 46, 156, 7), fill(light.room((240, 246, 250))))
    stand = 152.0 if flip else 104.0
    pole = stroke(light.room((140, 150, 164)), 3.4)
    canvas.drawPath(line([(stand, 206), (stand, 70)]), pole)
    canvas.drawPath(line([(stand - 14, 70), (stand + 14, 70)]), pole)
    canvas.drawPath(rounded(stand + 6, 74, stand + 22, 104, 5), fill(light.room((196, 232, 250))))
    canvas.drawPath(line([(stand + 14, 104), (stand + 14, 150)]), stroke(light.room((196, 220, 236)), 1.8))
    pulse = [(x - 34, 100), (x - 14, 100), (x - 8, 88), (x, 112), (x + 7, 96), (x + 12, 100), (x + 34, 100)]
    canvas.drawPath(rounded(x - 40, 82, x + 40, 118, 4), fill(light.room((40, 50, 60))))
    canvas.drawPath(line(pulse), stroke((90, 230, 130), 2.6))


def _laboratory(canvas: skia.Canvas, light: Light, rng: np.random.Generator) -> None:
    light.walls(canvas, ((216, 228, 240), (226, 222, 240))[int(rng.integers(2))], (206, 212, 220))
    flip = rng.random() < 0.5
    poster = 44.0 if flip else 200.0
    canvas.drawPath(box(poster - 34, 22, poster + 34, 84), fill((250, 252, 254)))
    atoms = [(poster - 18, 62), (poster, 40), (poster + 18, 58), (poster + 4, 70)]
    canvas.drawPath(line([atoms[0], atoms[1], atoms[2], atoms[3]]), stroke((110, 118, 130), 3))
    for (ax, ay), color in zip(
        atoms, ((60, 110, 210), (220, 60, 60), (70, 170, 100), (246, 200, 70)), strict=True
    ):
        canvas.drawCircle(ax, ay, 7, fill(color))
    shelf = 116.0 if flip else 20.0
    canvas.drawPath(box(shelf, 80, shelf + 118, 86), fill(light.room((150, 160, 174))))
    colors: tuple[RGB, ...] = ((230, 70, 90), (250, 200, 70), (80, 190, 120), (90, 140, 230))
    order = rng.permutation(4)
    for i in range(4):
        x = shelf + 16 + 28 * i
        canvas.drawPath(rounded(x - 8, 48, x + 8, 80, 3), fill((236, 246, 250)))
        canvas.drawPath(rounded(x - 8, 60, x + 8, 80, 3), fill(colors[order[i]]))
        canvas.drawPath(box(x - 5, 42, x + 5, 49), fill(light.room((120, 126, 140))))
    canvas.drawPath(box(0, 148, SIDE, 158), fill(light.room((60, 72, 90))))
    canvas.drawPath(box(0, 158, SIDE, 208), fill(light.room((238, 242, 246))))
    for x in (60, 124, 188):
        canvas.drawPath(line([(x, 160), (x, 206)]), stroke(light.room((190, 198, 208)), 2))
    for x, color in ((30, (90, 200, 230)), (226, (180, 110, 220)), (70, (120, 210, 110))):
        canvas.drawPath(
            polygon([(x - 5, 112), (x + 5, 112), (x + 19, 148), (x - 19, 148)]), fill((232, 244, 250))
        )
        canvas.drawPath(polygon([(x - 11, 130), (x + 11, 130), (x + 18, 147), (x - 18, 147)]), fill(color))
        canvas.drawPath(line([(x - 7, 111), (x + 7, 111)]), stroke((190, 206, 216), 3.4))
    x = 184.0
    canvas.drawPath(line([(x - 14, 147), (x + 18, 147)]), stroke(light.room((44, 48, 60)), 5))
    canvas.drawPath(
        smooth([(x + 8, 146), (x + 22, 128), (x + 4, 108)], closed=False), stroke(light.room((44, 48, 60)), 6)
    )
    canvas.drawPath(line([(x + 6, 100), (x - 6, 134)]), stroke(light.room((90, 98, 114)), 9))


def _workshop(canvas: skia.Canvas, light: Light, rng: np.random.Generator) -> None:
    light.walls(canvas, (176, 168, 160), (140, 136, 134))
    canvas.drawPath(rounded(20, 20, 236, 116, 3), fill(light.room((206, 164, 112))))
    for x in range(32, 236, 16):
        for y in (30, 48, 66, 84, 102):
            canvas.drawCircle(x, y, 1.4, fill(light.room((150, 112, 72))))
    shift = float(rng.uniform(-8, 8))
    steel, grip = light.room((120, 128, 142)), light.room((200, 60, 54))
    canvas.drawPath(line([(54 + shift, 46), (54 + shift, 98)]), stroke(light.room((140, 90, 54)), 6))
    canvas.drawPath(rounded(38 + shift, 34, 70 + shift, 50, 3), fill(steel))
    canvas.drawPath(line([(96 + shift, 56), (96 + shift, 98)]), stroke(steel, 7))
    canvas.drawPath(ellipse(96 + shift, 46, 10, 10), stroke(steel, 6))
    canvas.drawPath(line([(134 + shift, 36), (134 + shift, 66)]), stroke(steel, 4))
    canvas.drawPath(line([(134 + shift, 70), (134 + shift, 96)]), stroke(grip, 9))
    saw = [(164 + shift, 44), (222 + shift, 44), (222 + shift, 52), (164 + shift, 68)]
    canvas.drawPath(polygon(saw), fill(steel))
    canvas.drawPath(rounded(206 + shift, 40, 226 + shift, 66, 6), stroke(grip, 5))
    canvas.drawPath(box(0, 146, SIDE, 160), fill(light.room((176, 118, 70))))
    for x in (14, 226):
        canvas.drawPath(box(x, 160, x + 16, 214), fill(light.room((140, 92, 54))))
    canvas.drawPath(rounded(186, 122, 240, 146, 3), fill(light.room((206, 60, 54))))
    canvas.drawPath(rounded(203, 114, 223, 124, 3), stroke(light.room((60, 60, 66)), 4))
    canvas.drawPath(box(14, 136, 70, 146), fill(light.room((226, 190, 140))))
    canvas.drawPath(box(24, 128, 62, 137), fill(light.room((210, 170, 116))))


def _gallery(canvas: skia.Canvas, light: Light, rng: np.random.Generator) -> None:
    light.walls(canvas, ((244, 242, 238), (206, 214, 220))[int(rng.integers(2))], (178, 140, 104))
    gold = fill(light.room((206, 164, 84)))
    order = [int(i) for i in rng.permutation(3)]
    for slot, which in enumerate(order):
        x = (14.0, 96.0, 178.0)[slot]
        canvas.drawPath(box(x, 34, x + 64, 108), gold)
        canvas.drawPath(
            box(x + 5, 39, x + 59, 103),
            fill(light.room(((250, 236, 210), (60, 90, 150), (240, 226, 230))[which])),
        )
        if which == 0:
            canvas.drawCircle(x + 32, 66, 16, fill(light.room((226, 90, 70))))
            canvas.drawPath(box(x + 5, 84, x + 59, 103), fill(light.room((70, 140, 130))))
        elif which == 1:
            for dx, dy, r in ((16, 58, 6), (40, 52, 9), (30, 80, 5)):
                canvas.drawCircle(x + dx, dy, r, fill(light.room((250, 220, 110))))
            canvas.drawPath(
                polygon([(x + 5, 103), (x + 24, 76), (x + 59, 103)]), fill(light.room((30, 50, 90)))
            )
        else:
            for dx, color in ((8, (210, 60, 60)), (26, (250, 206, 70)), (44, (60, 110, 190))):
                canvas.drawPath(box(x + dx, 46 + dx * 0.4, x + dx + 13, 96), fill(light.room(color)))
        canvas.drawPath(
            polygon([(x + 24, 0), (x + 40, 0), (x + 60, 34), (x + 4, 34)]), fill((255, 246, 210), 70)
        )
    for x in (20, 92, 164, 236):
        canvas.drawPath(line([(x, 150), (x, 204)]), stroke(light.room((206, 170, 90)), 5))
        canvas.drawCircle(x, 147, 6, fill(light.room((226, 190, 104))))
    for x in (20, 92, 164):
        rope = smooth([(x, 156), (x + 36, 186), (x + 72, 156)], closed=False)
        canvas.drawPath(rope, stroke(light.room((170, 36, 48)), 6))


def _stage(canvas: skia.Canvas, light: Light, rng: np.random.Generator) -> None:
    gradient(canvas, (40, 26, 56), (84, 48, 92), 0, 196)
    canvas.drawPath(box(0, 190, SIDE, SIDE), fill((170, 112, 70)))
    for y in (204, 220, 238):
        canvas.drawPath(line([(0, y), (256, y)]), stroke((140, 88, 54), 2))
    shift = float(rng.uniform(-14, 14))
    for x, aim in ((58, 104), (198, 152)):
        beam = [(x - 7, 14), (x + 7, 14), (aim + 50 + shift, 226), (aim - 50 + shift, 226)]
        canvas.drawPath(polygon(beam), fill((255, 246, 190), 62))
        canvas.drawPath(rounded(x - 11, 0, x + 11, 18, 4), fill((30, 28, 36)))
    canvas.drawPath(ellipse(128 + shift, 228, 92, 18), fill((255, 236, 180), 110))
    red, dark = (176, 30, 44), (126, 18, 34)
    for side in (-1, 1):
        edge = 128 + side * 128
        canvas.drawPath(
            polygon(
                [
                    (edge, 0),
                    (edge - side * 52, 0),
                    (edge - side * 34, 110),
                    (edge - side * 44, 214),
                    (edge, 214),
                ]
            ),
            fill(red),
        )
        for k in (8, 22, 36):
            canvas.drawPath(line([(edge - side * k, 22), (edge - side * k * 0.82, 212)]), stroke(dark, 4))
    canvas.drawPath(box(0, 0, SIDE, 16), fill(red))
    for i in range(8):
        canvas.drawPath(dome(i * 32 + 32, 40, i * 32, -8), fill(red))
        canvas.drawCircle(i * 32 + 16, 16, 16, fill(red))
        canvas.drawPath(line([(i * 32, 0), (i * 32, 20)]), stroke(dark, 3))
    if light.time == "day":
        canvas.drawPath(box(0, 0, SIDE, SIDE), fill((255, 255, 255), 16))
    elif light.time == "sunset":
        canvas.drawPath(box(0, 0, SIDE, SIDE), fill((255, 140, 60), 22))
    elif light.time == "night":
        canvas.drawPath(box(0, 0, SIDE, SIDE), fill((10, 10, 60), 40))


WORK: dict[str, Callable[[skia.Canvas, Light, np.random.Generator], None]] = {
    "office": _office,
    "classroom": _classroom,
    "library": _library,
    "gym": _gym,
    "hospital": _hospital,
    "laboratory": _laboratory,
    "workshop": _workshop,
    "gallery": _gallery,
    "stage": _stage,
}
