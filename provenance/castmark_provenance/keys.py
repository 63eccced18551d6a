"""Keys: who signs. A PEM file signs here; a callback signs elsewhere (a KMS, an HSM, another process).

    >>> key = ensure_local_key()                                   # doctest: +SKIP
    >>> key = PemKey.load("signer.pem", "signer.key", "root.pem")  # doctest: +SKIP

A private key is read, held in memory and used; it is never logged or printed, nor in any message or repr.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol, cast

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from castmark_provenance.authority import Algorithm, PrivateKey, keygen, occupied
from castmark_provenance.errors import KeyExists, KeyExpired, KeyMaterialError, KeyMismatch
from castmark_provenance.home import key_folder
from castmark_provenance.signature import is_signature
from castmark_provenance.timestamp import Timestamping, read_choice

NEAR_EXPIRY = timedelta(days=30)

_HASH = {"es256": hashes.SHA256(), "es384": hashes.SHA384()}
_COSE: dict[Algorithm, int] = {"es256": -7, "es384": -35, "ed25519": -8}
_CURVE: dict[str, Algorithm] = {"secp256r1": "es256", "secp384r1": "es384"}

log = logging.getLogger(__name__)


class Key(Protocol):
    """What signing needs. Hashable by identity; used from several threads at once."""

    @property
    def algorithm(self) -> Algorithm:
        """Signature algorithm of the key."""
        ...

    @property
    def chain(self) -> str:
        """PEM: the signing certificate first, then its intermediates, without the root."""
        ...

    @property
    def anchors(self) -> str:
        """PEM of the root(s) under which this key's own signatures must read back as trusted."""
        ...

    @property
    def not_after(self) -> datetime:
        """End of the signing certificate's validity (UTC)."""
        ...

    @property
    def timestamp(self) -> Timestamping | None:
        """Whom its signatures are time-stamped by, and what to do without an answer; None for nobody."""
        ...

    def sign(self, data: bytes) -> bytes:
        """The signature over ``data``: r || s of fixed width for ECDSA (IEEE P1363), raw for Ed25519."""
        ...


@dataclass(frozen=True, eq=False, kw_only=True)
class CallbackKey:
    """A key that lives elsewhere: ``callback`` sends the bytes there and returns the signature.

    Raises (on construction):
        KeyMaterialError, KeyExpired: the chain or the anchors cannot be used.
    """

    chain: str
    anchors: str
    callback: Callable[[bytes], bytes]
    timestamp: Timestamping | None = None

    def __post_init__(self) -> None:
        certificate = _certificates(self.chain.encode(), "the callback key's chain")[0]
        _certificates(self.anchors.encode(), "the callback key's anchors")
        _check_dates(certificate, "the callback key's certificate")
        _algorithm(certificate.public_key(), "the callback key's certificate")

    @property
    def certificate(self) -> x509.Certificate:
        """The signing certificate."""
        return x509.load_pem_x509_certificates(self.chain.encode())[0]

    @property
    def algorithm(self) -> Algorithm:
        """The signature algorithm, from the certificate's public key."""
        return _algorithm(self.certificate.public_key(), "the callback key's certificate")

    @property
    def not_after(self) -> datetime:
        """End of the signing certificate's validity (UTC)."""
        return self.certificate.not_valid_after_utc

    def sign(self, data: bytes) -> bytes:
        """The callback's signature, checked against the certificate before it is used.

        Raises:
            KeyMismatch: the callback signs with a key that is not the certificate's.
        """
        signature = self.callback(data)
        if not is_signature(signature, data, self.certificate.public_key(), _COSE[self.algorithm]):
            raise KeyMismatch(
                "the callback's signature does not verify under its certificate; it must sign with the "
                "certificate's key and return r || s (IEEE P1363) for ECDSA"
            )
        return signature


@dataclass(frozen=True, eq=False, kw_only=True)
class PemKey:
    """A private key from a PEM file, with its certificate chain and the root it belongs to."""

    algorithm: Algorithm
    chain: str
    anchors: str
    not_after: datetime
    _private: PrivateKey = field(repr=False)
    timestamp: Timestamping | None = None

    @classmethod
    def load(
        cls,
        chain: str | Path,
        private_key: str | Path,
        anchors: str | Path,
        *,
        passphrase: bytes | None = None,
    ) -> PemKey:
        """Read a chain (signing certificate first), its private key and its root, all PEM files.

        Raises:
            KeyMaterialError: a file is missing, unreadable, encrypted, or of another kind.
            KeyMismatch: the private key is not the certificate's.
            KeyExpired: the certificate is past its end, or not yet valid.
        """
        chain, private_key, anchors = Path(chain), Path(private_key), Path(anchors)
        chain_pem, anchors_pem = _read(chain), _read(anchors)
        certificates = _certificates(chain_pem, str(chain))
        roots = _certificates(anchors_pem, str(anchors))
        certificate = certificates[0]
        private = _private_key(_read(private_key), private_key, passphrase)
        algorithm = _algorithm(private.public_key(), str(private_key))
        if _spki(private.public_key()) != _spki(certificate.public_key()):
            raise KeyMismatch(
                f"{private_key}: this private key does not belong to the certificate in {chain}; "
                "give the pair that was made together, or make one with: castmark keygen"
            )
        _check_dates(certificate, str(chain))
        return cls(
            algorithm=algorithm,
            chain=_pem(certificates),
            anchors=_pem(roots),
            not_after=certificate.not_valid_after_utc,
            _private=private,
        )

    @classmethod
    def load_folder(cls, folder: str | Path, *, passphrase: bytes | None = None) -> PemKey:
        """Read the key that ``castmark keygen`` wrote under ``folder``. Raises as `load`.

        An encrypted key is opened with ``passphrase``, by default that in $CASTMARK_KEY_PASSPHRASE.
        """
        folder = Path(folder)
        secret = passphrase or environment_passphrase()
        if secret and b"ENCRYPTED" not in _read(folder / "signer.key")[:64]:
            secret = None  # the variable is for another key
        key = cls.load(folder / "signer.pem", folder / "signer.key", folder / "root.pem", passphrase=secret)
        return replace(key, timestamp=read_choice(folder))

    def sign(self, data: bytes) -> bytes:
        """The signature over ``data``, in the form COSE wants (RFC 9053 section 2)."""
        if isinstance(self._private, ed25519.Ed25519PrivateKey):
            return self._private.sign(data)
        r, s = decode_dss_signature(self._private.sign(data, ec.ECDSA(_HASH[self.algorithm])))
        width = (self._private.curve.key_size + 7) // 8
        return r.to_bytes(width, "big") + s.to_bytes(width, "big")

    def private_pem(self) -> bytes:
        """The private key itself (PKCS #8), for the C2PA library's own signer and nothing else."""
        return self._private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


def environment_passphrase() -> bytes | None:
    """The passphrase in $CASTMARK_KEY_PASSPHRASE, if it is set."""
    return os.environ.get("CASTMARK_KEY_PASSPHRASE", "").encode() or None


def near_expiry(key: Key, now: datetime | None = None) -> str | None:
    """A warning if the key's certificate ends within 30 days, else None."""
    left = key.not_after - (now or datetime.now(UTC))
    if left > NEAR_EXPIRY:
        return None
    return (
        f"the signing certificate ends in {max(left.days, 0)} days ({key.not_after:%Y-%m-%d}); "
        "renew it soon with: castmark keygen --renew"
    )


def ensure_local_key(folder: Path | None = None, *, announce: Callable[[str], None] | None = None) -> PemKey:
    """The local signing key; made on first use, and said so to ``announce`` (default: a logged warning).

    Raises:
        KeyMaterialError: the folder cannot be written, or what it holds cannot be used.
    """
    say = announce or log.warning
    target = folder or key_folder()
    if not occupied(target):
        try:
            keygen(target)
        except KeyExists:
            pass  # another process was first: its key is as good
        else:
            say(
                f"made a local signing key in {target}; "
                f"to have others trust its images, send them {target / 'root.pem'}"
            )
    return PemKey.load_folder(target)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise KeyMaterialError(
            f"{path}: cannot be read ({error.strerror or error}); "
            "check the path, or make a key with: castmark keygen"
        ) from error


def _certificates(pem: bytes, label: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise KeyMaterialError(f"{label}: holds no readable PEM certificate; give a PEM file") from error


def _pem(certificates: list[x509.Certificate]) -> str:
    """The certificates alone, without the remarks that a PEM file may hold."""
    return "".join(c.public_bytes(serialization.Encoding.PEM).decode() for c in certificates)


def _private_key(pem: bytes, path: Path, passphrase: bytes | None) -> PrivateKey:
    # The library's own messages are left out on purpose: nothing of a private key may reach a log.
    try:
        private = serialization.load_pem_private_key(pem, passphrase)
    except TypeError:
        what = (
            "is encrypted; give its passphrase in CASTMARK_KEY_PASSPHRASE"
            if passphrase is None
            else "is not encrypted"
        )
        raise KeyMaterialError(f"{path}: the private key {what}") from None
    except ValueError:
        raise KeyMaterialError(
            f"{path}: holds no readable PEM private key, or the passphrase is wrong"
        ) from None
    if not isinstance(private, ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey):
        raise KeyMaterialError(
            f"{path}: {type(private).__name__} is not supported; use P-256, P-384 or Ed25519"
        )
    return private


def _algorithm(public_key: object, label: str) -> Algorithm:
    if isinstance(public_key, ed25519.Ed25519PublicKey):
        return "ed25519"
    if isinstance(public_key, ec.EllipticCurvePublicKey) and public_key.curve.name in _CURVE:
        return _CURVE[public_key.curve.name]
    raise KeyMaterialError(f"{label}: this kind of key is not supported; use P-256, P-384 or Ed25519")


def _spki(public_key: object) -> bytes:
    return cast(ec.EllipticCurvePublicKey, public_key).public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def _check_dates(certificate: x509.Certificate, label: str) -> None:
    now = datetime.now(UTC)
    if now > certificate.not_valid_after_utc:
        raise KeyExpired(
            f"{label}: the certificate ended on {certificate.not_valid_after_utc:%Y-%m-%d}; "
            "make a new one with: castmark keygen --renew"
        )
    if now < certificate.not_valid_before_utc:
        raise KeyExpired(
            f"{label}: the certificate is valid only from {certificate.not_valid_before_utc:%Y-%m-%d}; "
            "check this machine's clock"
        )
