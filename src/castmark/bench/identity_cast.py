"""The cast of suite ``identity``: held-out subjects, references, scenes, look-alikes; picture sheets."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from castmark.bench.truth import seen
from castmark_adapters.subject import Subject
from castmark_world import (
    CharacterSpec,
    Scene,
    class_phrase,
    look_alike,
    masks,
    render,
    sample_subject,
    stage,
)
from castmark_world import Subject as Spec
from castmark_world.describe import things
from castmark_world.words import NOUN, PLACE, POSE

METHODS = ("kind alone", "words", "reference", "LoRA", "both")
SEED = 61_000
VIEWS = (
    ("studio", "standing"),
    ("bedroom", "hands on hips"),
    ("city", "walking"),
    ("forest", "waving"),
)
"""Places and poses of the references."""
SCENES = (
    ("beach", "waving"),
    ("snow", "walking"),
    ("kitchen", "standing"),
    ("desert", "cheering"),
    ("forest", "pointing"),
    ("city", "hands on hips"),
    ("bedroom", "waving"),
    ("studio", "walking"),
)
CELL = 128
"""Pixels a side of a picture on a sheet."""


@dataclass
class Member:
    """A subject of the cast. ``subject`` gets its LoRA on the way."""

    subject: Subject
    look_alike: Subject
    """The same words, other hidden traits."""
    other: Subject
    """Another of its kind."""
    prompts: list[str]
    bare_prompts: list[str]
    scenes: list[Scene]
    renders: list[NDArray[np.uint8]]
    """The scenes as the world itself shows them."""
    shown: list[frozenset[str]]
    """What of their truth these show; see `castmark.bench.truth.seen`."""
    seed: int


def cast_of(count: int, side: int) -> list[Member]:
    """``count`` subjects of the test split, characters and products in turn."""
    return [_member(index, side) for index in range(count)]


def _member(index: int, side: int) -> Member:
    rng = np.random.default_rng((SEED, index))
    kind = "product" if index % 2 else "character"
    spec = sample_subject(rng, kind, "test")
    words = class_phrase(spec)
    bare = things(NOUN.get(spec.noun, (spec.noun,))[0])
    settings = [_scene_words(spec, place, pose) for place, pose in SCENES]
    subject = _card(f"s{index}", spec, rng, side)
    alike = _card(f"s{index}-alike", look_alike(spec, rng), rng, side)
    other = _card(f"s{index}-other", sample_subject(rng, kind, "test"), rng, side)
    scenes = [_stage(spec, rng, place, pose) for place, pose in SCENES]
    return Member(
        subject=subject,
        look_alike=alike,
        other=other,
        prompts=[f"{words} {setting}" for setting in settings],
        bare_prompts=[f"{bare} {setting}" for setting in settings],
        scenes=scenes,
        renders=[render(scene, side) for scene in scenes],
        shown=[seen(scene) for scene in scenes],
        seed=1000 * (index + 1),
    )


def _scene_words(spec: Spec, place: str, pose: str) -> str:
    posed = f"{POSE[pose][0]} " if isinstance(spec, CharacterSpec) else ""
    return f"{posed}{PLACE[place][0]}"


def _stage(spec: Spec, rng: np.random.Generator, place: str, pose: str) -> Scene:
    """The whole subject by day, with nothing in its hands."""
    return stage(spec, rng, item=None, place=place, time="day", pose=pose, camera="full")


def _card(name: str, spec: Spec, rng: np.random.Generator, side: int) -> Subject:
    """Four references in scenes, each with the mask that a user would paint."""
    views = [_stage(spec, rng, place, pose) for place, pose in VIEWS]
    shown = [_png(render(view, side)) for view in views]
    painted = [_png(masks(view, side)["subject"].astype(np.uint8) * 255) for view in views]
    kind = "product" if spec.kind == "product" else "character"
    return Subject.from_images(name, shown, kind, masks=painted, phrase=class_phrase(spec))


def _png(pixels: NDArray[np.uint8]) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def picture_sheet(cast: Sequence[Member], pictures: Sequence[Sequence[NDArray[np.uint8]]]) -> bytes:
    """A PNG with a row a subject: its references, a gap, what was drawn."""
    width = len(VIEWS) + len(SCENES)
    sheet = Image.new("RGB", (CELL * width + CELL // 4, CELL * len(cast)), "white")
    for row, (member, drawn) in enumerate(zip(cast, pictures, strict=True)):
        shown = [*member.subject.images(), *(Image.fromarray(picture) for picture in drawn)]
        for column, picture in enumerate(shown):
            gap = CELL // 4 if column >= len(VIEWS) else 0
            small = picture.resize((CELL, CELL), Image.Resampling.LANCZOS)
            sheet.paste(small, (CELL * column + gap, CELL * row))
    out = io.BytesIO()
    sheet.save(out, "PNG")
    return out.getvalue()
