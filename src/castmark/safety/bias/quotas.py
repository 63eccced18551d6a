"""Quotas: declared shares of what a prompt leaves open about a person, said in words, shot by shot.

    shots = apply_quotas(shots, policy.fairness, seed=7)

Largest-remainder quotas (Hamilton) over the shots that leave an attribute open, shuffled by a seed: counts
are within one of the declared shares. "Uniform" gender is half women, half men.
Only the words for an unspecified person are changed, never a shot with a subject, and nothing in the sampler
is steered. What was assigned is in the shot, so in its key and in the signed claim.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from castmark.safety.bias.words import OPEN_PERSON, named_person, open_person, speaks_of_a_person, stated
from castmark.safety.policy import Fairness
from castmark.safety.reader import ASIDE, CLASSES
from castmark.shot import Shot
from castmark_world import words
from castmark_world.vocabulary import PEOPLE

NOUNS = {(person.gender, person.age): noun for noun, person in PEOPLE.items()}
SEX = {"feminine": "female ", "masculine": "male "}
AGED = {"child": "young ", "older": "old "}


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


def quotas(shares: Mapping[str, float], n: int, rng: np.random.Generator) -> list[str]:
    """A group for each of ``n`` people: largest-remainder counts in a seeded order. Equal remainders are
    dealt by the seed, not by name, so that no group always comes first."""
    groups = [list(shares)[i] for i in rng.permutation(len(shares))]
    exact = [shares[group] * n for group in groups]
    counts = [math.floor(value + 1e-9) for value in exact]
    by_remainder = sorted(range(len(groups)), key=lambda i: counts[i] - exact[i])
    for index in by_remainder[: n - sum(counts)]:
        counts[index] += 1
    dealt = [group for group, count in zip(groups, counts, strict=True) for _ in range(count)]
    return [dealt[i] for i in rng.permutation(n)]


def apply_quotas(shots: Sequence[Shot], fairness: Fairness, *, seed: int) -> list[Shot]:
    """The shots, with words for what the declared quotas assign to people whom their prompts leave open.

    Shots with a subject, without a person, or that state an attribute themselves keep it as it is.

    Raises:
        ValueError: the policy declares a group that nothing can read.
    """
    assigned: list[dict[str, str]] = [{} for _ in shots]
    for number, attribute in enumerate(fairness.target):
        open_ = [i for i, shot in enumerate(shots) if attribute in open_attributes(shot)]
        rng = np.random.default_rng((seed, number))
        for index, group in zip(
            open_, quotas(target_shares(fairness, attribute), len(open_), rng), strict=True
        ):
            assigned[index][attribute] = group
    return [_said(shot, groups) for shot, groups in zip(shots, assigned, strict=True)]


def open_attributes(shot: Shot) -> tuple[str, ...]:
    """The attributes that quotas may set: those its prompt leaves open, and none where there is a subject."""
    if shot.subjects or shot.quota or not speaks_of_a_person(shot.prompt):
        return ()
    said = stated(shot.prompt)
    named = open_person(shot.prompt) is not None
    return tuple(
        name
        for name in ("gender", "age", "skin_tone")
        if name not in said and (named or (name == "skin_tone" and named_person(shot.prompt)))
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
        return prompt if person is None else prompt[: person.end()] + skin + prompt[person.end() :]
    article, adjectives, noun = found.group(1) or "", found.group(2), found.group(3)
    gender, age = groups.get("gender"), groups.get("age")
    if noun in OPEN_PERSON and gender is not None:
        word = NOUNS[gender, age or "adult"]
    elif noun in OPEN_PERSON and age is not None:
        word = "adult" if age == "adult" else NOUNS["neutral", age]
    elif gender == "neutral":
        word = f"{NOUNS[gender, age or 'adult']} who is {_with_article(noun)}"
    else:
        word = f"{AGED.get(age or '', '')}{SEX.get(gender or '', '')}{noun}"
    rest = f"{adjectives}{word}"
    if noun in ("someone", "somebody") and not article and word != noun:
        article = "a "
    if article in ("a ", "an "):
        article, rest = "", _with_article(rest)
    return f"{prompt[: found.start()]}{article}{rest}{skin}{prompt[found.end() :]}"


def _with_article(text: str) -> str:
    return f"{'an' if text[0] in 'aeiou' else 'a'} {text}"
