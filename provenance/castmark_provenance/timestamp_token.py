"""The bytes of a time-stamp token that nothing signs, and the one form in which they are accepted.

A token (RFC 3161, a CMS SignedData of RFC 5652) stands beside the signature, unsigned itself. Its own
signature covers the time and the signed attributes; certificates are covered by their issuers' signatures.
The C2PA library checks those that it needs; here the rest is looked at: certificates leading nowhere,
unsigned attributes, revocation lists and odd parameters, in each of which bytes could hide.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from castmark_provenance.tree import items, record

MAX_CERTIFICATES = 8
"""In one token: authorities send two to four, and each costs several verifications."""
SIGNATURES = frozenset(
    {
        "rsassa_pkcs1v15", "ed25519", "sha256_rsa", "sha384_rsa", "sha512_rsa", "sha256_ecdsa",
        "sha384_ecdsa", "sha512_ecdsa",
    }
)  # fmt: skip


def token_problems(unprotected: dict[Any, Any]) -> list[str]:
    """Every way in which the tokens of an unprotected COSE header are not as they must be."""
    problems: list[str] = []
    for name in ("sigTst", "sigTst2"):
        if name not in unprotected:
            continue
        stamps = record(unprotected[name])
        tokens = [record(token) for token in items(stamps.get("tstTokens"))]
        if set(stamps) != {"tstTokens"} or len(tokens) != 1 or set(tokens[0]) != {"val"}:
            problems.append(f"{name} holds more or other than one token")
        elif not isinstance(value := tokens[0]["val"], bytes):
            problems.append(f"{name} holds a token that is no byte string")
        else:
            problems += _problems(value, whole_reply=name == "sigTst")
    return problems


def _problems(data: bytes, *, whole_reply: bool) -> list[str]:
    from asn1crypto import cms, tsp

    try:
        reply: Any = tsp.TimeStampResp.load(data, strict=True) if whole_reply else None
        token: Any = reply["time_stamp_token"] if whole_reply else cms.ContentInfo.load(data, strict=True)
        if whole_reply and (reply["status"].native["status_string"] or reply["status"].native["fail_info"]):
            return ["words beside the time-stamp"]
        content = token["content"]
        signers = list(content["signer_infos"])
        problems: list[str] = []
        if token["content_type"].native != "signed_data" or content["version"].native != "v3":
            problems.append("a time-stamp of another kind")
        if len(signers) != 1:
            return [*problems, f"a time-stamp of {len(signers)} signers"]
        signer = signers[0]
        digests = list(content["digest_algorithms"])
        if len(digests) != 1 or digests[0].dump() != signer["digest_algorithm"].dump():
            problems.append("a time-stamp that names digests it does not use")
        for name in ("digest_algorithm", "signature_algorithm"):
            if signer[name]["parameters"].dump() not in (b"", b"\x05\x00"):
                problems.append(f"a time-stamp with parameters beside its {name.replace('_', ' ')}")
        if signer["signature_algorithm"]["algorithm"].native not in SIGNATURES:
            problems.append("a time-stamp signed with another algorithm than it can be")
        if signer["unsigned_attrs"].native or content["crls"].native:
            problems.append("bytes beside the time-stamp that nothing signs")
        if signer["version"].native != "v1" or signer["sid"].name != "issuer_and_serial_number":
            problems.append("a time-stamp that names its signer otherwise than by issuer and serial number")
        return problems + _certificate_problems([choice.dump() for choice in content["certificates"]])
    except Exception as error:  # noqa: BLE001 - two parsers on a stranger's bytes: what they cannot read is refused
        return [f"a time-stamp that cannot be read ({' '.join(str(error).split())[:80]})"]


def _certificate_problems(certificates: Sequence[bytes]) -> list[str]:
    """Each certificate must be signed by the next one up, a root by itself; one may lead out of the token."""
    from cryptography import x509

    def key_id(certificate: x509.Certificate, of: Literal["subject", "authority"]) -> bytes | None:
        try:
            if of == "subject":
                return certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
            found = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
            return found.key_identifier
        except x509.ExtensionNotFound:
            return None

    if len(certificates) > MAX_CERTIFICATES:
        return [f"a time-stamp with {len(certificates)} certificates, more than {MAX_CERTIFICATES}"]
    loaded = [x509.load_der_x509_certificate(certificate) for certificate in certificates]
    if len({certificate.subject for certificate in loaded}) != len(loaded):
        return ["a time-stamp with two certificates of one name"]
    leading_out = 0
    for certificate, written in zip(loaded, certificates, strict=True):
        if not written.endswith(b"\0" + certificate.signature):  # its count of unused bits, which is none
            return ["a certificate of the time-stamp that is not written as it must be"]
        wanted = key_id(certificate, "authority")
        issuers = [
            other
            for other in loaded
            if other.subject == certificate.issuer or (wanted and wanted == key_id(other, "subject"))
        ]
        leading_out += not issuers
        for issuer in issuers:
            certificate.verify_directly_issued_by(issuer)
    if leading_out > 1:
        return ["a time-stamp with a certificate that it does not need"]
    return []
