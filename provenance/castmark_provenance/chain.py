"""A certificate chain judged at a given moment (RFC 5280 section 6.1, the parts that C2PA uses).

The C2PA library judges certificates now, takes usages of its own beside ours, and lets an anchor vouch that
has ended. This judges them at any moment: the signature is the first certificate's, which is for signing
content, and each is signed by the next, up to a trust anchor, all valid then.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from castmark_provenance import cbor
from castmark_provenance.errors import TrustError
from castmark_provenance.jumbf import Manifest
from castmark_provenance.layout import ALGORITHM, certificates, sign1_parts
from castmark_provenance.signature import is_signature
from castmark_provenance.tree import record
from castmark_provenance.trust import TRUST_CONFIG

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

MAX_LENGTH = 10
OTHER_USES = frozenset(("1.3.6.1.5.5.7.3.8", "1.3.6.1.5.5.7.3.9"))
"""Extended key usages that a signing certificate must not have: timeStamping and OCSPSigning."""


@functools.lru_cache(maxsize=8)
def roots(anchors: str) -> tuple[Certificate, ...]:
    """The certificates in ``anchors`` (PEM) that can vouch for others: authorities' and self-issued ones.

    Raises:
        TrustError: one of them cannot be read.
    """
    from cryptography import x509

    try:
        found = x509.load_pem_x509_certificates(anchors.encode()) if anchors.strip() else []
        return tuple(c for c in found if c.subject == c.issuer or _is_authority(c, otherwise=False))
    except ValueError as error:
        raise TrustError(
            f"the trust anchors given cannot be read ({error}); give PEM text of the signers' roots"
        ) from error


def problems_at(manifest: Manifest, anchors: str, moment: datetime) -> tuple[list[str], list[str]]:
    """Why a manifest's signature leads to none of ``anchors`` (PEM), and what was not valid at ``moment``.

    Both empty: the signature was good then. `layout.uncovered` must have found nothing wrong with it.
    """
    try:
        path = _path(manifest, roots(anchors), moment)
        ended = [
            f"the certificate of {c.subject.rfc4514_string()} was valid from "
            f"{c.not_valid_before_utc:%Y-%m-%d} to {c.not_valid_after_utc:%Y-%m-%d} "
            f"and not at {moment:%Y-%m-%d %H:%M}"
            for c in path
            if not _valid(c, moment)
        ]
    except _LeadsNowhereError as error:
        return [str(error)], []
    except Exception as error:  # noqa: BLE001 - a stranger's certificates: what cannot be read leads nowhere
        return [f"the certificates cannot be read ({type(error).__name__})"], []
    return [], ended


class _LeadsNowhereError(Exception):
    """The certificates are readable, and no path leads from them to an anchor."""


def _path(manifest: Manifest, anchors: Sequence[Certificate], moment: datetime) -> list[Certificate]:
    """From the signing certificate up to an anchor; what is valid at ``moment`` goes before what is not."""
    from cryptography import x509

    protected, _, _, signature = sign1_parts(manifest.signature)
    header: dict[Any, Any] = record(cbor.loads(protected))
    leaf, *others = [x509.load_der_x509_certificate(der) for der in certificates(header)[:MAX_LENGTH]]
    signed = cbor.array(
        cbor.text("Signature1"), cbor.octets(protected), cbor.octets(b""), cbor.octets(manifest.claim)
    )
    if not is_signature(signature, signed, leaf.public_key(), header[ALGORITHM]):
        raise _LeadsNowhereError("the signature is not the signing certificate's")
    usages = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    purposes = {usage.dotted_string for usage in usages}
    if not purposes & set(TRUST_CONFIG.split()) or purposes & OTHER_USES:
        raise _LeadsNowhereError("the signing certificate is not for signing content")
    path = [leaf]
    while path[-1] not in anchors:
        issuers = [anchor for anchor in anchors if _issued(path, anchor, is_anchor=True)]
        issuers += [c for c in others if c not in path and _issued(path, c, is_anchor=False)]
        if not issuers or len(path) > MAX_LENGTH:
            raise _LeadsNowhereError("the chain ends before one")
        path.append(next((issuer for issuer in issuers if _valid(issuer, moment)), issuers[0]))
    return path


def _issued(path: Sequence[Certificate], issuer: Certificate, *, is_anchor: bool) -> bool:
    """Whether ``issuer`` signed the last certificate of ``path``, and may have so many below it."""
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

    try:
        path[-1].verify_directly_issued_by(issuer)
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
        return False
    if not _is_authority(issuer, otherwise=is_anchor):
        return False
    try:
        limit = issuer.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length
    except x509.ExtensionNotFound:
        return True
    return limit is None or sum(c.subject != c.issuer for c in path[1:]) <= limit


def _is_authority(certificate: Certificate, *, otherwise: bool) -> bool:
    """Whether it may sign certificates; ``otherwise``: where it does not say what it is."""
    from cryptography import x509

    try:
        if not certificate.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign:
            return False
    except x509.ExtensionNotFound:
        pass
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return otherwise


def _valid(certificate: Certificate, moment: datetime) -> bool:
    return certificate.not_valid_before_utc <= moment <= certificate.not_valid_after_utc
