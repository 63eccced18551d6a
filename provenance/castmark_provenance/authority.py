"""The local certificate authority: root, intermediate and signing certificate in one go.

The profile is that of the C2PA specification 2.4 (section "X.509 Certificates") and its conformance
programme: C, O and CN; subject and authority key identifiers; critical KeyUsage and BasicConstraints; the
extended key usages c2pa-kp (1.3.6.1.4.1.62558.2.1) and emailProtection; at most 366 days for the signer.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal, TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from castmark_provenance.errors import KeyExists, KeyMaterialError
from castmark_provenance.home import key_folder, trust_folder

C2PA_KEY_PURPOSE = ObjectIdentifier("1.3.6.1.4.1.62558.2.1")
ROOT_DAYS, INTERMEDIATE_DAYS, SIGNER_DAYS = 3650, 1825, 365
CLOCK_SKEW = timedelta(minutes=5)

PrivateKey: TypeAlias = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
Algorithm: TypeAlias = Literal["es256", "es384", "ed25519"]
_NEW_KEY: dict[Algorithm, Callable[[], PrivateKey]] = {
    "es256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "es384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
}


@dataclass(frozen=True, kw_only=True)
class Identity:
    """A certificate with its private key."""

    certificate: x509.Certificate
    private_key: PrivateKey


def keygen(
    folder: Path | None = None,
    *,
    organisation: str = "Castmark local",
    country: str = "XX",
    name: str = "Castmark local signer",
    days: int = SIGNER_DAYS,
    algorithm: Algorithm = "es256",
    passphrase: bytes | None = None,
    force: bool = False,
) -> Path:
    """Write a root, an intermediate and a signing certificate with their private keys, and return the folder.

    Private keys are written 0600, encrypted if a ``passphrase`` is given. The folder appears whole or not at
    all. ``force`` moves an existing one aside (``keys.replaced-N``) and
    keeps the local key's root among the trust anchors, so that images it signed stay trusted. ``country`` is
    an ISO 3166 two-letter code; XX is the user-assigned one.

    Raises:
        KeyExists: the folder holds a key already and ``force`` is not set.
        KeyMaterialError: bad subject fields or validity, or the folder cannot be written.
    """
    target = folder or key_folder()
    _check_days(days)
    if passphrase == b"":
        raise KeyMaterialError("an empty passphrase: give one, or none at all")
    if occupied(target) and not force:
        raise KeyExists(
            f"{target}: a key is there already and was left as it is; to replace it use --force "
            "(the old one is moved aside and images it signed stay trusted)"
        )
    subject = (organisation, country)
    root = _issue(f"{organisation} root", subject, ROOT_DAYS, _NEW_KEY[algorithm](), path_length=1)
    middle = _issue(
        f"{organisation} CA", subject, INTERMEDIATE_DAYS, _NEW_KEY[algorithm](), path_length=0, issuer=root
    )
    signer = _issue(name, subject, days, _NEW_KEY[algorithm](), issuer=middle)
    _write_folder(target, root, middle, signer, passphrase, replace=_set_aside if force else None)
    return target


def renew(folder: Path | None = None, *, days: int = SIGNER_DAYS, passphrase: bytes | None = None) -> Path:
    """A new signing key and certificate under the same root: whoever trusts the old images trusts the new.

    The old folder is moved aside whole (``keys.replaced-N``); what it signed stays trusted. ``passphrase``
    opens the intermediate's key and encrypts the new one, if they are encrypted.

    Raises:
        KeyMaterialError: there is no key to renew, its passphrase is missing or wrong, its intermediate has
            ended, or the folder cannot be written.
    """
    target = folder or key_folder()
    _check_days(days)
    root, middle = (load_identity(target, stem, passphrase) for stem in ("root", "intermediate"))
    if middle.certificate.not_valid_after_utc < datetime.now(UTC) + timedelta(days=1):
        raise KeyMaterialError(
            f"{target}: the intermediate certificate ends {middle.certificate.not_valid_after_utc:%Y-%m-%d}; "
            "make a whole new key with: castmark keygen --force"
        )
    old = x509.load_pem_x509_certificate((target / "signer.pem").read_bytes())
    signer = _issue(
        _named(old, NameOID.COMMON_NAME),
        (_named(old, NameOID.ORGANIZATION_NAME), _named(old, NameOID.COUNTRY_NAME)),
        days,
        _like(middle.private_key),
        issuer=middle,
    )
    _write_folder(target, root, middle, signer, passphrase, replace=_move_aside)
    return target


def load_identity(folder: Path, stem: str, passphrase: bytes | None = None) -> Identity:
    """A certificate and its private key, as `keygen` wrote them.

    Raises:
        KeyMaterialError: a file is missing, damaged or encrypted under another passphrase.
    """
    try:
        certificate = x509.load_pem_x509_certificate((folder / f"{stem}.pem").read_bytes())
        private = serialization.load_pem_private_key((folder / f"{stem}.key").read_bytes(), passphrase)
    except OSError as error:
        raise KeyMaterialError(
            f"{error.filename}: cannot be read ({error.strerror}); nothing was changed"
        ) from error
    except (ValueError, TypeError):  # the messages are left out: nothing of a private key may reach a log
        raise KeyMaterialError(
            f"{folder / stem}.key: damaged, or its passphrase is missing or wrong (CASTMARK_KEY_PASSPHRASE); "
            "nothing was changed"
        ) from None
    assert isinstance(private, ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey)
    return Identity(certificate=certificate, private_key=private)


def _check_days(days: int) -> None:
    if not 1 <= days <= 366:
        raise KeyMaterialError(f"a signing certificate for {days} days: the C2PA profile allows 1 to 366")


def _named(certificate: x509.Certificate, kind: ObjectIdentifier) -> str:
    return str(certificate.subject.get_attributes_for_oid(kind)[0].value)


def _like(key: PrivateKey) -> PrivateKey:
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return ed25519.Ed25519PrivateKey.generate()
    return ec.generate_private_key(key.curve)


def _write_folder(
    target: Path,
    root: Identity,
    middle: Identity,
    signer: Identity,
    passphrase: bytes | None,
    *,
    replace: Callable[[Path], None] | None,
) -> None:
    """Write a key folder whole or not at all; ``replace`` moves what is there out of the way.

    Raises:
        KeyExists: another process was first.
        KeyMaterialError: it cannot be written.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))  # made 0700
        try:
            for stem, identity, chain in (
                ("root", root, [root]),
                ("intermediate", middle, [middle]),
                ("signer", signer, [signer, middle]),
            ):
                _write(staging / f"{stem}.pem", b"".join(_pem(i.certificate) for i in chain), 0o644)
                _write(staging / f"{stem}.key", _private_pem(identity.private_key, passphrase), 0o600)
            choice = target / "timestamp.json"
            if choice.is_file():
                shutil.copy(choice, staging)  # the declared choice outlives the key
            if replace:
                replace(target)
            # rename refuses a folder that is not empty: of two processes, the second sees the first one's key
            staging.rename(target)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    except OSError as error:
        if occupied(target) and not replace:
            raise KeyExists(f"{target}: another process has just written a key there; it was kept") from error
        raise KeyMaterialError(
            f"{target}: the key cannot be written ({error.strerror or error}); free space, fix permissions, "
            "or set CASTMARK_HOME to a folder you can write"
        ) from error


def occupied(folder: Path) -> bool:
    """Whether something is there that must not be overwritten (an empty folder is not)."""
    return folder.exists() and (not folder.is_dir() or any(folder.iterdir()))


def _issue(
    common_name: str,
    organisation_and_country: tuple[str, str],
    days: int,
    private_key: PrivateKey,
    *,
    path_length: int | None = None,
    issuer: Identity | None = None,
) -> Identity:
    """One certificate: an authority if ``path_length`` is given, self-signed without ``issuer``."""
    organisation, country = organisation_and_country
    try:
        subject = x509.Name(
            [
                x509.NameAttribute(NameOID.COUNTRY_NAME, country),
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation),
                x509.NameAttribute(NameOID.COMMON_NAME, common_name),
            ]
        )
    except ValueError as error:
        raise KeyMaterialError(f"certificate subject {country!r}, {organisation!r}: {error}") from error
    authority = path_length is not None
    signing_key = issuer.private_key if issuer else private_key
    now = datetime.now(UTC)
    end = now + timedelta(days=days)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(private_key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(min(end, issuer.certificate.not_valid_after_utc) if issuer else end)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=path_length), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=not authority,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                key_cert_sign=authority,
                crl_sign=authority,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(private_key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signing_key.public_key()), critical=False
        )
    )
    if not authority:
        purposes = [C2PA_KEY_PURPOSE, ExtendedKeyUsageOID.EMAIL_PROTECTION]
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    # A digest as strong as the curve; Ed25519 has its own inside.
    digest = None
    if isinstance(signing_key, ec.EllipticCurvePrivateKey):
        digest = hashes.SHA384() if signing_key.curve.name == "secp384r1" else hashes.SHA256()
    return Identity(certificate=builder.sign(signing_key, digest), private_key=private_key)


def _set_aside(folder: Path) -> None:
    """Move an existing key folder away and keep its root as a trust anchor."""
    if not occupied(folder):
        return
    root = folder / "root.pem"
    if root.is_file() and folder == key_folder():  # a key elsewhere is its owner's to keep track of
        data = root.read_bytes()
        fingerprint = x509.load_pem_x509_certificate(data).fingerprint(hashes.SHA256()).hex()
        trust_folder().mkdir(parents=True, exist_ok=True)
        (trust_folder() / f"replaced-{fingerprint[:16]}.pem").write_bytes(data)
    _move_aside(folder)


def _move_aside(folder: Path) -> None:
    number = 1
    while (aside := folder.with_name(f"{folder.name}.replaced-{number}")).exists():
        number += 1
    folder.rename(aside)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _private_pem(private_key: PrivateKey, passphrase: bytes | None) -> bytes:
    hidden = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    return private_key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, hidden)


def _write(path: Path, data: bytes, mode: int) -> None:
    """Create ``path`` with ``mode`` from its first byte (never wider), and sync it to the disk."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
