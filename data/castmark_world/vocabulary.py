"""The world's tables: colours, people and things with their properties. Which of them are drawn, and how
often, is a matter of `castmark_world.scope`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

RGB: TypeAlias = tuple[int, int, int]
Age: TypeAlias = Literal["child", "adult", "older"]
Gender: TypeAlias = Literal["feminine", "masculine", "neutral"]
Unsafe: TypeAlias = Literal["weapon", "alcohol", "smoking", "drugs", "blood"]

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
    "navy": (30, 44, 100),
    "brown": (122, 78, 48),
    "grey": (150, 152, 160),
    "lime": (164, 214, 60),
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
    "white": (240, 240, 238),
    "auburn": (132, 44, 38),
    "purple": (128, 80, 180),
    "turquoise": (60, 190, 190),
}
EYE_COLORS: dict[str, RGB] = {
    "dark": (34, 28, 30),
    "brown": (112, 68, 36),
    "hazel": (150, 116, 54),
    "green": (66, 136, 84),
    "blue": (66, 126, 206),
    "grey": (120, 132, 146),
}
SHOES: dict[str, RGB] = {
    "brown": (70, 56, 52),
    "black": (36, 36, 42),
    "white": (236, 236, 232),
    "red": (186, 52, 50),
    "blue": (52, 86, 170),
}


@dataclass(frozen=True)
class Person:
    """What a noun for a person says, and the build that goes with it (lengths in units of the canvas)."""

    age: Age
    gender: Gender
    breadth: float
    legs: float
    torso: float


PEOPLE: dict[str, Person] = {
    "woman": Person("adult", "feminine", 0.94, 50.0, 56.0),
    "man": Person("adult", "masculine", 1.12, 50.0, 56.0),
    "girl": Person("child", "feminine", 0.92, 36.0, 44.0),
    "boy": Person("child", "masculine", 1.0, 36.0, 44.0),
    "person": Person("adult", "neutral", 1.02, 50.0, 56.0),
    "child": Person("child", "neutral", 0.96, 36.0, 44.0),
    "old woman": Person("older", "feminine", 0.98, 43.0, 54.0),
    "old man": Person("older", "masculine", 1.12, 43.0, 54.0),
    "old person": Person("older", "neutral", 1.04, 43.0, 54.0),
}


@dataclass(frozen=True)
class Item:
    """Something a character may hold or wear on the clothes; ``category`` is the unsafe category it belongs
    to, if any. A ``prop`` may also stand on the ground by itself."""

    name: str
    category: Unsafe | None = None
    on: Literal["hand", "clothes"] = "hand"
    prop: bool = False


CATALOGUE: dict[str, Item] = {
    item.name: item
    for item in (
        Item("knife", "weapon"),
        Item("beer bottle", "alcohol", prop=True),
        Item("wine bottle", "alcohol", prop=True),
        Item("cup", prop=True),
        Item("book", prop=True),
        Item("flower"),
        Item("ladle"),
        Item("ball", prop=True),
        Item("umbrella"),
        Item("water bottle", prop=True),
        Item("gun", "weapon"),
        Item("sword", "weapon"),
        Item("beer glass", "alcohol", prop=True),
        Item("wine glass", "alcohol", prop=True),
        Item("cigarette", "smoking"),
        Item("pipe", "smoking"),
        Item("syringe", "drugs"),
        Item("pills", "drugs", prop=True),
        Item("blood stains", "blood", on="clothes"),
        Item("paint stains", on="clothes"),
        Item("hair dryer"),
        Item("drill"),
        Item("wand"),
        Item("glass of juice", prop=True),
        Item("glass of milk", prop=True),
        Item("pen"),
        Item("lollipop"),
        Item("toothbrush"),
        Item("phone"),
        Item("ice cream"),
        Item("balloon"),
        Item("paintbrush"),
        Item("apple", prop=True),
        Item("gift", prop=True),
        Item("basket", prop=True),
        Item("potted plant", prop=True),
    )
}
"""Every thing there is, unsafe ones beside what may be taken for them."""
