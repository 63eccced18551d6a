"""The frozen specs: a subject, where it stands, and a scene.

A subject has *named* attributes, which captions may mention, and *hidden* traits, which they never do: only
an adapter can carry those. Everything is plain data; drawing, sampling, captions and truth read it. What has
a default is drawn only where it is set: a spec that sets none of it looks as in the first form of the world.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from castmark_world.vocabulary import PEOPLE, Age, Gender

Split: TypeAlias = Literal["train", "calibration", "test"]
Kind: TypeAlias = Literal["character", "product", "mascot"]
Detail: TypeAlias = Literal["simple", "full"]
"""``simple`` draws the fewest shapes; ``full`` adds noses, irises, lashes, lines of age, shading."""


@dataclass(frozen=True, kw_only=True)
class CharacterSpec:
    """A character: who it is, in every picture. Hidden traits are in [-1, 1] unless said otherwise."""

    person: str
    """A noun of `castmark_world.vocabulary.PEOPLE`: age and gender presentation."""
    skin_tone: int
    """Index into `castmark_world.vocabulary.MONK_TONES`."""
    hair_style: str
    hair_color: str
    top: str
    top_color: str
    top_pattern: str
    bottom: str
    bottom_color: str
    headwear: str
    headwear_color: str
    glasses: str
    occupation: str = "none"
    facial_hair: str = "none"
    freckles: bool = False
    accessory: str = "none"
    accessory_color: str = "red"
    # hidden: never in a caption
    head_width: float
    eye_spacing: float
    eye_size: float
    brow_tilt: float
    body_width: float
    leg_length: float
    hair_volume: float
    hair_hue: float
    top_hue: float
    bottom_hue: float
    pattern_scale: float
    blush: float
    emblem: str
    emblem_hue: float
    """Hue in [0, 1)."""
    jaw: float = 0.0
    nose_size: float = 0.0
    mouth_width: float = 0.0
    ear_size: float = 0.0
    brow_weight: float = 0.0
    nose: str = "button"
    eye_color: str = "dark"
    shoes: str = "brown"
    detail: Detail = "simple"
    kind: Kind = "character"

    @property
    def noun(self) -> str:
        """What it is, in a word."""
        return self.person

    @property
    def age(self) -> Age:
        """Child, adult or older."""
        return PEOPLE[self.person].age

    @property
    def gender(self) -> Gender:
        """Gender presentation."""
        return PEOPLE[self.person].gender


@dataclass(frozen=True, kw_only=True)
class MascotSpec:
    """An animal, robot or dragon on two legs. Hidden traits are in [-1, 1] unless said otherwise."""

    species: str
    color: str
    marking: str
    marking_color: str
    clothes: str
    clothes_color: str
    # hidden: never in a caption
    head_width: float
    ear_size: float
    eye_spacing: float
    eye_size: float
    muzzle: float
    body_width: float
    leg_length: float
    belly: float
    tail: float
    hue: float
    clothes_hue: float
    marking_scale: float
    blush: float
    eye_color: str
    emblem: str
    emblem_hue: float
    """Hue in [0, 1)."""
    kind: Kind = "mascot"

    @property
    def noun(self) -> str:
        """What it is, in a word."""
        return self.species


@dataclass(frozen=True, kw_only=True)
class ProductSpec:
    """A product: what it is, in every picture. Hidden traits are in [-1, 1] unless said otherwise."""

    category: str
    color: str
    accent_color: str
    pattern: str
    material: str = "matte"
    # hidden: never in a caption
    tallness: float
    width: float
    taper: float
    handle: float
    hue: float
    accent_hue: float
    pattern_scale: float
    band: float
    emblem: str
    emblem_hue: float
    """Hue in [0, 1)."""
    emblem_size: float
    corner: float = 0.0
    label: str = "round"
    """Shape of the label behind the emblem."""
    label_tilt: float = 0.0
    kind: Kind = "product"

    @property
    def noun(self) -> str:
        """What it is, in a word."""
        return self.category


Subject: TypeAlias = CharacterSpec | MascotSpec | ProductSpec


@dataclass(frozen=True, kw_only=True)
class Placement:
    """One subject where it stands. Positions and sizes are fractions of the image's side."""

    subject: Subject
    x: float
    """Centre of the subject, 0 left to 1 right."""
    scale: float
    """1 is the usual size."""
    mirrored: bool
    pose: str = "standing"
    expression: str = "smiling"
    item: str | None = None
    tilt: float = 0.0
    """Degrees the subject leans, clockwise."""


@dataclass(frozen=True, kw_only=True)
class Prop:
    """A thing that stands on the ground by itself."""

    name: str
    x: float
    scale: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One picture: a subject in a place, perhaps with another beside it. The first subject's placement is
    spelled out; see `Placement`.
    """

    subject: Subject
    place: str
    time: str
    x: float
    scale: float
    mirrored: bool
    place_seed: int
    """Decides the background's own variation."""
    pose: str = "standing"
    expression: str = "smiling"
    item: str | None = None
    tilt: float = 0.0
    weather: str = "clear"
    camera: str = "full"
    style: str = "flat"
    other: Placement | None = None
    props: tuple[Prop, ...] = ()

    @property
    def lead(self) -> Placement:
        """Where the first subject stands."""
        return Placement(
            subject=self.subject,
            x=self.x,
            scale=self.scale,
            mirrored=self.mirrored,
            pose=self.pose,
            expression=self.expression,
            item=self.item,
            tilt=self.tilt,
        )

    @property
    def cast(self) -> tuple[Placement, ...]:
        """Every subject where it stands, the first one first; later ones are drawn over earlier ones."""
        return (self.lead,) if self.other is None else (self.lead, self.other)
