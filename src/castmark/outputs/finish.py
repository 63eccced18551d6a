"""A drawing brought to the size and background asked for, before anything judges it."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageColor

from castmark.outputs import cutout, size
from castmark.outputs.openraster import Layer
from castmark.take import Draft

if TYPE_CHECKING:
    from castmark.shot import ResolvedShot

WHITE = (255, 255, 255)
PLAIN = re.compile(r"\bplain\s+(?:[\w-]+\s+)?(?:background|backdrop|wall|studio|surface)\b", re.IGNORECASE)
"""How a prompt asks for a plain backdrop itself."""


def asked_text(resolved: ResolvedShot) -> ResolvedShot:
    """The shot with a plain backdrop asked for in words, where its subject is to be cut out."""
    if not (resolved.shot.background or resolved.shot.layers) or PLAIN.search(resolved.text):
        return resolved
    return replace(resolved, text=f"{resolved.text} {cutout.PROMPT}")


def finished(draft: Draft, wanted: tuple[int, int]) -> Draft:
    """The draft at ``wanted`` width and height in pixels, on its background, with layers where asked for.

    Raises:
        BaseError: the subject cannot be cut out.
    """
    shot = draft.resolved.shot
    drawn = Image.fromarray(draft.pixels)
    settings = dict(draft.settings)
    if drawn.size != wanted:
        settings |= {"drawn_size": f"{drawn.width}x{drawn.height}", "scaling": size.RECIPE}
    if not (shot.background or shot.layers):
        if drawn.size == wanted:
            return draft
        return replace(draft, pixels=np.array(size.cover(drawn, wanted)), settings=settings)
    found = cutout.cut_out(draft.pixels)
    settings["matte"] = cutout.RECIPE
    subject = _fitted(found.subject, wanted)
    transparent = shot.background == "transparent"
    if shot.background is None:
        subject = _covered(found.subject, wanted)
        picture, backdrop = size.cover(drawn, wanted), size.cover(found.backdrop, wanted)
    else:
        colour = WHITE if transparent else ImageColor.getrgb(shot.background)[:3]
        picture, backdrop = cutout.on_colour(subject, colour), Image.new("RGB", wanted, colour)
    layers = [Layer("subject", subject)] + ([] if transparent else [Layer("background", backdrop)])
    return replace(
        draft,
        pixels=np.array(picture),
        settings=settings,
        layer=subject if transparent else None,
        layers=tuple(layers) if shot.layers else (),
    )


def _fitted(subject: Image.Image, wanted: tuple[int, int]) -> Image.Image:
    return _clean(subject if subject.size == wanted else size.contain(subject, wanted))


def _covered(subject: Image.Image, wanted: tuple[int, int]) -> Image.Image:
    return _clean(subject if subject.size == wanted else size.cover(subject, wanted))


def _clean(subject: Image.Image) -> Image.Image:
    """White under what is wholly transparent: nothing lies hidden in a file that was not looked at."""
    pixels = np.array(subject)
    pixels[pixels[..., 3] == 0] = (*WHITE, 0)
    return Image.fromarray(pixels, "RGBA")
