"""What the engine says about an image it drew and checked: shot, draft and verdict as a `Claim`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from castmark import __version__
from castmark.shot import Shot
from castmark.take import Draft, Verdict
from castmark_provenance.claim import (
    Claim,
    FindingRecord,
    IngredientRecord,
    ModelRecord,
    PromptRecord,
    SafetyRecord,
    salted,
)

if TYPE_CHECKING:
    from castmark.bases.base import Base
    from castmark_adapters.host import Ingredient

GENERATOR = "Castmark"


def claim_of(
    shot: Shot,
    key: str,
    draft: Draft,
    verdict: Verdict,
    *,
    base: Base,
    ingredients: Iterable[Ingredient],
    prompt: PromptRecord,
    salt: str,
) -> Claim:
    """The claim about one image. ``ingredients`` are those of the adapters it was drawn with.

    The shot's key is published salted, as the prompt is: bare, anybody could test a guess at the
    prompt. A finding's detail stays out, because it may quote the prompt; and unless the prompt is disclosed,
    so do the names of subjects and of their files: they are counted instead.

    Raises:
        ValueError: a score that is not finite, or a digest that is none (pydantic's ValidationError): such an
            image is never signed.
    """
    return Claim(
        title=shot.name or f"shot-{salted(salt, key)[:12]}",
        created=datetime.now(UTC),
        generator=GENERATOR,
        generator_version=__version__,
        shot_key=salted(salt, key),
        prompt=prompt,
        seed=draft.resolved.seed,
        steps=draft.resolved.steps,
        width=draft.pixels.shape[1],
        height=draft.pixels.shape[0],
        base=ModelRecord(
            name=base.name,
            sha256=base.digest,
            licence=base.licence,
            non_commercial=base.non_commercial,
            revision=base.revision,
            files=dict(base.files),
        ),
        ingredients=tuple(_ingredients(ingredients, named=prompt.text is not None)),
        safety=safety_record(verdict, () if prompt.text is not None else _names(shot)),
        settings=dict(draft.settings) | ({"quota": "; ".join(shot.quota)} if shot.quota else {}),
    )


def _names(shot: Shot) -> tuple[str, ...]:
    return tuple(subject.name for subject in shot.subjects)


def _ingredients(ingredients: Iterable[Ingredient], *, named: bool) -> Iterator[IngredientRecord]:
    """The record of each; by number within its role where it is not to be named."""
    count: Counter[str] = Counter()
    for item in ingredients:
        count[item.role] += 1
        title = item.title if named else f"{item.role} {count[item.role]}"
        yield IngredientRecord(title=title, role=item.role, sha256=item.sha256, media_type=item.media_type)


def safety_record(verdict: Verdict, unnamed: Sequence[str] = ()) -> SafetyRecord:
    """The verdict as the manifest carries it, every finding with its score and threshold.

    Of subjects that are to stay ``unnamed``, findings say "subject 1" and so on.

    Raises:
        ValueError: a score that is not finite.
    """
    return SafetyRecord(
        pixel_sha256=verdict.pixel_digest,
        policy=verdict.policy,
        policy_sha256=verdict.policy_digest,
        checker_sha256=verdict.checker,
        calibration_sha256=verdict.calibration,
        domain=verdict.domain,
        findings=tuple(
            FindingRecord(
                rung=f.rung,
                name=_without(f.name, unnamed) if f.rung == "L3 subject" else f.name,
                score=f.score,
                threshold=f.threshold,
                allowed=f.allowed,
                binding=f.binding,
            )
            for f in verdict.findings
        ),
    )


def _without(text: str, names: Sequence[str]) -> str:
    """What was found, of whom: only there are whole words looked for, as a subject may be called "of"."""
    numbers = {name: f"subject {number}" for number, name in enumerate(names, start=1)}
    what, of, whom = text.rpartition(" of ")
    return what + of + re.sub(r"[\w-]+", lambda word: numbers.get(word[0], word[0]), whom)
