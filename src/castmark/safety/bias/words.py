"""Which sensitive attributes a prompt states, which it leaves open, and where it speaks of a person.

A word for a person counts only where it stands for one: at an end, before punctuation or before a listed word
("a pilot at sea", not "a pilot pen"). Whoever is described in words that are not listed is left alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from castmark.safety.bias.vocabulary import (
    AFTER,
    GENDERED,
    LIKENESS,
    NOT_NOUNS,
    OCCUPATIONS,
    OPEN_PERSON,
    PEOPLES,
    PLAIN,
    SKIN,
    STATED,
    THINGS_IN_ING,
    TONED,
)
from castmark.safety.prompt import normalised

ADULT_AT, OLDER_AT = 18, 65
"""Years from which a stated age is that of a grown-up, and of an older one."""


@dataclass(frozen=True)
class Person:
    """Words for one person in a prompt: where they begin and end, and what they are, as written."""

    start: int
    end: int
    article: str
    adjectives: str
    noun: str


def _longest_first(words: list[str]) -> str:
    return "|".join(sorted(words, key=len, reverse=True))


_STATED = {
    name: {value: re.compile(rf"\b(?:{'|'.join(some.split())})\b") for value, some in values.items()}
    for name, values in STATED.items()
}
_TONES = _longest_first([word.replace(" ", "[ -]") for word in SKIN])
_SKIN = re.compile(rf"\b({_TONES})[ -]skin(?:ned)?\b")
_UNTOLD = re.compile(r"\b(?:albinism|vitiligo)\b")
_PEOPLE = _longest_first([*OPEN_PERSON, *OCCUPATIONS])
_NOUNS = _longest_first(
    sorted({w for values in STATED.values() for some in values.values() for w in some.split()} - NOT_NOUNS)
)
_SEX = "female|male|woman|man"
_ADJECTIVES = "|".join((*PLAIN, _SEX, *GENDERED, *TONED, *PEOPLES, rf"(?:{_TONES})[ -]skinned"))
_ON = (
    rf"(?=\s*(?:$|[.,;:!?)\]|\"”]|\s[-–—(\[]|\s+(?!on (?:it|them)\b)"
    rf"(?:(?:{'|'.join(AFTER)})\b|(?!(?:{'|'.join(THINGS_IN_ING)})\b)\w\w+ing\b)))"
)
_BEGIN = r"(?<![\w'’-])"
_OPEN = re.compile(rf"{_BEGIN}(?:{_PEOPLE}){_ON}", re.IGNORECASE)
_NAMED = re.compile(rf"{_BEGIN}(?:{_NOUNS}|{_PEOPLE}){_ON}", re.IGNORECASE)
_DESCRIBED = rf"((?:(?:{_ADJECTIVES})[\s-]+(?:and\s+)?)*)$"
_BARE = rf"(?:^|[.,;:!?(\[|\"“]|\b(?:{LIKENESS})\s+of)\s*"
_BEFORE_OPEN = re.compile(rf"(?:\b((?:an?|the|one)\s+)|{_BARE}){_DESCRIBED}", re.IGNORECASE)
_BEFORE_NAMED = re.compile(
    rf"(?:\b((?:an?|the|one|two|three|four|some|my|our|your|his|her|their)\s+)|{_BARE}){_DESCRIBED}",
    re.IGNORECASE,
)
_BEFORE_PRONOUN = re.compile(
    r"(?:^|[^\w\s'’-]|\b(?:of|for|with|and|at|by|to|where|as|while|near|beside|behind|on|like|from|is))\s*$",
    re.IGNORECASE,
)
_PRONOUNS = ("someone", "somebody")
_LISTED = re.compile(rf"\b(?:an?|the|one)\s+[\w'’-]+,\s*{_DESCRIBED}", re.IGNORECASE)
"""After "a mysterious, ..." an adjective may go on."""
_OLD = re.compile(
    rf"(?<!middle[ -])\b(?:old|older|aged|elderly|senior) (?:(?:female|male|woman) )?(?:{_NOUNS}|{_PEOPLE})\b"
)
_YEARS = re.compile(
    rf"\b(\d{{1,3}})[ -]years?[ -]old\b(?:(?: (?:{_ADJECTIVES})\b)* (?:{_NOUNS}|{_PEOPLE})\b)?"
)
_SOMEBODY = rf"(?=(?:[ -](?:{_ADJECTIVES})\b)*[ -](?:{_NOUNS}|{_PEOPLE}){_ON})"
_YOUNG = re.compile(rf"\byoung{_SOMEBODY}")
_GENDERED = {re.compile(rf"\b(?:{way})\b"): values for way, values in GENDERED.items()}
_TONED = {
    re.compile(rf"\b(?:{way})\b{_SOMEBODY}"): tuple(f"monk {tone:02d}" for tone in tones)
    for way, tones in {**TONED, "|".join(PEOPLES): range(1, 11)}.items()
}
_EVERY_TONE = tuple(f"monk {tone:02d}" for tone in range(1, 11))
# "A woman pilot" says as little of her age as "a female pilot".
_FEMALE = re.compile(rf"\bwoman (?=(?:\w+ )?(?:{_longest_first(list(OCCUPATIONS))})\b)")


def stated(text: str) -> dict[str, tuple[str, ...]]:
    """The attributes that a prompt states, and the values it leaves possible: every one where it says
    something that settles none ("a Japanese chef" of skin)."""
    plain = normalised(text)
    said = {"gender": _gender(plain), "age": _age(plain), "skin_tone": _skin(plain)}
    return {name: values for name, values in said.items() if values}


def _gender(plain: str) -> tuple[str, ...]:
    said = tuple(value for value, way in _STATED["gender"].items() if way.search(plain))
    return said or _all(values for way, values in _GENDERED.items() if way.search(plain))


def _age(plain: str) -> tuple[str, ...]:
    # An old man is a man, but no adult of the middle years; nor is a boy of nine one for being a person.
    years = [int(match.group(1)) for match in _YEARS.finditer(plain)]
    known = {"child" if y < ADULT_AT else "adult" if y < OLDER_AT else "older" for y in years}
    rest = _YEARS.sub(" ", plain)
    if _OLD.search(rest):
        known.add("older")
    rest = _FEMALE.sub(" ", _OLD.sub(" ", rest))
    said = tuple(value for value, way in _STATED["age"].items() if value in known or way.search(rest))
    return said or (("child", "adult") if _YOUNG.search(plain) else ())


def _skin(plain: str) -> tuple[str, ...]:
    said = _all(SKIN[match.group(1).replace("-", " ")] for match in _SKIN.finditer(plain))
    said = said or _all(tones for way, tones in _TONED.items() if way.search(plain))
    return said or (_EVERY_TONE if _UNTOLD.search(plain) else ())


def _all(parts: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(value for part in parts for value in part))


def open_person(text: str) -> Person | None:
    """The first person of a prompt, where it says neither gender presentation nor anything that is not
    known to leave it open."""
    return None if "gender" in stated(text) else _first(text, _OPEN, _BEFORE_OPEN)


def named_person(text: str) -> Person | None:
    """The first person of a prompt by a noun, whatever it says of gender and age in words that are known."""
    return _first(text, _NAMED, _BEFORE_NAMED)


def _first(text: str, noun: re.Pattern[str], before: re.Pattern[str]) -> Person | None:
    """Only the first counts: another one further on is not who the prompt is about."""
    found = noun.search(text)
    if found is None:
        return None
    pronoun = found.group().lower() in _PRONOUNS
    ahead = (_BEFORE_PRONOUN if pronoun else before).search(text, 0, found.start())
    if ahead is None or (not pronoun and _LISTED.search(text, 0, found.start())):
        return None
    article, adjectives = ("", "") if pronoun else (ahead.group(1) or "", ahead.group(2))
    start = found.start() - len(article) - len(adjectives)
    return Person(start, found.end(), article, adjectives, found.group())
