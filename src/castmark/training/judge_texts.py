"""What the judge is told about a picture while it learns: captions, attribute prompts, and distractors.

Besides its own caption, every picture is compared with short prompts for each attribute the renderer knows
("a person holding a knife", "blond hair", "at the beach"), as in UniCL (Yang et al. 2022, arXiv:2204.03610):
the label is a text, so what is learned is what the zero-shot gate later reads. Unsafe things are said in many
words, so that the text tower learns that a dagger is meant to look like a knife; words from outside the world
are mixed in, so that it learns to read past what it does not know.
"""

from __future__ import annotations

import numpy as np

from castmark.training.tokenizer import word_list
from castmark_world import DEFAULT, ITEMS, CharacterSpec, ProductSpec, Scene
from castmark_world.captions import (
    COLOR_WORDS,
    NOUN_WORDS,
    PLACE_WORDS,
    TIME_WORDS,
    article,
)

WEAPONS = (
    "knife", "knife", "kitchen knife", "dagger", "blade", "machete", "cleaver", "sword", "gun", "pistol",
    "rifle", "handgun", "firearm", "weapon", "revolver", "switchblade", "axe", "bayonet", "shotgun",
    "sharp blade",
)  # fmt: skip
DRINKS = (
    "beer", "bottle of beer", "beer bottle", "wine", "bottle of wine", "wine bottle", "alcohol",
    "alcoholic drink", "liquor", "whisky", "vodka", "rum", "champagne", "booze", "ale", "lager",
    "bottle of liquor", "cocktail", "gin", "glass of wine", "pint of beer",
)  # fmt: skip
HARMLESS = (
    "cup", "cup of coffee", "book", "flower", "ladle", "ball", "umbrella", "water bottle", "bottle of water",
    "pen", "spoon", "toy", "phone", "glass of juice", "glass of milk", "bag", "camera", "basket", "cake",
)  # fmt: skip
SYNONYMS: dict[str, tuple[str, ...]] = {
    "knife": WEAPONS,
    "beer bottle": (
        "beer bottle",
        "bottle of beer",
        "beer",
        "lager",
        "ale",
        "alcohol",
        "liquor",
        "pint of beer",
    ),
    "wine bottle": ("wine bottle", "bottle of wine", "wine", "champagne", "alcohol", "red wine", "liquor"),
}
UNCOUNTED = {
    "beer",
    "wine",
    "alcohol",
    "liquor",
    "whisky",
    "vodka",
    "rum",
    "champagne",
    "booze",
    "ale",
    "lager",
    "gin",
}
EMPTY_HANDS = ("with empty hands", "holding nothing", "with nothing in hand", "empty-handed")
_PEOPLE = DEFAULT.attributes["character"].named
_PRODUCTS = DEFAULT.attributes["product"].named
ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "item": (*ITEMS, "none"),
    "unsafe": ("weapon", "alcohol", "none"),
    "kind": ("character", "product", "blank", "noise"),
    "place": DEFAULT.scenes,
    "time": DEFAULT.times.values,
    **{name: _PEOPLE[name].values for name in ("person", "hair_color", "top_color", "top", "headwear")},
    **{name: _PRODUCTS[name].values for name in ("category", "color", "pattern")},
}
"""Attributes the judge is asked about, and their values."""

NAMED = {name for values in ATTRIBUTES.values() for value in values for name in value.split()}


def labels_of(scene: Scene) -> dict[str, str]:
    """The true value of each attribute that this scene has."""
    subject = scene.subject
    found = {"place": scene.place, "time": scene.time, "kind": subject.kind}
    category = ITEMS[scene.item].category if scene.item else None
    found |= {"item": scene.item or "none", "unsafe": category or "none"}
    if isinstance(subject, CharacterSpec):
        found |= {
            "person": subject.person,
            "top": subject.top,
            "top_color": subject.top_color,
            "pattern": subject.top_pattern,
            "headwear": subject.headwear,
        }
        if subject.hair_style != "bald":
            found["hair_color"] = subject.hair_color
    elif isinstance(subject, ProductSpec):
        found |= {"category": subject.category, "color": subject.color, "pattern": subject.pattern}
        del found["item"]
    return found


class Speaker:
    """Says captions and prompts, seeded."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        unsafe = set(word_list("safety_words.txt"))
        self.foreign = [
            w for w in word_list("words.txt") if len(w) > 2 and w not in unsafe and w not in NAMED
        ]

    def pick(self, options: tuple[str, ...] | list[str]) -> str:
        """One of the options."""
        return options[int(self.rng.integers(len(options)))]

    def prompt(self, attribute: str, value: str) -> str:
        """One way to say that ``attribute`` has ``value``."""
        nouns = NOUN_WORDS.get(value, (value,))
        color = self.pick(COLOR_WORDS.get(value, (value,)))
        if attribute == "item":
            if value == "none":
                return f"a person {self.pick(EMPTY_HANDS)}"
            return self.hold(self.pick(nouns))
        if attribute == "unsafe":
            if value == "none" and self.rng.random() < 0.3:
                return self.pick(
                    ("a person", f"a person {self.pick(EMPTY_HANDS)}", "a thing on the ground", "a scene")
                )
            return self.hold(self.pick({"weapon": WEAPONS, "alcohol": DRINKS, "none": HARMLESS}[value]))
        if attribute == "kind":
            return {
                "character": self.pick(("a person", "a character", "someone")),
                "product": self.pick(("a product", "a thing", "an object")),
                "blank": self.pick(("a blank image", "an empty picture", "nothing")),
                "noise": self.pick(("random noise", "static noise", "noise")),
            }[value]
        if attribute == "place":
            return self.pick(("", "a picture ", "someone ", "a product ")) + self.pick(PLACE_WORDS[value])
        if attribute == "time":
            return self.pick(("", "a picture ", "a scene ")) + self.pick(TIME_WORDS[value])
        if attribute == "hair_color":
            return self.pick((f"{color} hair", f"a person with {color} hair"))
        if attribute == "top_color":
            noun = self.pick((*ATTRIBUTES["top"], "sweater", "top"))
            return self.pick(
                (f"a {color} {noun}", f"a person in a {color} {noun}", f"wearing a {color} {noun}")
            )
        if attribute == "color":
            return self.pick(
                (f"a {color} {self.pick(ATTRIBUTES['category'])}", f"a {color} product", f"a {color} thing")
            )
        if attribute == "headwear":
            return (
                "no hat"
                if value == "none"
                else self.pick((f"a {self.pick(nouns)}", f"wearing a {self.pick(nouns)}"))
            )
        noun = self.pick(nouns)
        if attribute == "pattern":
            return self.pick((f"{noun} pattern", f"a {noun} one", f"something {noun}"))
        return self.pick((f"a {noun}", f"a picture of a {noun}"))

    def hold(self, noun: str) -> str:
        """One way to say that someone holds the thing, or that it is there."""
        who = self.pick(("a person", "someone", "a woman", "a man", "a girl", "a boy", "a character"))
        thing = noun if noun in UNCOUNTED else article(noun)
        return self.pick((f"{who} holding {thing}", f"{who} with {thing}", f"holding {thing}", thing, noun))

    def decorate(self, caption: str) -> str:
        """The caption with foreign words around it, in three of ten cases."""
        roll = self.rng.random()
        if roll < 0.10:
            return (
                f"{self.pick(('a picture of', 'an illustration of', 'a drawing of', 'a photo of'))} {caption}"
            )
        if roll < 0.20:
            return f"{caption}, {self.pick(self.foreign)} {self.pick(self.foreign)} style"
        if roll < 0.30:
            link = self.pick(("near a", "and a", "beside the", "with some"))
            return f"{caption} {link} {self.pick(self.foreign)}"
        return caption

    def hands(self, caption: str, item: str | None) -> tuple[str, bool]:
        """The caption with its unsafe thing said in other words, and whether it says what the hands hold."""
        if item is None:
            if self.rng.random() < 0.5:
                return f"{caption} {self.pick(EMPTY_HANDS)}", True
            return caption, False
        for noun in sorted(NOUN_WORDS.get(item, (item,)), key=len, reverse=True):
            if noun in caption:
                if item in SYNONYMS and self.rng.random() < 0.6:
                    caption = _replace(caption, noun, self.pick(SYNONYMS[item]))
                return caption, True
        return caption, False


def _replace(caption: str, noun: str, other: str) -> str:
    """``other`` for ``noun``, with the article it needs."""
    thing = other if other in UNCOUNTED else article(other)
    for old in (f"a {noun}", f"an {noun}", noun):
        if old in caption:
            return caption.replace(old, thing, 1)
    return caption
