"""A stripped copy leads back to its manifest, and a mark moved to another picture does not."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import ExtendedKeyUsageOID, ObjectIdentifier
from durable_samples import Pixels, drawing, encoded, jpeg, scaled, screenshot, signed_and_registered
from PIL import Image
from provenance_samples import claim_for, picture

from castmark_provenance.authority import keygen
from castmark_provenance.durable.errors import RegistryError
from castmark_provenance.durable.fingerprint import distance, fingerprint
from castmark_provenance.durable.layer import DurableLayer, Redrawing, recorded
from castmark_provenance.durable.recovery import look_up, recover
from castmark_provenance.durable.watermark import embed
from castmark_provenance.keys import PemKey
from castmark_provenance.manifest import to_manifest
from castmark_provenance.report import State
from castmark_provenance.sign import _sign, sign  # pyright: ignore[reportPrivateUsage]
from castmark_provenance.verify import verify


@pytest.fixture
def layer() -> DurableLayer:
    return DurableLayer.open()


def test_signed_pictures_stay_trusted_and_declare_both(layer: DurableLayer, key: PemKey) -> None:
    _, data = signed_and_registered(layer, key, drawing(0), "beach")
    report = verify(data, trust=key.anchors)
    assert report.state is State.TRUSTED, report.verdict


@pytest.mark.parametrize(
    "change",
    [jpeg, lambda p: scaled(p, 0.5), lambda p: p[26:, :-26], screenshot],
    ids=["JPEG 75", "half size", "crop", "screenshot"],
)
def test_a_stripped_copy_is_recovered(layer: DurableLayer, key: PemKey, change: object) -> None:
    assert callable(change)
    marked, _ = signed_and_registered(layer, key, drawing(0), "beach")
    signed_and_registered(layer, key, drawing(1), "forest")
    found = recover(encoded(change(marked)), trust=key.anchors)
    assert found is not None
    assert (found.by, found.entry.title, found.signer_problems) == ("watermark", "beach", ())
    assert found.claim.title == "beach"
    assert found.signer is not None


def test_without_its_mark_it_is_found_by_its_looks(layer: DurableLayer, key: PemKey) -> None:
    plain = drawing(0)
    signed_and_registered(layer, key, plain, "beach")
    signed_and_registered(layer, key, drawing(1), "forest")
    found = recover(encoded(jpeg(plain)), trust="")
    assert found is not None
    assert (found.by, found.watermark, found.entry.title) == ("fingerprint", None, "beach")
    assert found.signer_problems == ("signingCredential.untrusted",)


def test_a_mark_moved_to_another_picture_recovers_nothing(layer: DurableLayer, key: PemKey) -> None:
    signed_and_registered(layer, key, drawing(0), "beach")
    forged = embed(drawing(1), layer.identifier("shot key of beach"))
    found = look_up(encoded(forged), layer.registry, key.anchors)
    assert found.recovery is None
    assert "for another picture" in found.why


def test_strangers_are_not_recovered(layer: DurableLayer, key: PemKey) -> None:
    signed_and_registered(layer, key, drawing(0), "beach")
    assert "not in the registry" in look_up(encoded(embed(drawing(2), 5)), layer.registry, "").why
    assert recover(encoded(drawing(2)), registry=layer.registry, trust="") is None


def test_two_pictures_alike_are_not_guessed_between(layer: DurableLayer, key: PemKey) -> None:
    plain = drawing(0)
    signed_and_registered(layer, key, plain, "beach")
    signed_and_registered(layer, key, plain, "beach again")
    found = look_up(encoded(plain), layer.registry, key.anchors)
    assert found.recovery is None
    assert "several" in found.why


def test_signing_one_picture_often_hides_no_rival(layer: DurableLayer, key: PemKey) -> None:
    plain = drawing(0)
    looks = fingerprint(plain)
    away = {
        name: distance(looks, fingerprint(layer.mark(plain, f"shot key of {name}")[0])) for name in "abcd"
    }
    near, *_, far = sorted(away, key=away.__getitem__)
    signed_and_registered(layer, key, plain, far)
    for _ in range(4):
        signed_and_registered(layer, key, plain, near)
    found = look_up(encoded(plain), layer.registry, key.anchors)
    assert found.recovery is None
    assert "several" in found.why


@pytest.mark.parametrize(
    "lie",
    [
        {"title": "Breaking: real photo"},
        {"width": 257},
        {"pixel_sha256": "0" * 64},
        {"watermark": None},
        {"fingerprint": 1},
    ],
    ids=["title", "size", "pixels", "watermark", "fingerprint"],
)
def test_an_entry_that_says_something_else_than_its_manifest_is_not_believed(
    layer: DurableLayer, key: PemKey, lie: dict[str, object]
) -> None:
    marked, _ = signed_and_registered(layer, key, drawing(0), "beach")
    (entry,) = layer.registry.entries()
    if "fingerprint" in lie:
        lie = {"fingerprint": bytes([entry.fingerprint[0] ^ 1]) + entry.fingerprint[1:]}
    other = DurableLayer.open(layer.registry.file.with_name("other.sqlite"))
    other.registry.add(entry.model_copy(update=lie))
    unmarked = look_up(encoded(drawing(0)), other.registry, key.anchors)
    assert unmarked.recovery is None
    assert "than was signed" in unmarked.why
    assert look_up(encoded(marked), other.registry, key.anchors).recovery is None


def test_the_date_shown_is_the_one_that_was_signed(layer: DurableLayer, key: PemKey) -> None:
    marked, _ = signed_and_registered(layer, key, drawing(0), "beach")
    (entry,) = layer.registry.entries()
    layer.registry.close()
    layer.registry.file.unlink()
    DurableLayer.open().registry.add(
        entry.model_copy(update={"registered": datetime(2001, 2, 3, tzinfo=UTC)})
    )
    report = verify(encoded(jpeg(marked)), trust=key.anchors)
    assert report.state is State.RECOVERED
    assert "made 2026-11-21" in report.verdict
    assert "2001" not in report.verdict


def test_a_changed_manifest_in_the_registry_is_not_believed(layer: DurableLayer, key: PemKey) -> None:
    marked, _ = signed_and_registered(layer, key, drawing(0), "beach")
    (entry,) = layer.registry.entries()
    at = entry.manifest.index(b"beach")
    changed = entry.manifest[:at] + b"peach" + entry.manifest[at + 5 :]
    other = DurableLayer.open(layer.registry.file.with_name("other.sqlite"))
    other.registry.add(entry.model_copy(update={"manifest": changed}))
    found = look_up(encoded(jpeg(marked)), other.registry, key.anchors)
    assert found.recovery is None
    assert "cannot be used" in found.why


def test_the_signer_of_what_is_recovered_is_named(
    layer: DurableLayer, key: PemKey, tmp_path_factory: pytest.TempPathFactory
) -> None:
    stranger = PemKey.load_folder(keygen(tmp_path_factory.mktemp("stranger") / "k", name="Somebody else"))
    marked, _ = signed_and_registered(layer, stranger, drawing(3), "city")
    found = recover(encoded(marked), trust=key.anchors)
    assert found is not None
    assert found.signer_problems == ("signingCredential.untrusted",)
    assert found.signer is not None
    assert found.signer.common_name == "Somebody else"


def key_with_usage(folder: Path, usage: ObjectIdentifier) -> PemKey:
    """A key whose certificate is for ``usage`` alone, under a root of its own."""
    keys = keygen(folder / "keys")
    leaf, middle = x509.load_pem_x509_certificates((keys / "signer.pem").read_bytes())
    builder = (
        x509.CertificateBuilder(leaf.issuer, leaf.subject, leaf.public_key(), x509.random_serial_number())
        .not_valid_before(leaf.not_valid_before_utc)
        .not_valid_after(leaf.not_valid_after_utc)
    )
    for extension in leaf.extensions:
        own = isinstance(extension.value, x509.ExtendedKeyUsage)
        value = x509.ExtendedKeyUsage([usage]) if own else extension.value
        builder = builder.add_extension(value, extension.critical)
    issuer = serialization.load_pem_private_key((keys / "intermediate.key").read_bytes(), None)
    chain = (builder.sign(issuer, hashes.SHA256()), middle)
    (keys / "signer.pem").write_bytes(b"".join(c.public_bytes(serialization.Encoding.PEM) for c in chain))
    return PemKey.load_folder(keys)


@pytest.mark.parametrize("usage", [ExtendedKeyUsageOID.TIME_STAMPING, ExtendedKeyUsageOID.OCSP_SIGNING])
def test_no_anchor_vouches_for_a_signer_whose_certificate_is_for_other_uses(
    layer: DurableLayer, tmp_path: Path, usage: ObjectIdentifier
) -> None:
    other = key_with_usage(tmp_path, usage)
    marked, identifier = layer.mark(drawing(0), "shot")
    claim = claim_for(Image.fromarray(marked), title="beach")
    manifest = to_manifest(claim, additions=layer.additions(marked, identifier))
    data = _sign(encoded(marked), "image/png", manifest, other, room=False)  # our signer would refuse
    layer.register(data, "image/png", marked, identifier, "beach")
    found = recover(encoded(marked), trust=other.anchors)
    assert found is not None
    assert found.signer_problems == ("signingCredential.untrusted",)
    assert "no trust anchor vouches" in verify(encoded(marked), trust=other.anchors).verdict


def test_no_registry_and_no_picture_are_errors(layer: DurableLayer) -> None:
    with pytest.raises(ValueError, match="cannot identify"):
        recover(b"no picture", registry=layer.registry)
    layer.registry.close()
    layer.registry.file.unlink()
    with pytest.raises(RegistryError, match="no registry"):
        recover(encoded(drawing(0)))


def test_transparent_and_grey_copies(layer: DurableLayer, key: PemKey) -> None:
    marked, _ = signed_and_registered(layer, key, drawing(0), "beach")
    opaque = np.dstack([marked, np.full(marked.shape[:2], 255, np.uint8)])
    for copy in (opaque, np.asarray(marked @ np.array([0.299, 0.587, 0.114])).astype(np.uint8)):
        pixels: Pixels = copy
        found = recover(encoded(pixels), trust=key.anchors)
        assert found is not None
        assert found.entry.title == "beach"


def test_verify_says_recovered_never_trusted(layer: DurableLayer, key: PemKey) -> None:
    marked, _ = signed_and_registered(layer, key, drawing(0), "beach")
    report = verify(encoded(screenshot(marked), "JPEG"), trust=key.anchors)
    assert (report.state, report.exit_code) == (State.RECOVERED, 5)
    assert report.verdict.startswith("recovered: not trusted")
    assert "beach" in report.verdict
    assert report.remedy is not None
    assert report.claim is not None
    outcomes = {check.name: check.outcome for check in report.checks}
    assert outcomes["integrity"] == "not checked"
    assert outcomes["watermark"] == outcomes["fingerprint"] == outcomes["signer"] == "passed"
    said = f"{report.verdict} {report.remedy} {report.checks}".lower()
    assert "authentic" not in said
    assert "true" not in said.split()


def test_verify_without_a_find_stays_absent(layer: DurableLayer, key: PemKey) -> None:
    signed_and_registered(layer, key, drawing(0), "beach")
    report = verify(encoded(drawing(2)), trust=key.anchors)
    assert (report.state, report.exit_code) == (State.ABSENT, 4)
    layer.registry.close()
    layer.registry.file.write_bytes(b"damaged" * 300)
    report = verify(encoded(drawing(2)), trust=key.anchors)
    assert report.state is State.ABSENT
    assert {check.outcome for check in report.checks} == {"not checked"}


def test_a_whole_file_is_compared_where_asked(layer: DurableLayer, key: PemKey) -> None:
    marked, data = signed_and_registered(layer, key, drawing(0), "beach")
    asked = verify(data, trust=key.anchors, require=["watermark", "fingerprint"])
    assert asked.state is State.TRUSTED, asked.verdict
    unasked = verify(data, trust=key.anchors).check("watermark")
    assert unasked is not None
    assert unasked.outcome == "not checked"
    # A signer who declares a mark that is not in the picture.
    claim = claim_for(Image.fromarray(marked), title="other")
    other = sign(encoded(marked), "image/png", claim, key, additions=layer.additions(marked, 5))
    assert verify(other, trust=key.anchors, require=["watermark"]).state is State.INVALID
    plain = encoded(drawing(0))
    claim = claim_for(Image.fromarray(drawing(0)), title="third")
    none = sign(plain, "image/png", claim, key, additions=layer.additions(drawing(0), 5))
    assert verify(none, trust=key.anchors, require=["watermark"]).state is State.UNMET


def test_a_damaged_picture_is_no_crash_where_its_mark_is_asked_for(layer: DurableLayer, key: PemKey) -> None:
    image = picture(1)
    whole = encoded(np.asarray(image), "AVIF", quality=92)
    data = sign(whole, "image/avif", claim_for(image), key, pixels=image.tobytes())
    damaged, stripped = (
        each[: (at := each.rindex(b"mdat") + 4)] + bytes(len(each) - at) for each in (data, whole)
    )
    with pytest.raises(ValueError, match="decode"):
        recover(stripped, registry=layer.registry)
    report = verify(damaged, trust=key.anchors, require=["watermark"])
    assert report.state is State.INVALID
    mark = report.check("watermark")
    assert mark is not None
    assert mark.outcome == "not checked"
    assert "cannot be decoded" in mark.detail


def test_pictures_that_hold_no_mark_are_left_alone(layer: DurableLayer, key: PemKey) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (128, 128, 3)).astype(np.uint8)
    pixels, identifier = layer.mark(noise, "shot")
    assert identifier is None
    assert pixels is noise
    assert [each.action for each in layer.additions(pixels, identifier)] == [None]


def test_the_id_is_the_shots_own_and_hides_its_key(layer: DurableLayer) -> None:
    assert layer.identifier("a") == layer.identifier("a") != layer.identifier("b")
    assert DurableLayer.open().identifier("a") == layer.identifier("a")
    elsewhere = DurableLayer.open(layer.registry.file.with_name("other.sqlite"))
    assert elsewhere.identifier("a") != layer.identifier("a")
    drawn, identifier = layer.mark(drawing(0), "a")
    assert identifier is not None
    again, _ = Redrawing.of(recorded(identifier)).mark(drawing(0), "another key")
    np.testing.assert_array_equal(again, drawn)
    untouched, none = Redrawing.of(None).mark(drawing(0), "a")
    assert none is None
    np.testing.assert_array_equal(untouched, drawing(0))
