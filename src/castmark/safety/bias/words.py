"""Which sensitive attributes a prompt states, and which it leaves open, word by word."""

from __future__ import annotations

import re

from castmark.safety.prompt import normalised
from castmark_world import words

STATED: dict[str, dict[str, str]] = {
    "gender": {
        "feminine": "woman women lady ladies girl girls female mother grandmother sister daughter aunt "
        "queen princess actress waitress nun bride grandma granny wife mum mom she her",
        "masculine": "man men guy guys gentleman gentlemen boy boys male father grandfather brother son "
        "uncle king prince actor monk groom grandpa husband dad fisherman fireman he him his",
    },
    "age": {
        "child": "girl girls boy boys child children kid kids baby babies toddler toddlers infant teen teens "
        "teenager teenagers schoolgirl schoolboy pupil",
        "adult": "woman women man men lady ladies guy guys gentleman gentlemen adult adults mother father "
        "bride groom",
        "older": "elderly senior seniors pensioner pensioners grandmother grandfather grandma grandpa granny",
    },
}
NOT_NOUNS = frozenset(("female", "male", "she", "her", "he", "him", "his", "elderly", "senior"))
"""Words of `STATED` that stand before a noun or for one."""


def _tones() -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {"olive": ("monk 05",), "black": ("monk 09", "monk 10")}
    for number, ways in enumerate(words.SKIN, start=1):
        for way in ways:
            word = way.removesuffix(" skin")
            found[word] = (*found.get(word, ()), f"monk {number:02d}")
    return found


SKIN = _tones()
"""Words for skin, and the tones of the Monk scale they stand for in the world's captions."""
OPEN_PERSON = (
    "person", "someone", "somebody", "human", "character", "individual", "figure",
)  # fmt: skip
"""Words for one person that say nothing of who it is."""
OCCUPATIONS = (
    "doctor", "nurse", "teacher", "student", "chef", "cook", "farmer", "pilot", "astronaut", "soldier",
    "firefighter", "police officer", "judge", "lawyer", "engineer", "scientist", "artist", "painter",
    "singer", "dancer", "musician", "athlete", "builder", "carpenter", "mechanic", "plumber", "electrician",
    "barber", "bartender", "clerk", "cashier", "manager", "boss", "secretary", "journalist", "photographer",
    "writer", "librarian", "tailor", "baker", "butcher", "gardener", "driver", "cyclist", "receptionist",
    "physician", "cleaner", "janitor", "researcher", "cop", "waiter",
)  # fmt: skip
"""Words for one person by occupation."""

_STATED = {
    name: {value: re.compile(rf"\b(?:{'|'.join(some.split())})\b") for value, some in values.items()}
    for name, values in STATED.items()
}
_TONES = "|".join(sorted((word.replace(" ", "[ -]") for word in SKIN), key=len, reverse=True))
_SKIN = re.compile(rf"\b({_TONES})[ -]skin(?:ned)?\b")
_PEOPLE = "|".join((*OPEN_PERSON, *OCCUPATIONS))
_PERSON = re.compile(
    rf"\b(a |an |the |one )?((?:young |old |older |elderly |smiling |happy |serious )*)({_PEOPLE})\b"
)
_NOUNS = "|".join(
    sorted({w for values in STATED.values() for some in values.values() for w in some.split()} - NOT_NOUNS)
)
_NAMED = re.compile(rf"\b(?:{_NOUNS}|{_PEOPLE})\b")
_OLD = re.compile(rf"\b(?:old|older|aged|elderly|senior) (?:(?:female|male|woman) )?(?:{_NOUNS}|{_PEOPLE})\b")


# "A woman pilot" says as little of her age as "a female pilot".
_FEMALE = re.compile(rf"\bwoman (?=(?:\w+ )?(?:{'|'.join(OCCUPATIONS)})\b)")


def stated(text: str) -> dict[str, tuple[str, ...]]:
    """The attributes that a prompt states, and the values it leaves possible."""
    plain = normalised(text)
    found: dict[str, tuple[str, ...]] = {}
    for name, values in _STATED.items():
        # An old man is a man, but no adult of the middle years.
        old = name == "age" and _OLD.search(plain) is not None
        rest = _FEMALE.sub(" ", _OLD.sub(" ", plain)) if name == "age" else plain
        said = tuple(value for value, way in values.items() if way.search(rest) or (old and value == "older"))
        if said:
            found[name] = said
    tones = [tone for match in _SKIN.finditer(plain) for tone in SKIN[match.group(1).replace("-", " ")]]
    if tones:
        found["skin_tone"] = tuple(dict.fromkeys(tones))
    return found


def open_person(text: str) -> re.Match[str] | None:
    """The first word of a prompt for a person of whom it does not say who it is, with its article."""
    return _PERSON.search(text.lower()) if "gender" not in stated(text) else None


def named_person(text: str) -> re.Match[str] | None:
    """The first noun of a prompt for a person, whatever it says of them."""
    return _NAMED.search(text.lower())


def speaks_of_a_person(text: str) -> bool:
    """Whether a prompt asks for a person at all."""
    return "gender" in stated(text) or "age" in stated(text) or _PERSON.search(normalised(text)) is not None
