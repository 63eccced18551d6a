"""What is worn above the waist, with its emblem, and the sleeves that go with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

import skia

from castmark_world.brush import (
    arc,
    contrast,
    ellipse,
    fill,
    from_hue,
    line,
    polygon,
    rounded,
    shade,
    smooth,
    stroke,
)
from castmark_world.emblems import emblem
from castmark_world.patterns import patterned
from castmark_world.people.body import Body
from castmark_world.people.uniforms import UNIFORMS
from castmark_world.vocabulary import RGB

Sleeve: TypeAlias = Literal["long", "short", "none"]
LENGTHS = {
    "shirt": 0.0,
    "jumper": 5.0,
    "jacket": 8.0,
    "hoodie": 7.0,
    "tank top": 0.0,
    "blazer": 9.0,
    "cardigan": 10.0,
    "scrubs": 6.0,
    "chef jacket": 8.0,
    "uniform": 2.0,
    "hi-vis vest": 4.0,
    "smock": 12.0,
    "waistcoat": 3.0,
}
"""How far a top reaches below the hip. Coats are measured by the legs."""
COATS = {"coat": 0.5, "lab coat": 0.48, "fire coat": 0.38}
SHORT = ("shirt", "dress", "scrubs", "hi-vis vest", "dungarees")
OPEN = ("jacket", "blazer", "cardigan", "lab coat", "coat")
"""Tops that open in front, so that the emblem sits at the side."""
CREAM: RGB = (246, 244, 238)


def sleeves(body: Body) -> tuple[RGB, Sleeve]:
    """Colour and length of the sleeves."""
    top = body.spec.top
    if top == "tank top":
        return body.skin, "none"
    color = shade(body.top, 0.85)
    if top == "dungarees":
        color = under_color(body)
    elif top == "hi-vis vest":
        color = (70, 100, 160)
    elif top == "waistcoat":
        color = (236, 236, 232)
    elif top == "uniform" and body.spec.occupation == "pilot":
        return (232, 234, 238), "short"
    return color, "short" if top in SHORT else "long"


def under_color(body: Body) -> RGB:
    """The shirt under dungarees: light, or dark if those are light."""
    return contrast(body.top)


def draw_hood(canvas: skia.Canvas, body: Body) -> None:
    """What of a top lies behind the head."""
    if body.spec.top == "hoodie":
        hood = ellipse(0, body.shoulder_y - 2, body.half * 1.08, 17)
        canvas.drawPath(hood, fill(shade(body.top, 0.72)))


def draw_top(canvas: skia.Canvas, body: Body) -> None:
    """The torso in its top."""
    spec, half, top, hip = body.spec, body.half, body.shoulder_y, body.hip_y
    name = spec.top
    if name == "dress":
        path = _dress(body)
    elif name == "tank top":
        canvas.drawPath(rounded(-half, top, half, hip, 12), fill(body.skin))
        path = _tank(body)
    elif name == "dungarees":
        canvas.drawPath(rounded(-half, top, half, hip + 2, 12), fill(under_color(body)))
        path = polygon(
            [
                (-half * 0.62, top + 17),
                (half * 0.62, top + 17),
                (half * 0.66, hip - 16),
                (half * 0.96, hip - 12),
                (half * 0.96, hip + 8),
                (-half * 0.96, hip + 8),
                (-half * 0.96, hip - 12),
                (-half * 0.66, hip - 16),
            ]
        )
    elif name in COATS:
        low = hip + (8.0 if body.sits else body.legs * COATS[name])
        path = smooth(
            [
                (-half, top - 4),
                (half, top - 4),
                (half, top + 12),
                (half * 1.02, hip),
                (half * 1.24, low),
                (half, low + 2),
                (-half, low + 2),
                (-half * 1.24, low),
                (-half * 1.02, hip),
                (-half, top + 12),
            ]
        )
    else:
        path = rounded(-half, top, half, hip + LENGTHS[name], 12)
    patterned(canvas, path, body.top, contrast(body.top), spec.top_pattern, spec.pattern_scale)
    if name in _DETAILS:
        _DETAILS[name](canvas, body)
    elif name in UNIFORMS:
        UNIFORMS[name](canvas, body)
    if body.full:
        canvas.save()
        canvas.clipPath(path, doAntiAlias=True)
        canvas.drawPath(ellipse(0, top - 2, 15, 11), fill((20, 20, 40), 46))
        canvas.restore()
    x = half * 0.5 if name in OPEN else 0.0
    y = top + body.torso * (0.42 if name != "uniform" else 0.62)
    emblem(canvas, spec.emblem, x, y, 7.5, from_hue(spec.emblem_hue))


def _dress(body: Body) -> skia.Path:
    half, top, hip = body.half, body.shoulder_y, body.hip_y
    hem = -4.0 if body.sits else hip + body.legs * 0.5
    wide = half * (1.9 if body.sits else 1.5)
    return polygon(
        [
            (-half * 0.8, top),
            (half * 0.8, top),
            (half * 0.8, hip - 16),
            (wide, hem),
            (-wide, hem),
            (-half * 0.8, hip - 16),
        ]
    )


def _tank(body: Body) -> skia.Path:
    half, top, hip = body.half, body.shoulder_y, body.hip_y
    right = [
        (half * 0.32, top + 12),
        (half * 0.34, top - 1),
        (half * 0.62, top),
        (half * 0.66, top + 16),
        (half, top + 24),
        (half, hip),
    ]
    return polygon([*right, *((-x, y) for x, y in reversed(right))])


def _jacket(canvas: skia.Canvas, body: Body) -> None:
    half, top, hip = body.half, body.shoulder_y, body.hip_y
    canvas.drawPath(
        polygon(
            [(-half * 0.34, top + 2), (half * 0.34, top + 2), (half * 0.2, hip + 8), (-half * 0.2, hip + 8)]
        ),
        fill(CREAM),
    )
    if body.full:
        canvas.drawPath(line([(0, hip - 14), (0, hip + 7)]), stroke((150, 150, 158), 2))
        for side in (-1, 1):
            collar = polygon(
                [(side * half * 0.2, top - 1), (side * half * 0.62, top + 1), (side * half * 0.36, top + 13)]
            )
            canvas.drawPath(collar, fill(shade(body.top, 0.78)))
            canvas.drawPath(
                line([(side * half * 0.5, hip - 10), (side * half * 0.82, hip - 10)]),
                stroke(shade(body.top, 0.65), 2),
            )


def _jumper(canvas: skia.Canvas, body: Body) -> None:
    half, hip = body.half, body.hip_y
    canvas.drawPath(rounded(-half, hip - 2, half, hip + 6, 4), fill(shade(body.top, 0.75)))
    if body.full:
        canvas.drawPath(
            rounded(-12, body.shoulder_y - 2, 12, body.shoulder_y + 5, 3), fill(shade(body.top, 0.75))
        )


def _shirt(canvas: skia.Canvas, body: Body) -> None:
    if body.full:
        neck = arc(-11, body.shoulder_y - 8, 11, body.shoulder_y + 8, 10, 160)
        canvas.drawPath(neck, stroke(shade(body.top, 0.72), 3))


def _hoodie(canvas: skia.Canvas, body: Body) -> None:
    half, top, hip = body.half, body.shoulder_y, body.hip_y
    pouch = polygon(
        [(-half * 0.4, hip - 18), (half * 0.4, hip - 18), (half * 0.66, hip - 2), (-half * 0.66, hip - 2)]
    )
    canvas.drawPath(pouch, fill(shade(body.top, 0.8)))
    canvas.drawPath(rounded(-half, hip, half, hip + 7, 3), fill(shade(body.top, 0.75)))
    for side in (-1, 1):
        collar = [
            (side * half * 0.1, top + 12),
            (side * half * 0.66, top - 3),
            (side * half * 0.9, top + 4),
            (side * half * 0.3, top + 17),
        ]
        canvas.drawPath(smooth(collar), fill(shade(body.top, 0.72)))
        canvas.drawPath(line([(side * 6, top + 11), (side * 7, top + 27)]), stroke((250, 250, 246), 2.4))


def _lapels(canvas: skia.Canvas, body: Body, shirt: RGB) -> None:
    half, top, hip = body.half, body.shoulder_y, body.hip_y
    canvas.drawPath(polygon([(-half * 0.42, top), (half * 0.42, top), (0, hip - 12)]), fill(shirt))
    for side in (-1, 1):
        lapel = [
            (side * half * 0.3, top - 1),
            (side * half * 0.7, top + 1),
            (side * half * 0.62, top + 18),
            (side * 1, hip - 11),
        ]
        canvas.drawPath(polygon(lapel), fill(shade(body.top, 0.72)))


def _blazer(canvas: skia.Canvas, body: Body) -> None:
    half, hip = body.half, body.hip_y
    _lapels(canvas, body, CREAM)
    canvas.drawCircle(0, hip - 7, 2.2, fill(shade(body.top, 0.45)))
    canvas.drawPath(line([(0, hip - 12), (0, hip + 9)]), stroke(shade(body.top, 0.6), 1.6))
    canvas.drawRect(skia.Rect.MakeXYWH(-half * 0.72, body.shoulder_y + body.torso * 0.36, 9, 4), fill(CREAM))


def _coat(canvas: skia.Canvas, body: Body) -> None:
    half, top, hip = body.half, body.shoulder_y, body.hip_y
    _lapels(canvas, body, shade(body.top, 0.5))
    canvas.drawPath(rounded(-half, hip - 10, half, hip - 2, 2), fill(shade(body.top, 0.6)))
    canvas.drawPath(rounded(-5, hip - 11, 5, hip - 1, 1), stroke((240, 210, 120), 2))
    canvas.drawPath(line([(0, hip), (0, hip + 18)]), stroke(shade(body.top, 0.65), 2))
    for y in (top + body.torso * 0.62, hip + 8):
        for side in (-1, 1):
            canvas.drawCircle(side * half * 0.34, y, 2.4, fill(shade(body.top, 0.42)))


def _cardigan(canvas: skia.Canvas, body: Body) -> None:
    half, top, hip = body.half, body.shoulder_y, body.hip_y
    canvas.drawPath(
        polygon([(-half * 0.4, top), (half * 0.4, top), (half * 0.1, hip - 20), (-half * 0.1, hip - 20)]),
        fill(CREAM),
    )
    edge = stroke(shade(body.top, 0.72), 4)
    for side in (-1, 1):
        canvas.drawPath(
            line([(side * half * 0.42, top), (side * 2.5, hip - 18), (side * 2.5, hip + 8)]), edge
        )
    canvas.drawPath(rounded(-half, hip + 3, half, hip + 10, 3), fill(shade(body.top, 0.72)))
    for y in (hip - 12, hip - 3):
        canvas.drawCircle(0, y, 2.4, fill(CREAM))


def _dungarees(canvas: skia.Canvas, body: Body) -> None:
    half, top, hip = body.half, body.shoulder_y, body.hip_y
    strap = stroke(body.top, 6)
    for side in (-1, 1):
        canvas.drawPath(line([(side * half * 0.5, top + 19), (side * half * 0.56, top + 1)]), strap)
        canvas.drawCircle(side * half * 0.5, top + 20, 2.8, fill((246, 214, 110)))
    canvas.drawPath(rounded(-half * 0.4, hip - 20, half * 0.4, hip - 6, 3), fill(shade(body.top, 0.8)))


_DETAILS: dict[str, Callable[[skia.Canvas, Body], None]] = {
    "jacket": _jacket,
    "jumper": _jumper,
    "shirt": _shirt,
    "hoodie": _hoodie,
    "blazer": _blazer,
    "coat": _coat,
    "cardigan": _cardigan,
    "dungarees": _dungarees,
}
