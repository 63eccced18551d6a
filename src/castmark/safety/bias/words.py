"""Which sensitive attributes a prompt states, and which it leaves open, word by word."""

from __future__ import annotations

import re

from castmark.safety.prompt import normalised

STATED: dict[str, dict[str, str]] = {
    "gender": {
        "feminine": "woman women lady ladies girl girls female mother grandmother sister daughter aunt "
        "queen princess actress waitress nun bride wife mum mom she her",
        "masculine": "man men guy guys gentleman gentlemen boy boys male father grandfather brother son "
        "uncle king prince actor waiter monk groom husband dad fisherman fireman he him his",
    },
    "age": {
        "child": "girl girls boy boys child children kid kids baby babies toddler toddlers infant teen teens "
        "teenager teenagers schoolgirl schoolboy pupil",
        "adult": "woman women man men lady ladies guy guys gentleman gentlemen adult adults grandmother "
        "grandfather mother father elderly bride groom",
    },
}
SKIN = {
    "very light": ("monk 01", "monk 02"),
    "pale": ("monk 01", "monk 02"),
    "light": ("monk 03", "monk 04"),
    "fair": ("monk 03", "monk 04"),
    "medium": ("monk 05",),
    "olive": ("monk 05",),
    "tan": ("monk 06",),
    "brown": ("monk 07",),
    "dark": ("monk 08",),
    "black": ("monk 09", "monk 10"),
    "very dark": ("monk 09", "monk 10"),
}
"""Words for skin, and the tones of the Monk scale they stand for (those of the world's captions)."""
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
)  # fmt: skip
"""Words for one person by occupation."""

_STATED = {
    name: {value: re.compile(rf"\b(?:{'|'.join(words.split())})\b") for value, words in values.items()}
    for name, values in STATED.items()
}
_TONES = "|".join(sorted((word.replace(" ", "[ -]") for word in SKIN), key=len, reverse=True))
_SKIN = re.compile(rf"\b({_TONES})[ -]skin(?:ned)?\b")
_PEOPLE = "|".join((*OPEN_PERSON, *OCCUPATIONS))
_PERSON = re.compile(rf"\b(a |an |the |one )?((?:young |old |smiling |happy |serious )*)({_PEOPLE})\b")


def stated(text: str) -> dict[str, tuple[str, ...]]:
    """The attributes that a prompt states, and the values it leaves possible."""
    plain = normalised(text)
    found: dict[str, tuple[str, ...]] = {}
    for name, values in _STATED.items():
        said = tuple(value for value, words in values.items() if words.search(plain))
        if said:
            found[name] = said
    tones = [tone for match in _SKIN.finditer(plain) for tone in SKIN[match.group(1).replace("-", " ")]]
    if tones:
        found["skin_tone"] = tuple(dict.fromkeys(tones))
    return found


def open_person(text: str) -> re.Match[str] | None:
    """The first word of a prompt for a person of whom it does not say who it is, with its article."""
    return _PERSON.search(text.lower()) if "gender" not in stated(text) else None


def speaks_of_a_person(text: str) -> bool:
    """Whether a prompt asks for a person at all."""
    return "gender" in stated(text) or "age" in stated(text) or _PERSON.search(normalised(text)) is not None
