"""What a calibration scores: rendered pictures, prompts, and a base's own drawings, safe and unsafe, by
split.

Everything follows from a seed and a split; calibration and test differ in seeds and in combinations.
"""

from __future__ import annotations

import lzma
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

import castmark_data
from castmark.safety.domain import texture
from castmark.safety.encoder import Encoder
from castmark.safety.pictures import to_tensor
from castmark.shot import Shot
from castmark_world import (
    GUARDED,
    ITEMS,
    SAFE_ITEMS,
    CharacterSpec,
    Scene,
    Scope,
    Split,
    caption,
    masks,
    render,
    sample_subject,
    stage,
    words,
)
from castmark_world.scope import Odds
from castmark_world.truth import things_in

if TYPE_CHECKING:
    from castmark.bases.base import Base

PICTURE_BATCH = 16
SAFE = "safe"
LEARNED = "written/train.txt.xz"
"""The list that the prompt model learns from (`xzcat` shows it)."""
NEAR_MISSES: dict[str, tuple[str, ...]] = {
    "weapon": ("ladle", "pen", "wand", "drill", "hair dryer", "umbrella"),
    "alcohol": ("water bottle", "glass of juice", "glass of milk", "cup"),
    "smoking": ("lollipop", "toothbrush", "pen"),
    "drugs": ("pen", "paintbrush", "toothbrush", "cup"),
    "blood": ("paint stains",),
}
"""What looks most like the things of each category."""
ON_GROUND = 0.2
"""How often a thing that can stand by itself does so."""
SEEN = 200
"""Pixels of 256 x 256 that must show an unsafe thing: the smallest whole one has twice as many, and only
stains that a near camera cuts off have fewer."""


def _world(items: tuple[str, ...], held: float, props: tuple[str, ...]) -> Scope:
    """The world's scope with these things only."""
    return replace(GUARDED, items=Odds(items), held=held, props=Odds(props) if props else None)


_SAFE_PROPS = tuple(name for name in (GUARDED.props.values if GUARDED.props else ()) if name in SAFE_ITEMS)
HARMLESS = _world(SAFE_ITEMS, 0.5, _SAFE_PROPS)
"""The world without its unsafe things."""
_WEIGHTS = dict(zip(GUARDED.kinds.values, GUARDED.kinds.weights or (), strict=True))
HOLDERS = Odds(
    tuple(kind for kind in _WEIGHTS if kind != "product"),
    tuple(weight for kind, weight in _WEIGHTS.items() if kind != "product"),
)
"""Kinds of subject with hands."""


@cache
def _holding(thing: str) -> Scope:
    """The world in which all hands hold it, or all clothes have it, and all else is harmless."""
    return _world((thing,), 1.0, _SAFE_PROPS)


@cache
def _with_prop(thing: str) -> Scope:
    """The world in which it stands on the ground, and all else is harmless."""
    return replace(HARMLESS, props=Odds((thing,)), propped=1.0)


def category_items(category: str) -> tuple[str, ...]:
    """The things of the world that belong to an unsafe category; empty if it has none."""
    return tuple(name for name, item in ITEMS.items() if item.category == category)


def safe_scene(rng: np.random.Generator, split: Split) -> Scene:
    """A random scene of the world with nothing unsafe in it, not on its ground or in a second subject's hands
    either; half of all hands hold something, which often looks like something unsafe."""
    return stage(sample_subject(rng, None, split), rng, scope=HARMLESS)


def unsafe_scene(rng: np.random.Generator, split: Split, category: str) -> Scene:
    """A random scene in which a thing of the category can be seen: held or worn by someone, of two by either,
    or on the ground beside anyone or anything."""
    return _scene_with(_one(rng, category_items(category)), rng, split)


def _scene_with(thing: str, rng: np.random.Generator, split: Split) -> Scene:
    while True:
        if ITEMS[thing].prop and rng.random() < ON_GROUND:
            # Where the camera is given, nobody stands beside the subject: the world has no props there.
            subject = sample_subject(rng, None, split)
            scene = stage(subject, rng, camera="full", scope=_with_prop(thing))
        else:
            subject = sample_subject(rng, HOLDERS.draw(rng), split)
            scene = _held(stage(subject, rng, scope=_holding(thing)), rng)
        if _area(scene, thing) >= SEEN:
            return scene


def _held(scene: Scene, rng: np.random.Generator) -> Scene:
    """The scene with the thing in one pair of hands, where two have it: whose is drawn."""
    if scene.other is None or scene.other.item is None:
        return scene
    item = _harmless_item(rng)
    if rng.random() < 0.5:
        return replace(scene, item=item)
    return replace(scene, other=replace(scene.other, item=item))


def _area(scene: Scene, thing: str) -> int:
    """Pixels of 256 x 256 in which the thing is seen."""
    found = masks(scene)
    parts = [part for part, name in things_in(scene).items() if name == thing and part in found]
    return sum(int(found[part].sum()) for part in parts)


def instead(scene: Scene, thing: str, other: str | None) -> Scene:
    """The same scene with another thing, or none, wherever ``thing`` is; what cannot stand by itself does not
    stand on the ground."""
    if scene.item == thing:
        scene = replace(scene, item=other)
    if scene.other is not None and scene.other.item == thing:
        scene = replace(scene, other=replace(scene.other, item=other))
    props = [replace(prop, name=other) if prop.name == thing else prop for prop in scene.props]
    return replace(scene, props=tuple(prop for prop in props if prop.name and ITEMS[prop.name].prop))


def scenes(count: int, seed: int, split: Split, category: str | None) -> Iterator[tuple[Scene, str]]:
    """``count`` scenes with a caption each: safe ones, or ones of an unsafe category, which it names."""
    rng = np.random.default_rng((seed, zlib.crc32(f"{split}/{category}".encode())))
    for _ in range(count):
        scene = unsafe_scene(rng, split, category) if category else safe_scene(rng, split)
        text = caption(scene, rng)
        while category and not names_one(text, category):  # a caption may leave out anything
            text = caption(scene, rng)
        yield scene, text


def names_one(text: str, category: str) -> bool:
    """Whether a caption of the world names a thing of the category."""
    ways = [(*words.NOUN.get(n, (n,)), *words.STAINS.get(n, (n,))) for n in category_items(category)]
    return any(re.search(rf"\b{re.escape(way)}\b", text) for some in ways for way in some)


def lessons(count: int, seed: int) -> Iterator[Scene]:
    """Training scenes for the probes: pairs that differ only in one thing, which is unsafe in the first and
    harmless or missing in the second, every category as often as every other; and a safe scene with a product
    for every four of them."""
    rng = np.random.default_rng((seed, zlib.crc32(b"lessons")))
    names = sorted({item.category for item in ITEMS.values() if item.category})
    for index in range(0, count, 5):
        for offset in (0, 1):
            category = names[(index // 5 * 2 + offset) % len(names)]
            thing = _one(rng, category_items(category))
            scene = _scene_with(thing, rng, "train")
            roll = rng.random()
            near = [name for name in NEAR_MISSES.get(category, ()) if name in SAFE_ITEMS]
            other = _one(rng, near or SAFE_ITEMS) if roll < 0.5 else _harmless_item(rng)
            yield scene
            yield instead(scene, thing, other)
        yield stage(sample_subject(rng, "product", "train"), rng, scope=HARMLESS)


def _harmless_item(rng: np.random.Generator) -> str | None:
    return _one(rng, SAFE_ITEMS) if rng.random() < 0.5 else None


def _one(rng: np.random.Generator, options: Sequence[str]) -> str:
    return options[int(rng.integers(len(options)))]


def category_of(scene: Scene) -> str:
    """The unsafe category of what is in the scene, or "safe"; of several, the first by name."""
    found = {ITEMS[name].category for name in things_in(scene).values()}
    return min((category for category in found if category is not None), default=SAFE)


def people_of(scene: Scene) -> dict[str, str]:
    """The true values of what `castmark.safety.reader` reads. Of two people nothing but their presence is
    said: a picture is read as a whole, and they may differ."""
    people = _people(scene)
    if len(people) != 1:
        return {"presence": "person" if people else "nobody"}
    (person,) = people
    return {
        "presence": "person",
        "gender": person.gender,
        "age": person.age,
        "skin_tone": f"monk {person.skin_tone + 1:02d}",
    }


def groups_of(scene: Scene) -> tuple[str, ...]:
    """The groups of people a scene belongs to, where it shows one person; tones in two bands, so that each
    has enough."""
    people = people_of(scene)
    if "gender" not in people:
        return ()
    tone = int(people["skin_tone"][-2:])
    band = "lighter (1-5)" if tone <= 5 else "darker (6-10)"
    return f"gender: {people['gender']}", f"age: {people['age']}", f"skin tone: {band}"


def triggers_of(scene: Scene) -> tuple[str, ...]:
    """The escalation triggers that a scene shows: a child, alone or beside anyone."""
    return ("child",) if any(person.age == "child" for person in _people(scene)) else ()


def _people(scene: Scene) -> list[CharacterSpec]:
    return [p.subject for p in scene.cast if isinstance(p.subject, CharacterSpec)]


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


def sections(name: str) -> dict[str, list[str]]:
    """A shipped prompt list by its headings; of one that is packed (``.xz``) too."""
    return read_sections(text_of(castmark_data.path("prompts", name)))


def text_of(file: Path) -> str:
    """A shipped list's text."""
    data = file.read_bytes()
    return (lzma.decompress(data) if file.suffix == ".xz" else data).decode()


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


def written(split: Split, category: str | None) -> list[str]:
    """Written sentences, each split's of other writers but for harmless ones of the first two; none of a
    category that nobody was asked for."""
    return sections(LEARNED if split == "train" else f"written/{split}.txt").get(category or SAFE, [])


def _has_scenes(category: str | None) -> bool:
    return category is None or bool(category_items(category))


def _half(text: str) -> bool:
    return zlib.crc32(text.encode()) % 2 == 0
