"""A certificate chain judged at a given moment (RFC 5280 section 6.1, the parts that C2PA uses).

The C2PA library judges certificates now. ``castmark verify --at TIME`` asks about another moment, and this
answers it: from the signing certificate, each one signed by the next, up to a trust anchor, all valid then.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from castmark_provenance import cbor
from castmark_provenance.layout import sign1_parts
from castmark_provenance.tree import items, record
from castmark_provenance.trust import TRUST_CONFIG

X5CHAIN = 33
"""COSE header of the certificate chain (RFC 9360)."""
MAX_LENGTH = 10


def chain_of(signature: bytes) -> list[bytes]:
    """The certificates (DER, the signer's first) in a COSE_Sign1's protected header.

    Raises:
        ValueError: there is none.
    """
    protected, _, _, _ = sign1_parts(signature)
    header = cbor.loads(protected)
    found = record(header).get(X5CHAIN)  # pyright: ignore[reportArgumentType, reportCallIssue]
    chain = [found] if isinstance(found, bytes) else [c for c in items(found) if isinstance(c, bytes)]
    if not chain:
        raise ValueError("the signature carries no certificate")
    return chain


def problems_at(chain: Sequence[bytes], anchors: str, moment: datetime) -> tuple[list[str], list[str]]:
    """What keeps ``chain`` from leading to one of ``anchors`` (PEM), and what was not valid at ``moment``.

    Both empty: the signature was good then.
    """
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature
    from cryptography.x509.oid import ExtensionOID

    def issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
        try:
            certificate.verify_directly_issued_by(issuer)
            extensions = issuer.extensions
            basic = extensions.get_extension_for_class(x509.BasicConstraints).value
            usage = extensions.get_extension_for_class(x509.KeyUsage).value
        except (InvalidSignature, ValueError, TypeError, x509.ExtensionNotFound):
            return False
        return basic.ca and usage.key_cert_sign

    try:
        leaf, *others = [x509.load_der_x509_certificate(der) for der in chain[:MAX_LENGTH]]
        roots = x509.load_pem_x509_certificates(anchors.encode()) if anchors.strip() else []
        usages = leaf.extensions.get_extension_for_oid(ExtensionOID.EXTENDED_KEY_USAGE).value
        purposes = {usage.dotted_string for usage in usages}  # pyright: ignore
    except Exception as error:  # noqa: BLE001 - a stranger's certificates: what cannot be read leads nowhere
        return [f"the certificates cannot be read ({type(error).__name__})"], []
    if not purposes & set(TRUST_CONFIG.split()):
        return ["the signing certificate is not for signing content"], []
    path = [leaf]
    while len(path) <= MAX_LENGTH:
        if path[-1] in roots:
            break
        if root := next((root for root in roots if issued(path[-1], root)), None):
            path.append(root)
            break
        issuer = next((other for other in others if other not in path and issued(path[-1], other)), None)
        if issuer is None:
            return ["the chain leads to no trust anchor given"], []
        path.append(issuer)
    ended = [
        f"the certificate of {c.subject.rfc4514_string()} was valid from {c.not_valid_before_utc:%Y-%m-%d} "
        f"to {c.not_valid_after_utc:%Y-%m-%d} and not at {moment:%Y-%m-%d %H:%M}"
        for c in path
        if not c.not_valid_before_utc <= moment <= c.not_valid_after_utc
    ]
    return [], ended
