"""How much of the world is drawn: which values every attribute may take, and with which odds.

There are three scopes. `FIRST` is what the shipped base has learned to draw, `GUARDED` what the shipped judge
has learned to see, and `FULL` is everything. `DEFAULT` is the one used where none is asked for; models
trained on another scope change that line.

An attribute's odds stand in the order in which a sampler draws them, so that a seed gives the same subject
for as long as its scope is unchanged.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np

from castmark_world.params import Detail, Kind
from castmark_world.vocabulary import (
    CATALOGUE,
    COLORS,
    EYE_COLORS,
    HAIR_COLORS,
    MONK_TONES,
    PEOPLE,
    SHOES,
    Item,
)


@dataclass(frozen=True)
class Odds:
    """Values and their probabilities; None: all the same."""

    values: tuple[Any, ...]
    weights: tuple[float, ...] | None = None

    def draw(self, rng: np.random.Generator) -> Any:
        """One of the values; what `numpy.random.Generator.choice` draws, in a tenth of its time."""
        if self.weights is None:
            return self.values[int(rng.integers(len(self.values)))]
        return self.values[bisect_right(self._bounds, float(rng.random()))]

    @cached_property
    def _bounds(self) -> list[float]:
        cumulative = np.cumsum(self.weights or ())
        return (cumulative / cumulative[-1]).tolist()


@dataclass(frozen=True, eq=False)
class Attributes:
    """What is drawn for one kind of subject: its named attributes, then its hidden traits."""

    named: Mapping[str, Odds]
    numbers: tuple[str, ...]
    """Hidden traits, uniform in [-1, 1]."""
    choices: Mapping[str, Odds]
    """Hidden traits of several values."""
    hues: tuple[str, ...] = ("emblem_hue",)
    """Hidden traits, uniform in [0, 1)."""
    unlike: Mapping[str, str] = field(default_factory=dict[str, str])
    """Attributes that never take the value of another one, drawn before."""

    @property
    def hidden(self) -> frozenset[str]:
        """Names of the hidden traits."""
        return frozenset((*self.numbers, *self.choices, *self.hues))


@dataclass(frozen=True, kw_only=True, eq=False)
class Scope:
    """A part of the world; see the module."""

    name: str
    kinds: Odds
    attributes: Mapping[Kind, Attributes]
    items: Odds
    """What hands hold, or clothes wear."""
    held: float
    """How often."""
    places: Mapping[Kind, Odds]
    times: Odds
    poses: Odds
    expressions: Odds
    spread: tuple[float, float, float]
    """Deviation, least and greatest of a subject's x."""
    weathers: Mapping[str, Odds] = field(default_factory=dict[str, Odds])
    """By place; where there is none it is clear, and nothing is drawn."""
    cameras: Odds | None = None
    styles: Odds | None = None
    props: Odds | None = None
    propped: float = 0.0
    """How often a thing stands beside a subject."""
    duo: float = 0.0
    """How often two subjects share a picture."""
    detail: Detail = "simple"
    grammar: Literal["first", "full"] = "first"
    """Which captions are spoken."""

    @property
    def scenes(self) -> tuple[str, ...]:
        """Every place of the scope."""
        return tuple(dict.fromkeys(place for odds in self.places.values() for place in odds.values))

    @cached_property
    def alone(self) -> Scope:
        """The same with one subject a picture: of two, nobody could say which is meant."""
        return replace(self, duo=0.0)

    @property
    def catalogue(self) -> dict[str, Item]:
        """The scope's things by name."""
        return {name: CATALOGUE[name] for name in self.items.values}


_TEN = tuple(COLORS)[:10]
_FIRST_PLACES = Odds(("beach", "forest", "city", "kitchen", "bedroom", "snow", "desert", "studio"))
_FIRST_EMBLEMS = ("star", "heart", "circle", "bolt", "leaf", "diamond")
_CHARACTER_NUMBERS = (
    "head_width", "eye_spacing", "eye_size", "brow_tilt", "body_width", "leg_length", "hair_volume",
    "hair_hue", "top_hue", "bottom_hue", "pattern_scale", "blush",
)  # fmt: skip
_PRODUCT_NUMBERS = (
    "tallness", "width", "taper", "handle", "hue", "accent_hue", "pattern_scale", "band", "emblem_size",
)  # fmt: skip

FIRST = Scope(
    name="first",
    kinds=Odds(("character", "product"), (0.67, 0.33)),
    attributes={
        "character": Attributes(
            named={
                "top": Odds(("shirt", "jumper", "jacket", "dress")),
                "person": Odds(("woman", "man", "girl", "boy")),
                "skin_tone": Odds(tuple(range(len(MONK_TONES)))),
                "hair_style": Odds(("short", "bob", "long", "ponytail", "bun", "curly", "spiky", "bald")),
                "hair_color": Odds(tuple(HAIR_COLORS)[:8]),
                "top_color": Odds(_TEN),
                "top_pattern": Odds(("plain", "striped", "dotted", "checked"), (0.4, 0.2, 0.2, 0.2)),
                "bottom": Odds(("trousers", "shorts", "skirt")),
                "bottom_color": Odds(_TEN),
                "headwear": Odds(("none", "cap", "beanie", "sun hat", "crown"), (0.6, 0.1, 0.1, 0.1, 0.1)),
                "headwear_color": Odds(_TEN),
                "glasses": Odds(("none", "round glasses", "sunglasses"), (0.65, 0.2, 0.15)),
            },
            numbers=_CHARACTER_NUMBERS,
            choices={"emblem": Odds(_FIRST_EMBLEMS)},
        ),
        "product": Attributes(
            named={
                "color": Odds(_TEN),
                "category": Odds(("mug", "sneaker", "backpack", "lamp", "teapot")),
                "accent_color": Odds(_TEN),
                "pattern": Odds(("plain", "striped", "dotted", "checked"), (0.4, 0.2, 0.2, 0.2)),
            },
            numbers=_PRODUCT_NUMBERS,
            choices={"emblem": Odds(_FIRST_EMBLEMS)},
            unlike={"accent_color": "color"},
        ),
    },
    items=Odds(tuple(CATALOGUE)[:10]),
    held=0.4,
    places={"character": _FIRST_PLACES, "product": _FIRST_PLACES},
    times=Odds(("day", "sunset", "night"), (0.6, 0.2, 0.2)),
    poses=Odds(("standing", "waving", "cheering", "hands on hips", "walking", "pointing")),
    expressions=Odds(("smiling", "serious", "surprised"), (0.6, 0.2, 0.2)),
    spread=(0.1, 0.3, 0.7),
)
"""What the embedded models know today."""

_EVERY = tuple(COLORS)
_PATTERNS = Odds(
    ("plain", "striped", "dotted", "checked", "pinstriped", "zigzag", "flowered", "starred"),
    (0.37, 0.09, 0.09, 0.09, 0.09, 0.09, 0.09, 0.09),
)
_EMBLEMS = (*_FIRST_EMBLEMS, "moon", "sun", "blossom", "drop", "anchor", "mountain")
_OUTDOORS = (
    "beach", "forest", "city", "snow", "desert", "park", "farm", "lake", "garden", "harbour", "playground",
    "market", "bridge", "rooftop",
)  # fmt: skip
_INDOORS = (
    "kitchen", "bedroom", "office", "classroom", "library", "cafe", "gym", "hospital", "laboratory",
    "living room", "bathroom", "workshop", "gallery", "stage",
)  # fmt: skip
_SET_UPS = ("studio", "pedestal", "wooden table", "marble counter", "colour backdrop")
_SETS = (*_OUTDOORS, *_INDOORS, "studio", "colour backdrop")
_PLACES = Odds(_SETS)
_WEATHER = Odds(("clear", "rain", "fog"), (0.6, 0.2, 0.2))
_COLD = Odds(("clear", "rain", "fog", "snow"), (0.55, 0.15, 0.15, 0.15))

FULL = Scope(
    name="full",
    kinds=Odds(("character", "product", "mascot"), (0.55, 0.28, 0.17)),
    attributes={
        "character": Attributes(
            named={
                "person": Odds(tuple(PEOPLE)),
                "skin_tone": Odds(tuple(range(len(MONK_TONES)))),
                "occupation": Odds(
                    (
                        "none",
                        "doctor",
                        "nurse",
                        "chef",
                        "firefighter",
                        "teacher",
                        "engineer",
                        "manager",
                        "artist",
                        "farmer",
                        "police officer",
                        "scientist",
                        "cleaner",
                        "pilot",
                        "waiter",
                    ),
                    (0.44, *(0.04,) * 14),
                ),
                "hair_style": Odds(
                    (
                        "short",
                        "bob",
                        "long",
                        "ponytail",
                        "bun",
                        "curly",
                        "spiky",
                        "bald",
                        "afro",
                        "braids",
                        "pigtails",
                        "mohawk",
                        "wavy",
                        "buzz cut",
                        "locs",
                        "fringe",
                        "double buns",
                        "side parting",
                    )
                ),
                "hair_color": Odds(
                    tuple(HAIR_COLORS), (0.2, 0.16, 0.12, 0.1, 0.08, 0.05, 0.05, 0.04, 0.05, 0.07, 0.04, 0.04)
                ),
                "freckles": Odds((False, True), (0.75, 0.25)),
                "facial_hair": Odds(
                    ("none", "beard", "moustache", "goatee", "stubble"), (0.4, 0.15, 0.15, 0.15, 0.15)
                ),
                "top": Odds(
                    (
                        "shirt",
                        "jumper",
                        "jacket",
                        "dress",
                        "hoodie",
                        "tank top",
                        "blazer",
                        "coat",
                        "cardigan",
                        "dungarees",
                    )
                ),
                "top_color": Odds(_EVERY),
                "top_pattern": _PATTERNS,
                "bottom": Odds(("trousers", "shorts", "skirt", "jeans", "long skirt", "wide trousers")),
                "bottom_color": Odds(_EVERY),
                "headwear": Odds(
                    (
                        "none",
                        "cap",
                        "beanie",
                        "sun hat",
                        "crown",
                        "bucket hat",
                        "beret",
                        "top hat",
                        "headscarf",
                        "cowboy hat",
                        "party hat",
                    ),
                    (0.6, *(0.04,) * 10),
                ),
                "headwear_color": Odds(_EVERY),
                "glasses": Odds(
                    ("none", "round glasses", "sunglasses", "square glasses"), (0.64, 0.12, 0.12, 0.12)
                ),
                "accessory": Odds(
                    (
                        "none",
                        "scarf",
                        "earrings",
                        "necklace",
                        "tie",
                        "bow tie",
                        "watch",
                        "shoulder bag",
                        "headband",
                        "headphones",
                    ),
                    (0.46, *(0.06,) * 9),
                ),
                "accessory_color": Odds(_EVERY),
            },
            numbers=(
                *_CHARACTER_NUMBERS,
                "jaw",
                "nose_size",
                "mouth_width",
                "ear_size",
                "brow_weight",
            ),
            choices={
                "emblem": Odds(_EMBLEMS),
                "nose": Odds(("button", "round", "pointed", "wide")),
                "eye_color": Odds(tuple(EYE_COLORS)),
                "shoes": Odds(tuple(SHOES)),
            },
            unlike={"accessory_color": "top_color"},
        ),
        "product": Attributes(
            named={
                "color": Odds(_EVERY),
                "category": Odds(
                    (
                        "mug",
                        "sneaker",
                        "backpack",
                        "lamp",
                        "teapot",
                        "bottle",
                        "perfume",
                        "watch",
                        "headphones",
                        "chair",
                        "jar",
                        "box",
                        "can",
                        "camera",
                        "cap",
                        "guitar",
                    )
                ),
                "accent_color": Odds(_EVERY),
                "pattern": _PATTERNS,
                "material": Odds(("matte", "glossy", "metal", "wood"), (0.4, 0.2, 0.2, 0.2)),
            },
            numbers=(*_PRODUCT_NUMBERS, "corner", "label_tilt"),
            choices={"emblem": Odds(_EMBLEMS), "label": Odds(("round", "square", "shield", "banner"))},
            unlike={"accent_color": "color"},
        ),
        "mascot": Attributes(
            named={
                "color": Odds(_EVERY),
                "species": Odds(("fox", "cat", "bear", "rabbit", "robot", "owl", "frog", "dragon")),
                "marking": Odds(("plain", "spotted", "striped", "patched"), (0.4, 0.2, 0.2, 0.2)),
                "marking_color": Odds(_EVERY),
                "clothes": Odds(
                    ("none", "scarf", "bow tie", "waistcoat", "cape", "hoodie", "overalls"),
                    (0.28, *(0.12,) * 6),
                ),
                "clothes_color": Odds(_EVERY),
            },
            numbers=(
                "head_width",
                "ear_size",
                "eye_spacing",
                "eye_size",
                "muzzle",
                "body_width",
                "leg_length",
                "belly",
                "tail",
                "hue",
                "clothes_hue",
                "marking_scale",
                "blush",
            ),
            choices={"eye_color": Odds(tuple(EYE_COLORS)), "emblem": Odds(_EMBLEMS)},
            unlike={"marking_color": "color", "clothes_color": "color"},
        ),
    },
    items=Odds(tuple(CATALOGUE)),
    held=0.4,
    places={
        "character": _PLACES,
        "mascot": _PLACES,
        "product": Odds((*_SET_UPS, *_OUTDOORS, *_INDOORS), (*(0.1,) * len(_SET_UPS), *(0.5 / 28,) * 28)),
    },
    times=Odds(("day", "sunset", "night", "morning"), (0.4, 0.2, 0.2, 0.2)),
    poses=Odds(
        (
            "standing",
            "waving",
            "cheering",
            "hands on hips",
            "walking",
            "pointing",
            "sitting",
            "jumping",
            "thinking",
        )
    ),
    expressions=Odds(("smiling", "serious", "surprised", "laughing", "sad"), (0.4, 0.15, 0.15, 0.15, 0.15)),
    spread=(0.16, 0.24, 0.76),
    weathers={place: _WEATHER for place in _OUTDOORS}
    | {place: _COLD for place in ("forest", "city", "park", "farm", "lake", "bridge", "market")}
    | {"snow": Odds(("clear", "snow", "fog"), (0.5, 0.3, 0.2)), "desert": Odds(("clear", "fog"), (0.8, 0.2))},
    cameras=Odds(("full", "half", "close-up"), (0.56, 0.26, 0.18)),
    styles=Odds(("flat", "outlined", "soft-shaded", "neon", "paper"), (0.36, 0.16, 0.16, 0.16, 0.16)),
    props=Odds(tuple(name for name, item in CATALOGUE.items() if item.prop)),
    propped=0.15,
    duo=0.2,
    detail="full",
    grammar="full",
)
"""Everything there is."""

SCOPES: dict[str, Scope] = {scope.name: scope for scope in (FIRST, FULL)}
DEFAULT = FIRST
"""The scope of the shipped base, and of what reads its pictures."""
GUARDED = replace(FIRST, name="guarded", items=FULL.items, props=FULL.props, propped=FULL.propped)
"""The scope of the shipped judge: the base's, with every thing that it must know, unsafe ones among them."""

ITEMS: dict[str, Item] = GUARDED.catalogue
SAFE_ITEMS = tuple(name for name, item in ITEMS.items() if item.category is None)
UNSAFE_ITEMS = tuple(name for name, item in ITEMS.items() if item.category is not None)
SCENES = DEFAULT.scenes
