"""Noun phrases: a subject in words, from its named attributes alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from castmark_world import words
from castmark_world.params import CharacterSpec, MascotSpec, ProductSpec, Subject


@dataclass
class Voice:
    """Chooses words. Without ``rng`` it says everything, in the plainest way, in a fixed order."""

    rng: np.random.Generator | None
    talk: float = 1.0
    """How much is said; probabilities are multiplied by it."""

    def says(self, probability: float) -> bool:
        """Whether something is said."""
        return self.rng is None or self.rng.random() < probability * self.talk

    def one(self, options: Sequence[str]) -> str:
        """One of the ways to say it."""
        return options[0] if self.rng is None else options[int(self.rng.integers(len(options)))]

    def shuffled(self, parts: list[str]) -> list[str]:
        """The parts in some order."""
        return parts if self.rng is None else [parts[i] for i in self.rng.permutation(len(parts))]

    def noun(self, name: str) -> str:
        """A word for a thing."""
        return self.one(words.NOUN.get(name, (name,)))

    def color(self, name: str) -> str:
        """A word for a colour."""
        return self.one(words.COLOR[name])

    def cloth(self, pattern: str, color: str, noun: str) -> str:
        """A thing of cloth with pattern and colour, either of which may be left out."""
        parts: list[str] = []
        if self.says(0.9 if pattern != "plain" else 0.6):
            parts.append(self.one(words.PATTERN[pattern]))
        if self.says(1.3):
            parts.append(self.color(color))
        if self.rng is not None and self.rng.random() < 0.3:
            parts.reverse()
        return " ".join([*filter(None, parts), noun])

    def hair(self, spec: CharacterSpec) -> str:
        """The hair."""
        color = self.one(words.HAIR_COLOR.get(spec.hair_color, (spec.hair_color,)))
        text = self.one(words.HAIR[spec.hair_style]).format(color if self.says(1.2) else "")
        text = " ".join(text.split())
        return f"an{text[1:]}" if text.startswith("a ") and text[2] in "aeiou" else text

    def top(self, spec: CharacterSpec) -> str:
        """What is worn above."""
        return self.cloth(spec.top_pattern, spec.top_color, self.noun(spec.top))


def things(noun: str) -> str:
    """The noun with its article, if it takes one."""
    last = noun.rpartition(" ")[2]
    if noun in words.UNCOUNTED or noun in words.PLURAL or last in words.PLURAL or last.endswith("glasses"):
        return noun
    if last in ("goggles", "shades", "stains"):
        return noun
    vowel = noun[0] in "aeiou" and not noun.startswith("uni")
    return f"{'an' if vowel else 'a'} {noun}"


def describe(subject: Subject, voice: Voice, *, camera: str = "full", mood: str = "") -> str:
    """A subject with a selection of its attributes. ``mood`` is an adjective that goes first."""
    if isinstance(subject, CharacterSpec):
        return _person(subject, voice, camera, mood)
    if isinstance(subject, MascotSpec):
        return _mascot(subject, voice, mood)
    return _product(subject, voice)


def noun_phrase(subject: Subject, voice: Voice) -> str:
    """The subject in a word or three, without article."""
    if isinstance(subject, CharacterSpec):
        return _who(subject, voice)
    if isinstance(subject, MascotSpec):
        return f"{voice.color(subject.color)} {voice.one(words.SPECIES[subject.species])}"
    return _ware(subject, voice)


def _who(spec: CharacterSpec, voice: Voice) -> str:
    person = voice.one(words.PERSON[spec.person])
    if spec.occupation == "none" or not voice.says(1.4):
        return person
    job = voice.one(words.OCCUPATION[spec.occupation])
    gender = voice.one(words.GENDER[spec.gender]) if voice.says(0.5) else ""
    aged = voice.one(words.AGED[spec.age]) if voice.says(0.8) else ""
    plain = " ".join(filter(None, (aged, gender, job)))
    if voice.rng is None or voice.rng.random() < 0.7:
        return plain
    return voice.one((f"{person} working as {things(job)}", f"{person} who is {things(job)}"))


def _person(spec: CharacterSpec, voice: Voice, camera: str, mood: str) -> str:
    before, having = [mood] if mood else list[str](), list[str]()
    covered = spec.headwear == "headscarf"
    hair_color = spec.hair_color if spec.hair_style != "bald" else ""
    if voice.says(0.6):
        skin = voice.one(words.SKIN[spec.skin_tone])
        if voice.rng is not None and voice.rng.random() < 0.3:
            before.append(skin.replace(" skin", "-skinned").replace("very ", "very-"))
        else:
            having.append(skin)
    if not covered and voice.says(0.85):
        if not hair_color:
            if voice.rng is None or voice.rng.random() < 0.5:
                having.append("a bald head")
            else:
                before.append("bald")
        elif voice.rng is not None and len(before) < 2 and voice.rng.random() < 0.2:
            color = voice.one(words.HAIR_COLOR.get(hair_color, (hair_color,)))
            before.append(f"{color}-haired")
        else:
            having.append(voice.hair(spec))
    if spec.facial_hair != "none" and voice.says(0.8):
        having.append(voice.one(words.FACIAL_HAIR[spec.facial_hair]))
    if spec.freckles and voice.says(0.7):
        having.append("freckles")
    if spec.glasses != "none" and voice.says(0.9):
        having.append(voice.noun(spec.glasses))
    wear = _worn(spec, voice, camera)
    who = _who(spec, voice)
    text = things(" ".join([*before[:3], who]))
    clauses: list[str] = []
    if having:
        clauses.append("with " + _joined(voice.shuffled(having), voice))
    if wear:
        link = voice.one(("in", "wearing", "dressed in"))
        clauses.append(f"{link} {_joined(voice.shuffled(wear), voice)}")
    return " ".join([text, *voice.shuffled(clauses)])


def _worn(spec: CharacterSpec, voice: Voice, camera: str) -> list[str]:
    """Clothes; an occupation says most of them by itself."""
    own = spec.occupation == "none" or voice.rng is None
    wear: list[str] = []
    if spec.headwear != "none" and voice.says(0.9 if own else 0.35):
        wear.append(things(f"{voice.color(spec.headwear_color)} {voice.noun(spec.headwear)}"))
    if voice.says(0.92 if own else 0.35):
        wear.append(things(voice.top(spec)))
    if camera == "full" and spec.top not in ("dress", "dungarees") and voice.says(0.55 if own else 0.2):
        wear.append(things(f"{voice.color(spec.bottom_color)} {voice.noun(spec.bottom)}"))
    hidden = camera != "full" and spec.accessory in ("watch", "shoulder bag")
    if spec.accessory != "none" and not hidden and voice.says(0.8):
        wear.append(things(f"{voice.color(spec.accessory_color)} {voice.noun(spec.accessory)}"))
    return wear


def _joined(parts: list[str], voice: Voice) -> str:
    if len(parts) > 2 and (voice.rng is None or voice.rng.random() < 0.7):
        return f"{', '.join(parts[:-1])} and {parts[-1]}"
    return " and ".join(parts)


def _mascot(spec: MascotSpec, voice: Voice, mood: str) -> str:
    color = voice.color(spec.color) if voice.says(1.3) else ""
    text = things(" ".join(filter(None, (mood, color, voice.one(words.SPECIES[spec.species])))))
    clauses: list[str] = []
    if spec.marking != "plain" and voice.says(0.8):
        clauses.append(
            "with " + voice.one(words.MARKING[spec.marking]).format(voice.color(spec.marking_color))
        )
    if spec.clothes != "none" and voice.says(0.9):
        link = voice.one(("in", "wearing"))
        clauses.append(f"{link} {things(f'{voice.color(spec.clothes_color)} {voice.noun(spec.clothes)}')}")
    return " ".join([text, *voice.shuffled(clauses)])


def _ware(spec: ProductSpec, voice: Voice) -> str:
    material = voice.one(words.MATERIAL[spec.material]) if voice.says(0.9) else ""
    cloth = voice.cloth(spec.pattern, spec.color, voice.noun(spec.category))
    return f"{material} {cloth}".strip()


def _product(spec: ProductSpec, voice: Voice) -> str:
    text = things(_ware(spec, voice))
    if voice.says(0.6):
        accent = voice.color(spec.accent_color)
        text += f" with {accent} {voice.one(('details', 'details', 'accents', 'parts'))}"
    return text
