"""Rooms to live in: kitchen, bedroom, living room, bathroom, cafe."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import skia

from castmark_world.brush import arc, box, ellipse, fill, line, polygon, rounded, stroke
from castmark_world.places.light import SIDE, Light
from castmark_world.vocabulary import RGB


def _kitchen(canvas: skia.Canvas, light: Light, rng: np.random.Generator) -> None:
    wall: RGB = ((250, 240, 214), (226, 240, 232), (250, 228, 216))[int(rng.integers(3))]
    canvas.drawRect(skia.Rect.MakeLTRB(0, 0, SIDE, SIDE), fill(light.room(wall)))
    for x in range(0, 256, 32):
        canvas.drawRect(skia.Rect.MakeXYWH(x, 92, 30, 30), fill(light.room((255, 255, 255))))
    flip = rng.random() < 0.5
    light.window(canvas, 168 if flip else 20, 22, 66, 52)
    left = 8 if flip else 122
    canvas.drawPath(rounded(left, 12, left + 124, 72, 4), fill(light.room((196, 132, 84))))
    canvas.drawRect(skia.Rect.MakeXYWH(left + 60, 12, 3, 60), fill(light.room((150, 96, 58))))
    canvas.drawRect(skia.Rect.MakeLTRB(0, 124, SIDE, 134), fill(light.room((110, 104, 104))))
    canvas.drawRect(skia.Rect.MakeLTRB(0, 134, SIDE, 200), fill(light.room((208, 146, 96))))
    for x in (62, 126, 190):
        canvas.drawRect(skia.Rect.MakeXYWH(x, 134, 3, 66), fill(light.room((160, 104, 64))))
    canvas.drawRect(skia.Rect.MakeLTRB(0, 200, SIDE, SIDE), fill(light.room((232, 226, 216))))


def _bedroom(canvas: skia.Canvas, light: Light, rng: np.random.Generator) -> None:
    wall: RGB = ((200, 190, 228), (190, 210, 232), (236, 200, 208))[int(rng.integers(3))]
    canvas.drawRect(skia.Rect.MakeLTRB(0, 0, SIDE, 190), fill(light.room(wall)))
    canvas.drawRect(skia.Rect.MakeLTRB(0, 190, SIDE, SIDE), fill(light.room((190, 146, 104))))
    flip = rng.random() < 0.5
    light.window(canvas, 26 if flip else 164, 26, 66, 66)
    bed = 120.0 if flip else -24.0
    canvas.drawPath(rounded(bed, 112, bed + 16, 206, 4), fill(light.room((130, 84, 54))))
    canvas.drawPath(rounded(bed + 8, 156, bed + 156, 206, 8), fill(light.room((90, 120, 190))))
    canvas.drawPath(rounded(bed + 14, 142, bed + 62, 168, 10), fill(light.room((255, 252, 246))))
    canvas.drawPath(ellipse(128, 230, 96, 18), fill(light.room((224, 120, 110))))


def _living_room(canvas: skia.Canvas, light: Light, rng: np.random.Generator) -> None:
    wall: RGB = ((214, 226, 214), (240, 224, 200), (212, 220, 236))[int(rng.integers(3))]
    light.walls(canvas, wall, (186, 140, 100))
    flip = rng.random() < 0.5
    light.window(canvas, 24 if flip else 176, 28, 54, 70)
    frame = 186 if flip else 50
    canvas.drawPath(box(frame - 30, 30, frame + 30, 74), fill(light.room((120, 84, 56))))
    canvas.drawPath(box(frame - 26, 34, frame + 26, 70), fill(light.room((170, 214, 236))))
    canvas.drawPath(
        polygon([(frame - 26, 70), (frame - 6, 46), (frame + 10, 60), (frame + 18, 52), (frame + 26, 70)]),
        fill(light.room((96, 150, 110))),
    )
    color: RGB = ((70, 130, 130), (206, 110, 76), (92, 96, 150))[int(rng.integers(3))]
    sofa, dark = (
        fill(light.room(color)),
        fill(light.room((int(color[0] * 0.82), int(color[1] * 0.82), int(color[2] * 0.82)))),
    )
    canvas.drawPath(rounded(36, 118, 220, 188, 14), sofa)
    canvas.drawPath(rounded(46, 156, 210, 196, 8), dark)
    for x in (24, 206):
        canvas.drawPath(rounded(x, 140, x + 26, 204, 11), sofa)
    for x, cushion in ((64, (246, 206, 110)), (168, (240, 236, 226))):
        canvas.drawPath(rounded(x, 132, x + 28, 158, 6), fill(light.room(cushion)))
    lamp = 14.0 if not flip else 242.0
    canvas.drawPath(line([(lamp, 204), (lamp, 92)]), stroke(light.room((70, 64, 64)), 3.4))
    if light.time in ("night", "sunset"):
        canvas.drawCircle(lamp, 84, 34, fill((255, 232, 160), 70))
    canvas.drawPath(
        polygon([(lamp - 12, 66), (lamp + 12, 66), (lamp + 21, 96), (lamp - 21, 96)]), fill((255, 226, 150))
    )
    canvas.drawPath(ellipse(128, 232, 110, 18), fill(light.room((214, 196, 226))))


def _bathroom(canvas: skia.Canvas, light: Light, rng: np.random.Generator) -> None:
    tile: RGB = ((186, 222, 232), (206, 232, 218), (236, 214, 220))[int(rng.integers(3))]
    light.walls(canvas, tile, (214, 220, 226))
    grid = stroke(light.room((246, 250, 252)), 2)
    for x in range(0, 257, 32):
        canvas.drawPath(line([(x, 0), (x, 186)]), grid)
    for y in range(24, 186, 32):
        canvas.drawPath(line([(0, y), (256, y)]), grid)
    flip = rng.random() < 0.5
    mirror = 56.0 if flip else 200.0
    canvas.drawPath(ellipse(mirror, 68, 30, 36), fill(light.room((250, 250, 246))))
    canvas.drawPath(ellipse(mirror, 68, 25, 31), fill(light.room((170, 206, 226))))
    canvas.drawPath(rounded(mirror - 32, 126, mirror + 32, 148, 10), fill(light.room((254, 254, 252))))
    canvas.drawPath(
        polygon([(mirror - 8, 148), (mirror + 8, 148), (mirror + 12, 198), (mirror - 12, 198)]),
        fill(light.room((240, 242, 244))),
    )
    canvas.drawPath(
        line([(mirror, 126), (mirror, 114), (mirror + 10, 114)]), stroke(light.room((150, 158, 170)), 4)
    )
    tub = 146.0 if flip else -8.0
    for dx, y, r in ((20, 138, 11), (40, 132, 14), (62, 137, 12), (84, 134, 13)):
        canvas.drawCircle(tub + dx, y, r, fill(light.room((255, 255, 255))))
    canvas.drawPath(rounded(tub, 138, tub + 118, 200, 22), fill(light.room((252, 252, 250))))
    canvas.drawPath(rounded(tub - 5, 136, tub + 123, 147, 5), fill(light.room((228, 234, 238))))
    duck = tub + 98
    canvas.drawPath(ellipse(duck, 130, 10, 7), fill((250, 206, 60)))
    canvas.drawCircle(duck + 5, 121, 6, fill((250, 206, 60)))
    canvas.drawPath(polygon([(duck + 10, 120), (duck + 17, 122), (duck + 10, 124)]), fill((240, 120, 40)))
    canvas.drawPath(ellipse(128, 232, 84, 15), fill(light.room((120, 170, 200))))


def _cafe(canvas: skia.Canvas, light: Light, rng: np.random.Generator) -> None:
    wall: RGB = ((226, 196, 164), (178, 196, 180), (216, 178, 170))[int(rng.integers(3))]
    light.walls(canvas, wall, (150, 110, 84))
    flip = rng.random() < 0.5
    board = 18.0 if flip else 138.0
    canvas.drawPath(rounded(board, 20, board + 100, 84, 3), fill(light.room((120, 82, 52))))
    canvas.drawPath(box(board + 5, 25, board + 95, 79), fill(light.room((52, 60, 58))))
    chalk = stroke(light.room((236, 236, 226)), 2.2)
    for i, y in enumerate((38, 50, 62, 72)):
        canvas.drawPath(line([(board + 36, y), (board + 74 + 6 * (i % 2), y)]), chalk)
    canvas.drawPath(box(board + 12, 42, board + 27, 58), chalk)
    canvas.drawPath(arc(board + 23, 44, board + 33, 55, -90, 180), chalk)
    for x in (60, 128, 196):
        canvas.drawPath(line([(x, 0), (x, 92)]), stroke(light.room((60, 54, 54)), 1.8))
        canvas.drawPath(
            polygon([(x - 6, 90), (x + 6, 90), (x + 15, 104), (x - 15, 104)]),
            fill(light.room((60, 110, 110))),
        )
        canvas.drawCircle(x, 106, 6, fill((255, 238, 170)))
    canvas.drawPath(box(0, 146, SIDE, 206), fill(light.room((128, 82, 56))))
    canvas.drawPath(box(0, 140, SIDE, 150), fill(light.room((224, 190, 150))))
    for x in range(20, 256, 44):
        canvas.drawPath(rounded(x - 14, 158, x + 14, 198, 3), fill(light.room((146, 98, 68))))
    machine = 186.0 if flip else 20.0
    canvas.drawPath(rounded(machine, 104, machine + 54, 140, 4), fill(light.room((186, 192, 200))))
    canvas.drawPath(box(machine + 6, 116, machine + 48, 134), fill(light.room((70, 74, 84))))
    for dx in (14, 32):
        canvas.drawPath(box(machine + dx, 126, machine + dx + 9, 138), fill(light.room((250, 250, 246))))
    glass = 128.0
    canvas.drawPath(arc(glass - 26, 112, glass + 26, 168, 180, 180), fill(light.room((236, 246, 250)), 150))
    for dx, cake in ((-11, (240, 150, 170)), (9, (150, 96, 66))):
        canvas.drawPath(
            polygon(
                [(glass + dx - 9, 140), (glass + dx + 9, 140), (glass + dx + 7, 127), (glass + dx - 7, 127)]
            ),
            fill(light.room(cake)),
        )


HOME: dict[str, Callable[[skia.Canvas, Light, np.random.Generator], None]] = {
    "kitchen": _kitchen,
    "bedroom": _bedroom,
    "living room": _living_room,
    "bathroom": _bathroom,
    "cafe": _cafe,
}
