"""Drawing from a start image: noise is added to it up to the strength asked for, and taken away again.

SDEdit (Meng et al., arXiv 2108.01073), by the base itself; adapters that it wears are worn here too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from PIL import Image

from castmark.shot import ResolvedShot, Shot
from castmark.take import Draft
from castmark_adapters.host import Ingredient

if TYPE_CHECKING:
    from castmark.bases.base import Base
    from castmark.studio.wardrobe import Outfit
    from castmark.studio.work import Wanted


def draw_from(base: Base, shots: Sequence[ResolvedShot]) -> list[Draft]:
    """One draft a shot, in order, each from its start image; all must share size, steps and strength.

    Raises:
        InputError: a start image that is gone, changed, or not intact.
        BaseError: drawing failed.
    """
    images: list[Image.Image] = []
    for shot in shots:
        assert shot.shot.start is not None
        picture = shot.shot.start.open()
        images.append(picture.resize((shot.width, shot.height), Image.Resampling.LANCZOS))
    return base.draw_from(shots, images)


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
