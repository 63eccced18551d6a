"""The user's own trust anchors: one PEM file for each certificate added, one for each list imported.

    trust/mira-studio-root-3f2a9c01d4e5b678.pem        castmark trust add root.pem
    trust/list-c2pa.pem                                castmark trust import C2PA-TRUST-LIST.pem --name c2pa

The official C2PA trust list is such a PEM file; it is imported from a file, never fetched.
"""

from __future__ import annotations

import os
import re
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from castmark_provenance.errors import TrustError
from castmark_provenance.home import key_folder, trust_folder
from castmark_provenance.trust import read_anchors

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

_PRIVATE = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")


@dataclass(frozen=True, kw_only=True)
class Anchor:
    """One certificate that counts, and the file it comes from."""

    name: str
    organisation: str
    sha256: str
    """Fingerprint of the certificate."""
    not_after: datetime
    file: Path

    @property
    def expired(self) -> bool:
        """Whether it has ended: it vouches for nothing signed now."""
        return datetime.now(UTC) > self.not_after


def add(source: str | Path) -> list[Anchor]:
    """Keep every certificate of a PEM file as a trust anchor, and say which.

    Raises:
        TrustError: the file cannot be read, holds a private key, or a certificate that is no authority's and
            not self-signed; or the folder cannot be written.
    """
    added: list[Anchor] = []
    for certificate, pem in _certificates(source):
        anchor = _anchor(certificate, Path())
        name = re.sub(r"[^a-z0-9]+", "-", anchor.name.lower()).strip("-")[:40] or "anchor"
        file = trust_folder() / f"{name}-{anchor.sha256[:16]}.pem"
        _write(file, pem)
        added.append(_anchor(certificate, file))
    return added


def import_list(source: str | Path, name: str) -> list[Anchor]:
    """Keep a whole list under ``name``, in place of what was imported under it before.

    Raises: as `add`; TrustError too for a name that is not letters, digits, dots and hyphens.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.-]{0,63}", name):
        raise TrustError(f"{name!r}: a list's name is letters, digits, dots and hyphens")
    found = _certificates(source)
    file = trust_folder() / f"list-{name}.pem"
    _write(file, "".join(pem for _, pem in found))
    return [_anchor(certificate, file) for certificate, _ in found]


def listed() -> list[Anchor]:
    """Every anchor that counts: the local key's root first, then the trust folder's.

    Raises:
        TrustError: a file among them cannot be used.
    """
    files = [root] if (root := key_folder() / "root.pem").is_file() else []
    files += sorted(trust_folder().glob("*.pem"))
    return [_anchor(certificate, file) for file in files for certificate, _ in _certificates(file)]


def remove(which: str) -> list[Anchor]:
    """Stop trusting what ``which`` means: a list's name, or the first 8 or more digits of one fingerprint.

    Raises:
        TrustError: it means nothing, more than one anchor, part of a list, or the local key's own root.
    """
    file = trust_folder() / f"list-{which}.pem"
    gone = [anchor for anchor in listed() if anchor.file == file]
    if not gone:
        digits = which.lower().replace(":", "")
        gone = [a for a in listed() if len(digits) >= 8 and a.sha256.startswith(digits)]
        if not gone:
            raise TrustError(f"{which!r}: no such list or fingerprint; see: castmark trust list")
        if len({anchor.sha256 for anchor in gone}) > 1:
            raise TrustError(f"{which!r}: more than one anchor begins so; give more digits")
        if any(anchor.file.parent == key_folder() for anchor in gone):
            raise TrustError(
                f"{which!r}: this is the local key's own root; it counts as long as the key is there"
            )
        if shared := [a.file.name for a in gone if a.file.name.startswith("list-")]:
            raise TrustError(f"{which!r}: it is part of {shared[0]}; remove or import that list as a whole")
    try:
        for path in {anchor.file for anchor in gone}:
            path.unlink()
    except OSError as error:
        raise TrustError(
            f"{trust_folder()}: cannot be written ({error.strerror}); fix permissions"
        ) from error
    return gone


def _certificates(source: str | Path) -> list[tuple[Certificate, str]]:
    """Certificates of a PEM file with their own PEM text, each once, every one fit to be an anchor."""
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature

    path = Path(source)
    pem = read_anchors([path])
    if _PRIVATE.search(path.read_text("ascii")):
        raise TrustError(f"{path}: holds a private key; keep that to yourself and give the certificate alone")
    blocks = [
        block + "-----END CERTIFICATE-----\n" for block in pem.split("-----END CERTIFICATE-----\n")[:-1]
    ]
    found: list[tuple[Certificate, str]] = []
    for block in blocks:
        try:
            certificate = x509.load_pem_x509_certificate(block.encode())
            try:
                authority = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
            except x509.ExtensionNotFound:
                authority = False
            if not authority:
                certificate.verify_directly_issued_by(certificate)
        except (ValueError, TypeError) as error:
            raise TrustError(
                f"{path}: a certificate in it cannot be an anchor ({error}); ask for the signer's root"
            ) from error
        except InvalidSignature as error:
            raise TrustError(f"{path}: a certificate in it is damaged; ask for the file again") from error
        found.append((certificate, block))
    return found


def _anchor(certificate: Certificate, file: Path) -> Anchor:
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import NameOID

    def named(kind: object) -> str:
        values = certificate.subject.get_attributes_for_oid(kind)  # pyright: ignore[reportArgumentType]
        return str(values[0].value) if values else ""

    return Anchor(
        name=named(NameOID.COMMON_NAME) or certificate.subject.rfc4514_string(),
        organisation=named(NameOID.ORGANIZATION_NAME),
        sha256=certificate.fingerprint(hashes.SHA256()).hex(),
        not_after=certificate.not_valid_after_utc,
        file=file,
    )


def _write(file: Path, text: str) -> None:
    """The whole new file or the old one."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
        with os.fdopen(handle, "w", encoding="ascii") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(file)
    except OSError as error:
        raise TrustError(
            f"{file.parent}: trust anchors cannot be written ({error.strerror or error}); fix permissions or "
            "set CASTMARK_HOME to a folder you can write"
        ) from error
