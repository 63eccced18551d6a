"""Drawing a batch: what its subjects wear is put on, the base draws, and each drawing is finished."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from castmark.errors import BaseError
from castmark.outputs.finish import finished
from castmark.studio.starting import draw_from
from castmark.studio.work import Ready, each_of
from castmark.take import Draft

if TYPE_CHECKING:
    from castmark.bases.base import Base
    from castmark.studio.wardrobe import Outfit


def drawn(items: Sequence[tuple[int, Ready]], base: Base, outfit: Outfit) -> dict[int, Draft | Exception]:
    """The finished drawing of every shot by its index, or what went wrong with it.

    A batch that cannot be drawn together is drawn one by one; a drawing that cannot be finished fails alone.
    """
    sizes = {index: each.size for index, each in items}
    found = each_of(items, partial(_batch, base=base, outfit=outfit))
    return {i: one if isinstance(one, Exception) else _finished(one, sizes[i]) for i, one in found.items()}


def _batch(ready: Sequence[Ready], base: Base, outfit: Outfit) -> list[Draft]:
    begin = time.perf_counter()
    resolved = [each.resolved for each in ready]
    mixed = outfit.wear([each.shot for each in resolved])
    drafts = base.draw(resolved) if resolved[0].shot.start is None else draw_from(base, ready)
    if [getattr(draft, "resolved", None) for draft in drafts] != list(resolved):
        raise BaseError(f"base {base.name}: did not answer {len(resolved)} shots with a draft each")
    # What a base adds to its pixels, no check would see.
    if any(draft.layer is not None or draft.layers or draft.watermark is not None for draft in drafts):
        raise BaseError(f"base {base.name}: answered with more than pixels; nothing else is taken from it")
    share = (time.perf_counter() - begin) / len(ready)
    note = {"mixed_subjects": mixed} if mixed > 1 else {}
    return [
        replace(draft, settings={**draft.settings, **note}, timings={**draft.timings, "draw": share})
        for draft in drafts
    ]


def _finished(draft: Draft, size: tuple[int, int]) -> Draft | Exception:
    begin = time.perf_counter()
    try:
        done = finished(draft, size)
    except Exception as error:  # noqa: BLE001 - handed on: becomes the take's Failure
        return error
    return replace(done, timings={**done.timings, "finish": time.perf_counter() - begin})
