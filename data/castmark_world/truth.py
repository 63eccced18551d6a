"""Ground truth of a scene, as plain JSON values."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from castmark_world.params import ITEMS, Scene
from castmark_world.render import SIDE, masks

NAMED_CHARACTER = (
    "person", "skin_tone", "hair_style", "hair_color", "top", "top_color", "top_pattern",
    "bottom", "bottom_color", "headwear", "headwear_color", "glasses",
)  # fmt: skip
NAMED_PRODUCT = ("category", "color", "accent_color", "pattern")


def truth(scene: Scene, size: int = SIDE) -> dict[str, Any]:
    """All that is known of a scene: named and hidden attributes, place, and boxes in pixels (l, t, r, b)."""
    subject = asdict(scene.subject)
    named = NAMED_CHARACTER if scene.subject.kind == "character" else NAMED_PRODUCT
    rest = asdict(scene)
    del rest["subject"]
    unsafe = ITEMS[scene.item].category if scene.item else None
    return {
        "kind": subject.pop("kind"),
        "named": {name: subject.pop(name) for name in named},
        "hidden": subject,
        "scene": rest,
        "unsafe": [unsafe] if unsafe else [],
        "boxes": {name: _box(mask) for name, mask in masks(scene, size).items() if mask.any()},
    }


def _box(mask: np.ndarray[Any, np.dtype[np.bool_]]) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
