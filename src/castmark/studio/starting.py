"""Drawing from a start image: noise is added to it up to the strength asked for, and taken away again.

SDEdit (Meng et al., arXiv 2108.01073), by the base itself; adapters that it wears are worn here too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from castmark.shot import Shot
from castmark.take import Draft
from castmark_adapters.host import Ingredient

if TYPE_CHECKING:
    from castmark.bases.base import Base
    from castmark.studio.wardrobe import Outfit
    from castmark.studio.work import Ready, Wanted


def draw_from(base: Base, ready: Sequence[Ready]) -> list[Draft]:
    """One draft a shot, in order, each from its start image, which its settings name; all must share size,
    steps and strength.

    Raises:
        InputError: a start image that is gone, changed, or not intact.
        BaseError: drawing failed.
    """
    images: list[Image.Image] = []
    started: list[str] = []
    for each in ready:
        shot, start = each.resolved, each.resolved.shot.start
        assert start is not None
        whole = shot.shot.background is not None
        images.append(set_in(start.open(), (shot.width, shot.height), each.size, whole=whole))
        started.append(start.sha256[:16])
    drafts = base.draw_from([each.resolved for each in ready], images)
    return [replace(d, settings={**d.settings, "start": s}) for d, s in zip(drafts, started, strict=True)]


def set_in(
    picture: Image.Image, drawn: tuple[int, int], wanted: tuple[int, int], *, whole: bool
) -> Image.Image:
    """The picture as a drawing of ``drawn`` size from which `castmark.outputs.size.cover`, or with ``whole``
    `contain`, makes it again at ``wanted`` size. Beyond it its edges go on.
    """
    near, far = (min, max) if whole else (max, min)
    scale = near(w / own for w, own in zip(wanted, picture.size, strict=True))
    scale *= far(d / w for d, w in zip(drawn, wanted, strict=True))
    inner = [max(1, min(d, round(own * scale))) for d, own in zip(drawn, picture.size, strict=True)]
    across, down = (min(own, d / scale) for d, own in zip(drawn, picture.size, strict=True))
    left, top = (picture.width - across) / 2, (picture.height - down) / 2
    seen = picture.resize(
        (inner[0], inner[1]), Image.Resampling.LANCZOS, box=(left, top, left + across, top + down)
    )
    before = [(d - i) // 2 for d, i in zip(drawn, inner, strict=True)]
    columns, rows = ((b, d - i - b) for b, d, i in zip(before, drawn, inner, strict=True))
    return Image.fromarray(np.pad(np.asarray(seen), (rows, columns, (0, 0)), mode="edge"))


def start_ingredient(shot: Shot) -> tuple[Ingredient, ...]:
    """The start image as something the picture was made from."""
    if shot.start is None:
        return ()
    return (Ingredient(title="start image", role="start", sha256=shot.start.sha256),)


def made_from(
    wanted: Sequence[Wanted], drawn: Mapping[int, object], outfit: Outfit
) -> dict[int, tuple[Ingredient, ...]]:
    """What each image that could be drawn was made from: its start, and what its subjects wear."""
    return {
        index: (*start_ingredient(shot), *outfit.ingredients(shot))
        for index, shot in ((index, wanted[index].shot) for index in drawn)
        if not isinstance(drawn[index], Exception)
    }
