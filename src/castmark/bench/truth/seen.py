"""What of a scene can be seen: an attribute counts only where the picture would be another without it.

Short hair under a woolly hat is no other picture than a bald head under it, and the hue of a black thing is
nobody's to read. So every other value is drawn, and must change the picture; a number must when it is moved
by its tolerance.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from castmark.bench.truth.columns import ACTED, NOTHING, SCENIC, Column, Label, columns
from castmark_world import DEFAULT, Scene, Scope, render
from castmark_world.outfits import OUTFITS
from castmark_world.params import CharacterSpec
from castmark_world.vocabulary import PEOPLE
from castmark_world.words import SKIN

TOLERANCE = 0.4
"""A number in [-1, 1] is read rightly this near: who always says the middle is right in 40%."""
CIRCLE_TOLERANCE = 0.1
"""A hue in turns of the circle: who guesses is right in 20%."""
VIEW = 128
"""Pixels a side at which pictures are compared."""
LEVELS = 8
"""By how much of 255 a pixel must differ, in one colour at least, to count."""
PIXELS = 6
"""How many must."""
HAIR = ("hair_style", "hair_color", "hair_hue")
HAIR_PIXELS = 100
"""How many of hair must: under a hat brows still tell its colour, but nobody would call such hair seen."""


def seen(scene: Scene, scope: Scope = DEFAULT) -> frozenset[str]:
    """Names of the columns that the scene's render shows; in a scene of two, of the first subject.

    In a scope of simple drawings a woman differs from a man in breadth alone, and so does one woman from
    another: gender presentation and the trait ``body_width`` are not to be told apart there, and count as
    unseen. So do the length of legs to a near camera, which follows the head so that only the ground moves,
    and the weather of a place that has but one.
    """
    base = render(scene, VIEW).astype(np.int16)
    unseen = {"gender", "body_width"} if scope.detail == "simple" else set[str]()
    if scene.camera != "full":
        unseen.add("leg_length")
    if scene.place not in scope.weathers:
        unseen.add("weather")
    found: set[str] = set()
    for column in columns(scope):
        label = column.label(scene)
        if label is None or column.field in unseen:
            continue
        least = HAIR_PIXELS if column.field in HAIR else PIXELS
        if column.field in ("kind", "place") or all(
            _change(base, other) >= least for other in otherwise(column, scene, label, scope)
        ):
            found.add(column.name)
    return frozenset(found)


def tolerance(column: Column) -> float:
    """How far off a number may be read."""
    return CIRCLE_TOLERANCE if column.circle else TOLERANCE


def _change(base: np.ndarray[Any, np.dtype[np.int16]], other: Scene) -> int:
    """Pixels in which the other scene's picture differs."""
    return int((np.abs(base - render(other, VIEW)).max(-1) >= LEVELS).sum())


def otherwise(column: Column, scene: Scene, label: Label, scope: Scope) -> Iterator[Scene]:
    """The scene with each other value of the column, or with its number a tolerance away on either side."""
    field = column.field
    if isinstance(label, float):
        for step in (-tolerance(column), tolerance(column)):
            value = (label + step) % 1.0 if column.circle else label + step
            if column.circle or -1 <= value <= 1:
                yield replace(scene, subject=replace(scene.subject, **{field: value}))
        return
    for value in column.values:
        if value == label:
            continue
        if field == "item":
            yield replace(scene, item=None if value == NOTHING else value)
        elif field in SCENIC or field in ACTED:
            yield replace(scene, **{field: value})
        else:
            change = _respecified(scene, field, value, scope)
            if change is not None:
                yield replace(scene, subject=replace(scene.subject, **change))


def _respecified(scene: Scene, field: str, value: str, scope: Scope) -> dict[str, Any] | None:
    """What of the subject's spec makes the attribute another; None where nothing does."""
    subject = scene.subject
    if not isinstance(subject, CharacterSpec):
        return {field: value}
    if field in ("age", "gender"):
        held = "gender" if field == "age" else "age"
        for person in scope.attributes["character"].named["person"].values:
            build = PEOPLE[person]
            if getattr(build, field) == value and getattr(build, held) == getattr(subject, held):
                return {"person": person}
        return None
    if field == "skin":
        tones = [tone for tone, words in enumerate(SKIN) if words[0] == value]
        return {"skin_tone": min(tones, key=lambda tone: abs(tone - subject.skin_tone))}
    if field == "occupation":
        return _employed(subject, value)
    return {field: value == "True" if field == "freckles" else value}


def _employed(subject: CharacterSpec, occupation: str) -> dict[str, Any]:
    """The subject's spec in another occupation, whose outfit comes as near to what is worn as it can: who
    wears a blazer may well be a manager.
    """
    outfit = OUTFITS.get(occupation)
    if outfit is None:
        return {"occupation": occupation, "top": "shirt", "headwear": "none"}

    def color(own: str, options: tuple[str, ...]) -> str:
        return own if own in options else options[0]

    return {
        "occupation": occupation,
        "top": outfit.top,
        "top_color": color(subject.top_color, outfit.top_colors),
        "top_pattern": outfit.pattern,
        "bottom": outfit.bottom,
        "bottom_color": color(subject.bottom_color, outfit.bottom_colors),
        "headwear": outfit.headwear,
        "headwear_color": color(subject.headwear_color, outfit.headwear_colors),
        "accessory": "none",
        "glasses": outfit.glasses or subject.glasses,
    }
