"""Signing: what comes back is trusted, says exactly the claim, holds these pixels; or nothing comes back."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from provenance_samples import MEDIA, PROMPT, SALT, claim_for, digest, encode, picture, signed

from castmark_provenance.authority import keygen
from castmark_provenance.claim import Claim, PromptRecord, SafetyRecord
from castmark_provenance.errors import KeyMismatch, PixelMismatch, SignError
from castmark_provenance.keys import CallbackKey, PemKey
from castmark_provenance.manifest import canonical, to_manifest
from castmark_provenance.report import State
from castmark_provenance.sign import sign
from castmark_provenance.verify import verify


@pytest.mark.parametrize("kind", MEDIA)
def test_what_is_signed_reads_back_as_it_was_claimed(kind: str, key: PemKey) -> None:
    claim = claim_for(picture())
    report = verify(signed(key, kind=kind), trust=key.anchors)
    assert report.state is State.TRUSTED
    assert report.claim == canonical(claim)
    assert report.claim.model_copy(update={"safety": claim.safety}) == claim, "only scores are rounded"
    for read, said in zip(report.claim.safety.findings, claim.safety.findings, strict=True):
        assert read.score == pytest.approx(said.score, rel=1e-11)
    assert report.generator == "Castmark 0.1.0"


def test_the_prompt_stays_private_unless_disclosed(key: PemKey) -> None:
    image = picture()
    private = signed(key)
    assert PROMPT.encode() not in private
    for word in ("secret", "mira at", SALT):
        assert word.encode() not in private
    record = verify(private, trust=key.anchors).claim.prompt
    assert record == PromptRecord.of(PROMPT, SALT), "its owner can prove it"
    open_claim = claim_for(image, prompt=PromptRecord.of(PROMPT, SALT, disclose=True))
    assert PROMPT.encode() in sign(encode(image), "image/png", open_claim, key)


def test_pixels_other_than_the_checked_ones_are_refused(key: PemKey) -> None:
    image, other = picture(0), picture(1)
    with pytest.raises(PixelMismatch, match="not those its safety check saw"):
        sign(encode(other), "image/png", claim_for(image), key)
    with pytest.raises(PixelMismatch, match="48x32 and its claim says 49x32"):
        sign(encode(image), "image/png", claim_for(image, width=49), key)
    with pytest.raises(SignError, match="mode L"):
        sign(encode(image.convert("L")), "image/png", claim_for(image), key)


def test_a_small_part_of_a_lossy_file_may_not_differ(key: PemKey) -> None:
    """One block painted over is within the mean difference, and still another picture."""
    image = picture(size=(256, 256))
    changed = image.copy()
    changed.paste((255, 0, 0), (96, 96, 112, 112))
    with pytest.raises(PixelMismatch, match="in a block"):
        sign(encode(changed, "JPEG"), "image/jpeg", claim_for(image), key, pixels=image.tobytes())
    assert sign(encode(image, "JPEG"), "image/jpeg", claim_for(image), key, pixels=image.tobytes())


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_the_rule_for_lossy_files(kind: str, key: PemKey) -> None:
    image, other = picture(0), picture(1)
    claim, media_type = claim_for(image), MEDIA[kind]
    with pytest.raises(PixelMismatch, match="needs the checked pixels"):
        sign(encode(image, kind), media_type, claim, key)
    with pytest.raises(PixelMismatch, match="pixels given are not those"):
        sign(encode(other, kind), media_type, claim, key, pixels=other.tobytes())
    with pytest.raises(PixelMismatch, match="differs from the checked pixels"):
        sign(encode(other, kind), media_type, claim, key, pixels=image.tobytes())
    with pytest.raises(PixelMismatch, match="bytes of pixels"):
        sign(encode(image, kind), media_type, claim, key, pixels=image.tobytes()[:-1])
    lossless = sign(encode(image, "WEBP", lossless=True), "image/webp", claim, key)
    assert verify(lossless, trust=key.anchors).check("pixels").outcome == "passed"
    lossy = sign(encode(image, kind), media_type, claim, key, pixels=image.tobytes())
    assert verify(lossy, trust=key.anchors).check("pixels").outcome == "not checked"


def test_what_cannot_be_signed(key: PemKey, png: bytes) -> None:
    image = picture()
    with pytest.raises(SignError, match="'image/gif' cannot be signed"):
        sign(encode(image, "GIF"), "image/gif", claim_for(image), key)
    with pytest.raises(SignError, match="no image/jpeg file"):
        sign(encode(image), "image/jpeg", claim_for(image), key)
    with pytest.raises(SignError, match="a manifest already"):
        sign(png, "image/png", claim_for(image), key)
    with pytest.raises(SignError, match="cannot be decoded"):
        sign(encode(image)[:60], "image/png", claim_for(image), key)


def test_a_key_under_another_root_yields_no_bytes(key: PemKey, stranger: PemKey) -> None:
    confused = CallbackKey(chain=key.chain, anchors=stranger.anchors, callback=key.sign)
    with pytest.raises(SignError, match=r"own root|did not sign"):
        signed(confused)


@pytest.mark.parametrize("damage", ["source type", "digest", "score"])
def test_a_manifest_gone_wrong_yields_no_bytes(
    damage: str, key: PemKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(claim: Claim, **options: Any) -> dict[str, Any]:
        manifest = to_manifest(claim, **options)
        bodies = {a["label"]: a["data"] for a in manifest["assertions"]}
        if damage == "source type":
            bodies["c2pa.actions.v2"]["actions"][0]["digitalSourceType"] = "http://example.org/other"
        elif damage == "digest":
            bodies["org.castmark.generation"]["shot_key"] = digest("other")
        else:
            bodies["org.castmark.safety"]["findings"][0]["score"] += 1e-6
        return manifest

    monkeypatch.setattr(sys.modules["castmark_provenance.sign"], "to_manifest", wrong)
    with pytest.raises(SignError):
        signed(key)


SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
MALFORMED: dict[str, Callable[[list[dict[str, Any]]], object]] = {
    "no source type": lambda actions: actions[0].pop("digitalSourceType"),
    "no action": lambda actions: actions.clear(),
    "created later": lambda actions: actions.insert(0, {"action": "c2pa.edited"}),
    "created twice": lambda actions: actions.append(
        {"action": "c2pa.created", "digitalSourceType": SOURCE_TYPE}
    ),
    "opened without a parent": lambda actions: actions[0].update(action="c2pa.opened"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_what_the_library_would_refuse_after_signing_is_refused(
    name: str, key: PemKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own look at the result is turned off, as ours does more: nothing may get past that."""

    def malformed(claim: Claim, **options: Any) -> dict[str, Any]:
        manifest = to_manifest(claim, **options)
        actions = next(a for a in manifest["assertions"] if a["label"] == "c2pa.actions.v2")
        MALFORMED[name](actions["data"]["actions"])
        return manifest

    monkeypatch.setattr(sys.modules["castmark_provenance.sign"], "to_manifest", malformed)
    with pytest.raises(SignError, match="does not read back"):
        signed(key)


def test_a_safety_record_that_forbids_is_never_signed(key: PemKey) -> None:
    image = picture()
    safety = claim_for(image).safety
    refused = safety.findings[0].model_copy(update={"allowed": False})
    for findings, words in (
        ([refused, *safety.findings[1:]], "forbids the image"),
        (safety.findings[1:], "L0 integrity was not checked"),
        (safety.findings[:1], "L1 prompt was not checked; L2 image was not checked"),
    ):
        bad = SafetyRecord.model_validate({**safety.model_dump(), "findings": findings})
        with pytest.raises(SignError, match=words):
            sign(encode(image), "image/png", claim_for(image, safety=bad), key)


def test_signing_elsewhere_through_a_callback(key: PemKey, stranger: PemKey) -> None:
    threads: set[int] = set()

    def remote(data: bytes) -> bytes:
        threads.add(threading.get_ident())
        return key.sign(data)

    elsewhere = CallbackKey(chain=key.chain, anchors=key.anchors, callback=remote)
    assert verify(signed(elsewhere), trust=key.anchors).state is State.TRUSTED
    assert threads

    def down(data: bytes) -> bytes:
        raise ConnectionError("the key service does not answer")

    with pytest.raises(SignError, match="key service does not answer") as caught:
        signed(CallbackKey(chain=key.chain, anchors=key.anchors, callback=down))
    assert isinstance(caught.value.__cause__, ConnectionError)
    with pytest.raises(SignError, match="callback's signature does not verify") as caught:
        signed(CallbackKey(chain=key.chain, anchors=key.anchors, callback=stranger.sign))
    assert isinstance(caught.value.__cause__, KeyMismatch)


@pytest.mark.parametrize("algorithm", ["es384", "ed25519"])
def test_other_kinds_of_key(algorithm: str, tmp_path: Path) -> None:
    folder = keygen(tmp_path / "keys", algorithm=algorithm)
    key = PemKey.load_folder(folder)
    assert key.algorithm == algorithm
    assert verify(signed(key), trust=key.anchors).state is State.TRUSTED
    elsewhere = CallbackKey(chain=key.chain, anchors=key.anchors, callback=key.sign)
    assert verify(signed(elsewhere), trust=key.anchors).state is State.TRUSTED
    certificate = x509.load_pem_x509_certificates(key.chain.encode())[0]
    assert certificate.not_valid_after_utc == key.not_after


def test_several_threads_share_one_key(key: PemKey) -> None:
    with ThreadPoolExecutor(4) as pool:
        images = list(pool.map(lambda seed: signed(key, seed), range(12)))
    assert [verify(image, trust=key.anchors).state for image in images] == [State.TRUSTED] * 12
    assert len(set(images)) == 12


def test_bytes_added_stay_small(key: PemKey, png: bytes) -> None:
    assert len(png) - len(encode(picture())) < 16 * 1024
