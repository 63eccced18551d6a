"""Scenes to pixels, and to the masks of their parts. One to two milliseconds an image on one core."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import skia
from numpy.typing import NDArray

from castmark_world.brush import Point, ellipse, fill
from castmark_world.items import draw_item, draw_prop
from castmark_world.mascots import MascotBody, draw_mascot, mascot_face_box, mascot_item_place
from castmark_world.params import CharacterSpec, MascotSpec, Placement, ProductSpec, Prop, Scene
from castmark_world.people import Body, draw_character, face_box, item_place
from castmark_world.places import draw_place
from castmark_world.places.weather import draw_before, draw_behind
from castmark_world.products import draw_product
from castmark_world.styles import StyledCanvas, finish_style

SIDE = 256
GROUND = 240.0
PRODUCT_GROUND = 212.0
PRODUCT_SCALE = 1.22
ZOOM = {"full": 1.0, "half": 1.5, "close-up": 2.1}
"""How much nearer a camera brings the subject; the place comes nearer by the square root of it."""


def render(scene: Scene, size: int = SIDE) -> NDArray[np.uint8]:
    """Draw a scene: UInt8 RGB "size size 3"."""
    pixels, canvas, surface = _canvas(size, scene.style)
    canvas.save()
    if scene.camera != "full":
        near = ZOOM[scene.camera] ** 0.5
        canvas.translate(scene.x * SIDE * (1 - near), 150 * (1 - near))
        canvas.scale(near, near)
    draw_place(canvas, scene.place, scene.time, scene.place_seed, scene.weather)
    canvas.restore()
    if scene.weather != "clear":
        draw_behind(canvas, scene.weather, scene.time, scene.place_seed)
    if isinstance(canvas, StyledCanvas):
        canvas.ink = 2.2
    for placement in scene.cast:
        _shadow(canvas, scene, placement)
    for placement in scene.cast:
        _subject(canvas, scene, placement)
    for prop in scene.props:
        _prop(canvas, prop)
    if scene.weather != "clear":
        draw_before(canvas, scene.weather, scene.time, scene.place_seed)
    finish_style(canvas, scene.style)
    if surface is not None:
        surface.flushAndSubmit()
    return np.ascontiguousarray(pixels[:, :, :3])


def cut_out(scene: Scene, size: int = SIDE) -> NDArray[np.uint8]:
    """The first subject alone on transparency: UInt8 RGBA "size size 4", straight alpha."""
    pixels, canvas, surface = _canvas(size, scene.style)
    if isinstance(canvas, StyledCanvas):
        canvas.ink = 2.2
    _subject(canvas, scene, scene.lead)
    if surface is not None:
        surface.flushAndSubmit()
    alpha = pixels[:, :, 3:4].astype(np.float32)
    color = np.where(alpha > 0, pixels[:, :, :3] * 255.0 / np.maximum(alpha, 1), 0)
    return np.concatenate([np.clip(color, 0, 255).astype(np.uint8), pixels[:, :, 3:4]], axis=2)


def masks(scene: Scene, size: int = SIDE) -> dict[str, NDArray[np.bool_]]:
    """Where the parts are: Bool "size size" for ``subject``, and for ``face`` and ``item`` if there are; for
    ``other``, ``other face`` and ``other item`` where two subjects share the picture; for ``prop 1`` and on.

    What is drawn later covers what is drawn earlier.
    """
    found: dict[str, NDArray[np.bool_]] = {}
    for number, prop in enumerate(scene.props, start=1):
        found[f"prop {number}"] = drawn_where(size, lambda canvas, prop=prop: _prop(canvas, prop))
    for name, placement in reversed(list(zip(("subject", "other"), scene.cast, strict=False))):
        before = list(found.values())
        parts = {name: drawn_where(size, lambda canvas, each=placement: _subject(canvas, scene, each))}
        if not isinstance(placement.subject, ProductSpec):
            prefix = "" if name == "subject" else "other "
            parts[f"{prefix}face"] = drawn_where(
                size, lambda canvas, each=placement: _face(canvas, scene, each)
            )
            if placement.item:
                parts[f"{prefix}item"] = drawn_where(
                    size, lambda canvas, each=placement: _item(canvas, scene, each)
                )
        for part, mask in parts.items():
            for later in before:
                mask &= ~later
            found[part] = mask
    return found


def _canvas(size: int, style: str = "flat") -> tuple[NDArray[np.uint8], skia.Canvas, skia.Surface | None]:
    pixels = np.zeros((size, size, 4), np.uint8)
    surface = None
    if style in ("flat", "paper"):
        surface = skia.Surface(pixels, colorType=skia.kRGBA_8888_ColorType)
        canvas = surface.getCanvas()
    else:
        canvas = StyledCanvas(pixels, style)
    canvas.scale(size / SIDE, size / SIDE)
    return pixels, canvas, surface


def stand(canvas: skia.Canvas, scene: Scene, placement: Placement) -> None:
    """Move the canvas to where the subject stands, as near as the camera is."""
    product = isinstance(placement.subject, ProductSpec)
    scale = placement.scale * (PRODUCT_SCALE if product else 1.0)
    ground = PRODUCT_GROUND if product else GROUND
    if scene.camera != "full":
        near = ZOOM[scene.camera]
        if product:
            scale, ground = scale * near**0.6, 244.0
        else:
            scale *= near
            body = body_of(placement)
            # The hip, or the shoulders, at the lower edge.
            ground = 266.0 - scale * body.hip_y if scene.camera == "half" else 240.0 - scale * body.shoulder_y
    canvas.translate(placement.x * SIDE, ground)
    canvas.rotate(placement.tilt)
    canvas.scale(-scale if placement.mirrored else scale, scale)


def body_of(placement: Placement) -> Body | MascotBody:
    """The joints of a character or mascot."""
    subject = placement.subject
    if isinstance(subject, CharacterSpec):
        return Body(subject, placement)
    assert isinstance(subject, MascotSpec)
    return MascotBody(subject, placement)


def _subject(canvas: skia.Canvas, scene: Scene, placement: Placement) -> None:
    canvas.save()
    stand(canvas, scene, placement)
    subject = placement.subject
    if isinstance(subject, CharacterSpec):
        draw_character(canvas, subject, placement)
    elif isinstance(subject, MascotSpec):
        draw_mascot(canvas, subject, placement)
    else:
        draw_product(canvas, subject)
    canvas.restore()


def _face(canvas: skia.Canvas, scene: Scene, placement: Placement) -> None:
    stand(canvas, scene, placement)
    subject = placement.subject
    if isinstance(subject, CharacterSpec):
        left, top, right, bottom = face_box(subject, placement)
    else:
        assert isinstance(subject, MascotSpec)
        left, top, right, bottom = mascot_face_box(subject, placement)
    shape = ellipse((left + right) / 2, (top + bottom) / 2, (right - left) / 2, (bottom - top) / 2)
    canvas.drawPath(shape, fill((255, 255, 255)))


def _item(canvas: skia.Canvas, scene: Scene, placement: Placement) -> None:
    stand(canvas, scene, placement)
    canvas.translate(*_item_place(placement))
    assert placement.item is not None
    draw_item(canvas, placement.item)


def _item_place(placement: Placement) -> Point:
    subject = placement.subject
    if isinstance(subject, CharacterSpec):
        return item_place(subject, placement)
    assert isinstance(subject, MascotSpec)
    return mascot_item_place(subject, placement)


def _prop(canvas: skia.Canvas, prop: Prop) -> None:
    canvas.save()
    canvas.translate(prop.x * SIDE, 236)
    canvas.scale(prop.scale, prop.scale)
    canvas.drawPath(ellipse(0, 0, 20, 4), fill((20, 20, 30), 70))
    draw_prop(canvas, prop.name)
    canvas.restore()


def _shadow(canvas: skia.Canvas, scene: Scene, placement: Placement) -> None:
    canvas.save()
    stand(canvas, scene, placement)
    half = {"character": 40, "mascot": 46, "product": 62}[placement.subject.kind]
    if placement.pose == "jumping" and half < 60:
        half -= 14
    canvas.drawPath(ellipse(0, 0, half, 8), fill((20, 20, 30), 70))
    canvas.restore()


def drawn_where(size: int, draw: Callable[[skia.Canvas], object]) -> NDArray[np.bool_]:
    """Where something draws on an empty canvas: Bool "size size"."""
    pixels, canvas, surface = _canvas(size)
    draw(canvas)
    assert surface is not None
    surface.flushAndSubmit()
    return pixels[:, :, 3] > 127
