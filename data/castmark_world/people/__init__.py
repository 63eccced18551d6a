"""Characters: feet at the origin, about 190 units tall, drawn back to front."""

from __future__ import annotations

import skia

from castmark_world.brush import Point
from castmark_world.items import draw_item
from castmark_world.params import CharacterSpec, Placement, Scene
from castmark_world.people.accessories import draw_on_arms, draw_on_head, draw_on_torso
from castmark_world.people.body import Body
from castmark_world.people.bottoms import draw_legs
from castmark_world.people.face import draw_head
from castmark_world.people.gear import draw_gear
from castmark_world.people.hair import draw_back_hair, draw_front_hair
from castmark_world.people.headwear import draw_headwear
from castmark_world.people.poses import draw_arms
from castmark_world.people.tops import draw_hood, draw_top
from castmark_world.vocabulary import CATALOGUE

__all__ = ["Body", "draw_character", "face_box", "item_place"]


def draw_character(canvas: skia.Canvas, spec: CharacterSpec, scene: Placement | Scene) -> None:
    """Draw the character with pose, expression and held item of the scene."""
    body = Body(spec, scene)
    draw_back_hair(canvas, body)
    draw_hood(canvas, body)
    draw_legs(canvas, body)
    draw_top(canvas, body)
    draw_on_torso(canvas, body)
    draw_gear(canvas, body)
    if scene.item and CATALOGUE[scene.item].on == "clothes":
        canvas.save()
        canvas.translate(*body.stain_place)
        draw_item(canvas, scene.item)
        canvas.restore()
    draw_head(canvas, body)
    draw_front_hair(canvas, body)
    draw_headwear(canvas, body)
    draw_on_head(canvas, body)
    draw_arms(canvas, body)
    draw_on_arms(canvas, body)


def face_box(spec: CharacterSpec, scene: Placement | Scene) -> tuple[float, float, float, float]:
    """Left, top, right, bottom of the head in the character's own coordinates."""
    body = Body(spec, scene)
    return (
        -body.head_rx,
        body.head_y - body.head_ry,
        body.head_rx,
        body.head_y + body.head_ry,
    )


def item_place(spec: CharacterSpec, scene: Placement | Scene) -> Point:
    """Where the origin of the scene's item is, in the character's own coordinates."""
    body = Body(spec, scene)
    held = scene.item is None or CATALOGUE[scene.item].on == "hand"
    return body.item_place if held else body.stain_place
