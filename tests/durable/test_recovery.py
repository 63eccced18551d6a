"""A stripped copy leads back to its manifest, and a mark moved to another picture does not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import ExtendedKeyUsageOID, ObjectIdentifier
from durable_samples import Pixels, drawing, encoded, jpeg, scaled, screenshot, signed_and_registered
from PIL import Image
from provenance_samples import claim_for, picture
from registry_samples import portable

from castmark_provenance.authority import keygen
from castmark_provenance.durable import recovery
from castmark_provenance.durable.errors import EntryError, RegistryError
from castmark_provenance.durable.fingerprint import distance, fingerprint, in_frame
from castmark_provenance.durable.layer import DurableLayer, Redrawing, recorded
from castmark_provenance.durable.portable import import_from
from castmark_provenance.durable.recovery import look_up, pixels_of, recover
from castmark_provenance.durable.registry import Registry
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


def stated(manifest: dict[str, Any], label: str) -> dict[str, Any]:
    return next(each["data"] for each in manifest["assertions"] if each["label"] == label)


def forbid(manifest: dict[str, Any]) -> None:
    for finding in stated(manifest, "org.castmark.safety")["findings"]:
        finding["allowed"] = finding["rung"] != "L2 image"


def skip_a_rung(manifest: dict[str, Any]) -> None:
    del stated(manifest, "org.castmark.safety")["findings"][2]


def invent_an_action(manifest: dict[str, Any]) -> None:
    stated(manifest, "c2pa.actions.v2")["actions"].append({"action": "c2pa.blessed"})


def keep_an_ingredient_quiet(manifest: dict[str, Any]) -> None:
    stated(manifest, "org.castmark.generation")["ingredients"].pop()


@pytest.mark.parametrize("edit", [forbid, skip_a_rung, invent_an_action, keep_an_ingredient_quiet])
def test_what_is_invalid_whole_is_not_recovered_stripped(
    layer: DurableLayer, key: PemKey, tmp_path: Path, edit: Callable[[dict[str, Any]], None]
) -> None:
    marked, identifier = layer.mark(drawing(0), "shot")
    manifest = to_manifest(
        claim_for(Image.fromarray(marked), title="beach"), additions=layer.additions(marked, identifier)
    )
    edit(manifest)
    data = _sign(encoded(marked), "image/png", manifest, key, room=False)
    whole = verify(data, trust=key.anchors)
    assert whole.state is State.INVALID
    layer.register(data, "image/png", marked, identifier, "beach")
    found = look_up(encoded(marked), layer.registry, key.anchors)
    assert found.recovery is None
    (failed,) = [check for check in whole.checks if check.outcome == "failed"]
    assert failed.detail.split("; ")[0] in found.why
    assert verify(encoded(marked), trust=key.anchors).state is State.ABSENT
    with Registry.open(tmp_path / "elsewhere.sqlite") as elsewhere:
        with pytest.raises(EntryError, match="refused 1 of 1"):
            import_from(elsewhere, portable(tmp_path / "carried.jsonl", *layer.registry.entries()))
        assert len(elsewhere) == 0


def test_a_manifest_that_nothing_leads_to_is_not_kept_beside_a_sound_one(
    layer: DurableLayer, key: PemKey
) -> None:
    marked, _ = signed_and_registered(layer, key, drawing(0), "beach")
    signed_and_registered(layer, key, drawing(1), "forest")
    entry, other = layer.registry.entries()
    at = 8 + int.from_bytes(entry.manifest[8:12])  # after the store's own description
    store = entry.manifest[:at] + other.manifest[at:] + entry.manifest[at:]
    loose = entry.model_copy(update={"manifest": len(store).to_bytes(4) + store[4:]})
    elsewhere = Registry.open(layer.registry.file.with_name("other.sqlite"))
    elsewhere.add(loose)
    found = look_up(encoded(marked), elsewhere, key.anchors)
    assert found.recovery is None
    assert "no ingredient leads to it" in found.why


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> PemKey:
    return PemKey.load_folder(keygen(tmp_path_factory.mktemp("stranger") / "k", name="Somebody else"))


def restated(layer: DurableLayer, key: PemKey, pixels: Pixels, identifier: int | None, title: str) -> None:
    """Register a manifest with a picture's public mark, looks and pixels under another title."""
    additions = layer.additions(pixels, identifier)
    claim = claim_for(Image.fromarray(pixels), title=title)
    data = sign(encoded(pixels), "image/png", claim, key, additions=additions)
    layer.register(data, "image/png", pixels, identifier, title)


@pytest.mark.parametrize("by", ["watermark", "fingerprint"])
def test_a_strangers_manifest_takes_no_trusted_ones_place(
    layer: DurableLayer, key: PemKey, stranger: PemKey, by: str
) -> None:
    pixels, identifier = layer.mark(drawing(0), "shot") if by == "watermark" else (drawing(0), None)
    restated(layer, key, pixels, identifier, "beach")
    restated(layer, stranger, pixels, identifier, "Breaking: real photo")
    copy = encoded(jpeg(pixels))
    for anchors, title in ((key.anchors, "beach"), (stranger.anchors, "Breaking: real photo")):
        found = recover(copy, trust=anchors)
        assert found is not None
        assert (found.by, found.claim.title, found.signer_problems) == (by, title, ())
    for anchors in ("", key.anchors + stranger.anchors):
        found = look_up(copy, layer.registry, anchors)
        assert found.recovery is None
        assert "several signers" in found.why
    restated(layer, key, pixels, identifier, "beach, signed again")
    found = recover(copy, trust=key.anchors)
    assert found is not None
    assert found.claim.title == "beach, signed again"


def test_a_strangers_likeness_hides_no_trusted_picture(
    layer: DurableLayer, key: PemKey, stranger: PemKey
) -> None:
    marked, _ = layer.mark(drawing(0), "shot")
    restated(layer, key, marked, None, "beach")
    restated(layer, stranger, drawing(0), None, "Breaking: real photo")
    found = recover(encoded(drawing(0)), trust=key.anchors)
    assert found is not None
    assert (found.claim.title, found.signer_problems) == ("beach", ())
    assert "several registered pictures" in look_up(encoded(drawing(0)), layer.registry, "").why


def test_an_unsound_entry_hides_no_sound_one(layer: DurableLayer, key: PemKey) -> None:
    marked, _ = signed_and_registered(layer, key, drawing(0), "beach")
    (entry,) = layer.registry.entries()
    layer.registry.add(entry.model_copy(update={"manifest": entry.manifest + b"?", "title": "real photo"}))
    for copy in (encoded(jpeg(marked)), encoded(drawing(0))):
        found = recover(copy, trust=key.anchors)
        assert found is not None
        assert found.entry.title == "beach"


def test_no_more_than_so_many_are_looked_at_and_it_is_said(
    layer: DurableLayer, key: PemKey, stranger: PemKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "CANDIDATES", 2)
    sizes: list[tuple[int, int]] = []

    def counted(pixels: Pixels, mark: Any, size: tuple[int, int]) -> list[bytes]:
        sizes.append(size)
        return in_frame(pixels, mark, size)

    monkeypatch.setattr(recovery, "in_frame", counted)
    marked, identifier = layer.mark(drawing(0), "shot")
    restated(layer, key, marked, identifier, "beach")
    for title in ("one", "two"):
        restated(layer, stranger, marked, identifier, title)
    found = look_up(encoded(marked), layer.registry, key.anchors)
    assert sizes == [(256, 256)]
    assert found.recovery is not None
    assert found.recovery.claim.title == "beach"
    assert "only 2 of the manifests" in found.why
    unknown = look_up(encoded(marked), layer.registry, "")
    assert unknown.recovery is None
    assert "more than 2 manifests" in unknown.why


def test_a_strangers_mark_hides_not_what_the_picture_looks_like(layer: DurableLayer, key: PemKey) -> None:
    restated(layer, key, drawing(0), None, "beach")
    marked, _ = signed_and_registered(layer, key, drawing(1), "forest")
    for identifier in (12345, layer.identifier("shot key of forest")):
        copy = encoded(embed(drawing(0), identifier))
        found = recover(copy, trust=key.anchors)
        assert found is not None
        assert (found.by, found.watermark) == ("fingerprint", f"{identifier:010x}")
        assert found.claim.title == "beach"
        report = verify(copy, trust=key.anchors)
        assert "by its fingerprint, of 'beach'" in report.verdict
        assert [c.outcome for c in report.checks if c.name in ("watermark", "fingerprint")] == [
            "failed",
            "passed",
        ]
    whole = recover(encoded(marked), trust=key.anchors)
    assert whole is not None
    assert (whole.by, whole.claim.title) == ("watermark", "forest")


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


def test_the_signer_of_what_is_recovered_is_named(layer: DurableLayer, key: PemKey, stranger: PemKey) -> None:
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
    no_mark = recorded(identifier)[:-10]
    for setting in (None, 7, no_mark, f"{no_mark}zz", f"{no_mark}-1", recorded(identifier) + "0"):
        untouched, none = Redrawing.of(setting).mark(drawing(0), "a")
        assert none is None
        np.testing.assert_array_equal(untouched, drawing(0))


@pytest.mark.parametrize(
    ("way", "stored"),
    [
        (3, Image.Transpose.ROTATE_180),
        (6, Image.Transpose.ROTATE_90),
        (8, Image.Transpose.ROTATE_270),
    ],
)
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_a_copy_stored_turned_is_read_upright(way: int, stored: Image.Transpose, mode: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = way
    turned = np.asarray(Image.fromarray(drawing(0)).convert(mode).transpose(stored))
    np.testing.assert_array_equal(pixels_of(encoded(turned, "PNG", exif=exif)), drawing(0))
    damaged = encoded(drawing(0), "PNG", exif=b"Exif\0\0MM")
    np.testing.assert_array_equal(pixels_of(damaged), drawing(0))


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_a_grey_copy_of_16_bits_is_read_as_one_of_8(kind: str) -> None:
    grey = np.asarray(Image.fromarray(drawing(0)).convert("L"))
    np.testing.assert_array_equal(
        pixels_of(encoded(grey.astype(np.uint16) * 257, kind)), np.repeat(grey[:, :, None], 3, axis=2)
    )
    for other in (grey.astype(np.int32) * 257, grey.astype(np.float32) / 255):
        with pytest.raises(ValueError, match="32 bits a sample"):
            pixels_of(encoded(other, "TIFF"))
