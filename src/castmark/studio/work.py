"""A shot on its way through the studio: what is carried along, what goes together, what a failure becomes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from torch import OutOfMemoryError

from castmark.errors import CastmarkError
from castmark.outputs.finish import asked_text
from castmark.outputs.size import resolve
from castmark.shot import ResolvedShot, Shot
from castmark.take import Draft, Failure, Refusal, SignedImage, Verdict
from castmark_adapters.errors import AdapterError
from castmark_provenance.durable.watermark import require_room
from castmark_provenance.errors import ProvenanceError

if TYPE_CHECKING:
    from castmark.bases.base import Base
    from castmark_provenance.durable.layer import Marker

log = logging.getLogger(__name__)
T = TypeVar("T")
Keep = Callable[[SignedImage], object]


@dataclass(frozen=True, kw_only=True)
class Ready:
    """A shot ready to draw, and the width and height of the picture to make of it."""

    resolved: ResolvedShot
    size: tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A shot on its way through the pipeline."""

    shot: Shot
    keep: Keep | None
    durable: Marker | None
    """Draws, declares and registers its watermark."""


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A shot whose prompt was checked: ready to draw, or refused or failed before that."""

    wanted: Wanted
    key: str
    admitted: Ready | Refusal | Failure


def togetherness(shot: Shot, *, mixed_loras: bool = True) -> tuple[object, ...]:
    """Shots are drawn together only where this is equal: also of different subjects, if they have one each.

    Their numbers of references are equal then, so that each has the share of the attention it has alone.
    ``mixed_loras``: whether the base can wear a LoRA for each image of a batch.
    """
    one = len(shot.subjects) == 1
    learned: object = one and shot.subjects[0].lora is not None
    if learned and not mixed_loras:
        learned = shot.subjects[0].digest
    subjects = len(shot.subjects[0].references) if one else tuple(s.digest for s in shot.subjects)
    regions = (shot.prompt, shot.boxes) if len(shot.subjects) > 1 else None
    start = None if shot.start is None else shot.start.strength
    return one, learned, subjects, regions, shot.width, shot.height, shot.aspect, shot.steps, start


def said(shot: Shot) -> tuple[str, ...]:
    """The words of a shot that are checked: the user's, and what the base will read; a subject's class phrase
    must not smuggle anything in.
    """
    apart = shot.region_texts if len(shot.subjects) > 1 else ()
    return tuple(dict.fromkeys((shot.prompt, shot.text, *apart)))


def admit(
    shot: Shot, base: Base, steps: int | None, judged: Callable[[str], Verdict], *, marked: bool = False
) -> Ready | Verdict:
    """The shot ready to draw, or the verdict that refuses its prompt. ``marked``: it is to get a watermark.

    Raises:
        CastmarkError: a size or step count that the base cannot draw, or a check that could not be completed.
        WatermarkError: a size that can hold no watermark.
    """
    asked = shot
    if shot.steps is None and steps is not None:
        asked = shot.model_copy(update={"steps": steps})
    resolved, size = resolve(base, asked)
    if marked and shot.background != "transparent":
        require_room(*size)
    resolved = asked_text(replace(resolved, shot=shot))
    for text in dict.fromkeys((*said(shot), resolved.text)):
        verdict = judged(text)
        if not verdict.prompt_allowed:
            return verdict
    return Ready(resolved=resolved, size=size)


class CheckBroke(Exception):  # noqa: N818
    """Carries what went wrong in the check, to tell it from what went wrong in drawing."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


def wants_more(result: tuple[Draft, Verdict] | Exception) -> bool:
    """Whether more steps may help: there is no image, it is not like its subject, locked or not, or it was
    refused for what may be drawn again; what is blocked, or left to a person, is so at once."""
    if isinstance(result, Exception):
        return not isinstance(result, CheckBroke)
    _, verdict = result
    unlike = any(f.rung == "L3 subject" and not f.allowed for f in verdict.findings)
    return verdict.redrawable or (verdict.allowed and unlike)


def each_of(items: Sequence[tuple[int, T]], work: Callable[[Sequence[T]], list[Any]]) -> dict[int, Any]:
    """Results of ``work`` by index. If it fails on all together, on each alone: one bad shot, one failure.

    That a batch took more memory than there is, and so goes slowly, is logged once.
    """
    if not items:
        return {}
    try:
        return {index: result for (index, _), result in zip(items, work([i for _, i in items]), strict=True)}
    except Exception as error:  # noqa: BLE001 - handed on: becomes the take's Failure
        if len(items) == 1:
            return {items[0][0]: error}
        if isinstance(error, OutOfMemoryError):
            _tell_of_memory()
    return {index: result for item in items for index, result in each_of([item], work).items()}


@cache  # once a process
def _tell_of_memory() -> None:
    log.warning(
        "a batch does not fit the device's memory: its images are made one by one, which is slower; "
        "draw fewer at once (--batch-size)"
    )


def failure(shot: Shot, key: str, error: Exception, kind: type[CastmarkError], doing: str) -> Failure:
    """A failure with an error of ours: what broke inside a library is named with what it was doing."""
    if not isinstance(error, CastmarkError | AdapterError | ProvenanceError):
        wrapped = kind(f"{doing} failed ({type(error).__name__}: {error}); nothing was signed")
        wrapped.__cause__ = error
        error = wrapped
    return Failure(shot=shot, key=key, error=error)
