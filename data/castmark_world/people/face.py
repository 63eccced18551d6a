"""The head: neck, ears, eyes, brows, nose and mouth; freckles, lines of age, beards."""

from __future__ import annotations

import skia

from castmark_world.brush import (
    arc,
    bowl,
    ellipse,
    fill,
    line,
    luminance,
    mix,
    polygon,
    rounded,
    shade,
    smooth,
    stroke,
)
from castmark_world.people.body import Body
from castmark_world.vocabulary import EYE_COLORS, RGB


def draw_head(canvas: skia.Canvas, body: Body) -> None:
    """Neck, head and face, without hair."""
    spec, y, rx, ry = body.spec, body.head_y, body.head_rx, body.head_ry
    canvas.drawPath(rounded(-8, y + ry - 8, 8, body.shoulder_y + 6, 4), fill(shade(body.skin, 0.88)))
    ear = 7 * (1 + 0.25 * spec.ear_size)
    for side in (-1, 1):
        canvas.drawCircle(side * rx * 0.98, y + 5, ear, fill(shade(body.skin, 0.92)))
        if body.full:
            canvas.drawCircle(side * rx * 0.98 + side, y + 5, ear * 0.5, fill(shade(body.skin, 0.8)))
    if body.full:
        _jaw(canvas, body)
    canvas.drawPath(ellipse(0, y, rx, ry), fill(body.skin))
    if body.full:
        _marks(canvas, body)
        _facial_hair(canvas, body)
    dark: RGB = (34, 28, 30) if spec.skin_tone < 8 else (8, 6, 6)
    spacing = rx * (0.40 + 0.09 * spec.eye_spacing)
    _eyes(canvas, body, dark, spacing)
    if body.full:
        _nose(canvas, body)
    _mouth(canvas, body)
    if spec.glasses != "none":
        _glasses(canvas, spec.glasses, y + 4, spacing)


def line_color(body: Body) -> RGB:
    """Lines on the skin: darker than it, or lighter where it is very dark."""
    if luminance(body.skin) > 60:
        return mix(shade(body.skin, 0.82), (176, 84, 62), 0.34)
    return shade(body.skin, 1.2)


def _jaw(canvas: skia.Canvas, body: Body) -> None:
    """Below the round head: a broad jaw, a soft one, or a narrow chin."""
    y, rx, ry = body.head_y, body.head_rx, body.head_ry
    broad = body.spec.jaw + {"masculine": 0.7, "feminine": -0.3, "neutral": 0.1}[body.spec.gender]
    half, chin, low = rx * (0.83 + 0.06 * broad), 10 + 4 * broad, y + ry * (1.1 + 0.03 * broad)
    if body.spec.age != "child":
        points = [
            (-rx * 0.98, y),
            (-half, y + ry * 0.86),
            (-chin, low),
            (chin, low),
            (half, y + ry * 0.86),
            (rx * 0.98, y),
        ]
        canvas.drawPath(smooth(points), fill(body.skin))


def _eyes(canvas: skia.Canvas, body: Body, dark: RGB, spacing: float) -> None:
    spec, y, rx = body.spec, body.head_y, body.head_rx
    eye = 4.6 * (1 + 0.25 * spec.eye_size)
    laughs = body.scene.expression == "laughing"
    brow_color, brow_width = shade(body.hair, 0.7), 3.0
    if body.full:
        brow_width = {"masculine": 4.2, "neutral": 3.2, "feminine": 2.5}[spec.gender] * (
            1 + 0.2 * spec.brow_weight
        )
        if abs(luminance(brow_color) - luminance(body.skin)) < 18:
            brow_color = line_color(body)
    for side in (-1, 1):
        if laughs:
            happy = arc(side * spacing - eye - 2, y, side * spacing + eye + 2, y + 12, 190, 160)
            canvas.drawPath(happy, stroke(dark if luminance(body.skin) > 60 else (236, 228, 222), 3))
        else:
            canvas.drawPath(ellipse(side * spacing, y + 4, eye + 2.2, eye + 2.6), fill((252, 252, 250)))
            if body.full:
                canvas.drawCircle(side * spacing, y + 4, eye, fill(EYE_COLORS[spec.eye_color]))
                canvas.drawCircle(side * spacing, y + 4, eye * 0.6, fill(dark))
            else:
                canvas.drawCircle(side * spacing, y + 4, eye, fill(dark))
            canvas.drawCircle(side * spacing + 1.6, y + 2.2, 1.5, fill((255, 255, 255)))
        if body.full and spec.gender == "feminine":
            _lashes(canvas, side * spacing, y + 4, side, eye + 2.4)
        tilt = (2.0 if body.full else 3.5) * spec.brow_tilt
        raised = 0.0
        if body.scene.expression == "sad":
            tilt -= 5.0
        elif body.full and body.scene.expression == "surprised":
            raised = 4.0
        inner, outer = y - 8 - raised + tilt, y - 8 - raised - tilt
        brow = [(side * (spacing - 6), inner), (side * (spacing + 6), outer)]
        canvas.drawPath(line(brow), stroke(brow_color, brow_width))
        if spec.blush > 0:
            cheek = ellipse(side * rx * 0.62, y + 15, 6, 4)
            canvas.drawPath(cheek, fill((236, 110, 110), int(150 * spec.blush)))


def _lashes(canvas: skia.Canvas, x: float, y: float, side: int, radius: float) -> None:
    pen = stroke((24, 20, 24), 2.2)
    canvas.drawPath(arc(x - radius, y - radius - 0.5, x + radius, y + radius, 195, 150), pen)
    for dx, dy in ((0.75, -0.75), (1.05, -0.2)):
        start = (x + side * dx * radius * 0.9, y + dy * radius * 0.9)
        canvas.drawPath(line([start, (start[0] + side * 4.2, start[1] - 2.6)]), pen)


def _marks(canvas: skia.Canvas, body: Body) -> None:
    """Freckles, and the lines of age."""
    spec, y, rx = body.spec, body.head_y, body.head_rx
    pen = stroke(line_color(body), 1.7, 190)
    if spec.freckles:
        dot = fill(shade(body.skin, 0.66) if luminance(body.skin) > 60 else shade(body.skin, 1.4))
        for side in (-1, 1):
            for dx, dy in ((0.46, 11.5), (0.6, 10), (0.74, 12), (0.54, 16), (0.68, 16.5), (0.36, 14.5)):
                canvas.drawCircle(side * rx * dx, y + dy, 1.5, dot)
    if spec.age == "older":
        for dy, half in ((-21, 13), (-16, 16)):
            canvas.drawPath(arc(-half, y + dy - 2, half, y + dy + 4, 200, 140), pen)
        for side in (-1, 1):
            canvas.drawPath(line([(side * rx * 0.8, y + 2), (side * rx * 0.94, y - 2)]), pen)
            canvas.drawPath(line([(side * rx * 0.8, y + 6), (side * rx * 0.94, y + 7)]), pen)
            canvas.drawPath(arc(side * rx * 0.41 - 7, y + 4, side * rx * 0.41 + 7, y + 15, 40, 100), pen)
            canvas.drawPath(arc(side * 9 - 8, y + 12, side * 9 + 8, y + 30, 270 + side * 25, side * 75), pen)


def _facial_hair(canvas: skia.Canvas, body: Body) -> None:
    style, y, rx, ry = body.spec.facial_hair, body.head_y, body.head_rx, body.head_ry
    if style in ("beard", "stubble"):
        path = smooth(
            [
                (-rx * 1.04, y - 2),
                (-rx * 1.06, y + ry * 0.62),
                (-rx * 0.66, y + ry * 1.24),
                (0, y + ry * 1.42),
                (rx * 0.66, y + ry * 1.24),
                (rx * 1.06, y + ry * 0.62),
                (rx * 1.04, y - 2),
                (rx * 0.82, y + 6),
                (rx * 0.62, y + ry * 0.44),
                (rx * 0.2, y + ry * 0.28),
                (-rx * 0.2, y + ry * 0.28),
                (-rx * 0.62, y + ry * 0.44),
                (-rx * 0.82, y + 6),
            ]
        )
        if style == "beard":
            canvas.drawPath(path, fill(body.hair))
        else:
            canvas.save()
            canvas.clipPath(ellipse(0, y, rx, ry * 1.06), doAntiAlias=True)
            canvas.drawPath(path, fill(shade(body.hair, 0.9), 105))
            canvas.restore()
    elif style == "goatee":
        canvas.drawPath(
            smooth(
                [
                    (-9, y + ry * 0.76),
                    (9, y + ry * 0.76),
                    (10, y + ry * 1.1),
                    (0, y + ry * 1.42),
                    (-10, y + ry * 1.1),
                ]
            ),
            fill(body.hair),
        )
    if style in ("moustache", "beard"):
        color = body.hair if style == "moustache" else shade(body.hair, 0.86)
        for side in (-1, 1):
            lobe = [
                (0, y + 11.5),
                (side * 9, y + 9.5),
                (side * 20, y + 19),
                (side * 9, y + 19.5),
                (0, y + 16.5),
            ]
            canvas.drawPath(smooth(lobe), fill(color))
        canvas.drawPath(polygon([(-6, y + 12), (6, y + 12), (6, y + 17), (-6, y + 17)]), fill(color))


def _nose(canvas: skia.Canvas, body: Body) -> None:
    y, size = body.head_y + 10, 1 + 0.25 * body.spec.nose_size
    color = line_color(body)
    if body.spec.nose == "button":
        canvas.drawPath(arc(-4 * size, y - 4 * size, 4 * size, y + 3 * size, 15, 150), stroke(color, 2.2))
    elif body.spec.nose == "round":
        canvas.drawPath(ellipse(0, y, 4.6 * size, 4.0 * size), fill(color))
    elif body.spec.nose == "pointed":
        canvas.drawPath(line([(-1, y - 7 * size), (5 * size, y + 2), (-1, y + 3)]), stroke(color, 2.2))
    else:  # wide
        canvas.drawPath(rounded(-6.4 * size, y - 1.6, 6.4 * size, y + 2.4 * size, 2.4), fill(color))


def _mouth(canvas: skia.Canvas, body: Body) -> None:
    y, expression = body.head_y + 17, body.scene.expression
    wide = 1 + 0.18 * body.spec.mouth_width
    lips: RGB = (170, 60, 60) if body.spec.skin_tone < 6 else (205, 105, 100)
    width = 3.2
    if body.full and body.spec.gender == "feminine":
        lips, width = ((206, 54, 76) if body.spec.skin_tone < 6 else (222, 84, 100)), 4.2
    if body.full and expression != "surprised":
        y += 2
    if expression == "smiling":
        canvas.drawPath(arc(-11 * wide, y - 9, 11 * wide, y + 9, 15, 150), stroke(lips, width))
    elif expression == "surprised":
        canvas.drawPath(ellipse(0, y + 3, 5.5 * wide, 7), fill(lips))
    elif expression == "laughing":
        mouth = bowl(-12 * wide, y - 13, 12 * wide, y + 12)
        canvas.drawPath(mouth, fill((120, 30, 38)))
        canvas.drawPath(rounded(-10 * wide, y - 1, 10 * wide, y + 3, 1.5), fill((252, 252, 250)))
        canvas.drawPath(ellipse(0, y + 9, 6, 2.6), fill((232, 108, 112)))
        canvas.drawPath(mouth, stroke(lips, 2))
    elif expression == "sad":
        canvas.drawPath(arc(-9 * wide, y + 1, 9 * wide, y + 15, 200, 140), stroke(lips, width))
        tear = smooth(
            [
                (-17, body.head_y + 8),
                (-13, body.head_y + 18),
                (-17, body.head_y + 21),
                (-21, body.head_y + 18),
            ]
        )
        canvas.drawPath(tear, fill((120, 196, 244)))
    else:  # serious
        canvas.drawPath(line([(-8 * wide, y + 3), (8 * wide, y + 3)]), stroke(lips, width))


def _glasses(canvas: skia.Canvas, name: str, y: float, spacing: float) -> None:
    frame: RGB = (30, 30, 36)
    radius = min(11.5, spacing - 1.5)
    if name == "goggles":
        canvas.drawPath(rounded(-spacing - 14, y - 12, spacing + 14, y + 11, 10), fill((160, 216, 236), 130))
        canvas.drawPath(rounded(-spacing - 14, y - 12, spacing + 14, y + 11, 10), stroke((70, 120, 150), 3.4))
        return
    for side in (-1, 1):
        if name == "sunglasses":
            canvas.drawPath(ellipse(side * spacing, y, radius + 1, radius - 1.5), fill(frame))
        elif name == "square glasses":
            lens = rounded(
                side * spacing - radius, y - radius * 0.8, side * spacing + radius, y + radius * 0.8, 2
            )
            canvas.drawPath(lens, stroke((150, 40, 44), 3))
        else:
            canvas.drawCircle(side * spacing, y, radius, stroke(frame, 2.8))
    bridge = stroke((150, 40, 44) if name == "square glasses" else frame, 2.8)
    canvas.drawPath(line([(-spacing + radius, y - 1), (spacing - radius, y - 1)]), bridge)
