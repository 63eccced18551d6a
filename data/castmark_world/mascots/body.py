"""A mascot's measures and colours, its torso, legs and arms."""

from __future__ import annotations

import skia

from castmark_world.brush import (
    contrast,
    ellipse,
    fill,
    from_hue,
    hue_shift,
    line,
    luminance,
    mix,
    rounded,
    shade,
    stroke,
)
from castmark_world.emblems import emblem
from castmark_world.items import draw_item
from castmark_world.mascots.clothes import LONG_SLEEVES, draw_clothes
from castmark_world.params import MascotSpec, Placement, Scene
from castmark_world.skeleton import Skeleton
from castmark_world.vocabulary import CATALOGUE, COLORS, RGB

HEAD = 39.0


class MascotBody(Skeleton):
    """Lengths, places and colours of a mascot's parts."""

    def __init__(self, spec: MascotSpec, scene: Placement | Scene) -> None:
        super().__init__(
            scene,
            half=30.0 * (1 + 0.14 * spec.body_width),
            legs=30.0 * (1 + 0.2 * spec.leg_length),
            torso=60.0,
        )
        self.spec = spec
        self.color = hue_shift(COLORS[spec.color], spec.hue)
        self.marking = COLORS[spec.marking_color]
        self.cloth = hue_shift(COLORS[spec.clothes_color], spec.clothes_hue)
        self.pale = (
            mix(self.color, (255, 250, 240), 0.72) if luminance(self.color) < 205 else shade(self.color, 0.86)
        )
        self.head_y = self.shoulder_y - HEAD + 10
        self.head_rx = HEAD * (1.08 + 0.1 * spec.head_width)
        self.head_ry = HEAD * (0.94 - 0.04 * spec.head_width)


def marked(canvas: skia.Canvas, body: MascotBody, path: skia.Path, *, head: bool) -> None:
    """The marking, inside ``path``."""
    marking = body.spec.marking
    if marking == "plain":
        return
    bounds = path.getBounds()
    x, y, wide, high = bounds.centerX(), bounds.centerY(), bounds.width(), bounds.height()
    paint, size = fill(body.marking), 1 + 0.3 * body.spec.marking_scale
    canvas.save()
    canvas.clipPath(path, doAntiAlias=True)
    if marking == "spotted":
        for dx, dy, radius in (
            (-0.36, -0.3, 6),
            (-0.12, -0.42, 5),
            (0.3, -0.36, 7),
            (0.42, -0.06, 5),
            (-0.44, 0.06, 5),
            (0.4, 0.3, 6),
            (-0.38, 0.36, 6),
        ):
            canvas.drawCircle(x + dx * wide, y + dy * high, radius * size, paint)
    elif marking == "striped":
        pen = stroke(body.marking, 6.4 * size)
        if head:
            for dx in (-0.16, 0.0, 0.16):
                canvas.drawPath(
                    line(
                        [
                            (x + dx * wide, y - high * 0.6),
                            (x + dx * wide * 0.8, y - high * (0.2 + 0.1 * (dx == 0))),
                        ]
                    ),
                    pen,
                )
        for side in (-1, 1):
            for dy in (-0.04, 0.16) if head else (-0.28, 0.0, 0.28):
                canvas.drawPath(
                    line(
                        [
                            (x + side * wide * 0.55, y + dy * high),
                            (x + side * wide * 0.3, y + (dy + 0.05) * high),
                        ]
                    ),
                    pen,
                )
    elif head:  # patched: over one eye, and on one flank
        canvas.drawPath(ellipse(x - wide * 0.24, y - high * 0.1, 17 * size, 21 * size), paint)
    else:
        canvas.drawPath(ellipse(x + wide * 0.4, y + high * 0.16, 17 * size, 20 * size), paint)
    canvas.restore()


def draw_legs(canvas: skia.Canvas, body: MascotBody) -> None:
    """Legs and feet; metal tubes for a robot."""
    robot = body.spec.species == "robot"
    color = (140, 148, 160) if robot else shade(body.color, 0.9)
    foot_color = shade(body.color, 0.75)
    if body.spec.species in ("owl", "frog"):
        foot_color = (244, 160, 60) if body.spec.species == "owl" else shade(body.color, 0.82)
    for side in (-1, 1):
        if body.sits:
            canvas.drawPath(ellipse(side * body.half * 0.9, -10, 19, 12), fill(foot_color))
            canvas.drawPath(ellipse(side * body.half * 0.9, -10, 10, 6.4), fill(body.pale))
            continue
        stride = 9.0 if body.scene.pose == "walking" else 0.0
        hip = (side * body.half * 0.5, body.hip_y - 4)
        foot = (side * (body.half * 0.56 + stride), -8.0 - body.lift)
        canvas.drawPath(line([hip, foot]), stroke(color, 11 if robot else 20))
        if robot:
            canvas.drawPath(
                rounded(foot[0] - 15, foot[1] - 4, foot[0] + 15, foot[1] + 8, 4), fill(foot_color)
            )
        else:
            canvas.drawPath(ellipse(foot[0] + side * 3, foot[1] + 1, 15, 8), fill(foot_color))


def draw_torso(canvas: skia.Canvas, body: MascotBody) -> None:
    """The trunk with belly, marking, clothes and emblem."""
    half, top, hip = body.half, body.shoulder_y, body.hip_y
    robot = body.spec.species == "robot"
    if robot:
        path = rounded(-half, top, half, hip + 4, 9)
    else:
        path = ellipse(0, (top + hip) / 2 + 4, half * 1.06, body.torso * 0.58)
    canvas.drawPath(path, fill(body.color))
    if not robot:
        wide = half * (0.64 + 0.1 * body.spec.belly)
        canvas.drawPath(ellipse(0, (top + hip) / 2 + 12, wide, body.torso * 0.42), fill(body.pale))
        if body.spec.species == "dragon":
            for i in range(4):
                y = (top + hip) / 2 - 2 + 9 * i
                canvas.drawPath(line([(-wide * 0.7, y), (wide * 0.7, y)]), stroke(shade(body.pale, 0.8), 2.4))
        elif body.spec.species == "owl":
            for row in range(3):
                for column in (-1, 0, 1):
                    x, y = column * 12 + (row % 2) * 6 - 3, (top + hip) / 2 + 2 + row * 11
                    canvas.drawPath(
                        line([(x - 4, y), (x, y + 4), (x + 4, y)]), stroke(shade(body.color, 0.9), 2.2)
                    )
    marked(canvas, body, path, head=False)
    if robot:
        canvas.drawPath(
            rounded(-half * 0.62, top + 34, half * 0.62, hip - 4, 4), fill(shade(body.color, 0.6))
        )
        for i, color in enumerate(((230, 70, 70), (250, 206, 80), (90, 210, 120))):
            canvas.drawCircle((i - 1) * half * 0.36, hip - 14, 3.6, fill(color))
    draw_clothes(canvas, body, path)
    x = 0.0 if body.spec.clothes != "waistcoat" else half * 0.5
    emblem(canvas, body.spec.emblem, x, top + body.torso * 0.5, 7.5, from_hue(body.spec.emblem_hue))


def draw_arms(canvas: skia.Canvas, body: MascotBody) -> None:
    """Arms or wings, with what the right one holds."""
    species = body.spec.species
    sleeved = body.spec.clothes in LONG_SLEEVES
    for side in (-1, 1):
        shoulder, elbow, hand = body.shoulder(side), body.elbow(side), body.hand(side)
        color: RGB = (140, 148, 160) if species == "robot" else shade(body.color, 0.86)
        if sleeved:
            color = shade(body.cloth, 0.82)
        width = 10.0 if species == "robot" and not sleeved else 16.0
        canvas.drawPath(line([shoulder, elbow, hand]), stroke(color, width))
        item = body.scene.item
        if side == 1 and item and CATALOGUE[item].on == "hand":
            canvas.save()
            canvas.translate(*hand)
            draw_item(canvas, item)
            canvas.restore()
        paw = shade(body.color, 0.86) if species != "robot" else body.color
        if species == "owl":
            for angle in (-7, 0, 7):
                canvas.drawPath(
                    line([hand, (hand[0] + angle, hand[1] + 9)]),
                    stroke(contrast(paw) if luminance(paw) < 80 else shade(paw, 0.8), 6),
                )
        canvas.drawCircle(*hand, 9.6, fill(paw))
