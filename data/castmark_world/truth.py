"""Ground truth: what applies to a subject, and all that is known of a scene, as plain JSON values."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from castmark_world.params import Placement, Scene, Subject
from castmark_world.render import SIDE, masks
from castmark_world.scopes import FULL
from castmark_world.vocabulary import CATALOGUE

UNSHOWN: dict[str, tuple[str, str]] = {
    "hair_color": ("hair_style", "bald"),
    "hair_hue": ("hair_style", "bald"),
    "hair_volume": ("hair_style", "bald"),
    "headwear_color": ("headwear", "none"),
    "accessory_color": ("accessory", "none"),
    "clothes_color": ("clothes", "none"),
    "clothes_hue": ("clothes", "none"),
    "marking_color": ("marking", "plain"),
    "marking_scale": ("marking", "plain"),
    "bottom": ("top", "dress"),
    "bottom_color": ("top", "dress"),
    "bottom_hue": ("top", "dress"),
}
"""Attributes that nothing shows where another one has this value."""


def applies(subject: Subject, attribute: str) -> bool:
    """Whether the subject has what the attribute tells of: a bald head's hair has no colour."""
    other, value = UNSHOWN.get(attribute, ("kind", ""))
    return getattr(subject, other) != value


def things_in(scene: Scene) -> dict[str, str]:
    """Everything that is held, worn on the clothes or stands on the ground, by its name in `masks`."""
    held = zip(("item", "other item"), scene.cast, strict=False)
    found = {part: placement.item for part, placement in held if placement.item is not None}
    return found | {f"prop {number}": prop.name for number, prop in enumerate(scene.props, start=1)}


def truth(scene: Scene, size: int = SIDE) -> dict[str, Any]:
    """All that is known of a scene: named and hidden attributes, place, and boxes in pixels (l, t, r, b).

    ``unsafe`` are the unsafe categories of everything that is seen.
    """
    found = masks(scene, size)
    rest = asdict(scene)
    del rest["subject"], rest["other"]
    record = _subject(scene.lead) | {
        "scene": rest,
        "unsafe": _unsafe(scene, found),
        "boxes": {name: _box(mask) for name, mask in found.items() if mask.any()},
    }
    if scene.other is not None:
        placed = asdict(scene.other)
        del placed["subject"]
        record["other"] = _subject(scene.other) | {
            "placement": placed,
            "side": "left" if scene.other.x < scene.x else "right",
        }
    return record


def _subject(placement: Placement) -> dict[str, Any]:
    subject = placement.subject
    values = asdict(subject)
    named = FULL.attributes[subject.kind].named
    hidden = FULL.attributes[subject.kind].hidden
    return {
        "kind": subject.kind,
        "named": {name: value for name, value in values.items() if name in named},
        "hidden": {name: value for name, value in values.items() if name in hidden},
    }


def _unsafe(scene: Scene, found: dict[str, np.ndarray[Any, np.dtype[np.bool_]]]) -> list[str]:
    things = things_in(scene).items()
    seen = {CATALOGUE[name].category for part, name in things if part in found and found[part].any()}
    return sorted(category for category in seen if category is not None)


def _box(mask: np.ndarray[Any, np.dtype[np.bool_]]) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
