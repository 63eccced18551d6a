"""Captions: lower-case English with synonyms, any subset of the named attributes, never a hidden trait.

What is spoken follows the scope: the full one's grammar is `castmark_world.grammar`; that of this module, and
its tables of words, are the first one's alone.
"""

from __future__ import annotations

from typing import TypeGuard

import numpy as np

from castmark_world.describe import Voice, describe, things
from castmark_world.grammar import speak
from castmark_world.params import CharacterSpec, ProductSpec, Scene, Subject
from castmark_world.scope import Scope
from castmark_world.scopes import DEFAULT, FIRST
from castmark_world.vocabulary import CATALOGUE
from castmark_world.words import STAINS

PLACE_WORDS: dict[str, tuple[str, ...]] = {
    "beach": ("at the beach", "on the beach", "by the sea", "on a sandy shore"),
    "forest": ("in the forest", "in the woods", "among tall trees"),
    "city": ("in the city", "on a city street", "in town", "among tall buildings"),
    "kitchen": ("in the kitchen", "in a kitchen"),
    "bedroom": ("in the bedroom", "in a bedroom", "beside a bed"),
    "snow": ("in the snow", "on a snowy mountain", "in the snowy mountains"),
    "desert": ("in the desert", "in a sandy desert", "beside a cactus"),
    "studio": ("in a studio", "on a plain background", "in a photo studio"),
}
TIME_WORDS: dict[str, tuple[str, ...]] = {
    "day": ("by day", "in daylight", "on a sunny day"),
    "sunset": ("at sunset", "at dusk", "in evening light"),
    "night": ("at night", "by night", "after dark"),
}
POSE_WORDS: dict[str, tuple[str, ...]] = {
    "standing": ("standing",),
    "waving": ("waving", "waving hello"),
    "cheering": ("cheering", "with both arms up", "with raised arms"),
    "hands on hips": ("with hands on hips",),
    "walking": ("walking", "taking a walk"),
    "pointing": ("pointing", "pointing to the side"),
}
EXPRESSION_WORDS: dict[str, tuple[str, ...]] = {
    "smiling": ("smiling", "happy"),
    "serious": ("serious", "with a straight face"),
    "surprised": ("surprised", "astonished"),
}
SKIN_WORDS = (
    "very light skin", "very light skin", "light skin", "light skin", "medium skin",
    "tan skin", "brown skin", "dark skin", "very dark skin", "very dark skin",
)  # fmt: skip
COLOR_WORDS: dict[str, tuple[str, ...]] = {
    "red": ("red", "red", "crimson"),
    "blond": ("blond", "blonde"),
    "grey": ("grey", "gray"),
    "purple": ("purple", "purple", "violet"),
    "teal": ("teal", "teal", "turquoise"),
}
PATTERN_WORDS: dict[str, tuple[str, ...]] = {
    "striped": ("striped", "striped", "stripy"),
    "dotted": ("dotted", "polka dot", "spotted"),
    "checked": ("checked", "checkered"),
    "plain": ("", "", "plain"),
}
NOUN_WORDS: dict[str, tuple[str, ...]] = {
    "jumper": ("jumper", "sweater"),
    "sneaker": ("sneaker", "running shoe", "trainer"),
    "teapot": ("teapot", "tea pot"),
    "mug": ("mug", "coffee mug"),
    "lamp": ("lamp", "table lamp"),
    "backpack": ("backpack", "rucksack"),
    "trousers": ("trousers", "pants"),
    "sun hat": ("sun hat", "straw hat"),
    "woman": ("woman", "woman", "lady"),
    "man": ("man", "man", "guy"),
    "cup": ("cup", "cup of coffee"),
    "beer bottle": ("beer bottle", "bottle of beer", "beer"),
    "wine bottle": ("wine bottle", "bottle of wine", "wine"),
    "water bottle": ("water bottle", "bottle of water"),
}

OPEN_WORDS: dict[str, tuple[str, ...]] = {
    "woman": ("person",),
    "man": ("person",),
    "girl": ("person", "child"),
    "boy": ("person", "child"),
}
"""Words that leave gender, or age too, open."""


def class_phrase(subject: Subject) -> str:
    """The phrase that stands for a subject in a prompt: its main named attributes, in fixed words."""
    if not _first(subject):
        return describe(subject, Voice(None))
    return _person(subject, None) if isinstance(subject, CharacterSpec) else _thing(subject, None)


def caption(scene: Scene, rng: np.random.Generator, scope: Scope = DEFAULT) -> str:
    """One of the many ways to say a scene; a different subset of attributes each time."""
    subject = scene.subject
    if scope.grammar == "full":
        return speak(scene, rng)
    if not _first(subject):
        raise ValueError(f"a {subject.kind} beyond the first scope: pass the scope it was drawn from")
    words = [_person(subject, rng) if isinstance(subject, CharacterSpec) else _thing(subject, rng)]
    if isinstance(subject, CharacterSpec):
        if rng.random() < 0.75:
            words.append(_one(rng, POSE_WORDS[scene.pose]))
        if rng.random() < 0.5:
            words.append(_one(rng, EXPRESSION_WORDS[scene.expression]))
        if scene.item and rng.random() < 0.95:
            words.append(_held(rng, scene.item))
    words += [f"{_one(rng, ('beside', 'next to', 'with'))} {things(prop.name)}" for prop in scene.props]
    tail: list[str] = []
    if rng.random() < 0.92:
        tail.append(_one(rng, PLACE_WORDS[scene.place]))
    if rng.random() < (0.35 if scene.time == "day" else 0.9):
        tail.append(_one(rng, TIME_WORDS[scene.time]))
    if tail and rng.random() < 0.15:
        return f"{' '.join(tail)}, {' '.join(words)}"
    return " ".join([*words, *tail])


def _held(rng: np.random.Generator, item: str) -> str:
    if CATALOGUE[item].on == "clothes":
        return _one(rng, STAINS[item])
    verb = _one(rng, ("holding", "with", "carrying"))
    return f"{verb} {things(_noun(rng, item))}"


def _first(subject: Subject) -> TypeGuard[CharacterSpec | ProductSpec]:
    """Whether the first grammar has words for the subject."""
    if isinstance(subject, CharacterSpec):
        return subject.detail == "simple"
    return isinstance(subject, ProductSpec) and (
        subject.material == "matte"
        and all(
            getattr(subject, name) in odds.values for name, odds in FIRST.attributes["product"].named.items()
        )
    )


def article(noun: str) -> str:
    """The noun with a or an, none for what is not counted."""
    if noun in ("beer", "wine"):
        return noun
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def _one(rng: np.random.Generator | None, options: tuple[str, ...]) -> str:
    return options[0] if rng is None else options[int(rng.integers(len(options)))]


def _noun(rng: np.random.Generator | None, name: str) -> str:
    return _one(rng, NOUN_WORDS.get(name, (name,)))


def _color(rng: np.random.Generator | None, name: str) -> str:
    return _one(rng, COLOR_WORDS.get(name, (name,)))


def _person(spec: CharacterSpec, rng: np.random.Generator | None) -> str:
    def mention(probability: float) -> bool:
        return rng is None or rng.random() < probability

    phrases: list[str] = []
    if mention(0.6):
        phrases.append(SKIN_WORDS[spec.skin_tone])
    if mention(0.85):
        if spec.hair_style == "bald":
            phrases.append("a bald head")
        else:
            style = {"bob": "bobbed", "bun": "tied up", "ponytail": "ponytailed"}.get(
                spec.hair_style, spec.hair_style
            )
            phrases.append(f"{style} {_color(rng, spec.hair_color)} hair")
    if spec.glasses != "none" and mention(0.9):
        phrases.append(spec.glasses)
    if spec.headwear != "none" and mention(0.9):
        phrases.append(article(f"{_color(rng, spec.headwear_color)} {_noun(rng, spec.headwear)}"))
    wear: list[str] = []
    if mention(0.92):
        wear.append(article(f"{_cloth(rng, spec.top_pattern, spec.top_color)} {_noun(rng, spec.top)}"))
    if spec.top != "dress" and mention(0.6):
        bottom = f"{_color(rng, spec.bottom_color)} {_noun(rng, spec.bottom)}"
        wear.append(article(bottom) if spec.bottom == "skirt" else bottom)
    noun = _noun(rng, spec.person)
    if rng is not None and rng.random() < 0.2:
        noun = _one(rng, OPEN_WORDS[spec.person])
    text = article(noun)
    if phrases:
        text += " with " + " and ".join(phrases)
    if wear:
        text += _one(rng, (" in ", " wearing ")) + " and ".join(wear)
    return text


def _thing(spec: ProductSpec, rng: np.random.Generator | None) -> str:
    text = f"{_cloth(rng, spec.pattern, spec.color)} {_noun(rng, spec.category)}"
    text = article(text)
    if rng is None or rng.random() < 0.6:
        text += f" with {_color(rng, spec.accent_color)} details"
    return text


def _cloth(rng: np.random.Generator | None, pattern: str, color: str) -> str:
    return f"{_one(rng, PATTERN_WORDS[pattern])} {_color(rng, color)}".strip()
