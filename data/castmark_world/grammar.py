"""The full grammar: captions as people write prompts, in any order, of any subset, short or long.

Only named attributes are said, and only what the camera sees.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from castmark_world import words
from castmark_world.describe import Voice, describe, noun_phrase, things
from castmark_world.params import CharacterSpec, Placement, ProductSpec, Scene
from castmark_world.vocabulary import CATALOGUE

LIST = 0.14
"""How often a caption is a list of fragments, as many prompts are."""


@dataclass
class _Clause:
    """A subject with what it does."""

    who: str
    does: list[str]

    def __str__(self) -> str:
        return " ".join([self.who, *self.does])


def speak(scene: Scene, rng: np.random.Generator) -> str:
    """One of the many ways to say a scene."""
    voice = Voice(rng, float(rng.choice((0.35, 0.6, 0.85, 1.1), p=(0.25, 0.3, 0.3, 0.15))))
    if scene.other is not None:
        text = _two(scene, voice)
    elif rng.random() < LIST:
        return _fragments(scene, voice)
    else:
        clause = _clause(scene.lead, scene, voice)
        if voice.says(0.15):
            clause.does.append(voice.one(words.SIDE[side(scene.x)]))
        text = str(clause)
    for prop in scene.props:
        if voice.says(1.0):
            link = voice.one(("next to", "beside", "with", "near"))
            text += f" {link} {things(voice.noun(prop.name))}"
    return _styled(_set(_framed(text, scene, voice), scene, voice), scene, voice)


def side(x: float) -> str:
    """Where somebody stands, as captions have it: left, middle or right."""
    return "left" if x < 0.4 else "right" if x > 0.6 else "middle"


def _clause(placement: Placement, scene: Scene, voice: Voice) -> _Clause:
    subject = placement.subject
    if isinstance(subject, ProductSpec):
        return _Clause(describe(subject, voice), [])
    expression = voice.one(words.EXPRESSION[placement.expression])
    said = voice.says(0.5)
    before = said and voice.rng is not None and voice.rng.random() < 0.6
    who = describe(subject, voice, camera=scene.camera, mood=expression if before else "")
    does: list[str] = []
    if scene.camera == "full" and voice.says(0.75):
        does.append(voice.one(words.POSE[placement.pose]))
    if said and not before:
        does.append(expression)
    if placement.item is not None and voice.says(1.4):
        does.append(_holding(placement.item, voice))
    return _Clause(who, voice.shuffled(does))


def _holding(item: str, voice: Voice) -> str:
    if CATALOGUE[item].on == "clothes":
        return voice.one(words.STAINS[item])
    thing = things(voice.noun(item))
    return voice.one((f"holding {thing}", f"with {thing}", f"carrying {thing}", f"with {thing} in hand"))


def _two(scene: Scene, voice: Voice) -> str:
    assert scene.other is not None
    voice.talk *= 0.75
    first, second = (str(_clause(placement, scene, voice)) for placement in scene.cast)
    left, right = (first, second) if scene.x < scene.other.x else (second, first)
    return voice.one(
        (
            f"{left} on the left and {right} on the right",
            f"{left} on the left, {right} on the right",
            f"{right} to the right of {left}",
            f"{left} to the left of {right}",
            f"on the left {left}, on the right {right}",
            f"{first} beside {second}",
            f"{second} next to {first}",
            f"{first} and {second}",
        )
    )


def _set(text: str, scene: Scene, voice: Voice) -> str:
    """The caption with its place, time and weather, behind it or before it."""
    tail: list[str] = []
    if voice.says(1.1):
        tail.append(voice.one(words.PLACE[scene.place]))
    if voice.says(0.35 if scene.time == "day" else 0.95):
        tail.append(voice.one(words.TIME[scene.time]))
    if voice.says(0.08 if scene.weather == "clear" else 1.0):
        tail.append(voice.one(words.WEATHER[scene.weather]))
    tail = voice.shuffled(tail)
    if not tail:
        return text
    if voice.rng is not None and voice.rng.random() < 0.2:
        return f"{' '.join(tail)}, {text}"
    return f"{text} {' '.join(tail)}"


def _framed(text: str, scene: Scene, voice: Voice) -> str:
    """The subjects, with what says how near they are."""
    product = isinstance(scene.subject, ProductSpec)
    if scene.other is None and voice.says({"full": 0.07, "half": 0.6, "close-up": 1.0}[scene.camera]):
        if not product:
            return f"{voice.one(words.CAMERA[scene.camera])} {text}"
        if scene.camera == "close-up":
            return f"{voice.one(words.NEAR_PRODUCT)} {text}"
    if voice.says(0.12):
        return f"{voice.one(('a picture of', 'an illustration of', 'a drawing of'))} {text}"
    return text


def _styled(text: str, scene: Scene, voice: Voice) -> str:
    """The caption with the style it is drawn in."""
    if not voice.says(0.12 if scene.style == "flat" else 0.9):
        return text
    style = voice.one(words.STYLE[scene.style])
    return voice.one((f"{text}, {style}", f"{text}, {style}", f"{style}, {text}"))


def _fragments(scene: Scene, voice: Voice) -> str:
    """A list, most important things first."""
    subject, placement = scene.subject, scene.lead
    parts = [noun_phrase(subject, voice)]
    rest: list[str] = []
    if isinstance(subject, CharacterSpec):
        if subject.hair_style != "bald" and subject.headwear != "headscarf" and voice.says(0.7):
            rest.append(voice.hair(subject))
        if voice.says(0.9):
            rest.append(voice.top(subject))
    if not isinstance(subject, ProductSpec):
        if scene.camera == "full" and voice.says(0.6):
            rest.append(voice.one(words.POSE[placement.pose]))
        if placement.item is not None and voice.says(1.4):
            stained = CATALOGUE[placement.item].on == "clothes"
            rest.append(placement.item if stained else voice.noun(placement.item))
        if voice.says(0.4):
            rest.append(voice.one(words.EXPRESSION[placement.expression]))
    if voice.says(1.1):
        rest.append(_bare(voice.one(words.PLACE[scene.place])))
    if voice.says(0.7):
        rest.append({"day": "daytime"}.get(scene.time, scene.time))
    if scene.weather != "clear" and voice.says(0.9):
        rest.append(scene.weather)
    if scene.style != "flat" and voice.says(0.9):
        rest.append(voice.one(words.STYLE[scene.style]))
    return ", ".join([*parts, *voice.shuffled(rest)])


def _bare(phrase: str) -> str:
    """The place without its preposition."""
    rest = phrase.removeprefix("in front of ")
    return rest if rest != phrase else phrase.split(" ", 1)[1]
