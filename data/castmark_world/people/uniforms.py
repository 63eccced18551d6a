"""Tops that belong to an occupation: what is drawn over the plain garment."""

from __future__ import annotations

from collections.abc import Callable

import skia

from castmark_world.brush import box, fill, line, polygon, rounded, shade, stroke
from castmark_world.emblems import star
from castmark_world.people.body import Body
from castmark_world.vocabulary import RGB

GOLD: RGB = (246, 204, 84)
SILVER: RGB = (222, 226, 232)
BAND: RGB = (214, 240, 90)


def _lab_coat(canvas: skia.Canvas, body: Body) -> None:
    half, top, hip = body.half, body.shoulder_y, body.hip_y
    shirt: RGB = (120, 170, 216) if body.spec.occupation == "doctor" else (150, 120, 190)
    canvas.drawPath(polygon([(-half * 0.4, top), (half * 0.4, top), (0, hip - 14)]), fill(shirt))
    for side in (-1, 1):
        lapel = [
            (side * half * 0.26, top - 1),
            (side * half * 0.66, top + 1),
            (side * half * 0.56, top + 17),
            (0, hip - 12),
        ]
        canvas.drawPath(polygon(lapel), fill(shade(body.top, 0.86)))
        canvas.drawPath(
            line([(side * half * 0.4, hip + 2), (side * half * 0.86, hip + 2)]),
            stroke(shade(body.top, 0.7), 2),
        )
    canvas.drawPath(line([(0, hip - 12), (0, hip + 20)]), stroke(shade(body.top, 0.72), 2))
    canvas.drawPath(line([(-half * 0.62, top + 28), (-half * 0.62, top + 20)]), stroke((200, 60, 60), 2.4))
    canvas.drawPath(line([(-half * 0.46, top + 28), (-half * 0.46, top + 21)]), stroke((60, 90, 200), 2.4))


def _scrubs(canvas: skia.Canvas, body: Body) -> None:
    half, top, hip = body.half, body.shoulder_y, body.hip_y
    canvas.drawPath(
        polygon([(-half * 0.36, top - 1), (half * 0.36, top - 1), (0, top + 15)]), fill(body.skin)
    )
    edge = line([(-half * 0.38, top), (0, top + 16), (half * 0.38, top)])
    canvas.drawPath(edge, stroke(shade(body.top, 0.7), 3.4))
    canvas.drawPath(rounded(-half * 0.8, hip - 14, -half * 0.2, hip, 2), fill(shade(body.top, 0.84)))
    badge = box(half * 0.32, top + body.torso * 0.62, half * 0.72, top + body.torso * 0.84)
    canvas.drawPath(badge, fill((252, 252, 250)))
    x, y = half * 0.52, top + body.torso * 0.73
    canvas.drawPath(line([(x - 3, y), (x + 3, y)]), stroke((214, 50, 60), 2.2))
    canvas.drawPath(line([(x, y - 3), (x, y + 3)]), stroke((214, 50, 60), 2.2))


def _chef_jacket(canvas: skia.Canvas, body: Body) -> None:
    half, top, hip = body.half, body.shoulder_y, body.hip_y
    canvas.drawPath(line([(half * 0.5, top + 3), (half * 0.36, hip + 6)]), stroke(shade(body.top, 0.76), 2))
    for y in (top + 14, top + 42, top + 52):
        for side in (-1, 1):
            canvas.drawCircle(side * half * 0.62, y, 2.6, fill((60, 60, 68)))
    scarf = [
        (-11, top - 3),
        (11, top - 3),
        (5, top + 7),
        (9, top + 14),
        (0, top + 9),
        (-9, top + 14),
        (-5, top + 7),
    ]
    canvas.drawPath(polygon(scarf), fill((206, 50, 54)))


def _fire_coat(canvas: skia.Canvas, body: Body) -> None:
    half, top, hip = body.half, body.shoulder_y, body.hip_y
    low = hip + (8.0 if body.sits else body.legs * 0.38)
    for y in (top + body.torso * 0.72, low - 8):
        canvas.drawPath(box(-half * 1.04, y - 5, half * 1.04, y + 5), fill(BAND))
        canvas.drawPath(box(-half * 1.04, y - 1.6, half * 1.04, y + 1.6), fill(SILVER))
    canvas.drawPath(line([(0, top + 2), (0, low)]), stroke(shade(body.top, 0.5), 2.4))
    canvas.drawPath(rounded(-half * 0.6, top - 4, half * 0.6, top + 5, 4), fill(shade(body.top, 0.6)))


def _uniform(canvas: skia.Canvas, body: Body) -> None:
    half, top, hip = body.half, body.shoulder_y, body.hip_y
    police = body.spec.occupation == "police officer"
    dark: RGB = (24, 28, 44)
    for side in (-1, 1):
        collar = polygon([(0, top + 6), (side * half * 0.5, top - 1), (side * half * 0.42, top + 12)])
        canvas.drawPath(collar, fill(shade(body.top, 1.25 if police else 0.9)))
        board = rounded(side * half * 0.78 - 7, top + 1, side * half * 0.78 + 7, top + 9, 2)
        canvas.drawPath(board, fill(dark))
        for dx in (-2.5, 2.5):
            x = side * half * 0.78 + dx
            canvas.drawPath(line([(x, top + 3), (x, top + 7)]), stroke(GOLD, 1.8))
    tie = [(-3, top + 4), (3, top + 4), (4.5, top + 26), (0, top + 31), (-4.5, top + 26)]
    canvas.drawPath(polygon(tie), fill(dark))
    canvas.drawPath(rounded(-half, hip - 7, half, hip + 1, 2), fill(dark))
    canvas.drawPath(rounded(-5, hip - 8, 5, hip + 2, 1), fill(GOLD))
    if police:
        canvas.drawPath(star(-half * 0.56, top + body.torso * 0.38, 7), fill(GOLD))
    else:
        for side in (-1, 1):
            wing = [
                (-half * 0.52, top + 20),
                (-half * 0.52 + side * 11, top + 16),
                (-half * 0.52 + side * 6, top + 23),
            ]
            canvas.drawPath(polygon(wing), fill(GOLD))


def _hi_vis(canvas: skia.Canvas, body: Body) -> None:
    half, top, hip = body.half, body.shoulder_y, body.hip_y
    canvas.drawPath(polygon([(-half * 0.36, top), (half * 0.36, top), (0, top + 22)]), fill((70, 100, 160)))
    canvas.drawPath(line([(0, top + 22), (0, hip + 4)]), stroke(shade(body.top, 0.7), 2))
    for side in (-1, 1):
        canvas.drawPath(
            line([(side * half * 0.62, top + 1), (side * half * 0.62, hip - 14)]), stroke(SILVER, 5)
        )
    canvas.drawPath(box(-half, hip - 17, half, hip - 9), fill(SILVER))


def _smock(canvas: skia.Canvas, body: Body) -> None:
    half, top, hip = body.half, body.shoulder_y, body.hip_y
    canvas.drawPath(rounded(-13, top - 3, 13, top + 5, 4), fill(shade(body.top, 0.8)))
    canvas.drawPath(rounded(-half * 0.8, hip - 12, half * 0.8, hip + 6, 4), fill(shade(body.top, 0.86)))
    for x, y, color in (
        (-0.6, 24, (226, 60, 60)),
        (0.55, 36, (60, 110, 220)),
        (-0.4, 46, (250, 204, 60)),
        (0.3, 54, (70, 170, 90)),
        (0.7, 16, (170, 80, 190)),
    ):
        canvas.drawCircle(x * half, top + y, 3.4, fill(color))


def _waistcoat(canvas: skia.Canvas, body: Body) -> None:
    half, top, hip = body.half, body.shoulder_y, body.hip_y
    canvas.drawPath(polygon([(-half * 0.62, top), (half * 0.62, top), (0, hip - 22)]), fill((248, 248, 246)))
    for side in (-1, 1):
        canvas.drawPath(
            polygon([(side * half, top + 2), (side * half, top + 22), (side * half * 0.84, top)]),
            fill((236, 236, 232)),
        )
        bow = [(0, top + 5), (side * 10, top), (side * 10, top + 10)]
        canvas.drawPath(polygon(bow), fill((150, 30, 44)))
    for y in (hip - 16, hip - 7):
        canvas.drawCircle(0, y, 2, fill(GOLD))


UNIFORMS: dict[str, Callable[[skia.Canvas, Body], None]] = {
    "lab coat": _lab_coat,
    "scrubs": _scrubs,
    "chef jacket": _chef_jacket,
    "fire coat": _fire_coat,
    "uniform": _uniform,
    "hi-vis vest": _hi_vis,
    "smock": _smock,
    "waistcoat": _waistcoat,
}
