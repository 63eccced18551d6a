"""Heads of mascots, one function a species: ears or horns, the head itself, and what tells it apart."""

from __future__ import annotations

from collections.abc import Callable

import skia

from castmark_world.brush import ellipse, fill, line, polygon, rounded, shade, smooth, stroke
from castmark_world.mascots.body import MascotBody, marked
from castmark_world.mascots.faces import draw_eyes, draw_mouth

PINK = (246, 160, 170)
DARK = (44, 38, 44)


def draw_mascot_head(canvas: skia.Canvas, body: MascotBody) -> None:
    """The head of the body's species."""
    _HEADS[body.spec.species](canvas, body)


def _whole(canvas: skia.Canvas, body: MascotBody, path: skia.Path) -> None:
    canvas.drawPath(path, fill(body.color))
    marked(canvas, body, path, head=True)


def _ears(
    canvas: skia.Canvas, body: MascotBody, wide: float, tall: float, inner: tuple[int, int, int]
) -> None:
    """Pointed ears."""
    y, rx, ry = body.head_y, body.head_rx, body.head_ry
    tall *= 1 + 0.2 * body.spec.ear_size
    for side in (-1, 1):
        ear = [
            (side * rx * 0.24, y - ry * 0.8),
            (side * rx * 0.78, y - ry - tall),
            (side * rx * (0.96 + wide), y - ry * 0.3),
        ]
        canvas.drawPath(polygon(ear), fill(shade(body.color, 0.88)))
        small = [
            (side * rx * 0.42, y - ry * 0.78),
            (side * rx * 0.76, y - ry - tall * 0.62),
            (side * rx * (0.84 + wide), y - ry * 0.46),
        ]
        canvas.drawPath(polygon(small), fill(inner))


def _nose(canvas: skia.Canvas, x: float, y: float, size: float, color: tuple[int, int, int] = DARK) -> None:
    canvas.drawPath(
        smooth(
            [
                (x - size, y - size * 0.7),
                (x + size, y - size * 0.7),
                (x + size * 0.6, y + size * 0.6),
                (x, y + size),
                (x - size * 0.6, y + size * 0.6),
            ]
        ),
        fill(color),
    )
    canvas.drawPath(
        ellipse(x - size * 0.25, y - size * 0.3, size * 0.22, size * 0.14), fill((255, 255, 255), 150)
    )


def _fox(canvas: skia.Canvas, body: MascotBody) -> None:
    y, rx, ry = body.head_y, body.head_rx, body.head_ry
    _ears(canvas, body, 0.04, 24, DARK)
    path = smooth(
        [
            (-rx * 0.6, y - ry * 1.15),
            (rx * 0.6, y - ry * 1.15),
            (rx * 1.1, y - ry * 0.3),
            (rx * 1.42, y + ry * 0.55),
            (rx * 0.5, y + ry * 0.95),
            (0, y + ry * 1.3),
            (-rx * 0.5, y + ry * 0.95),
            (-rx * 1.42, y + ry * 0.55),
            (-rx * 1.1, y - ry * 0.3),
        ]
    )
    _whole(canvas, body, path)
    canvas.save()
    canvas.clipPath(path, doAntiAlias=True)
    for side in (-1, 1):
        cheek = [
            (0, y + ry * 0.2),
            (side * rx * 0.5, y + ry * 0.06),
            (side * rx * 1.5, y + ry * 0.5),
            (side * rx * 0.6, y + ry * 1.3),
            (0, y + ry * 1.3),
        ]
        canvas.drawPath(smooth(cheek), fill((254, 250, 244)))
    canvas.restore()
    draw_eyes(canvas, body, y - 3)
    _nose(canvas, 0, y + ry * 0.42, 6.4)
    draw_mouth(canvas, body, y + ry * 0.66, 9)


def _cat(canvas: skia.Canvas, body: MascotBody) -> None:
    y, rx, ry = body.head_y, body.head_rx, body.head_ry
    _ears(canvas, body, 0.0, 17, PINK)
    _whole(canvas, body, ellipse(0, y, rx * 1.04, ry))
    for side in (-1, 1):
        muzzle = ellipse(side * 7.5, y + ry * 0.46, 11 * (1 + 0.15 * body.spec.muzzle), 8)
        canvas.drawPath(muzzle, fill(body.pale))
    draw_eyes(canvas, body, y - 2)
    for side in (-1, 1):
        for dy, tip in ((0.34, 0.22), (0.48, 0.5), (0.6, 0.76)):
            whisker = line([(side * 17, y + ry * dy), (side * (rx + 15), y + ry * tip)])
            canvas.drawPath(whisker, stroke((250, 250, 250), 2.8))
            canvas.drawPath(whisker, stroke((80, 74, 80), 1.6))
    _nose(canvas, 0, y + ry * 0.32, 5, PINK)
    draw_mouth(canvas, body, y + ry * 0.5, 7)


def _bear(canvas: skia.Canvas, body: MascotBody) -> None:
    y, rx, ry = body.head_y, body.head_rx, body.head_ry
    radius = 15 * (1 + 0.2 * body.spec.ear_size)
    for side in (-1, 1):
        canvas.drawCircle(side * rx * 0.76, y - ry * 0.78, radius, fill(shade(body.color, 0.88)))
        canvas.drawCircle(side * rx * 0.76, y - ry * 0.78, radius * 0.55, fill(body.pale))
    _whole(canvas, body, ellipse(0, y, rx * 1.02, ry * 1.02))
    canvas.drawPath(ellipse(0, y + ry * 0.44, 20 * (1 + 0.15 * body.spec.muzzle), 16), fill(body.pale))
    draw_eyes(canvas, body, y - 4)
    _nose(canvas, 0, y + ry * 0.28, 8)
    draw_mouth(canvas, body, y + ry * 0.58, 9)


def _rabbit(canvas: skia.Canvas, body: MascotBody) -> None:
    y, rx, ry = body.head_y, body.head_rx, body.head_ry
    tall = 33 * (1 + 0.16 * body.spec.ear_size)
    for side in (-1, 1):
        canvas.save()
        canvas.translate(side * rx * 0.42, y - ry * 0.7)
        canvas.rotate(side * 9)
        canvas.drawPath(ellipse(0, -tall * 0.8, 11, tall), fill(shade(body.color, 0.9)))
        canvas.drawPath(ellipse(0, -tall * 0.8, 5.6, tall * 0.78), fill(PINK))
        canvas.restore()
    _whole(canvas, body, ellipse(0, y, rx, ry))
    for side in (-1, 1):
        canvas.drawPath(
            ellipse(side * 8, y + ry * 0.46, 11 * (1 + 0.15 * body.spec.muzzle), 9), fill(body.pale)
        )
    draw_eyes(canvas, body, y - 2)
    canvas.drawPath(rounded(-5.5, y + ry * 0.56, -0.4, y + ry * 0.86, 1.5), fill((255, 255, 252)))
    canvas.drawPath(rounded(0.4, y + ry * 0.56, 5.5, y + ry * 0.86, 1.5), fill((255, 255, 252)))
    _nose(canvas, 0, y + ry * 0.34, 4.6, PINK)
    draw_mouth(canvas, body, y + ry * 0.5, 7)


def _robot(canvas: skia.Canvas, body: MascotBody) -> None:
    y, rx, ry = body.head_y - 4, body.head_rx, body.head_ry
    steel = (140, 148, 160)
    canvas.drawPath(rounded(-9, y + ry - 4, 9, body.shoulder_y + 4, 2), fill(steel))
    tall = 18 * (1 + 0.3 * body.spec.ear_size)
    canvas.drawPath(line([(0, y - ry), (0, y - ry - tall)]), stroke(steel, 4))
    canvas.drawCircle(0, y - ry - tall, 6.4, fill((240, 80, 80)))
    for side in (-1, 1):
        canvas.drawPath(rounded(side * rx * 1.02 - 7, y - 11, side * rx * 1.02 + 7, y + 11, 4), fill(steel))
    _whole(canvas, body, rounded(-rx, y - ry * 0.98, rx, y + ry * 0.94, 12 + 5 * body.spec.head_width))
    face = rounded(-rx * 0.8, y - ry * 0.62, rx * 0.8, y + ry * 0.7, 9)
    canvas.drawPath(face, fill((226, 240, 246)))
    draw_eyes(canvas, body, y - 4)
    draw_mouth(canvas, body, y + ry * 0.34, 11)
    for x in (-0.86, 0.86):
        canvas.drawCircle(x * rx, y - ry * 0.78, 2.4, fill(shade(body.color, 0.6)))


def _owl(canvas: skia.Canvas, body: MascotBody) -> None:
    y, rx, ry = body.head_y, body.head_rx, body.head_ry
    tall = 15 * (1 + 0.3 * body.spec.ear_size)
    for side in (-1, 1):
        tuft = [
            (side * rx * 0.2, y - ry * 0.86),
            (side * rx * 0.98, y - ry * 0.98 - tall),
            (side * rx * 1.02, y - ry * 0.2),
        ]
        canvas.drawPath(polygon(tuft), fill(shade(body.color, 0.8)))
    _whole(canvas, body, ellipse(0, y, rx * 1.04, ry * 1.02))
    for side in (-1, 1):
        canvas.drawPath(ellipse(side * rx * 0.42, y - 1, rx * 0.47, rx * 0.47), fill(body.pale))
    draw_eyes(canvas, body, y - 1, large=1.45)
    beak = [(-7, y + ry * 0.2), (7, y + ry * 0.2), (0, y + ry * (0.66 + 0.08 * body.spec.muzzle))]
    canvas.drawPath(polygon(beak), fill((246, 166, 56)))
    canvas.drawPath(
        polygon([(-6, y + ry * 0.24), (6, y + ry * 0.24), (0, y + ry * 0.4)]), fill((252, 196, 96))
    )
    if body.scene.expression in ("surprised", "laughing"):
        canvas.drawPath(
            polygon([(-5, y + ry * 0.6), (5, y + ry * 0.6), (0, y + ry * 0.86)]), fill((206, 120, 40))
        )
    else:
        draw_mouth(canvas, body, y + ry * 0.76, 8)


def _frog(canvas: skia.Canvas, body: MascotBody) -> None:
    y, rx, ry = body.head_y + 4, body.head_rx, body.head_ry
    for side in (-1, 1):
        canvas.drawCircle(
            side * rx * 0.56, y - ry * 0.78, 17 * (1 + 0.12 * body.spec.ear_size), fill(body.color)
        )
    path = smooth(
        [
            (-rx * 0.8, y - ry * 1.0),
            (rx * 0.8, y - ry * 1.0),
            (rx * 1.3, y - ry * 0.2),
            (rx * 1.24, y + ry * 0.8),
            (rx * 0.4, y + ry * 1.04),
            (-rx * 0.4, y + ry * 1.04),
            (-rx * 1.24, y + ry * 0.8),
            (-rx * 1.3, y - ry * 0.2),
        ]
    )
    _whole(canvas, body, path)
    canvas.save()
    canvas.clipPath(path, doAntiAlias=True)
    canvas.drawPath(ellipse(0, y + ry * 0.96, rx * 0.9, ry * 0.54), fill(body.pale))
    canvas.restore()
    draw_eyes(canvas, body, y - ry * 0.78, spacing=rx * 0.56, large=1.25)
    for side in (-1, 1):
        canvas.drawCircle(side * 4, y - ry * 0.06, 1.7, fill(shade(body.color, 0.5)))
    draw_mouth(canvas, body, y + ry * 0.22, 24 + 3 * body.spec.muzzle)


def _dragon(canvas: skia.Canvas, body: MascotBody) -> None:
    y, rx, ry = body.head_y, body.head_rx, body.head_ry
    tall = 22 * (1 + 0.25 * body.spec.ear_size)
    for side in (-1, 1):
        horn = [
            (side * rx * 0.3, y - ry * 0.8),
            (side * rx * 0.8, y - ry - tall),
            (side * rx * 0.74, y - ry * 0.5),
        ]
        canvas.drawPath(polygon(horn), fill((250, 232, 190)))
        frill = [
            (side * rx * 0.9, y - 8),
            (side * rx * 1.46, y - 16),
            (side * rx * 1.2, y + 2),
            (side * rx * 1.42, y + 14),
            (side * rx * 0.9, y + 12),
        ]
        canvas.drawPath(polygon(frill), fill(shade(body.color, 0.68)))
    for dx in (-0.18, 0.0, 0.18):
        canvas.drawPath(
            polygon([(dx * rx - 7, y - ry * 0.9), (dx * rx, y - ry * 1.3), (dx * rx + 7, y - ry * 0.9)]),
            fill(shade(body.color, 0.68)),
        )
    _whole(canvas, body, ellipse(0, y, rx, ry))
    snout = ellipse(0, y + ry * 0.54, rx * (0.72 + 0.08 * body.spec.muzzle), ry * 0.48)
    canvas.drawPath(snout, fill(shade(body.color, 1.3)))
    draw_eyes(canvas, body, y - 7)
    for side in (-1, 1):
        canvas.drawPath(ellipse(side * 10, y + ry * 0.36, 3.2, 2.4), fill(shade(body.color, 0.42)))
        fang = [(side * 12, y + ry * 0.7), (side * 18, y + ry * 0.68), (side * 15, y + ry * 0.9)]
        canvas.drawPath(polygon(fang), fill((255, 255, 250)))
    draw_mouth(canvas, body, y + ry * 0.66, 15)


_HEADS: dict[str, Callable[[skia.Canvas, MascotBody], None]] = {
    "fox": _fox,
    "cat": _cat,
    "bear": _bear,
    "rabbit": _rabbit,
    "robot": _robot,
    "owl": _owl,
    "frog": _frog,
    "dragon": _dragon,
}
