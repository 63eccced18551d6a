"""Mascots: feet at the origin, about 180 units tall, drawn back to front."""

from __future__ import annotations

import skia

from castmark_world.brush import Point
from castmark_world.items import draw_item
from castmark_world.mascots.body import MascotBody, draw_arms, draw_legs, draw_torso
from castmark_world.mascots.clothes import draw_cape, draw_neckwear
from castmark_world.mascots.heads import draw_mascot_head
from castmark_world.mascots.tails import draw_tail
from castmark_world.params import MascotSpec, Placement, Scene
from castmark_world.vocabulary import CATALOGUE

__all__ = ["MascotBody", "draw_mascot", "mascot_face_box", "mascot_item_place"]


def draw_mascot(canvas: skia.Canvas, spec: MascotSpec, scene: Placement | Scene) -> None:
    """Draw the mascot with pose, expression and held item of the scene."""
    body = MascotBody(spec, scene)
    draw_tail(canvas, body)
    draw_cape(canvas, body)
    draw_legs(canvas, body)
    draw_torso(canvas, body)
    if scene.item and CATALOGUE[scene.item].on == "clothes":
        canvas.save()
        canvas.translate(*body.stain_place)
        draw_item(canvas, scene.item)
        canvas.restore()
    draw_mascot_head(canvas, body)
    draw_neckwear(canvas, body)
    draw_arms(canvas, body)


def mascot_face_box(spec: MascotSpec, scene: Placement | Scene) -> tuple[float, float, float, float]:
    """Left, top, right, bottom of the head in the mascot's own coordinates."""
    body = MascotBody(spec, scene)
    return (
        -body.head_rx,
        body.head_y - body.head_ry,
        body.head_rx,
        body.head_y + body.head_ry,
    )


def mascot_item_place(spec: MascotSpec, scene: Placement | Scene) -> Point:
    """Where the origin of the scene's item is, in the mascot's own coordinates."""
    body = MascotBody(spec, scene)
    held = scene.item is None or CATALOGUE[scene.item].on == "hand"
    return body.item_place if held else body.stain_place
