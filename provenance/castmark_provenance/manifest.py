"""Claim -> C2PA manifest definition, and back: the only file that knows C2PA's labels.

Written for the C2PA specification 2.4:

    c2pa.actions.v2            c2pa.created, trainedAlgorithmicMedia, linked to every ingredient
                               (from a start image: compositeWithTrainedAlgorithmicMedia)
    c2pa.ingredient.v3         the base, LoRA, adapter and references, as inputTo; a start image, as parentOf
    c2pa.ai-disclosure         model type, name and digest
    cawg.training-mining       the wish about training on the image
    org.castmark.generation    seed, steps, size, settings, digests of everything it was made from
    org.castmark.safety        the check's whole record: digests of the pixels it saw, of policy, checker and
                               calibration, and every finding
    org.castmark.container     for AVIF only: the digest of the file type box, which no C2PA hash covers

Scores are signed to 12 significant digits: JSON readers differ in the last bit of longer ones.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from pydantic import ValidationError

from castmark_provenance.claim import Claim, IngredientRecord
from castmark_provenance.errors import ClaimError
from castmark_provenance.tree import found, record, records, text

SPEC_VERSION = "2.4.0"
DIGITS = 12

ACTIONS = "c2pa.actions.v2"
CREATED = "c2pa.created"
INGREDIENT = "c2pa.ingredient.v3"
AI_DISCLOSURE = "c2pa.ai-disclosure"
TRAINING_MINING = "cawg.training-mining"
GENERATION = "org.castmark.generation"
SAFETY = "org.castmark.safety"
CONTAINER = "org.castmark.container"

SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
TRAINED = SOURCE_TYPES + "trainedAlgorithmicMedia"
COMPOSITE = SOURCE_TYPES + "compositeWithTrainedAlgorithmicMedia"
MODEL_TYPE = "c2pa.types.model.pytorch"
_INGREDIENT_FIELDS = ("relationship", "instanceID", "dc:title", "dc:format", "description")
MINING_USES = ("cawg.ai_inference", "cawg.ai_generative_training", "cawg.ai_training", "cawg.data_mining")

# What another generator may sign; a name outside these is refused, however well it is signed.
KNOWN_LABELS = frozenset(
    {
        "c2pa.actions", ACTIONS, INGREDIENT, "c2pa.hash.data", AI_DISCLOSURE, TRAINING_MINING,
        GENERATION, SAFETY,
        "c2pa.asset-ref", "c2pa.asset-type", "c2pa.certificate-status", "c2pa.cloud-data",
        "c2pa.depthmap.GDepth", "c2pa.embedded-data", "c2pa.external-reference",
        "c2pa.hash.bmff.v2", "c2pa.hash.bmff.v3",
        "c2pa.hash.boxes", "c2pa.hash.collection.data", "c2pa.icon", "c2pa.ingredient", "c2pa.ingredient.v2",
        "c2pa.metadata", "c2pa.session-keys", "c2pa.soft-binding", "c2pa.thumbnail.claim",
        "c2pa.thumbnail.ingredient", "c2pa.time-stamp", "c2pa.training-mining",
    }
)  # fmt: skip
KNOWN_ACTIONS = frozenset(
    f"c2pa.{name}"
    for name in (
        "addedText", "adjustedColor", "changedSpeed", "color_adjustments", "converted", "copied", "created",
        "cropped", "deleted", "drawing", "dubbed", "edited", "edited.metadata", "enhanced", "filtered",
        "formatted", "managed", "mastered", "mixed", "opened", "orientation", "placed", "printed", "produced",
        "published", "redacted", "remixed", "removed", "repackaged", "resized", "resized.proportional",
        "saved", "transcoded", "translated", "trimmed", "unknown", "version_updated", "watermarked",
        "watermarked.bound", "watermarked.unbound",
    )
)  # fmt: skip
"""Those that older editions of the specification had too."""
KNOWN_SOURCE_TYPES = frozenset(
    SOURCE_TYPES + name
    for name in (
        "algorithmicMedia", "algorithmicallyEnhanced", "composite", "compositeCapture", "compositeSynthetic",
        "compositeWithTrainedAlgorithmicMedia", "computationalCapture", "dataDrivenMedia", "digitalArt",
        "digitalCapture", "digitalCreation", "humanEdits", "minorHumanEdits", "negativeFilm", "positiveFilm",
        "print", "screenCapture", "softwareImage", "trainedAlgorithmicMedia", "virtualRecording",
    )
) | {
    "http://c2pa.org/digitalsourcetype/empty",
    "http://c2pa.org/digitalsourcetype/trainedAlgorithmicData",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Addition:
    """A further assertion of the signer's own, such as ``c2pa.soft-binding``, and its action."""

    label: str
    data: Mapping[str, Any]
    action: Mapping[str, Any] | None = None


def canonical(claim: Claim) -> Claim:
    """The claim as a manifest can carry it: every float rounded to 12 significant digits."""
    body = _rounded(claim.model_dump())
    return Claim.model_validate(body)


def to_manifest(claim: Claim, *, header: bytes = b"", additions: Sequence[Addition] = ()) -> dict[str, Any]:
    """The manifest definition that says ``claim`` in C2PA's words, for ``c2pa.Builder``.

    ``header`` are bytes of the container that the file's hash cannot cover (`containers.located`).
    """
    ingredients = [_ingredient_id(i, source) for i, source in enumerate(sources(claim))]
    agent = {"name": claim.generator, "version": claim.generator_version}
    created = {
        "action": CREATED,
        "digitalSourceType": _source_type(claim),
        "when": claim.created.isoformat(),
        "softwareAgent": agent,
        "parameters": {"ingredientIds": ingredients},
    }
    model = {
        "modelType": MODEL_TYPE,
        "modelName": claim.base.name,
        "modelIdentifier": f"sha256:{claim.base.sha256}",
    }
    generation = _rounded(
        claim.model_dump(
            mode="json",
            exclude={"title", "created", "generator", "generator_version", "safety", "training_mining"},
            exclude_none=True,
        )
    )
    safety = _rounded(claim.safety.model_dump(mode="json", exclude_none=True))
    mining = {name: {"use": claim.training_mining} for name in MINING_USES}
    further = [dict(addition.action) for addition in additions if addition.action is not None]
    container = {"header_sha256": hashlib.sha256(header).hexdigest()}
    return {
        "claim_generator_info": [{**agent, "specVersion": SPEC_VERSION}],
        "title": claim.title,
        "ingredients": [
            {
                "title": source.title,
                "format": source.media_type,
                "relationship": _relationship(source),
                "description": source.role,
                "instance_id": identifier,
                "label": identifier,
            }
            for identifier, source in zip(ingredients, sources(claim), strict=True)
        ],
        "assertions": [
            _created(ACTIONS, {"actions": [created, *further], "allActionsIncluded": True}),
            _created(AI_DISCLOSURE, model),
            _created(TRAINING_MINING, {"entries": mining}),
            _created(GENERATION, generation),
            _created(SAFETY, safety),
            *([_created(CONTAINER, container)] if header else []),
            *(_created(addition.label, addition.data) for addition in additions),
        ],
    }


def sources(claim: Claim) -> tuple[IngredientRecord, ...]:
    """Everything the image was made from, the base first."""
    base = IngredientRecord(title=claim.base.name, role="model", sha256=claim.base.sha256)
    return (base, *claim.ingredients)


def from_manifest(manifest: Mapping[str, Any]) -> Claim | None:
    """The claim that an active manifest (c2pa-rs's detailed JSON) holds, or None if it holds none of ours.

    Raises:
        ClaimError: it holds one of our assertions, and not a whole readable claim.
    """
    store = assertions(manifest)
    if GENERATION not in store and SAFETY not in store:
        return None
    try:
        facts = dict(manifest["claim"])
        generator = facts["claim_generator_info"]
        action = store[ACTIONS]["actions"][0]
        uses = {entry["use"] for entry in store[TRAINING_MINING]["entries"].values()}
        (use,) = uses  # one wish for all four, or it is not a manifest of ours
        body = {
            **store[GENERATION],
            "title": facts["dc:title"],
            "created": datetime.fromisoformat(action["when"]),
            "generator": generator["name"],
            "generator_version": generator["version"],
            "safety": store[SAFETY],
            "training_mining": use,
        }
        return canonical(Claim.model_validate(body))
    except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
        what = (
            _first_problem(error)
            if isinstance(error, ValidationError)
            else f"{type(error).__name__}: {error}"
        )
        raise ClaimError(f"the manifest's Castmark record cannot be read ({what})") from error


def assertions(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The assertion store of a manifest, by label."""
    return record(manifest.get("assertion_store"))


def reachable(manifests: Mapping[str, Any], active: str) -> set[str]:
    """Labels of the manifests that ingredients lead to, from the active one on, itself included."""
    seen: set[str] = set()
    ahead = [active]
    while ahead:
        label = ahead.pop()
        if label in seen or label not in manifests:
            continue
        seen.add(label)
        for name in ("activeManifest", "c2pa_manifest"):
            for reference in found(assertions(record(manifests[label])), name):
                ahead.append(str(record(reference).get("url")).rpartition("/c2pa/")[2])
    return seen


def vocabulary_problems(manifest: Mapping[str, Any]) -> list[str]:
    """Labels and actions of C2PA that do not exist, and source types outside the IPTC vocabulary."""
    problems: list[str] = []
    for label, body in assertions(manifest).items():
        plain = re.sub(r"__\d+$", "", label)
        known = plain in KNOWN_LABELS or plain.startswith(
            ("c2pa.thumbnail.claim.", "c2pa.thumbnail.ingredient.")
        )
        if plain.startswith("c2pa.") and not known:
            problems.append(f"there is no assertion {plain!r}")
        if plain.startswith("c2pa.actions"):
            for action in _actions(body):
                name = text(action.get("action")) or ""
                if name.startswith("c2pa.") and name not in KNOWN_ACTIONS:
                    problems.append(f"there is no action {name!r}")
            for source in found(body, "digitalSourceType"):
                if text(source) not in KNOWN_SOURCE_TYPES:
                    problems.append(f"there is no digital source type {source!r}")
    return problems


def disclosure_problems(manifest: Mapping[str, Any]) -> list[str]:
    """What keeps the manifest from saying plainly that a trained model made the image."""
    store = assertions(manifest)
    actions = _actions(store.get(ACTIONS))
    problems: list[str] = []
    first = actions[0] if actions else {}
    if first.get("action") != CREATED or first.get("digitalSourceType") not in (TRAINED, COMPOSITE):
        problems.append("the first action is not c2pa.created by a trained model")
    elif record(store[ACTIONS]).get("allActionsIncluded") is not True:
        problems.append("the list of actions does not say that it is complete")
    created = records(record(manifest.get("claim")).get("created_assertions"))
    if not any(str(reference.get("url")).endswith(f"/{ACTIONS}") for reference in created):
        problems.append("the actions are not among what the signer itself created")
    if AI_DISCLOSURE not in store:
        problems.append(f"no {AI_DISCLOSURE} assertion")
    return problems


def ingredient_problems(manifest: Mapping[str, Any], claim: Claim) -> list[str]:
    """Where the ingredients, their links from the created action and the signed digests do not agree."""
    store = assertions(manifest)
    listed = {k: record(v) for k, v in store.items() if re.fullmatch(rf"{re.escape(INGREDIENT)}(__\d+)?", k)}
    there = sorted(
        tuple(text(body.get(name)) or "" for name in _INGREDIENT_FIELDS) for body in listed.values()
    )
    wanted = sorted(
        (_relationship(source), _ingredient_id(i, source), source.title, source.media_type, source.role)
        for i, source in enumerate(sources(claim))
    )
    problems = [f"no ingredient for {source[1]}" for source in wanted if source not in there]
    problems += [f"an ingredient outside the record: {body[1]}" for body in there if body not in wanted]
    if len(there) != len(wanted) and not problems:
        problems.append("an ingredient is listed twice")
    first = (_actions(store.get(ACTIONS)) or [{}])[0]
    links = records(record(first.get("parameters")).get("ingredients"))
    linked = {str(link.get("url")).rsplit("/", 1)[-1] for link in links}
    problems += [f"{label} is not linked from the created action" for label in sorted(set(listed) - linked)]
    if first.get("digitalSourceType") != _source_type(claim):
        problems.append("the source type does not fit what the image was made from")
    disclosed = record(store.get(AI_DISCLOSURE)).get("modelIdentifier")
    if disclosed != f"sha256:{claim.base.sha256}":
        problems.append("the disclosed model is not the recorded base")
    return problems


def _created(label: str, data: Mapping[str, Any]) -> dict[str, Any]:
    return {"label": label, "created": True, "data": data}


def _ingredient_id(index: int, source: IngredientRecord) -> str:
    return f"urn:castmark:{index}:{source.role}:sha256:{source.sha256}"


def _relationship(source: IngredientRecord) -> str:
    return "parentOf" if source.role == "start" else "inputTo"


def _source_type(claim: Claim) -> str:
    return COMPOSITE if any(source.role == "start" for source in claim.ingredients) else TRAINED


def _actions(body: object) -> list[dict[str, Any]]:
    return records(record(body).get("actions"))


def _rounded(value: Any) -> Any:
    """Floats to 12 significant digits, everywhere inside."""
    if isinstance(value, float):
        return float(f"{value:.{DIGITS - 1}e}")
    if isinstance(value, dict):
        return {k: _rounded(v) for k, v in cast(dict[str, Any], value).items()}
    if isinstance(value, list | tuple):
        return [_rounded(v) for v in cast(Sequence[Any], value)]
    return value


def _first_problem(error: ValidationError) -> str:
    problem = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(str(p) for p in problem['loc'])}: {problem['msg']}"
