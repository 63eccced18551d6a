"""Scenes to pixels, and to the masks of their parts. About a millisecond an image on one core."""

from __future__ import annotations

import numpy as np
import skia
from numpy.typing import NDArray

from castmark_world.brush import ellipse, fill
from castmark_world.items import draw_item
from castmark_world.params import CharacterSpec, Scene
from castmark_world.people import draw_character, face_box, item_place
from castmark_world.places import draw_place
from castmark_world.products import draw_product

SIDE = 256
GROUND = 240.0
PRODUCT_GROUND = 212.0
PRODUCT_SCALE = 1.22


def render(scene: Scene, size: int = SIDE) -> NDArray[np.uint8]:
    """Draw a scene: UInt8 RGB "size size 3"."""
    pixels, canvas, surface = _canvas(size)
    draw_place(canvas, scene.place, scene.time, scene.place_seed)
    _shadow(canvas, scene)
    _subject(canvas, scene)
    surface.flushAndSubmit()
    return np.ascontiguousarray(pixels[:, :, :3])


def cut_out(scene: Scene, size: int = SIDE) -> NDArray[np.uint8]:
    """The subject alone on transparency: UInt8 RGBA "size size 4", straight alpha."""
    pixels, canvas, surface = _canvas(size)
    _subject(canvas, scene)
    surface.flushAndSubmit()
    alpha = pixels[:, :, 3:4].astype(np.float32)
    color = np.where(alpha > 0, pixels[:, :, :3] * 255.0 / np.maximum(alpha, 1), 0)
    return np.concatenate([np.clip(color, 0, 255).astype(np.uint8), pixels[:, :, 3:4]], axis=2)


def masks(scene: Scene, size: int = SIDE) -> dict[str, NDArray[np.bool_]]:
    """Where the parts are: Bool "size size" for ``subject``, and for ``face`` and ``item`` if there are."""
    found = {"subject": _mask(scene, size, "subject")}
    if isinstance(scene.subject, CharacterSpec):
        found["face"] = _mask(scene, size, "face")
        if scene.item:
            found["item"] = _mask(scene, size, "item")
    return found


def _canvas(size: int) -> tuple[NDArray[np.uint8], skia.Canvas, skia.Surface]:
    pixels = np.zeros((size, size, 4), np.uint8)
    surface = skia.Surface(pixels, colorType=skia.kRGBA_8888_ColorType)
    canvas = surface.getCanvas()
    canvas.scale(size / SIDE, size / SIDE)
    return pixels, canvas, surface


def _place_subject(canvas: skia.Canvas, scene: Scene) -> None:
    character = isinstance(scene.subject, CharacterSpec)
    scale = scene.scale * (1.0 if character else PRODUCT_SCALE)
    canvas.translate(scene.x * SIDE, GROUND if character else PRODUCT_GROUND)
    canvas.rotate(scene.tilt)
    canvas.scale(-scale if scene.mirrored else scale, scale)


def _subject(canvas: skia.Canvas, scene: Scene) -> None:
    canvas.save()
    _place_subject(canvas, scene)
    if isinstance(scene.subject, CharacterSpec):
        draw_character(canvas, scene.subject, scene)
    else:
        draw_product(canvas, scene.subject)
    canvas.restore()


def _shadow(canvas: skia.Canvas, scene: Scene) -> None:
    canvas.save()
    _place_subject(canvas, scene)
    half = 40 if isinstance(scene.subject, CharacterSpec) else 62
    canvas.drawPath(ellipse(0, 0, half, 8), fill((20, 20, 30), 70))
    canvas.restore()


def _mask(scene: Scene, size: int, part: str) -> NDArray[np.bool_]:
    pixels, canvas, surface = _canvas(size)
    if part == "subject":
        _subject(canvas, scene)
    else:
        assert isinstance(scene.subject, CharacterSpec)
        _place_subject(canvas, scene)
        if part == "face":
            left, top, right, bottom = face_box(scene.subject, scene)
            shape = ellipse((left + right) / 2, (top + bottom) / 2, (right - left) / 2, (bottom - top) / 2)
            canvas.drawPath(shape, fill((255, 255, 255)))
        else:
            canvas.translate(*item_place(scene.subject, scene))
            assert scene.item is not None
            draw_item(canvas, scene.item)
    surface.flushAndSubmit()
    return pixels[:, :, 3] > 127
