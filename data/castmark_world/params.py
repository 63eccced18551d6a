"""The world's vocabulary: what can be named, what is hidden, and the frozen specs built from them.

A subject has *named* attributes, which captions may mention, and *hidden* traits, which they never do: only
an adapter can carry those. Everything is plain data; drawing, sampling, captions and truth read it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

RGB: TypeAlias = tuple[int, int, int]
Split: TypeAlias = Literal["train", "calibration", "test"]
Kind: TypeAlias = Literal["character", "product"]

# Monk Skin Tone scale, 10 tones, as published by Google at skintone.google (CC BY 4.0).
MONK_TONES: tuple[RGB, ...] = (
    (246, 237, 228),
    (243, 231, 219),
    (247, 234, 208),
    (234, 218, 186),
    (215, 189, 150),
    (160, 126, 86),
    (130, 92, 67),
    (96, 65, 52),
    (58, 49, 42),
    (41, 36, 32),
)

COLORS: dict[str, RGB] = {
    "red": (214, 50, 48),
    "orange": (240, 135, 40),
    "yellow": (246, 205, 60),
    "green": (62, 158, 76),
    "teal": (30, 150, 150),
    "blue": (48, 100, 205),
    "purple": (128, 70, 175),
    "pink": (240, 130, 170),
    "white": (245, 245, 240),
    "black": (45, 45, 52),
}
HAIR_COLORS: dict[str, RGB] = {
    "black": (38, 32, 34),
    "brown": (104, 66, 40),
    "blond": (235, 200, 110),
    "red": (190, 72, 35),
    "grey": (168, 170, 176),
    "blue": (60, 110, 200),
    "pink": (236, 120, 170),
    "green": (70, 150, 90),
}
PEOPLE = ("woman", "man", "girl", "boy")
HAIR_STYLES = ("short", "bob", "long", "ponytail", "bun", "curly", "spiky", "bald")
TOPS = ("shirt", "jumper", "jacket", "dress")
BOTTOMS = ("trousers", "shorts", "skirt")
PATTERNS = ("plain", "striped", "dotted", "checked")
HEADWEAR = ("none", "cap", "beanie", "sun hat", "crown")
GLASSES = ("none", "round glasses", "sunglasses")
POSES = ("standing", "waving", "cheering", "hands on hips", "walking", "pointing")
EXPRESSIONS = ("smiling", "serious", "surprised")
PRODUCTS = ("mug", "sneaker", "backpack", "lamp", "teapot")
EMBLEMS = ("star", "heart", "circle", "bolt", "leaf", "diamond")
SCENES = ("beach", "forest", "city", "kitchen", "bedroom", "snow", "desert", "studio")
TIMES = ("day", "sunset", "night")


@dataclass(frozen=True)
class Item:
    """Something a character may hold; ``category`` is the unsafe category it belongs to, if any."""

    name: str
    category: Literal["weapon", "alcohol"] | None = None


ITEMS: dict[str, Item] = {
    item.name: item
    for item in (
        Item("knife", "weapon"),
        Item("beer bottle", "alcohol"),
        Item("wine bottle", "alcohol"),
        Item("cup"),
        Item("book"),
        Item("flower"),
        Item("ladle"),
        Item("ball"),
        Item("umbrella"),
        Item("water bottle"),
    )
}
SAFE_ITEMS = tuple(name for name, item in ITEMS.items() if item.category is None)
UNSAFE_ITEMS = tuple(name for name, item in ITEMS.items() if item.category is not None)


@dataclass(frozen=True, kw_only=True)
class CharacterSpec:
    """A character: who it is, in every picture. Hidden traits are in [-1, 1] unless said otherwise."""

    person: str
    skin_tone: int
    """Index into `MONK_TONES`."""
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
    kind: Kind = "character"


@dataclass(frozen=True, kw_only=True)
class ProductSpec:
    """A product: what it is, in every picture. Hidden traits are in [-1, 1] unless said otherwise."""

    category: str
    color: str
    accent_color: str
    pattern: str
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
    kind: Kind = "product"


Subject: TypeAlias = CharacterSpec | ProductSpec


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One picture: a subject in a place. Positions and sizes are fractions of the image's side."""

    subject: Subject
    place: str
    time: str
    x: float
    """Centre of the subject, 0 left to 1 right."""
    scale: float
    """1 is the usual size."""
    mirrored: bool
    place_seed: int
    """Decides the background's own variation."""
    pose: str = "standing"
    expression: str = "smiling"
    item: str | None = None
    tilt: float = 0.0
    """Degrees the subject leans, clockwise."""
