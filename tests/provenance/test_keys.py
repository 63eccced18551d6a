"""Keys: the profile of what keygen writes, how it is written, and every way a key can be wrong."""

from __future__ import annotations

import logging
import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtensionOID, NameOID
from provenance_samples import signed

from castmark_provenance import authority
from castmark_provenance.authority import keygen
from castmark_provenance.errors import KeyExists, KeyExpired, KeyMaterialError, KeyMismatch
from castmark_provenance.keys import CallbackKey, PemKey, ensure_local_key, near_expiry
from castmark_provenance.report import State
from castmark_provenance.verify import verify

FILES = {"root.pem", "root.key", "intermediate.pem", "intermediate.key", "signer.pem", "signer.key"}


def certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificates(path.read_bytes())[0]


def extension(cert: x509.Certificate, oid: x509.ObjectIdentifier) -> x509.Extension:
    return cert.extensions.get_extension_for_oid(oid)


def test_keygen_meets_the_c2pa_profile(key_home: Path) -> None:
    folder = key_home / "keys"
    root, middle, leaf = (certificate(folder / f"{n}.pem") for n in ("root", "intermediate", "signer"))
    for cert in (root, middle, leaf):
        for oid in (NameOID.COUNTRY_NAME, NameOID.ORGANIZATION_NAME, NameOID.COMMON_NAME):
            assert cert.subject.get_attributes_for_oid(oid)
        assert extension(cert, ExtensionOID.KEY_USAGE).critical
        assert extension(cert, ExtensionOID.BASIC_CONSTRAINTS).critical
        assert extension(cert, ExtensionOID.BASIC_CONSTRAINTS).value.ca == (cert is not leaf)
        extension(cert, ExtensionOID.SUBJECT_KEY_IDENTIFIER)
    for cert, issuer in ((root, root), (middle, root), (leaf, middle)):
        cert.verify_directly_issued_by(issuer)
        identifier = extension(issuer, ExtensionOID.SUBJECT_KEY_IDENTIFIER).value.digest
        assert extension(cert, ExtensionOID.AUTHORITY_KEY_IDENTIFIER).value.key_identifier == identifier
    assert leaf.not_valid_after_utc - leaf.not_valid_before_utc <= timedelta(days=366)
    purposes = {o.dotted_string for o in extension(leaf, ExtensionOID.EXTENDED_KEY_USAGE).value}
    assert purposes == {"1.3.6.1.4.1.62558.2.1", "1.3.6.1.5.5.7.3.4"}
    usage = extension(leaf, ExtensionOID.KEY_USAGE).value
    assert usage.digital_signature
    assert not usage.key_cert_sign
    assert (folder / "signer.pem").read_bytes().count(b"BEGIN") == 2, "leaf and intermediate, no root"


def test_private_keys_are_for_the_owner_only(tmp_path: Path) -> None:
    old = os.umask(0)  # the most careless setting there is
    try:
        folder = keygen(tmp_path / "keys")
    finally:
        os.umask(old)
    assert {path.name for path in folder.iterdir()} == FILES
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for path in folder.glob("*.key"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["keys"], "nothing left beside it"


def test_an_existing_key_is_not_overwritten(tmp_path: Path) -> None:
    folder = keygen(tmp_path / "keys")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(KeyExists, match="--force"):
        keygen(folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_force_moves_the_old_key_aside_and_still_trusts_its_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CASTMARK_HOME", str(tmp_path))
    old = ensure_local_key()
    image = signed(old)
    keygen(force=True)
    new = ensure_local_key()
    assert new.anchors != old.anchors
    assert (tmp_path / "keys.replaced-1" / "signer.key").is_file()
    assert verify(image).state is State.TRUSTED
    assert verify(signed(new)).state is State.TRUSTED
    assert verify(image, trust=new.anchors).state is State.UNTRUSTED


def test_a_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[Path] = []
    real = authority._write

    def full(path: Path, data: bytes, mode: int) -> None:
        if len(written) == 3:
            raise OSError(28, "No space left on device")
        real(path, data, mode)
        written.append(path)

    monkeypatch.setattr(authority, "_write", full)
    with pytest.raises(KeyMaterialError, match=r"No space left on device.*CASTMARK_HOME"):
        keygen(tmp_path / "keys")
    assert written
    assert list(tmp_path.iterdir()) == []


def test_first_use_makes_a_key_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("CASTMARK_HOME", str(tmp_path / "home"))
    said: list[str] = []
    first = ensure_local_key(announce=said.append)
    assert len(said) == 1
    assert str(tmp_path / "home" / "keys") in said[0]
    assert ensure_local_key(announce=said.append).chain == first.chain
    assert len(said) == 1
    monkeypatch.setenv("CASTMARK_HOME", str(tmp_path / "other"))
    with caplog.at_level(logging.DEBUG):
        other = ensure_local_key()
    assert "made a local signing key" in caplog.text
    assert "PRIVATE" not in caplog.text + repr(other) + str(other)


def test_two_processes_at_once_end_with_one_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other process writes its key between our look and our rename."""
    target = tmp_path / "keys"
    real = authority._issue
    done: list[bool] = []

    def slow(*arguments: object, **options: object) -> authority.Identity:
        if not done:
            done.append(True)
            keygen(target, name="the other process")
        return real(*arguments, **options)

    monkeypatch.setattr(authority, "_issue", slow)
    key = ensure_local_key(target, announce=lambda _: None)
    subject = x509.load_pem_x509_certificates(key.chain.encode())[0].subject
    assert subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == "the other process"


def test_a_private_key_of_another_certificate(tmp_path: Path) -> None:
    one, two = keygen(tmp_path / "one"), keygen(tmp_path / "two")
    with pytest.raises(KeyMismatch, match=r"does not belong to the certificate in .*signer\.pem"):
        PemKey.load(one / "signer.pem", two / "signer.key", one / "root.pem")


@pytest.mark.parametrize(
    ("shift", "words"),
    [(timedelta(days=400), "ended on"), (timedelta(days=-2), "check this machine's clock")],
)
def test_outside_its_validity(
    shift: timedelta, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = keygen(tmp_path / "keys")

    class Clock(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:
            return datetime.now(UTC) + shift

    monkeypatch.setattr("castmark_provenance.keys.datetime", Clock)
    with pytest.raises(KeyExpired, match=words):
        PemKey.load_folder(folder)


def test_an_expired_certificate_signs_nothing_and_is_no_longer_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    past = datetime.now(UTC) - timedelta(days=40)

    class Clock(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:
            return past

    monkeypatch.setattr(authority, "datetime", Clock)
    folder = keygen(tmp_path / "keys", days=30)
    with pytest.raises(KeyExpired, match="castmark keygen --renew"):
        PemKey.load_folder(folder)
    monkeypatch.setattr("castmark_provenance.keys.datetime", Clock)
    key = PemKey.load_folder(folder)
    with pytest.raises(KeyExpired, match="ended on"):
        signed(key)


def test_near_its_end_it_warns(tmp_path: Path) -> None:
    key = PemKey.load_folder(keygen(tmp_path / "keys", days=20))
    assert "ends in 19 days" in (near_expiry(key) or "")
    assert "castmark keygen --renew" in (near_expiry(key) or "")
    assert near_expiry(PemKey.load_folder(keygen(tmp_path / "long"))) is None


def test_files_that_are_no_key(tmp_path: Path) -> None:
    folder = keygen(tmp_path / "keys")
    chain, private, root = folder / "signer.pem", folder / "signer.key", folder / "root.pem"
    text = tmp_path / "text.pem"
    text.write_text("hello")
    with pytest.raises(KeyMaterialError, match=r"gone\.key: cannot be read"):
        PemKey.load(chain, tmp_path / "gone.key", root)
    with pytest.raises(KeyMaterialError, match="no readable PEM private key"):
        PemKey.load(chain, text, root)
    with pytest.raises(KeyMaterialError, match="no readable PEM certificate"):
        PemKey.load(text, private, root)
    with pytest.raises(KeyMaterialError, match="not encrypted"):
        PemKey.load(chain, private, root, passphrase=b"secret")
    big = rsa.generate_private_key(65537, 2048)
    text.write_bytes(
        big.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    with pytest.raises(KeyMaterialError, match="use P-256, P-384 or Ed25519"):
        PemKey.load(chain, text, root)
    with pytest.raises(KeyMaterialError, match="no readable PEM certificate"):
        CallbackKey(chain="", anchors=root.read_text(), callback=lambda data: data)


def test_an_encrypted_private_key(tmp_path: Path) -> None:
    folder = keygen(tmp_path / "keys")
    plain = serialization.load_pem_private_key((folder / "signer.key").read_bytes(), None)
    (folder / "signer.key").write_bytes(
        plain.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"open sesame"),
        )
    )
    files = (folder / "signer.pem", folder / "signer.key", folder / "root.pem")
    with pytest.raises(KeyMaterialError, match="is encrypted"):
        PemKey.load(*files)
    with pytest.raises(KeyMaterialError, match="passphrase is wrong"):
        PemKey.load(*files, passphrase=b"guess")
    assert verify(signed(PemKey.load(*files, passphrase=b"open sesame")), trust=files[2].read_text()).claim


@pytest.mark.parametrize(
    ("option", "value"), [("days", 0), ("days", 367), ("country", "XYZ"), ("name", "n" * 80)]
)
def test_bad_subjects_and_validities(option: str, value: object, tmp_path: Path) -> None:
    with pytest.raises(KeyMaterialError):
        keygen(tmp_path / "keys", **{option: value})
    assert list(tmp_path.iterdir()) == []


def test_signatures_have_the_width_cose_wants(key: PemKey) -> None:
    public = x509.load_pem_x509_certificates(key.chain.encode())[0].public_key()
    assert {len(key.sign(bytes([i]))) for i in range(40)} == {64}
    assert public.curve.name == "secp256r1"
