"""Quotas: declared shares of what a prompt leaves open about a person, said in words, shot by shot.

    shots = apply_quotas(shots, policy.fairness, seed=7)

The shots that leave an attribute open are put in an order that a hash of each decides, and consecutive runs
of it go to the groups: counts are within one of the declared shares, and a shot added or taken out anywhere
changes at most one other for every boundary between two groups. "Uniform" gender is half women, half men.
Only the words for an unspecified person are changed, never a shot with a subject, and nothing in the sampler
is steered. What was assigned is in the shot, so in its key and in the signed claim.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import accumulate

from castmark.safety.bias.vocabulary import OPEN_PERSON
from castmark.safety.bias.words import named_person, open_person, stated
from castmark.safety.policy import Fairness
from castmark.safety.reader import ASIDE, CLASSES
from castmark.shot import Shot
from castmark_world import words
from castmark_world.vocabulary import PEOPLE

NOUNS = {(person.gender, person.age): noun for noun, person in PEOPLE.items()}
SEX = {"feminine": "female ", "masculine": "male "}
AGED = {"child": "young ", "older": "old "}
_ROUNDING = 1e-9


def target_shares(fairness: Fairness, attribute: str) -> dict[str, float]:
    """The declared share of every group of an attribute, in the reader's order.

    Uniform gender is as many feminine as masculine people; those who present as neither are set aside, in
    quotas and reports alike, unless the policy gives them a share by name.

    Raises:
        ValueError: the policy declares a group that nothing can read.
    """
    declared = fairness.target[attribute]
    named = declared if isinstance(declared, dict) else {}
    aside = [group for group in ASIDE.get(attribute, ()) if group not in named]
    groups = tuple(group for group in CLASSES[attribute] if group not in aside)
    if isinstance(declared, str):
        return {group: 1 / len(groups) for group in groups}
    unknown = set(declared) - set(groups)
    if unknown:
        raise ValueError(f"{attribute}: no group {sorted(unknown)}; there are: {', '.join(groups)}")
    return {group: declared.get(group, 0.0) for group in groups}


def quotas(shares: Mapping[str, float], people: Sequence[str], key: str) -> list[str]:
    """A group for each of ``people``, who are told apart by their text; ``key`` decides the order.

    Systematic sampling (Madow 1949): in the order of their hashes, the first n s1 + u people are of the first
    group, those up to n (s1 + s2) + u of the first two, and so on, rounded down. Groups stand in an order of
    their own, and u in [0, 1) is as fixed as that, so that a remainder falls to every group by its share.
    """
    number = Counter[str]()
    places: list[tuple[str, int]] = []
    for index, person in enumerate(people):
        places.append((_hash(key, "person", person, number[person]), index))
        number[person] += 1
    groups = sorted(shares, key=lambda group: _hash(key, "group", group))
    sums = list(accumulate(shares[group] for group in groups))
    offset = int(_hash(key, "offset")[:12], 16) / 16**12
    exact = [len(people) * total / sums[-1] for total in sums]
    ends = [math.floor(end + offset * (1 - _ROUNDING) + _ROUNDING) for end in exact]
    dealt = [""] * len(people)
    order = [index for _, index in sorted(places)]
    for group, start, end in zip(groups, [0, *ends[:-1]], ends, strict=True):
        for index in order[start:end]:
            dealt[index] = group
    return dealt


def _hash(*parts: str | int) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def apply_quotas(shots: Sequence[Shot], fairness: Fairness, *, seed: int) -> list[Shot]:
    """The shots, with words for what the declared quotas assign to people whom their prompts leave open.

    Shots with a subject, without a person, or that state an attribute themselves keep it as it is.

    Raises:
        ValueError: the policy declares a group that nothing can read.
    """
    assigned: list[dict[str, str]] = [{} for _ in shots]
    left = [open_attributes(shot) for shot in shots]
    for attribute in fairness.target:
        shares = target_shares(fairness, attribute)
        open_ = [index for index, names in enumerate(left) if attribute in names]
        people = [json.dumps([shots[index].prompt, shots[index].seed]) for index in open_]
        dealt = quotas(shares, people, f"{seed}/{attribute}")
        for index, group in zip(open_, dealt, strict=True):
            assigned[index][attribute] = group
    return [_said(shot, groups) for shot, groups in zip(shots, assigned, strict=True)]


def open_attributes(shot: Shot) -> tuple[str, ...]:
    """The attributes that quotas may set: those its prompt leaves open, and none where there is a subject."""
    if shot.subjects or shot.quota:
        return ()
    said = stated(shot.prompt)
    anyone = open_person(shot.prompt) is not None
    return tuple(
        name
        for name in ("gender", "age", "skin_tone")
        if name not in said and (anyone or (name == "skin_tone" and named_person(shot.prompt)))
    )


def _said(shot: Shot, groups: Mapping[str, str]) -> Shot:
    if not groups:
        return shot
    text = say(shot.prompt, groups)
    record = tuple(f"{name}: {group}" for name, group in groups.items())
    return shot.model_copy(update={"prompt": text, "quota": record})


def say(prompt: str, groups: Mapping[str, str]) -> str:
    """The prompt with the groups in words: "a person" becomes "a woman with dark skin", "a doctor" "a female
    doctor"."""
    found = open_person(prompt)
    skin = f" with {words.SKIN[int(groups['skin_tone'][-2:]) - 1][0]}" if "skin_tone" in groups else ""
    if found is None:
        person = named_person(prompt)
        return prompt if person is None else prompt[: person.end] + skin + prompt[person.end :]
    noun = found.noun.lower()
    gender, age = groups.get("gender"), groups.get("age")
    if noun in OPEN_PERSON and gender is not None:
        word = NOUNS[gender, age or "adult"]
    elif noun in OPEN_PERSON and age is not None:
        word = "adult" if age == "adult" else NOUNS["neutral", age]
    elif gender == "neutral":
        word = f"{NOUNS[gender, age or 'adult']} who is {_with_article(noun)}"
    else:
        word = f"{AGED.get(age or '', '')}{SEX.get(gender or '', '')}{found.noun}"
    article, rest = found.article, f"{found.adjectives}{word}"
    if noun in ("someone", "somebody") and word.lower() != noun:
        article = "a "
    if not found.adjectives and article.strip().lower() in ("a", "an"):
        article, rest = "", _with_article(rest)
    begun = f"{article}{rest}"
    if prompt[found.start].isupper():
        begun = begun[0].upper() + begun[1:]
    return f"{prompt[: found.start]}{begun}{skin}{prompt[found.end :]}"


def _with_article(text: str) -> str:
    return f"{'an' if text[0].lower() in 'aeiou' else 'a'} {text}"
