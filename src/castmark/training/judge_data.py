"""Pictures and captions for the judge, rendered as it learns.

Two thirds of a batch come in hard image pairs. The two of a pair are the same scene, but for another thing in
the hand, on the clothes or on the ground; or but for another skin tone, gender or age. A good part of the
pictures are crops, as the gate's views are, about a thing, about a face, or anywhere; blank and noise
pictures are mixed in; and every batch is degraded in parts (blur, low resolution, JPEG, noise, brightness,
warps), because what the judge will see is drawn by a small and soft diffusion model.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from castmark.training.degrade import degrade
from castmark.training.judge_labels import (
    ATTRIBUTES,
    CATEGORIES,
    FACE,
    MASK_SIDE,
    NONE,
    WHOLE,
    Parts,
    item_label,
    labels_of,
    unsafe_label,
)
from castmark.training.judge_texts import Speaker
from castmark_world import (
    CATALOGUE,
    ITEMS,
    SAFE_ITEMS,
    TAUGHT,
    UNSAFE_ITEMS,
    CharacterSpec,
    Kind,
    Prop,
    Scene,
    Subject,
    caption,
    render,
    sample_scene,
    stage,
)
from castmark_world.sampling import sample_subject
from castmark_world.vocabulary import PEOPLE
from castmark_world.words import SKIN

SIDE = 256
VIEW = 96
UNKNOWN = -1
NEAR_MISSES: dict[str, tuple[str, ...]] = {
    "knife": ("ladle", "paintbrush", "pen", "toothbrush"),
    "gun": ("drill", "hair dryer", "phone"),
    "sword": ("wand", "umbrella", "ladle"),
    "beer bottle": ("water bottle", "glass of juice"),
    "wine bottle": ("water bottle", "glass of juice"),
    "beer glass": ("glass of juice", "cup", "glass of milk"),
    "wine glass": ("glass of juice", "glass of milk", "flower"),
    "cigarette": ("pen", "lollipop", "toothbrush", "paintbrush"),
    "pipe": ("lollipop", "ladle", "ice cream", "drill"),
    "syringe": ("pen", "toothbrush", "lollipop", "wand"),
    "pills": ("cup", "water bottle", "gift", "glass of milk"),
    "blood stains": ("paint stains", "paint stains", "flower"),
}
"""What each unsafe thing may be taken for."""
COLOURS = ((0.15, 0.05), (0.05, 0.012), (0.05, 0.012))
"""How far off brightness and colours are in a batch: little as a rule, for skin tones are to be read."""
UNSAID = frozenset(("item", "unsafe", "age", "gender"))
"""What a crop's caption leaves to better words: age and gender to the person's."""
Differs: TypeAlias = Literal["held", "beside", "person"]
Box: TypeAlias = tuple[int, int, int]
"""Left, top and side of a crop, in pixels of `MASK_SIDE`."""


@dataclass(frozen=True)
class Batch:
    """Pictures, one caption each, and the truth. Arrays, so that a batch goes cheaply between processes."""

    pixels: NDArray[np.uint8]
    """"b 3 96 96"."""
    captions: list[str]
    labels: NDArray[np.int64]
    """"b a": the value's index for each of `ATTRIBUTES`, `UNKNOWN` where the picture does not show it."""
    hands_said: NDArray[np.bool_]
    """"b": which captions say all that is held or stands by."""
    pair: NDArray[np.int64]
    """"b": numbers the hard pairs (-1: none)."""
    told: NDArray[np.bool_]
    """"b": which captions tell a picture from the other one of its pair."""
    read: bool = True
    """Whether its texts are read; those of a mirrored batch are not, as captions name sides."""


@dataclass
class _Row:
    pixels: NDArray[np.uint8]
    caption: str
    labels: dict[str, str]
    hands_said: bool
    pair: int = -1
    told: bool = False


class JudgeData:
    """Batches of the training split; everything follows from ``rng``."""

    def __init__(self, rng: np.random.Generator, size: int) -> None:
        self.rng, self.size = rng, size
        self.speaker = Speaker(rng)
        self.scope = TAUGHT[0]
        """Of the picture, or pair, in the making."""
        self._fresh: Batch | None = None

    def batch(self) -> Batch:
        """The next batch; every other one is the one before, mirrored and degraded anew."""
        if self._fresh is not None:
            last, self._fresh = self._fresh, None
            return replace(last, pixels=self._degraded(last.pixels[..., ::-1]), read=False)
        self._fresh = self._rendered()
        return replace(self._fresh, pixels=self._degraded(self._fresh.pixels))

    def _degraded(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        gain, shift = COLOURS[int(self.rng.integers(len(COLOURS)))]
        worse = degrade(torch.from_numpy(pixels.copy()).float().div_(255), self.rng, gain=gain, shift=shift)
        return worse.mul_(255).round_().byte().numpy()

    def _rendered(self) -> Batch:
        rows: list[_Row] = []
        pair = 0
        while len(rows) < self.size:
            roll = self.rng.random()
            self.scope = TAUGHT[int(self.rng.integers(len(TAUGHT)))]
            if roll < 0.02:
                rows.append(self._nothing())
            elif roll < 0.48:
                scope = self.scope if self.rng.random() < 0.3 else self.scope.alone
                rows.append(self._row(self._armed(sample_scene(self.rng, scope=scope), 0.2)))
            else:
                make = self._things if roll < 0.70 else self._beside if roll < 0.76 else self._people
                rows += make(pair)
                pair += 1
        rows = rows[: self.size]
        labels = [
            [values.index(row.labels[name]) if name in row.labels else UNKNOWN for name, values in _VALUES]
            for row in rows
        ]
        return Batch(
            np.stack([_sized(row.pixels) for row in rows]),
            [self.speaker.decorate(row.caption) for row in rows],
            np.array(labels),
            np.array([row.hands_said for row in rows]),
            np.array([row.pair for row in rows]),
            np.array([row.told for row in rows]),
        )

    def _subject(self, kind: Kind | None = None) -> Subject:
        return sample_subject(self.rng, kind, scope=self.scope)

    def _one(self, options: tuple[str, ...]) -> str:
        return options[int(self.rng.integers(len(options)))]

    def _harmful(self, among: tuple[str, ...]) -> str:
        """An unsafe thing, of each category as often."""
        categories = tuple(c for c in CATEGORIES if any(ITEMS[name].category == c for name in among))
        category = self._one(categories)
        return self._one(tuple(name for name in among if ITEMS[name].category == category))

    def _armed(self, scene: Scene, share: float) -> Scene:
        """The scene with something unsafe in hand in ``share`` of those whose hands are empty and seen."""
        free = scene.item is None and scene.camera != "close-up" and scene.subject.kind != "product"
        return (
            replace(scene, item=self._harmful(UNSAFE_ITEMS)) if free and self.rng.random() < share else scene
        )

    def _two(self, among: tuple[str, ...]) -> tuple[str, str]:
        """Two things, the first unsafe as a rule, the second what it may be taken for, often."""
        safe = tuple(name for name in among if name in SAFE_ITEMS)
        first = self._harmful(among) if self.rng.random() < 0.75 else self._one(safe)
        near = tuple(name for name in NEAR_MISSES.get(first, ()) if name in among)
        if near and self.rng.random() < 0.65:
            return first, self._one(near)
        return first, self._one(tuple(name for name in among if name != first))

    def _things(self, number: int) -> list[_Row]:
        """The same scene twice, with another thing in the hand or on the clothes, or with none."""
        has_mascots = "mascot" in self.scope.attributes
        kind: Kind = "mascot" if has_mascots and self.rng.random() < 0.25 else "character"
        camera = "half" if self.scope.cameras and self.rng.random() < 0.35 else "full"
        scene = stage(self._subject(kind), self.rng, item=None, camera=camera, scope=self.scope.alone)
        first, second = self._two(tuple(ITEMS))
        other = None if self.rng.random() < 0.15 else second
        pair = [Parts(replace(scene, item=item)) for item in (first, other)]
        box = self._about(pair, "item") if self.rng.random() < 0.55 else None
        return [self._row(each.scene, number, each, box, differs="held") for each in pair]

    def _beside(self, number: int) -> list[_Row]:
        """The same scene twice, with another thing on the ground."""
        scene = stage(self._subject(), self.rng, item=None, camera="full", scope=self.scope.alone)
        at = (0.13 if scene.x >= 0.5 else 0.87) + float(self.rng.normal() * 0.02)
        scale = float(self.rng.uniform(0.8, 1.0))
        two = self._two(tuple(name for name, item in CATALOGUE.items() if item.prop))
        pair = [Parts(replace(scene, props=(Prop(name=name, x=at, scale=scale),))) for name in two]
        box = self._about(pair, "prop 1") if self.rng.random() < 0.4 else None
        return [self._row(each.scene, number, each, box, differs="beside") for each in pair]

    def _people(self, number: int) -> list[_Row]:
        """The same scene twice, with one thing about the person changed: skin tone, gender or age."""
        subject = self._subject("character")
        assert isinstance(subject, CharacterSpec)
        scene = self._armed(stage(subject, self.rng, item=None, scope=self.scope.alone), 0.35)
        what = self._one(("skin_tone", "skin_tone", "gender", "age"))
        other = self._other_tone(subject) if what == "skin_tone" else self._other_person(subject, what)
        pair = [Parts(replace(scene, subject=each)) for each in (subject, other)]
        box = self._about(pair, "face") if self.rng.random() < 0.4 else None
        tell = "person"
        if what == "skin_tone":
            same = SKIN[subject.skin_tone][0] == SKIN[other.skin_tone][0]
            tell = "skin_tone" if same or self.rng.random() < 0.5 else "skin"
        tell = tell if self.rng.random() < 0.75 else ""
        return [self._row(each.scene, number, each, box, differs="person", tell=tell) for each in pair]

    def _other_tone(self, subject: CharacterSpec) -> CharacterSpec:
        """Another skin tone, near by as often as anywhere."""
        tones = [tone for tone in range(len(SKIN)) if tone != subject.skin_tone]
        if self.rng.random() < 0.5:
            tones = [tone for tone in tones if abs(tone - subject.skin_tone) <= 2]
        return replace(subject, skin_tone=tones[int(self.rng.integers(len(tones)))])

    def _other_person(self, subject: CharacterSpec, what: str) -> CharacterSpec:
        """Another gender at the same age, or the other way about."""
        held = "age" if what == "gender" else "gender"
        person = self._one(
            tuple(
                name
                for name in self.scope.attributes["character"].named["person"].values
                if getattr(PEOPLE[name], held) == getattr(subject, held)
                and getattr(PEOPLE[name], what) != getattr(subject, what)
            )
        )
        shaven = PEOPLE[person].age == "child" or PEOPLE[person].gender == "feminine"
        return replace(subject, person=person, facial_hair=NONE if shaven else subject.facial_hair)

    def _row(
        self,
        scene: Scene,
        pair: int = -1,
        parts: Parts | None = None,
        box: Box | None = None,
        *,
        differs: Differs | None = None,
        tell: str = "",
    ) -> _Row:
        """A picture with its caption. ``differs``: in what a pair does; ``tell``: the attribute that the
        caption is made to say of it."""
        parts = parts or Parts(scene)
        if box is None and pair < 0 and self.rng.random() < 0.3:
            box = self._anywhere(parts)
        if box is not None:
            return self._cropped(parts, box, pair, differs, tell)
        labels = labels_of(scene, parts)
        text, said = self.speaker.hands(caption(scene, self.rng, self.scope), scene)
        if tell:
            fact = self.speaker.prompt(tell, labels[tell])
            text = f"{text}, {fact}" if self.rng.random() < 0.5 else f"{fact}, {text}"
        told = bool(tell) if differs == "person" else said and "unsafe" in labels
        return _Row(render(scene, VIEW), text, labels, said, pair, told)

    def _cropped(self, parts: Parts, box: Box, pair: int, differs: Differs | None, tell: str) -> _Row:
        """A part of a picture, with what it shows of its labels, and words for some of them."""
        scene, (left, top, side) = parts.scene, box
        labels, things = labels_of(scene, parts), parts.shown(box)
        seen: dict[str, str] = {}
        if things is not None and (unsafe := unsafe_label(things)) is not None:
            seen["unsafe"] = unsafe
            item = item_label(parts, things)
            # Where no thing is seen, hands may be outside.
            if item is not None and (item != NONE or differs == "held"):
                seen["item"] = item
        if side >= MASK_SIDE * 0.4:
            seen["style"] = scene.style
        if side >= MASK_SIDE * 0.55:
            seen["place"] = scene.place
        if scene.other is None:
            if "face" in parts.masks and parts.share("face", box) >= WHOLE:
                seen |= {name: labels[name] for name in FACE if name in labels}
            elif parts.share("subject", box) > 0.5:
                seen["kind"] = scene.subject.kind
        words = [
            self.speaker.prompt("item", name) if part.endswith("item") else self.speaker.name(name)
            for part, name in (things or {}).items()
        ]
        if seen.get("item") == NONE:
            words.append(self.speaker.prompt("item", NONE))
        if tell in seen:
            words.append(self.speaker.prompt(tell, seen[tell]))
        about = [name for name in seen if name not in UNSAID and name != tell]
        words += [self.speaker.prompt(name, seen[name]) for name in self.rng.permutation(about)[:3]]
        told = {"person": tell in seen, "held": "item" in seen, "beside": bool(things), None: False}[differs]
        left, top, side = (number * SIDE // MASK_SIDE for number in box)
        pixels = render(scene, SIDE)[top : top + side, left : left + side]
        text = ", ".join(words) or self.speaker.prompt("place", scene.place)
        return _Row(pixels, text, seen, things is not None, pair, told)

    def _about(self, pair: list[Parts], part: str) -> Box | None:
        """A square about what the two of a pair differ in, so that it is large."""
        found = [each.masks[part] for each in pair if part in each.masks]
        mask = np.logical_or.reduce(found)
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        if not len(rows):
            return None
        height, width = int(rows[-1] - rows[0]) + 1, int(columns[-1] - columns[0]) + 1
        least = max(34, height + 4, width + 4)
        side = min(MASK_SIDE, int(self.rng.integers(least, max(96, least + 1))))
        left, top = (self._start(int(line[0]), int(line[-1]), side) for line in (columns, rows))
        return left, top, side

    def _start(self, first: int, last: int, side: int) -> int:
        """Where a crop may begin so that it holds ``first`` to ``last`` and stays inside."""
        low, high = max(0, last + 1 - side), min(first, MASK_SIDE - side)
        return int(self.rng.integers(low, high + 1)) if high > low else max(0, min(low, MASK_SIDE - side))

    def _anywhere(self, parts: Parts) -> Box | None:
        """A square that holds all of each thing or nothing of it."""
        side = int(self.rng.integers(55, 100))
        left, top = (int(self.rng.integers(MASK_SIDE - side + 1)) for _ in range(2))
        box = (left, top, side)
        return None if parts.things and parts.shown(box) is None else box

    def _nothing(self) -> _Row:
        kind = "blank" if self.rng.random() < 0.5 else "noise"
        flat = self.rng.integers(0, 256, (1, 1, 3))
        if kind == "noise":
            coarse = self.rng.integers(0, 256, (int(self.rng.choice([8, 16, 32, 64, 128])),) * 2 + (3,))
            pixels = np.array(Image.fromarray(coarse.astype(np.uint8)).resize((VIEW, VIEW)))
        else:
            pixels = np.tile(flat, (VIEW, VIEW, 1)).astype(np.uint8)
        return _Row(pixels, self.speaker.prompt("kind", kind), {"kind": kind, "unsafe": NONE}, False)


_VALUES = tuple(ATTRIBUTES.items())


def _sized(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """ "h w 3" to "3 96 96"."""
    if pixels.shape[0] != VIEW:
        image: Tensor = torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)[None].float()
        small = F.interpolate(image, size=(VIEW, VIEW), mode="bilinear", antialias=True)
        return cast("NDArray[np.uint8]", small[0].round().clamp(0, 255).byte().numpy())
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))
