"""What the engine says about an image it drew and checked: shot, draft and verdict as a `Claim`."""

from __future__ import annotations

from collections.abc import Iterable
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
    prompt. A finding's detail stays out, because it may quote the prompt.

    Raises:
        ValueError: a score that is not finite, or a digest that is none (pydantic's ValidationError): such an
            image is never signed.
    """
    return Claim(
        title=shot.name or f"shot-{key[:12]}",
        created=datetime.now(UTC),
        generator=GENERATOR,
        generator_version=__version__,
        shot_key=salted(salt, key),
        prompt=prompt,
        seed=draft.resolved.seed,
        steps=draft.resolved.steps,
        width=draft.pixels.shape[1],
        height=draft.pixels.shape[0],
        base=ModelRecord(name=base.name, sha256=base.digest, licence=base.licence),
        ingredients=tuple(
            IngredientRecord(title=item.title, role=item.role, sha256=item.sha256, media_type=item.media_type)
            for item in ingredients
        ),
        safety=safety_record(verdict),
        settings=dict(draft.settings) | ({"quota": "; ".join(shot.quota)} if shot.quota else {}),
    )


def safety_record(verdict: Verdict) -> SafetyRecord:
    """The verdict as the manifest carries it, every finding with its score and threshold.

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
                name=f.name,
                score=f.score,
                threshold=f.threshold,
                allowed=f.allowed,
                binding=f.binding,
            )
            for f in verdict.findings
        ),
    )
