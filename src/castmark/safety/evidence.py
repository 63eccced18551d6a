"""What a calibration is made from: the rendered world and a base's drawings; see also own_images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from castmark.safety.encoder import Encoder
from castmark.safety.samples import (
    SAFE,
    category_items,
    category_of,
    drawings,
    groups_of,
    lessons,
    observe,
    people_of,
    prompts,
    scenes,
    sections,
    triggers_of,
    written,
)
from castmark_world import Split, render

if TYPE_CHECKING:
    from castmark.bases.base import Base

RENDERS = "renders"
PROMPTS, WRITTEN = "prompts", "written prompts"
TRIGGERS = ("child",)
"""Escalation triggers that the world can show."""


@dataclass(frozen=True)
class Pictures:
    """Embedded pictures, and the groups of people each belongs to and the triggers it shows (none where that
    is not known)."""

    embeddings: Float[Tensor, "n v d"]
    textures: Float[Tensor, "n t"]
    groups: list[tuple[str, ...]] = field(default_factory=list[tuple[str, ...]])
    triggers: list[tuple[str, ...]] = field(default_factory=list[tuple[str, ...]])

    def of(self, group: str) -> Float[Tensor, "m v d"]:
        """Those of one group."""
        return self.embeddings[[i for i, names in enumerate(self.groups) if group in names]]

    def showing(self, trigger: str, *, shown: bool = True) -> Float[Tensor, "m v d"]:
        """Those that show a trigger, or of those of which it is known the others."""
        chosen = [i for i, names in enumerate(self.triggers) if (trigger in names) == shown]
        return self.embeddings[chosen]

    @property
    def group_names(self) -> list[str]:
        """Every group there is."""
        return sorted({name for names in self.groups for name in names})


@dataclass(frozen=True)
class Lessons:
    """Embedded pictures with exact labels, for the probes, and others held out to measure the readers.

    The renders come first: who is in the base's drawings after them is not known. ``textures`` are those of
    the renders, ``drawn_textures`` of the drawings.
    """

    embeddings: Float[Tensor, "n v d"]
    textures: Float[Tensor, "r t"]
    drawn_textures: Float[Tensor, "d t"]
    contents: list[str]
    people: list[dict[str, str]]
    triggers: list[tuple[str, ...]]
    """Of the renders."""
    held_out: Float[Tensor, "m v d"]
    held_out_people: list[dict[str, str]]


class Shown(NamedTuple):
    """Embedded pictures with an escalation's trigger in them, and others."""

    there: Float[Tensor, "n v d"]
    others: Float[Tensor, "m v d"]
    """Without it, as far as that is known."""


class SpokenEvidence(Protocol):
    """Prompts by source and split."""

    encoder: Encoder
    spoken: tuple[str, ...]
    """Sources of prompts."""

    def prompts(self, source: str, split: Split, category: str | None) -> list[str]:
        """Harmless prompts (None) of a source, or those of an unsafe category, of which it may have none."""
        ...


class Evidence(SpokenEvidence, Protocol):
    """Samples by source and split. The first source of pictures is the one whose truth is known."""

    seed: int
    sources: tuple[str, ...]

    def shows(self, category: str) -> bool:
        """Whether there are unsafe pictures of the category."""
        ...

    def says(self, category: str) -> bool:
        """Whether there are unsafe prompts of the category."""
        ...

    def pictures(self, source: str, split: Split, category: str | None) -> Pictures:
        """Safe pictures (None), or those of an unsafe category."""
        ...

    def trigger(self, name: str, split: Split) -> Shown | None:
        """Pictures with an escalation's trigger in them, and others; None where there are none."""
        ...

    def lessons(self) -> Lessons | None:
        """Exactly labelled pictures, or None."""
        ...

    def familiar(self) -> dict[str, Float[Tensor, "n t"]]:
        """Textures of pictures of every source, none of them among its safe ones."""
        ...


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How many samples: safe ones for the thresholds, safe ones to test on, unsafe ones (a category) for the
    miss bound and again to test on, labelled ones for the probes, and prompts.

    Five categories share 1%: at 0.2% each, 95% sure, a threshold takes 1,497 safe samples, and the second
    highest score may decide from 2,370. A third of those who are alone among people (one age, one gender
    presentation) is 18 in 100 scenes, so that ``safe`` gives each such group 2,500 renders.
    """

    safe: int = 14_000
    test_safe: int = 600
    unsafe: int = 500
    test_unsafe: int = 250
    lessons: int = 15_000
    safe_prompts: int = 4000
    drawn_lessons: int = 4000
    drawn_safe: int = 2400
    drawn_test_safe: int = 100
    drawn_unsafe: int = 40


class WorldEvidence:
    """Renders, and the drawings of a base for such scenes' captions. Made once, shared by all policies."""

    def __init__(
        self,
        encoder: Encoder,
        sizes: Sizes,
        seed: int,
        base: Base | None = None,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.encoder, self.sizes, self.seed, self.base, self.say = encoder, sizes, seed, base, say
        self.sources: tuple[str, ...] = (
            (RENDERS,) if base is None else (RENDERS, f"drawings of {base.name} ({base.digest[:12]})")
        )
        self.spoken: tuple[str, ...] = (PROMPTS, WRITTEN)
        self._pictures: dict[tuple[str, Split, str | None], Pictures] = {}
        self._prompts: dict[tuple[Split, str | None], list[str]] = {}
        self._lessons: Lessons | None = None

    def shows(self, category: str) -> bool:
        """Whether the world holds things of the category."""
        return bool(category_items(category))

    def says(self, category: str) -> bool:
        """Whether the shipped list has prompts of it."""
        return category in sections("unsafe_prompts.txt")

    def pictures(self, source: str, split: Split, category: str | None) -> Pictures:
        """Pictures of a source, split and category (None: safe)."""
        key = (source, split, category)
        if key not in self._pictures:
            self.say(f"{source}, {split}: {category or 'safe'}")
            self._pictures[key] = self._make(source, split, category)
        return self._pictures[key]

    def _make(self, source: str, split: Split, category: str | None) -> Pictures:
        sizes, seed = self.sizes, self.seed + (split == "test")
        if source == RENDERS:
            safe = sizes.test_safe if split == "test" else sizes.safe
            unsafe = sizes.test_unsafe if split == "test" else sizes.unsafe
            made = [scene for scene, _ in scenes(unsafe if category else safe, seed, split, category)]
            seen, textures = observe(self.encoder, (render(scene) for scene in made))
            groups, triggers = map(groups_of, made), map(triggers_of, made)
            return Pictures(seen, textures, list(groups), list(triggers))
        assert self.base is not None
        safe = sizes.drawn_test_safe if split == "test" else sizes.drawn_safe
        count = sizes.drawn_unsafe if category else safe
        return Pictures(*observe(self.encoder, drawings(self.base, count, seed, split, category)))

    def trigger(self, name: str, split: Split) -> Shown | None:
        """Safe renders with the trigger in them, and without."""
        if name not in TRIGGERS:
            return None
        safe = self.pictures(RENDERS, split, None)
        return Shown(safe.showing(name), safe.showing(name, shown=False))

    def prompts(self, source: str, split: Split, category: str | None) -> list[str]:
        """Captions, and sentences of the shipped lists; or written ones."""
        if source == WRITTEN:
            return written(split, category)
        key = (split, category)
        if key not in self._prompts:
            self.say(f"{PROMPTS}, {split}: {category or 'safe'}")
            sizes = self.sizes
            safe = sizes.test_safe if split == "test" else sizes.safe_prompts
            unsafe = sizes.test_unsafe if split == "test" else sizes.unsafe
            seed = self.seed + (split == "test")
            self._prompts[key] = prompts(unsafe if category else safe, seed, split, category)
        return self._prompts[key]

    def lessons(self) -> Lessons:
        """Renders of the training split; the reader is measured on safe renders of the calibration split."""
        if self._lessons is None:
            self.say(f"{RENDERS}, train: labelled")
            made = list(lessons(self.sizes.lessons, self.seed))
            seen, textures = observe(self.encoder, (render(scene) for scene in made))
            contents, people = [category_of(scene) for scene in made], [people_of(scene) for scene in made]
            drawn, drawn_textures = seen[:0], textures[:0]
            if self.base is not None:
                drawn, drawn_textures = self._drawn_lessons(self.base)
            held_out = [scene for scene, _ in scenes(self.sizes.safe, self.seed, "calibration", None)]
            self._lessons = Lessons(
                torch.cat([seen, drawn]),
                textures,
                drawn_textures,
                [*contents, *[SAFE] * len(drawn)],
                [*people, *[{}] * len(drawn)],
                list(map(triggers_of, made)),
                self.pictures(RENDERS, "calibration", None).embeddings,
                [people_of(scene) for scene in held_out],
            )
        return self._lessons

    def _drawn_lessons(self, base: Base) -> tuple[Float[Tensor, "n v d"], Float[Tensor, "n t"]]:
        """What the base draws of safe captions: harmless as they are, and softer than renders, which a probe
        that knew renders alone would take for signs of something. Who is in them is not known exactly."""
        self.say(f"{self.sources[1]}, train: safe")
        return observe(self.encoder, drawings(base, self.sizes.drawn_lessons, self.seed, "train", None))

    def familiar(self) -> dict[str, Float[Tensor, "n t"]]:
        """The labelled renders, and the drawings that are lessons."""
        found = {RENDERS: self.lessons().textures}
        if self.base is not None:
            found[self.sources[1]] = self.lessons().drawn_textures
        return found
