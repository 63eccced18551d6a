"""What the judge learns to tell of a picture: attributes, their values, and which of them a picture shows.

A label is given only where the picture shows it: a near camera sees no shoes, a crop only what is in it. Of
two subjects nobody could say which is meant, so there the scene alone is labelled, and what is unsafe.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from castmark_world import ITEMS, TAUGHT, CharacterSpec, Scene, masks
from castmark_world.outfits import worn
from castmark_world.scope import Odds, Scope
from castmark_world.truth import applies, things_in
from castmark_world.vocabulary import PEOPLE
from castmark_world.words import SKIN

NONE = "none"
CATEGORIES = tuple(dict.fromkeys(item.category for item in ITEMS.values() if item.category))
"""The unsafe ones."""
KINDS = tuple(dict.fromkeys(kind for scope in TAUGHT for kind in scope.attributes))
UNASKED = frozenset(("freckles", "top_pattern"))
"""Named attributes that are not asked about by that name, or not at all."""


def _named() -> dict[str, tuple[str, ...]]:
    """The named attributes of every kind of subject; several kinds share some."""
    found: dict[str, tuple[str, ...]] = {}
    for attributes in (each for scope in TAUGHT for each in scope.attributes.values()):
        uniforms = "occupation" in attributes.named
        for name, odds in attributes.named.items():
            if name not in UNASKED and name != "skin_tone":
                worn_too = worn(name) if uniforms else ()
                found[name] = tuple(dict.fromkeys((*found.get(name, ()), *map(str, odds.values), *worn_too)))
    return found


def _every(of: Callable[[Scope], Iterable[Odds | None]]) -> tuple[str, ...]:
    """All values that any scope has of something."""
    drawn = (odds.values for scope in TAUGHT for odds in of(scope) if odds is not None)
    return tuple(dict.fromkeys(value for values in drawn for value in values))


_NAMES = {
    kind: dict.fromkeys(name for scope in TAUGHT for name in scope.attributes[kind].named)
    for kind in TAUGHT[0].attributes
}
"""Named attributes by kind of subject."""
_PEOPLE = [PEOPLE[noun] for noun in _named()["person"]]
_ASKED: dict[str, tuple[str, ...]] = {
    "item": (*ITEMS, NONE),
    "unsafe": (*CATEGORIES, NONE),
    "kind": (*KINDS, "blank", "noise"),
    "place": _every(lambda scope: scope.places.values()),
    "time": _every(lambda scope: [scope.times]),
    "weather": _every(lambda scope: scope.weathers.values()),
    "style": _every(lambda scope: [scope.styles]),
    "camera": _every(lambda scope: [scope.cameras]),
    "pose": _every(lambda scope: [scope.poses]),
    "expression": _every(lambda scope: [scope.expressions]),
    "age": tuple(dict.fromkeys(person.age for person in _PEOPLE)),
    "gender": tuple(dict.fromkeys(person.gender for person in _PEOPLE)),
    "skin": tuple(dict.fromkeys(said[0] for said in SKIN)),
    "skin_tone": tuple(str(tone + 1) for tone in range(len(SKIN))),
    **_named(),
}
ATTRIBUTES = {name: values for name, values in _ASKED.items() if values}
"""Attributes the judge is asked about, and their values. Skin is asked twice: in the words of captions, which
some tones share, and by number on the Monk scale, 1 lightest to 10 darkest."""

FACE = frozenset(
    (
        "person",
        "age",
        "gender",
        "skin",
        "skin_tone",
        "facial_hair",
        "glasses",
        "expression",
        "species",
        "kind",
    )
)
"""What a face tells."""
HANDS_FAR = ("watch", "shoulder bag")
"""Accessories that a near camera cuts off."""
NOT_NEAR: dict[str, frozenset[str]] = {
    "full": frozenset(),
    "half": frozenset(("pose", "bottom", "bottom_color")),
    "close-up": frozenset(
        (
            "pose", "bottom", "bottom_color", "top", "pattern", "occupation", "clothes", "clothes_color",
            "marking", "marking_color",
        )
    ),
}  # fmt: skip
"""What of people and mascots a camera cuts off."""
MASK_SIDE = 128
LEAST = 24
"""Pixels of `MASK_SIDE` squared that a thing must show to be told."""
WHOLE, HARDLY = 0.9, 0.05
"""Shares of a thing within a crop from which it is there, and up to which it is not."""


@dataclass(frozen=True)
class Parts:
    """Where a scene's things and faces are."""

    scene: Scene

    @cached_property
    def masks(self) -> dict[str, NDArray[np.bool_]]:
        """As `castmark_world.masks` has them, `MASK_SIDE` pixels a side."""
        return masks(self.scene, MASK_SIDE)

    @cached_property
    def things(self) -> dict[str, str]:
        """Names of things by the mask they have."""
        return things_in(self.scene)

    def share(self, part: str, box: tuple[int, int, int] | None) -> float:
        """How much of a part a crop (left, top, side; of `MASK_SIDE`) holds."""
        mask = self.masks[part]
        if box is None:
            return 1.0
        left, top, side = box
        return float(mask[top : top + side, left : left + side].sum()) / max(1, int(mask.sum()))

    def shown(self, box: tuple[int, int, int] | None = None) -> dict[str, str] | None:
        """The things that are seen, by mask; None where one is seen in part, so that nobody could say."""
        found: dict[str, str] = {}
        for part, name in self.things.items():
            share, size = self.share(part, box), int(self.masks[part].sum())
            if share >= WHOLE and size >= LEAST:
                found[part] = name
            elif size and share > HARDLY:
                return None
        return found


def unsafe_label(things: dict[str, str]) -> str | None:
    """The unsafe category of what is seen; None where there are two."""
    found = {ITEMS[name].category for name in things.values()} - {None}
    return next(iter(found), None) or NONE if len(found) < 2 else None


def item_label(parts: Parts, things: dict[str, str]) -> str | None:
    """What is held; None where it cannot be said."""
    held = {name for part, name in things.items() if part.endswith("item")}
    scene = parts.scene
    if held or all(placed.subject.kind == "product" for placed in scene.cast):
        return next(iter(held)) if len(held) == 1 else None
    return None if scene.camera == "close-up" else NONE


def labels_of(scene: Scene, parts: Parts | None = None) -> dict[str, str]:
    """The true value of each attribute that this scene's picture shows."""
    parts = parts or Parts(scene)
    found = {"place": scene.place, "time": scene.time, "weather": scene.weather, "style": scene.style}
    things = parts.shown() if parts.things else dict[str, str]()
    if things is not None:
        told = {"item": item_label(parts, things), "unsafe": unsafe_label(things)}
        found |= {name: value for name, value in told.items() if value is not None}
    kinds = {placed.subject.kind for placed in scene.cast}
    if len(kinds) == 1:
        found["kind"] = next(iter(kinds))
    if scene.other is not None:
        return found
    return found | {"camera": scene.camera} | _subject(scene)


def _subject(scene: Scene) -> dict[str, str]:
    subject = scene.subject
    found = {
        name: str(getattr(subject, name))
        for name in _NAMES[subject.kind]
        if name in ATTRIBUTES and applies(subject, name) and name != "skin_tone"
    }
    if subject.kind != "product":
        found |= {"pose": scene.pose, "expression": scene.expression}
    if isinstance(subject, CharacterSpec):
        found |= {
            "age": subject.age,
            "gender": subject.gender,
            "skin": SKIN[subject.skin_tone][0],
            "skin_tone": str(subject.skin_tone + 1),
            "pattern": subject.top_pattern,
        }
        hidden = _covered(subject) | _far(subject, scene.camera)
        found = {name: value for name, value in found.items() if name not in hidden}
    if subject.kind != "product":
        found = {name: value for name, value in found.items() if name not in NOT_NEAR[scene.camera]}
    return found


def _covered(subject: CharacterSpec) -> set[str]:
    """What a hat covers: short hair under it is no other picture than a bald head under it."""
    if subject.headwear in (NONE, "crown"):
        return set()
    return {"hair_style", "hair_color"} if subject.headwear == "headscarf" else {"hair_style"}


def _far(subject: CharacterSpec, camera: str) -> set[str]:
    return {"accessory", "accessory_color"} if camera != "full" and subject.accessory in HANDS_FAR else set()
