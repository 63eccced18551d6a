"""Claim -> manifest -> claim, and what the manifest says in C2PA's words."""

from __future__ import annotations

import io
import json
from typing import Any

import c2pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from provenance_samples import PROMPT, SALT, claim_for, digest, encode, picture
from pydantic import ValidationError

from castmark_provenance.claim import Claim, IngredientRecord, PromptRecord, new_salt
from castmark_provenance.errors import ClaimError, SignError
from castmark_provenance.keys import PemKey
from castmark_provenance.manifest import Addition, canonical, from_manifest
from castmark_provenance.report import State
from castmark_provenance.sign import sign
from castmark_provenance.verify import verify


def active(data: bytes) -> dict[str, Any]:
    with c2pa.Reader("image/png", io.BytesIO(data)) as reader:
        store = json.loads(reader.detailed_json())
    return store["manifests"][store["active_manifest"]]


def test_it_says_what_the_specification_asks_of_generated_media(png: bytes) -> None:
    manifest = active(png)
    store = manifest["assertion_store"]
    assert manifest["claim"]["claim_version"] == 2
    assert manifest["claim"]["claim_generator_info"]["specVersion"] == "2.4.0"
    assert "gathered_assertions" not in manifest["claim"], "the signer stands for all of it"
    created = {reference["url"].rsplit("/", 1)[-1] for reference in manifest["claim"]["created_assertions"]}
    assert created == set(store)
    first = store["c2pa.actions.v2"]["actions"][0]
    assert store["c2pa.actions.v2"]["allActionsIncluded"] is True
    assert first["action"] == "c2pa.created"
    assert first["digitalSourceType"].endswith("/trainedAlgorithmicMedia")
    linked = {reference["url"].rsplit("/", 1)[-1] for reference in first["parameters"]["ingredients"]}
    ingredients = {label: body for label, body in store.items() if label.startswith("c2pa.ingredient.v3")}
    assert linked == set(ingredients)
    assert {body["relationship"] for body in ingredients.values()} == {"inputTo"}
    digests = {body["instanceID"].rsplit(":", 1)[-1] for body in ingredients.values()}
    assert digests == {digest(name) for name in ("base", "ref 1", "ref 2", "lora", "adapter")}
    assert store["c2pa.ai-disclosure"]["modelIdentifier"] == f"sha256:{digest('base')}"
    assert {use["use"] for use in store["cawg.training-mining"]["entries"].values()} == {"notAllowed"}
    assert not any("thumbnail" in label for label in store)
    assert len(store["org.castmark.safety"]["findings"]) == 4


@pytest.mark.parametrize("use", ["allowed", "notAllowed"])
def test_optional_parts(use: str, key: PemKey) -> None:
    image = picture()
    claim = claim_for(image, ingredients=(), training_mining=use, settings={}, title="größe ✓ \u202e")
    report = verify(sign(encode(image), "image/png", claim, key), trust=key.anchors)
    assert report.claim == canonical(claim)
    assert report.check("ingredients").outcome == "passed", "the base is one"


def test_twenty_ingredients_of_one_title(key: PemKey) -> None:
    image = picture()
    many = tuple(
        IngredientRecord(title="ref.png", role="reference", sha256=digest("same")) for _ in range(20)
    )
    claim = claim_for(image, ingredients=many)
    assert verify(sign(encode(image), "image/png", claim, key), trust=key.anchors).claim == canonical(claim)


names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
numbers = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    settings_map=st.dictionaries(names, names | numbers, max_size=5), score=st.floats(-1e9, 1e9), title=names
)
def test_whatever_is_claimed_reads_back_or_is_refused(
    settings_map: dict[str, str | int | float], score: float, title: str, key: PemKey
) -> None:
    image = picture()
    claim = claim_for(image)
    first, *others = claim.safety.findings
    findings = (first.model_copy(update={"score": score}), *others)
    safety = claim.safety.model_copy(update={"findings": findings})
    claim = claim_for(image, settings=settings_map, safety=safety, title=title)
    try:
        data = sign(encode(image), "image/png", claim, key)
    except SignError as error:
        assert "does not say what it was given" in str(error)
        return
    assert verify(data, trust=key.anchors).claim == canonical(claim)


def test_what_cannot_be_claimed() -> None:
    image = picture()
    finding = claim_for(image).safety.findings[0].model_dump()
    for bad in (float("nan"), float("inf")):
        with pytest.raises(ValidationError):
            type(claim_for(image).safety.findings[0]).model_validate({**finding, "score": bad})
    with pytest.raises(ValidationError, match="time zone"):
        claim_for(image, created="2026-11-21T00:00:00")
    with pytest.raises(ValidationError):
        claim_for(image, shot_key="short")
    with pytest.raises(ValidationError):
        claim_for(image, verified=True)


def test_the_salted_hash() -> None:
    assert PromptRecord.of(PROMPT, SALT).text is None
    assert PromptRecord.of(PROMPT, SALT) != PromptRecord.of(PROMPT, new_salt())
    assert len({new_salt() for _ in range(50)}) == 50


def test_a_manifest_of_others_and_a_broken_one_of_ours(png: bytes) -> None:
    assert from_manifest({}) is None
    assert from_manifest({"assertion_store": {"c2pa.actions.v2": {}}}) is None
    assert from_manifest({"assertion_store": "nonsense"}) is None
    good = active(png)
    assert isinstance(from_manifest(good), Claim)
    for label in (
        "org.castmark.generation",
        "org.castmark.safety",
        "c2pa.actions.v2",
        "cawg.training-mining",
    ):
        for body in ({}, [], None, 7, "text", {"actions": 3}, {"entries": {"a": {"use": "x"}, "b": {}}}):
            broken = {**good, "assertion_store": {**good["assertion_store"], label: body}}
            with pytest.raises(ClaimError):
                from_manifest(broken)


def test_a_start_image_is_the_parent(key: PemKey) -> None:
    image = picture()
    start = IngredientRecord(title="start 1", role="start", sha256=digest("start"), media_type="image/png")
    claim = claim_for(image, ingredients=(start,))
    data = sign(encode(image), "image/png", claim, key)
    store = active(data)["assertion_store"]
    first = store["c2pa.actions.v2"]["actions"][0]
    assert first["digitalSourceType"].endswith("/compositeWithTrainedAlgorithmicMedia")
    ingredients = [body for label, body in store.items() if label.startswith("c2pa.ingredient.v3")]
    assert {body["relationship"] for body in ingredients} == {"inputTo", "parentOf"}
    report = verify(data, trust=key.anchors, require=["ai_disclosure", "ingredients"])
    assert (report.state, report.claim) == (State.TRUSTED, canonical(claim))


def test_an_addition_is_signed_with_its_action(key: PemKey) -> None:
    """The seam for soft bindings: the caller's own assertion and action, beside ours."""
    image = picture()
    addition = Addition(
        label="org.example.note", data={"about": "a picture"}, action={"action": "c2pa.edited"}
    )
    data = sign(encode(image), "image/png", claim_for(image), key, additions=[addition])
    store = active(data)["assertion_store"]
    assert store["org.example.note"] == {"about": "a picture"}
    assert [action["action"] for action in store["c2pa.actions.v2"]["actions"]] == [
        "c2pa.created",
        "c2pa.edited",
    ]
    assert verify(data, trust=key.anchors).state is State.TRUSTED
