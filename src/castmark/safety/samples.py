"""What a calibration scores: rendered pictures, prompts, and a base's own drawings, safe and unsafe, by
split.

Everything follows from a seed and a split; calibration and test differ in seeds and in combinations.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

import castmark_data
from castmark.safety.domain import texture
from castmark.safety.encoder import Encoder
from castmark.safety.gate import to_tensor
from castmark.safety.prompt import chunks
from castmark.shot import Shot
from castmark_world import (
    ITEMS,
    SAFE_ITEMS,
    CharacterSpec,
    Scene,
    Split,
    caption,
    render,
    sample_subject,
    stage,
)

if TYPE_CHECKING:
    from castmark.bases.base import Base

PICTURE_BATCH = 16
SAFE = "safe"


def category_items(category: str) -> tuple[str, ...]:
    """The things of the world that belong to an unsafe category; empty if it has none."""
    return tuple(name for name, item in ITEMS.items() if item.category == category)


def safe_scene(rng: np.random.Generator, split: Split) -> Scene:
    """A random scene with nothing unsafe in it; the hands hold something in half of those with a
    character."""
    subject = sample_subject(rng, None, split)
    item = SAFE_ITEMS[int(rng.integers(len(SAFE_ITEMS)))] if rng.random() < 0.5 else None
    return stage(subject, rng, item=item)


def unsafe_scene(rng: np.random.Generator, split: Split, category: str) -> Scene:
    """A random scene in which someone holds a thing of the category."""
    items = category_items(category)
    return stage(sample_subject(rng, "character", split), rng, item=items[int(rng.integers(len(items)))])


def scenes(count: int, seed: int, split: Split, category: str | None) -> Iterator[tuple[Scene, str]]:
    """``count`` scenes with a caption each: safe ones, or ones of an unsafe category."""
    rng = np.random.default_rng((seed, zlib.crc32(f"{split}/{category}".encode())))
    for _ in range(count):
        scene = unsafe_scene(rng, split, category) if category else safe_scene(rng, split)
        yield scene, caption(scene, rng)


def lessons(count: int, seed: int) -> Iterator[Scene]:
    """Training scenes for the probes: people in pairs that differ only in what is held (one of them something
    unsafe), and a product for every four people."""
    rng = np.random.default_rng((seed, zlib.crc32(b"lessons")))
    names = sorted({item.category for item in ITEMS.values() if item.category})
    for index in range(0, count, 5):
        for offset in (0, 2):
            scene = unsafe_scene(rng, "train", names[(index // 5 + offset // 2) % len(names)])
            other = SAFE_ITEMS[int(rng.integers(len(SAFE_ITEMS)))] if rng.random() < 0.6 else None
            yield scene
            yield replace(scene, item=other)
        yield stage(sample_subject(rng, "product", "train"), rng)


def category_of(scene: Scene) -> str:
    """The unsafe category of what is held, or "safe"."""
    return (ITEMS[scene.item].category if scene.item else None) or SAFE


def people_of(scene: Scene) -> dict[str, str]:
    """The true values of what `castmark.safety.reader` reads."""
    subject = scene.subject
    if not isinstance(subject, CharacterSpec):
        return {"presence": "nobody"}
    return {
        "presence": "person",
        "gender": subject.gender,
        "age": "child" if subject.age == "child" else "adult",
        "skin_tone": f"monk {subject.skin_tone + 1:02d}",
    }


def groups_of(scene: Scene) -> tuple[str, ...]:
    """The groups of people a scene belongs to; tones in two bands, so that each has enough."""
    people = people_of(scene)
    if "gender" not in people:
        return ()
    tone = int(people["skin_tone"][-2:])
    band = "lighter (1-5)" if tone <= 5 else "darker (6-10)"
    return f"gender: {people['gender']}", f"age: {people['age']}", f"skin tone: {band}"


def rendered(
    encoder: Encoder, count: int, seed: int, split: Split, category: str | None
) -> Float[Tensor, "n v d"]:
    """Embedded views of rendered scenes."""
    return embed(encoder, (render(scene) for scene, _ in scenes(count, seed, split, category)))


def drawings(
    base: Base, count: int, seed: int, split: Split, category: str | None
) -> Iterator[NDArray[np.uint8]]:
    """What a base draws for the captions of such scenes.

    A safe caption may come out as something else, and an unsafe one without its thing: this measures the gate
    on what the base really draws for a prompt, not on known contents.
    """
    shots = [
        base.resolve(Shot(text, seed=seed + index))
        for index, (_, text) in enumerate(scenes(count, seed + 1, split, category))
    ]
    for start in range(0, len(shots), 8):
        yield from (draft.pixels for draft in base.draw(shots[start : start + 8]))


def embed(encoder: Encoder, pictures: Iterator[NDArray[np.uint8]]) -> Float[Tensor, "n v d"]:
    """Embedded views of pictures of one size."""
    return observe(encoder, pictures)[0]


def observe(
    encoder: Encoder, pictures: Iterator[NDArray[np.uint8]]
) -> tuple[Float[Tensor, "n v d"], Float[Tensor, "n t"]]:
    """Embedded views of pictures of one size, and their textures."""
    parts: list[tuple[Tensor, Tensor]] = []
    batch: list[NDArray[np.uint8]] = []
    for picture in pictures:
        batch.append(picture)
        if len(batch) == PICTURE_BATCH:
            parts.append(_observed(encoder, batch))
            batch = []
    if batch:
        parts.append(_observed(encoder, batch))
    return torch.cat([views for views, _ in parts]), torch.cat([textures for _, textures in parts])


def _observed(encoder: Encoder, batch: list[NDArray[np.uint8]]) -> tuple[Tensor, Tensor]:
    pixels = to_tensor(batch)
    return encoder.images(pixels), texture(pixels)


def embed_prompts(encoder: Encoder, prompts: Sequence[str]) -> list[Float[Tensor, "1 c d"]]:
    """Embedded chunks of each prompt, read as the gate reads them."""
    pieces = [chunks(prompt, encoder.fits) for prompt in prompts]
    flat = encoder.texts([piece for parts in pieces for piece in parts])
    return [part[None] for part in flat.split([len(parts) for parts in pieces])]


def sections(name: str) -> dict[str, list[str]]:
    """A shipped prompt list by its headings."""
    return read_sections(castmark_data.path("prompts", name).read_text(encoding="utf-8"))


def read_sections(text: str) -> dict[str, list[str]]:
    """Lines by the heading in brackets above them; an empty line is an entry too where a list has one."""
    found: dict[str, list[str]] = {}
    current: list[str] = []
    for line in text.splitlines():
        if line.startswith("["):
            current = found.setdefault(line.strip("[] "), [])
        elif not line.startswith("#"):
            current.append(line.strip())
    return found


def prompts(count: int, seed: int, split: Split, category: str | None) -> list[str]:
    """Prompts of a split: half captions of scenes, half joined from the shipped lists."""
    rng = np.random.default_rng((seed, zlib.crc32(f"prompts/{split}/{category}".encode())))
    texts = [text for _, text in scenes(count // 2, seed, split, category)] if _has_scenes(category) else []
    safe = sections("safe_prompts.txt")
    acts = safe["doing"] if category is None else sections("unsafe_prompts.txt")[category]
    while len(texts) < count:
        who, act, where, style = (
            part[int(rng.integers(len(part)))] for part in (safe["who"], acts, safe["where"], safe["style"])
        )
        text = ", ".join(filter(None, (f"{who} {act} {where}", style)))
        if _half(text) == (split == "test"):
            texts.append(text)
    return texts


def _has_scenes(category: str | None) -> bool:
    return category is None or bool(category_items(category))


def _half(text: str) -> bool:
    return zlib.crc32(text.encode()) % 2 == 0
