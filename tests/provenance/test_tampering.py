"""What the C2PA library passes as trusted and this verifier does not; and every byte of a file."""

from __future__ import annotations

import functools
import io
import random
import re
from collections.abc import Callable
from typing import Any

import c2pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from provenance_samples import (
    MEDIA,
    chunks,
    claim_for,
    edit_store,
    encode,
    join,
    picture,
    signed,
    store_of,
    with_store,
)

from castmark_provenance.containers import locate
from castmark_provenance.jumbf import UUID_TAIL, parse_store
from castmark_provenance.keys import PemKey
from castmark_provenance.manifest import to_manifest
from castmark_provenance.report import Report, State
from castmark_provenance.trust import TRUST_CONFIG
from castmark_provenance.verify import verify


def library_says(data: bytes, key: PemKey, media_type: str = "image/png") -> str | None:
    trust = {"user_anchors": key.anchors, "trust_config": TRUST_CONFIG}
    context = c2pa.Context.from_dict({"verify": {"remote_manifest_fetch": False}, "trust": trust})
    with c2pa.Reader(media_type, io.BytesIO(data), context=context) as reader:
        return reader.get_validation_state()


def sign_manifest(
    key: PemKey,
    edit: Callable[[dict[str, Any]], object],
    ingredients: list[tuple[dict[str, Any], bytes]] | None = None,
) -> bytes:
    """An image whose manifest the key's owner edited before signing: trusted, as far as the library goes."""
    image = picture()
    manifest = to_manifest(claim_for(image))
    edit(manifest)
    info = c2pa.C2paSignerInfo(key.algorithm.encode(), key.chain.encode(), key.private_pem(), None)
    settings = {
        "verify": {"verify_after_sign": False},
        "trust": {"user_anchors": key.anchors, "trust_config": TRUST_CONFIG},
        "builder": {"thumbnail": {"enabled": False}},
    }
    context = c2pa.Context.from_dict(settings, signer=c2pa.Signer.from_info(info))
    out = io.BytesIO()
    with c2pa.Builder(manifest, context=context) as builder:
        for definition, data in ingredients or []:
            builder.add_ingredient(definition, "image/png", io.BytesIO(data))
        builder.sign("image/png", io.BytesIO(encode(image)), out)
    return out.getvalue()


def assertion(manifest: dict[str, Any], label: str) -> dict[str, Any]:
    return next(a["data"] for a in manifest["assertions"] if a["label"] == label)


def failed(report: Report) -> set[str]:
    return {check.name for check in report.checks if check.outcome == "failed"}


def padding_at(png: bytes) -> int:
    """Where the zeros of the COSE padding lie in the store."""
    store = store_of(png)
    found = max(re.finditer(rb"\0{64,}", store), key=lambda match: match.end() - match.start())
    return found.start() + 40


def test_bytes_hidden_in_the_padding(png: bytes, key: PemKey) -> None:
    at, store = padding_at(png), store_of(png)
    hidden = with_store(png, store[:at] + b"hidden" + store[at + 6 :])
    assert library_says(hidden, key) == "Trusted"
    report = verify(hidden)
    assert (report.state, failed(report)) == (State.INVALID, {"layout"})
    assert "hidden in the signature's unsigned pad" in report.verdict
    assert report.claim is None


def test_crc_of_the_manifest_chunk(png: bytes, key: PemKey) -> None:
    (located,) = locate(png, "image/png")
    at = located.start + located.length - 1
    broken = png[:at] + bytes([png[at] ^ 1]) + png[at + 1 :]
    assert library_says(broken, key) == "Trusted"
    assert failed(verify(broken)) == {"layout"}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"\x13c2pa.actions.v2\0", b"\x17c2pa.actions.v2\0"),
        (b"\x13org.castmark.safety\0", b"\xfforg.castmark.safety\0"),
        (b"\x13org.castmark.safety\0", b"\x13orG.castmark.safety\0"),
        (b"\x03c2pa.claim.v2\0", b"\x0bc2pa.claim.v2\0"),
        (b"\x03c2pa.signature\0", b"\x07c2pa.signature\0"),
        (b"\x03c2pa.assertions\0", b"\x83c2pa.assertions\0"),
    ],
)
def test_box_toggles_with_a_right_crc(old: bytes, new: bytes, png: bytes) -> None:
    assert verify(edit_store(png, old, new)).state is State.INVALID


def test_an_ingredient_that_is_not_intact(key: PemKey, png: bytes) -> None:
    at = png.index(b"IDAT") + 10
    tampered = png[:at] + bytes([png[at] ^ 1]) + png[at + 1 :]
    definition = {"title": "source.png", "relationship": "inputTo"}
    data = sign_manifest(key, lambda manifest: None, [(definition, tampered)])
    assert library_says(data, key) == "Trusted"
    report = verify(data, trust=key.anchors)
    assert (report.state, "ingredients" in failed(report)) == (State.INVALID, True)
    assert "not intact" in report.verdict


def test_an_intact_signed_ingredient_of_a_plain_manifest(key: PemKey, stranger: PemKey, png: bytes) -> None:
    """Two manifests in one store are fine where the second is an ingredient's, and intact."""

    def plain(manifest: dict[str, Any]) -> None:
        manifest["ingredients"] = []
        manifest["assertions"] = manifest["assertions"][:1]
        assertion(manifest, "c2pa.actions.v2")["actions"][0].pop("parameters")

    definition = {"title": "source.png", "relationship": "inputTo"}
    report = verify(sign_manifest(key, plain, [(definition, png)]), trust=key.anchors)
    assert (report.state, failed(report)) == (State.TRUSTED, set())
    assert report.claim is None, "an ingredient's claim is not the image's"
    assert report.check("safety_record").outcome == "absent"
    unknown = verify(sign_manifest(key, plain, [(definition, signed(stranger))]), trust=key.anchors)
    assert (unknown.state, unknown.check("ingredients").outcome) == (State.TRUSTED, "not checked")


def edit_source_type(manifest: dict[str, Any]) -> None:
    assertion(manifest, "c2pa.actions.v2")["actions"][0]["digitalSourceType"] = "bogus"


def edit_label(manifest: dict[str, Any]) -> None:
    manifest["assertions"].append({"label": "c2pa.invented", "data": {"x": 1}})


def edit_finding(manifest: dict[str, Any]) -> None:
    assertion(manifest, "org.castmark.safety")["findings"][1]["allowed"] = False


def edit_pixels(manifest: dict[str, Any]) -> None:
    assertion(manifest, "org.castmark.safety")["pixel_sha256"] = "0" * 64


def edit_base(manifest: dict[str, Any]) -> None:
    assertion(manifest, "org.castmark.generation")["base"]["sha256"] = "0" * 64


def edit_reference(manifest: dict[str, Any]) -> None:
    assertion(manifest, "org.castmark.generation")["ingredients"].pop()


def edit_record(manifest: dict[str, Any]) -> None:
    assertion(manifest, "org.castmark.generation")["seed"] = "seven"


def edit_size(manifest: dict[str, Any]) -> None:
    assertion(manifest, "org.castmark.generation")["width"] += 1


def drop_safety(manifest: dict[str, Any]) -> None:
    manifest["assertions"] = [a for a in manifest["assertions"] if a["label"] != "org.castmark.safety"]


@pytest.mark.parametrize(
    ("edit", "check"),
    [
        (edit_source_type, "vocabulary"),
        (edit_label, "vocabulary"),
        (edit_finding, "safety_record"),
        (edit_pixels, "pixels"),
        (edit_size, "pixels"),
        (edit_base, "ingredients"),
        (edit_reference, "ingredients"),
        (edit_record, "safety_record"),
        (drop_safety, "safety_record"),
    ],
)
def test_a_trusted_signer_who_contradicts_himself(
    edit: Callable[[dict[str, Any]], None], check: str, key: PemKey
) -> None:
    report = verify(sign_manifest(key, edit), trust=key.anchors)
    assert (report.state, check in failed(report)) == (State.INVALID, True), report.verdict


def test_no_ai_disclosure_is_absent_and_can_be_required(key: PemKey) -> None:
    def captured(manifest: dict[str, Any]) -> None:
        source = "http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture"
        action = {"action": "c2pa.created", "digitalSourceType": source}
        manifest.update(
            ingredients=[], assertions=[{"label": "c2pa.actions.v2", "data": {"actions": [action]}}]
        )

    data = sign_manifest(key, captured)
    assert verify(data, trust=key.anchors).state is State.TRUSTED
    assert verify(data, trust=key.anchors, require=["ai_disclosure"]).state is State.UNMET


@pytest.mark.parametrize("kind", MEDIA)
def test_no_changed_byte_of_the_manifest_is_trusted(kind: str, key: PemKey) -> None:
    """Hundreds of single bytes, in and around the manifest, each changed in a random way."""
    data = signed(key, kind=kind)
    (located,) = locate(data, MEDIA[kind])
    rng = random.Random(kind)
    inside = rng.sample(range(located.start, located.start + located.length), 80)
    toggles = [match.end() for match in re.finditer(re.escape(UUID_TAIL), data)]
    edges = [*range(located.start, located.start + 40), *range(12), *toggles]
    assert len(toggles) > 10
    survivors = []
    for at in {*inside, *edges}:
        changed = bytearray(data)
        changed[at] ^= rng.randrange(1, 256)
        report = verify(bytes(changed), trust=key.anchors)
        if report.state is not State.INVALID:
            survivors.append((at, report.state.value))
    assert survivors == []


@pytest.mark.parametrize("kind", MEDIA)
def test_no_single_bit_of_the_pixels_is_trusted(kind: str, key: PemKey) -> None:
    data = signed(key, kind=kind)
    (located,) = locate(data, MEDIA[kind])
    outside = [at for at in range(len(data)) if not 0 <= at - located.start < located.length]
    rng = random.Random(1)
    for at in rng.sample(outside, 40):
        changed = bytearray(data)
        changed[at] ^= 1 << rng.randrange(8)
        assert verify(bytes(changed), trust=key.anchors).state is State.INVALID, at


def test_a_store_grown_inside_its_chunk(png: bytes) -> None:
    assert verify(with_store(png, store_of(png) + b"\0" * 8)).state is State.INVALID
    size = len(store_of(png)) + 16
    grown = size.to_bytes(4, "big") + store_of(png)[4:] + b"\0\0\0\x10free" + b"secretly"
    assert verify(with_store(png, grown)).state is State.INVALID


def test_the_manifest_moved_to_another_place(png: bytes) -> None:
    parts = chunks(png)
    moved = join([parts[0], *parts[2:-1], parts[1], parts[-1]])
    assert verify(moved).state is State.INVALID


def test_bytes_hidden_in_an_unsigned_time_stamp(png: bytes) -> None:
    """A second unsigned header made from the padding's room, so that no length changes."""
    store = store_of(png)
    at = store.index(b"\xa1\x63pad\x59")
    room = int.from_bytes(store[at + 6 : at + 8], "big")
    shorter = room - 11 - 200
    header = b"\xa2\x63pad\x59" + shorter.to_bytes(2, "big") + bytes(shorter)
    for name in (b"sigTst2", b"another"):
        changed = store[:at] + header + b"\x67" + name + b"\x59\x00\xc8" + b"h" * 200 + store[at + 8 + room :]
        assert len(changed) == len(store)
        assert verify(with_store(png, changed)).state is State.INVALID


def test_assertions_in_another_order(png: bytes, key: PemKey) -> None:
    """Each is hashed, their order is not; and the library does not mind."""
    store = store_of(png)
    (manifest,) = parse_store(store)
    boxes = [(len(body) + 8).to_bytes(4, "big") + b"jumb" + body for body in manifest.assertions.values()]
    assert b"".join(boxes) in store
    changed = with_store(png, store.replace(boxes[0] + boxes[1], boxes[1] + boxes[0]))
    assert library_says(changed, key) == "Trusted"
    assert failed(verify(changed)) == {"layout"}


def test_a_store_of_a_thousand_manifests_is_not_worked_through(png: bytes) -> None:
    store = store_of(png)
    (manifest,) = parse_store(store)
    at = store.index(b"jumb", 8) - 4
    one = store[at:]
    label = manifest.label.encode()
    many = b"".join(one.replace(label, label[:-4] + b"%04d" % number) for number in range(1000)) + one
    report = verify(with_store(png, (at + len(many)).to_bytes(4, "big") + store[4:at] + many))
    assert "more than 100 manifests" in report.verdict


def test_a_manifest_of_any_shape_is_answered(stranger: PemKey) -> None:
    """A signer may put anything into assertions of our names; the answer is a report."""
    rng = random.Random(5)
    odd: list[Any] = [None, True, -1, 2**40, 1.5, "", "x" * 300, [], [[]], {}, {"a": [{"b": None}]}, "\u202e"]
    states = set()
    for _ in range(40):

        def edit(manifest: dict[str, Any]) -> None:
            for _ in range(rng.randrange(1, 4)):
                node: Any = rng.choice(manifest["assertions"])["data"]
                while isinstance(node, dict | list) and node:
                    place = rng.choice(list(node) if isinstance(node, dict) else range(len(node)))
                    if rng.random() < 0.4 or not isinstance(node[place], dict | list):
                        node[place] = rng.choice(odd)
                        break
                    node = node[place]

        try:
            data = sign_manifest(stranger, edit)
        except c2pa.C2paError:
            continue
        states.add(verify(data, trust=stranger.anchors).state)
    assert State.INVALID in states


@functools.cache
def _signed_once(key: PemKey, kind: str) -> bytes:
    return signed(key, kind=kind)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_garbage_is_answered_and_never_trusted(key: PemKey, data: st.DataObject) -> None:
    """Cuts, repeats and overwrites anywhere: an answer every time, and never trusted unless unchanged."""
    kind = data.draw(st.sampled_from(list(MEDIA)))
    original = _signed_once(key, kind)
    start = data.draw(st.integers(0, len(original)))
    end = data.draw(st.integers(start, len(original)))
    middle = data.draw(
        st.sampled_from([b"", original[start:end] * 2, b"\xff" * (end - start)]) | st.binary(max_size=40)
    )
    changed = original[:start] + middle + original[end:]
    report = verify(changed, trust=key.anchors)
    assert report.state is not State.UNTRUSTED
    assert (report.state is State.TRUSTED) == (changed == original)
