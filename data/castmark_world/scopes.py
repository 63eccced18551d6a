"""The scopes there are, from what the shipped models know to everything.

`FIRST` is what the shipped base has learned to draw, `GUARDED` what the shipped judge has learned to see,
`SECOND` what comes next, and `FULL` is everything. `DEFAULT` is the one used where none is asked for; models
trained on another scope change that line.
"""

from __future__ import annotations

from dataclasses import replace

from castmark_world.scope import Attributes, Odds, Scope
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
    planned=True,
)
"""Everything there is."""

_FIRST_PEOPLE, _PEOPLE = (scope.attributes["character"].named for scope in (FIRST, FULL))
_SECOND_COLORS = tuple(COLORS)[:13]
_SECOND_PLACES = Odds((*_FIRST_PLACES.values, "hospital", "classroom", "office", "laboratory"))

SECOND = Scope(
    name="second",
    kinds=FIRST.kinds,
    attributes={
        "character": Attributes(
            named={
                "person": _PEOPLE["person"],
                "skin_tone": _PEOPLE["skin_tone"],
                "occupation": _PEOPLE["occupation"],
                "hair_style": Odds(_PEOPLE["hair_style"].values[:10]),
                "hair_color": Odds(
                    tuple(HAIR_COLORS)[:9], (0.2, 0.16, 0.14, 0.12, 0.1, 0.07, 0.07, 0.06, 0.08)
                ),
                "freckles": _PEOPLE["freckles"],
                "facial_hair": Odds(("none", "beard", "moustache"), (0.5, 0.25, 0.25)),
                "top": Odds(("shirt", "jumper", "jacket", "dress", "hoodie")),
                "top_color": Odds(_SECOND_COLORS),
                "top_pattern": _FIRST_PEOPLE["top_pattern"],
                "bottom": _FIRST_PEOPLE["bottom"],
                "bottom_color": Odds(_SECOND_COLORS),
                "headwear": _FIRST_PEOPLE["headwear"],
                "headwear_color": Odds(_SECOND_COLORS),
                "glasses": _FIRST_PEOPLE["glasses"],
                "accessory": Odds(("none", "scarf", "necklace"), (0.7, 0.15, 0.15)),
                "accessory_color": Odds(_SECOND_COLORS),
            },
            numbers=FULL.attributes["character"].numbers,
            choices={**FULL.attributes["character"].choices, "emblem": Odds(_FIRST_EMBLEMS)},
            unlike=FULL.attributes["character"].unlike,
        ),
        "product": Attributes(
            named={
                "color": Odds(_SECOND_COLORS),
                "category": Odds(
                    ("mug", "sneaker", "backpack", "lamp", "teapot", "bottle", "headphones", "chair")
                ),
                "accent_color": Odds(_SECOND_COLORS),
                "pattern": FIRST.attributes["product"].named["pattern"],
            },
            numbers=FULL.attributes["product"].numbers,
            choices={**FULL.attributes["product"].choices, "emblem": Odds(_FIRST_EMBLEMS)},
            unlike={"accent_color": "color"},
        ),
    },
    items=FIRST.items,
    held=0.4,
    places={"character": _SECOND_PLACES, "product": _FIRST_PLACES},
    times=FIRST.times,
    poses=FIRST.poses,
    expressions=FIRST.expressions,
    spread=FULL.spread,
    cameras=Odds(("full", "half"), (0.6, 0.4)),
    detail="full",
    grammar="full",
    planned=True,
    decided=True,
)
"""People as the full world draws them, with their occupations, in the plainest of its styles and in clear
weather: as much of it as can be learned on a few cores."""

SCOPES: dict[str, Scope] = {scope.name: scope for scope in (FIRST, SECOND, FULL)}
DEFAULT = FIRST
"""The scope of the shipped base, and of what reads its pictures."""
GUARDED, GUARDED_NEXT = (
    replace(scope, name=f"{scope.name}, guarded", items=FULL.items, props=FULL.props, propped=FULL.propped)
    for scope in (DEFAULT, SECOND)
)
"""The scope of the shipped judge: the base's, with every thing that it must know, unsafe ones among them; and
that of the base to come."""
TAUGHT: tuple[Scope, ...] = tuple({scope.name: scope for scope in (GUARDED, GUARDED_NEXT)}.values())
"""What the judge learns from, so that it knows the next base's pictures before there are any."""

ITEMS: dict[str, Item] = GUARDED.catalogue
SAFE_ITEMS = tuple(name for name, item in ITEMS.items() if item.category is None)
UNSAFE_ITEMS = tuple(name for name, item in ITEMS.items() if item.category is not None)
SCENES = DEFAULT.scenes
