"""Sampling of subjects and scenes, and the one place where held-out combinations are defined.

Train, calibration and test differ in seeds *and* in combinations: a subject's split follows from a digest of
three of its named attributes, so no model ever sees a test combination while it learns.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from castmark_world.params import (
    BOTTOMS,
    COLORS,
    EMBLEMS,
    EXPRESSIONS,
    GLASSES,
    HAIR_COLORS,
    HAIR_STYLES,
    HEADWEAR,
    ITEMS,
    MONK_TONES,
    PATTERNS,
    PEOPLE,
    POSES,
    PRODUCTS,
    SCENES,
    TIMES,
    TOPS,
    CharacterSpec,
    Kind,
    ProductSpec,
    Scene,
    Split,
    Subject,
)

T = TypeVar("T")
COLOR_NAMES = tuple(COLORS)


def split_of(subject: Subject) -> Split:
    """The split a subject belongs to: 1 in 10 combinations is test, 1 in 10 calibration."""
    if isinstance(subject, CharacterSpec):
        combination = (subject.hair_style, subject.hair_color, subject.top_color)
    else:
        combination = (subject.category, subject.color, subject.pattern)
    bucket = zlib.crc32("/".join(combination).encode()) % 10
    return "test" if bucket == 0 else "calibration" if bucket == 1 else "train"


def sample_subject(rng: np.random.Generator, kind: Kind | None = None, split: Split = "train") -> Subject:
    """A subject of the split. ``kind`` None: two characters for one product."""
    kind = kind or ("character" if rng.random() < 0.67 else "product")
    while True:
        subject = _character(rng) if kind == "character" else _product(rng)
        if split_of(subject) == split:
            return subject


def look_alike(subject: Subject, rng: np.random.Generator) -> Subject:
    """Another subject with every named attribute the same and every hidden trait drawn anew."""
    if isinstance(subject, CharacterSpec):
        return replace(subject, **_hidden_character(rng))
    return replace(subject, **_hidden_product(rng))


def stage(
    subject: Subject,
    rng: np.random.Generator,
    *,
    place: str | None = None,
    time: str | None = None,
    item: str | None = "random",
    pose: str | None = None,
    expression: str | None = None,
) -> Scene:
    """Put a subject into a scene; what is not given is drawn. ``item`` None: empty hands.

    A character holds something in 40% of random scenes; products never hold.
    """
    held = item
    if not isinstance(subject, CharacterSpec):
        held = None
    elif item == "random":
        held = _pick(rng, tuple(ITEMS)) if rng.random() < 0.4 else None
    return Scene(
        subject=subject,
        place=place or _pick(rng, SCENES),
        time=time or _pick(rng, TIMES, (0.6, 0.2, 0.2)),
        x=float(np.clip(0.5 + rng.normal() * 0.1, 0.3, 0.7)),
        scale=float(rng.uniform(0.85, 1.1)),
        mirrored=bool(rng.random() < 0.5),
        place_seed=int(rng.integers(2**31)),
        pose=pose or _pick(rng, POSES),
        expression=expression or _pick(rng, EXPRESSIONS, (0.6, 0.2, 0.2)),
        item=held,
        tilt=float(rng.normal() * 3.0),
    )


def sample_scene(rng: np.random.Generator, *, split: Split = "train", kind: Kind | None = None) -> Scene:
    """A random subject of the split in a random scene."""
    return stage(sample_subject(rng, kind, split), rng)


def _pick(rng: np.random.Generator, options: Sequence[T], weights: Sequence[float] | None = None) -> T:
    return options[int(rng.choice(len(options), p=weights))]


def _trait(rng: np.random.Generator) -> float:
    return float(rng.uniform(-1, 1))


def _character(rng: np.random.Generator) -> CharacterSpec:
    top = _pick(rng, TOPS)
    return CharacterSpec(
        person=_pick(rng, PEOPLE),
        skin_tone=int(rng.integers(len(MONK_TONES))),
        hair_style=_pick(rng, HAIR_STYLES),
        hair_color=_pick(rng, tuple(HAIR_COLORS)),
        top=top,
        top_color=_pick(rng, COLOR_NAMES),
        top_pattern=_pick(rng, PATTERNS, (0.4, 0.2, 0.2, 0.2)),
        bottom="skirt" if top == "dress" else _pick(rng, BOTTOMS),
        bottom_color=_pick(rng, COLOR_NAMES),
        headwear=_pick(rng, HEADWEAR, (0.6, 0.1, 0.1, 0.1, 0.1)),
        headwear_color=_pick(rng, COLOR_NAMES),
        glasses=_pick(rng, GLASSES, (0.65, 0.2, 0.15)),
        **_hidden_character(rng),
    )


def _hidden_character(rng: np.random.Generator) -> dict[str, Any]:
    traits: dict[str, Any] = {
        name: _trait(rng)
        for name in (
            "head_width",
            "eye_spacing",
            "eye_size",
            "brow_tilt",
            "body_width",
            "leg_length",
            "hair_volume",
            "hair_hue",
            "top_hue",
            "bottom_hue",
            "pattern_scale",
            "blush",
        )
    }
    return traits | {"emblem": _pick(rng, EMBLEMS), "emblem_hue": float(rng.random())}


def _product(rng: np.random.Generator) -> ProductSpec:
    color = _pick(rng, COLOR_NAMES)
    return ProductSpec(
        category=_pick(rng, PRODUCTS),
        color=color,
        accent_color=_pick(rng, tuple(c for c in COLOR_NAMES if c != color)),
        pattern=_pick(rng, PATTERNS, (0.4, 0.2, 0.2, 0.2)),
        **_hidden_product(rng),
    )


def _hidden_product(rng: np.random.Generator) -> dict[str, Any]:
    traits: dict[str, Any] = {
        name: _trait(rng)
        for name in (
            "tallness",
            "width",
            "taper",
            "handle",
            "hue",
            "accent_hue",
            "pattern_scale",
            "band",
            "emblem_size",
        )
    }
    return traits | {"emblem": _pick(rng, EMBLEMS), "emblem_hue": float(rng.random())}
