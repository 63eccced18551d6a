"""Characters: feet at the origin, about 190 units tall, drawn back to front."""

from __future__ import annotations

import math

import skia

from castmark_world.brush import (
    Point,
    contrast,
    ellipse,
    emblem,
    fill,
    from_hue,
    hue_shift,
    line,
    patterned,
    polygon,
    rounded,
    shade,
    stroke,
)
from castmark_world.items import draw_item
from castmark_world.params import COLORS, HAIR_COLORS, MONK_TONES, RGB, CharacterSpec, Scene

HEAD_RADIUS = 35.0
# Hands by pose, (left, right) as seen, relative to the shoulders' middle: x outwards, y down.
HANDS: dict[str, tuple[Point, Point]] = {
    "standing": ((31, 44), (31, 44)),
    "waving": ((31, 44), (48, -30)),
    "cheering": ((46, -34), (46, -34)),
    "hands on hips": ((30, 34), (30, 34)),
    "walking": ((40, 36), (24, 44)),
    "pointing": ((31, 44), (60, 2)),
}


class _Body:
    """Where a character's parts are; derived once from spec and scene."""

    def __init__(self, spec: CharacterSpec, scene: Scene) -> None:
        child = spec.person in ("girl", "boy")
        self.spec, self.scene = spec, scene
        self.skin = MONK_TONES[spec.skin_tone]
        self.hair = hue_shift(HAIR_COLORS[spec.hair_color], spec.hair_hue)
        self.top = hue_shift(COLORS[spec.top_color], spec.top_hue)
        self.bottom = hue_shift(COLORS[spec.bottom_color], spec.bottom_hue)
        self.legs = (36.0 if child else 50.0) * (1 + 0.16 * spec.leg_length)
        self.torso = 44.0 if child else 56.0
        broad = {"man": 1.12, "woman": 0.94, "boy": 1.0, "girl": 0.92}[spec.person]
        self.half = 25.0 * broad * (1 + 0.16 * spec.body_width)
        self.hip_y = -self.legs
        self.shoulder_y = self.hip_y - self.torso
        self.head_y = self.shoulder_y - HEAD_RADIUS + 4
        self.head_rx = HEAD_RADIUS * (1 + 0.12 * spec.head_width)
        self.head_ry = HEAD_RADIUS * (1 - 0.05 * spec.head_width)


def draw_character(canvas: skia.Canvas, spec: CharacterSpec, scene: Scene) -> None:
    """Draw the character with pose, expression and held item of the scene."""
    body = _Body(spec, scene)
    _back_hair(canvas, body)
    _legs(canvas, body)
    _torso(canvas, body)
    _head(canvas, body)
    _front_hair(canvas, body)
    _headwear(canvas, body)
    _arms(canvas, body)


def face_box(spec: CharacterSpec, scene: Scene) -> tuple[float, float, float, float]:
    """Left, top, right, bottom of the head in the character's own coordinates."""
    body = _Body(spec, scene)
    return (
        -body.head_rx,
        body.head_y - body.head_ry,
        body.head_rx,
        body.head_y + body.head_ry,
    )


def item_place(spec: CharacterSpec, scene: Scene) -> Point:
    """Where the holding hand is, in the character's own coordinates."""
    body = _Body(spec, scene)
    _, right = HANDS[scene.pose]
    return right[0] + body.half - 25, body.shoulder_y + 8 + right[1]


def _legs(canvas: skia.Canvas, body: _Body) -> None:
    spec = body.spec
    stride = 9.0 if body.scene.pose == "walking" else 0.0
    dress = spec.top == "dress"
    bare = dress or spec.bottom in ("shorts", "skirt")
    for side in (-1, 1):
        hip, foot = (side * body.half * 0.45, body.hip_y), (side * (body.half * 0.5 + stride), -6.0)
        canvas.drawPath(line([hip, foot]), stroke(body.skin if bare else body.bottom, 15))
        if spec.bottom == "shorts" and not dress:
            knee = (hip[0] + (foot[0] - hip[0]) * 0.45, hip[1] + (foot[1] - hip[1]) * 0.45)
            canvas.drawPath(line([hip, knee]), stroke(body.bottom, 18))
        canvas.drawPath(rounded(foot[0] - 10, -11, foot[0] + 10, 0, 5), fill((70, 56, 52)))
    if spec.bottom == "skirt" and not dress:
        hem = body.hip_y + body.legs * 0.45
        skirt = polygon(
            [
                (-body.half * 0.9, body.hip_y - 6),
                (body.half * 0.9, body.hip_y - 6),
                (body.half * 1.35, hem),
                (-body.half * 1.35, hem),
            ]
        )
        canvas.drawPath(skirt, fill(body.bottom))
    elif not dress:
        canvas.drawPath(
            rounded(-body.half * 0.92, body.hip_y - 10, body.half * 0.92, body.hip_y + 9, 6),
            fill(body.bottom),
        )


def _torso(canvas: skia.Canvas, body: _Body) -> None:
    spec, half = body.spec, body.half
    top, hip = body.shoulder_y, body.hip_y
    second = contrast(body.top)
    if spec.top == "dress":
        hem = hip + body.legs * 0.5
        path = polygon(
            [
                (-half * 0.8, top),
                (half * 0.8, top),
                (half * 0.8, hip - 16),
                (half * 1.5, hem),
                (-half * 1.5, hem),
                (-half * 0.8, hip - 16),
            ]
        )
        patterned(canvas, path, body.top, second, spec.top_pattern, spec.pattern_scale)
    else:
        length = {"shirt": 0.0, "jumper": 5.0, "jacket": 8.0}[spec.top]
        path = rounded(-half, top, half, hip + length, 12)
        patterned(canvas, path, body.top, second, spec.top_pattern, spec.pattern_scale)
        if spec.top == "jacket":
            canvas.drawPath(
                polygon(
                    [
                        (-half * 0.34, top + 2),
                        (half * 0.34, top + 2),
                        (half * 0.2, hip + 8),
                        (-half * 0.2, hip + 8),
                    ]
                ),
                fill((246, 244, 238)),
            )
        elif spec.top == "jumper":
            canvas.drawPath(rounded(-half, hip - 2, half, hip + 6, 4), fill(shade(body.top, 0.75)))
    x = half * 0.5 if spec.top == "jacket" else 0.0
    emblem(canvas, spec.emblem, x, top + body.torso * 0.42, 7.5, from_hue(spec.emblem_hue))


def _arms(canvas: skia.Canvas, body: _Body) -> None:
    left, right = HANDS[body.scene.pose]
    short = body.spec.top in ("shirt", "dress")
    for side, hand in ((-1, left), (1, right)):
        shoulder = (side * (body.half - 4), body.shoulder_y + 10)
        x = side * (hand[0] + body.half - 25)
        y = body.shoulder_y + 8 + hand[1]
        bend = 12.0 if body.scene.pose == "hands on hips" else 3.0
        elbow = ((shoulder[0] + x) / 2 + side * bend, (shoulder[1] + y) / 2)
        sleeve = shade(body.top, 0.85)
        canvas.drawPath(line([shoulder, elbow, (x, y)]), stroke(body.skin if short else sleeve, 12))
        if short:
            mid = ((shoulder[0] + elbow[0]) / 2, (shoulder[1] + elbow[1]) / 2)
            canvas.drawPath(line([shoulder, mid]), stroke(sleeve, 14))
        if side == 1 and body.scene.item:
            canvas.save()
            canvas.translate(x, y)
            draw_item(canvas, body.scene.item)
            canvas.restore()
        canvas.drawCircle(x, y, 7.5, fill(body.skin))


def _head(canvas: skia.Canvas, body: _Body) -> None:
    spec, y, rx, ry = body.spec, body.head_y, body.head_rx, body.head_ry
    canvas.drawPath(rounded(-8, y + ry - 8, 8, body.shoulder_y + 6, 4), fill(shade(body.skin, 0.88)))
    for side in (-1, 1):
        canvas.drawCircle(side * rx * 0.98, y + 5, 7, fill(shade(body.skin, 0.92)))
    canvas.drawPath(ellipse(0, y, rx, ry), fill(body.skin))
    dark: RGB = (34, 28, 30) if spec.skin_tone < 8 else (8, 6, 6)
    spacing = rx * (0.40 + 0.09 * spec.eye_spacing)
    eye = 4.6 * (1 + 0.25 * spec.eye_size)
    for side in (-1, 1):
        canvas.drawPath(ellipse(side * spacing, y + 4, eye + 2.2, eye + 2.6), fill((252, 252, 250)))
        canvas.drawCircle(side * spacing, y + 4, eye, fill(dark))
        canvas.drawCircle(side * spacing + 1.6, y + 2.2, 1.5, fill((255, 255, 255)))
        tilt = 3.5 * spec.brow_tilt
        brow = [(side * (spacing - 6), y - 8 + tilt), (side * (spacing + 6), y - 8 - tilt)]
        canvas.drawPath(line(brow), stroke(shade(body.hair, 0.7), 3))
        if spec.blush > 0:
            cheek = ellipse(side * rx * 0.62, y + 15, 6, 4)
            canvas.drawPath(cheek, fill((236, 110, 110), int(150 * spec.blush)))
    _mouth(canvas, body, dark)
    if spec.glasses != "none":
        _glasses(canvas, spec.glasses, y + 4, spacing)


def _mouth(canvas: skia.Canvas, body: _Body, dark: RGB) -> None:
    y = body.head_y + 17
    lips: RGB = (170, 60, 60) if body.spec.skin_tone < 6 else (205, 105, 100)
    if body.scene.expression == "smiling":
        path = skia.Path()
        path.addArc(skia.Rect.MakeLTRB(-11, y - 9, 11, y + 9), 15, 150)
        canvas.drawPath(path, stroke(lips, 3.2))
    elif body.scene.expression == "surprised":
        canvas.drawPath(ellipse(0, y + 3, 5.5, 7), fill(lips))
    else:
        canvas.drawPath(line([(-8, y + 3), (8, y + 3)]), stroke(lips, 3.2))


def _glasses(canvas: skia.Canvas, name: str, y: float, spacing: float) -> None:
    frame: RGB = (30, 30, 36)
    radius = min(11.5, spacing - 1.5)
    for side in (-1, 1):
        if name == "sunglasses":
            canvas.drawPath(ellipse(side * spacing, y, radius + 1, radius - 1.5), fill(frame))
        else:
            canvas.drawCircle(side * spacing, y, radius, stroke(frame, 2.8))
    canvas.drawPath(line([(-spacing + radius, y - 1), (spacing - radius, y - 1)]), stroke(frame, 2.8))


def _back_hair(canvas: skia.Canvas, body: _Body) -> None:
    style, y, rx, ry = body.spec.hair_style, body.head_y, body.head_rx, body.head_ry
    volume = 1 + 0.1 * body.spec.hair_volume
    paint = fill(shade(body.hair, 0.82))
    if style == "long":
        canvas.drawPath(rounded(-rx * 1.22 * volume, y - ry, rx * 1.22 * volume, y + ry + 42, 26), paint)
    elif style == "bob":
        canvas.drawPath(
            rounded(-rx * 1.24 * volume, y - ry * 1.05, rx * 1.24 * volume, y + ry * 0.95, 22), paint
        )
    elif style == "ponytail":
        tail = ellipse(rx * 1.15, y + 12, 13 * volume, 34 * volume)
        canvas.drawPath(tail, paint)
    elif style == "curly":
        for i in range(11):
            angle = math.pi * (0.9 + 1.2 * i / 10)
            canvas.drawCircle(
                math.cos(angle) * rx * 1.12, y + math.sin(angle) * ry * 1.05, 15 * volume, paint
            )


def _front_hair(canvas: skia.Canvas, body: _Body) -> None:
    style, y, rx, ry = body.spec.hair_style, body.head_y, body.head_rx, body.head_ry
    if style == "bald":
        return
    volume = 1 + 0.1 * body.spec.hair_volume
    paint = fill(body.hair)
    cap = skia.Path()
    cap.addArc(skia.Rect.MakeLTRB(-rx * 1.1, y - ry * 1.14 * volume, rx * 1.1, y + ry * 0.9), 180, 180)
    cap.close()
    canvas.save()
    canvas.clipRect(skia.Rect.MakeLTRB(-100, -400, 100, y - 9))
    canvas.drawPath(cap, paint)
    canvas.restore()
    if style in ("bob", "long"):
        for side in (-1, 1):
            canvas.drawPath(ellipse(side * rx * 1.06, y + 2, 8, ry * 0.7), paint)
    elif style == "bun":
        canvas.drawCircle(0, y - ry * 1.22, 15 * volume, paint)
    elif style == "spiky":
        for i in range(-3, 4):
            x = i * rx * 0.3
            canvas.drawPath(
                polygon(
                    [
                        (x - 10, y - ry * 0.7),
                        (x + i * 2.2, y - ry * 1.52 * volume + abs(i) * 4),
                        (x + 10, y - ry * 0.7),
                    ]
                ),
                paint,
            )
    elif style == "curly":
        for i in range(6):
            canvas.drawCircle((i - 2.5) * rx * 0.38, y - ry * 0.72, 11 * volume, paint)


def _headwear(canvas: skia.Canvas, body: _Body) -> None:
    spec, y, rx, ry = body.spec, body.head_y, body.head_rx, body.head_ry
    color = COLORS[spec.headwear_color]
    if spec.headwear == "cap":
        dome = skia.Path()
        dome.addArc(skia.Rect.MakeLTRB(-rx * 1.12, y - ry * 1.3, rx * 1.12, y + ry * 0.6), 180, 180)
        dome.close()
        canvas.drawPath(dome, fill(color))
        canvas.drawPath(rounded(-4, y - ry * 0.42, rx * 1.62, y - ry * 0.2, 5), fill(shade(color, 0.75)))
    elif spec.headwear == "beanie":
        dome = skia.Path()
        dome.addArc(skia.Rect.MakeLTRB(-rx * 1.12, y - ry * 1.5, rx * 1.12, y + ry * 0.8), 180, 180)
        dome.close()
        canvas.drawPath(dome, fill(color))
        canvas.drawPath(
            rounded(-rx * 1.16, y - ry * 0.58, rx * 1.16, y - ry * 0.22, 6), fill(shade(color, 0.75))
        )
        canvas.drawCircle(0, y - ry * 1.5, 9, fill((248, 248, 244)))
    elif spec.headwear == "sun hat":
        canvas.drawPath(ellipse(0, y - ry * 0.46, rx * 1.75, 11), fill((236, 206, 130)))
        dome = skia.Path()
        dome.addArc(skia.Rect.MakeLTRB(-rx * 0.98, y - ry * 1.5, rx * 0.98, y + ry * 0.5), 180, 180)
        dome.close()
        canvas.drawPath(dome, fill((244, 218, 146)))
        canvas.drawPath(rounded(-rx * 0.98, y - ry * 0.72, rx * 0.98, y - ry * 0.5, 2), fill(color))
    elif spec.headwear == "crown":
        base = y - ry * 0.62
        points: list[Point] = [(-rx * 0.8, base)]
        for i in range(3):
            left = -rx * 0.8 + i * rx * 1.6 / 3
            points += [(left, base - 26), (left + rx * 1.6 / 6, base - 13)]
        points += [(rx * 0.8, base - 26), (rx * 0.8, base)]
        canvas.drawPath(polygon(points), fill((250, 204, 60)))
        for x in (-0.5, 0.0, 0.5):
            canvas.drawCircle(x * rx, base - 6, 3.4, fill(color))
