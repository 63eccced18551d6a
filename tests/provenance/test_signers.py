"""Whose signature it is: certificates, anchors and time-stamps made to be taken for what they are not."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from asn1crypto import cms, core, tsp
from asn1crypto import x509 as asn1
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier
from provenance_samples import signed, store_of, with_store
from typer.testing import CliRunner

from castmark_provenance import cbor
from castmark_provenance.chain import problems_at
from castmark_provenance.cli import app
from castmark_provenance.errors import TrustError
from castmark_provenance.jumbf import parse_store
from castmark_provenance.keys import CallbackKey, PemKey
from castmark_provenance.report import State
from castmark_provenance.timestamp_token import token_problems
from castmark_provenance.trust import read_anchors
from castmark_provenance.verify import verify

CONTENT = (ObjectIdentifier("1.3.6.1.4.1.62558.2.1"), ExtendedKeyUsageOID.EMAIL_PROTECTION)
STAMPS = (ExtendedKeyUsageOID.TIME_STAMPING,)
NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Holder:
    """A name and its key."""

    name: str
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    @property
    def subject(self) -> x509.Name:
        parts = (
            (NameOID.COUNTRY_NAME, "XX"),
            (NameOID.ORGANIZATION_NAME, "Tests"),
            (NameOID.COMMON_NAME, self.name),
        )
        return x509.Name([x509.NameAttribute(kind, value) for kind, value in parts])

    def sign(self, data: bytes) -> bytes:
        r, s = decode_dss_signature(self.key.sign(data, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")


ROOT, MIDDLE, SIGNER, CLOCK, CLOCK_ROOT = map(Holder, ("Root", "Middle", "Signer", "Clock", "Clock root"))


def certificate(
    holder: Holder,
    issuer: Holder,
    days: tuple[int, int] = (-10, 300),
    *,
    length: int | None = None,
    usages: Sequence[ObjectIdentifier] = (),
) -> x509.Certificate:
    """Valid from and to so many days from now; an authority's where it has no ``usages``."""
    authority, public = not usages, holder.key.public_key()
    usage = x509.KeyUsage(not authority, False, False, False, False, authority, authority, False, False)
    builder = (
        x509.CertificateBuilder()
        .subject_name(holder.subject)
        .issuer_name(issuer.subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW + days[0] * DAY)
        .not_valid_after(NOW + days[1] * DAY)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=length), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key()), critical=False
        )
    )
    if usages:
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=tuple(usages) == STAMPS)
    return builder.sign(issuer.key, hashes.SHA256())


def der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.DER)


def pem(*certificates: x509.Certificate) -> str:
    return "".join(c.public_bytes(serialization.Encoding.PEM).decode() for c in certificates)


TOP = certificate(ROOT, ROOT, (-1000, 1000), length=1)
BETWEEN = certificate(MIDDLE, ROOT, (-900, 900), length=0)
LEAF = certificate(SIGNER, MIDDLE, usages=CONTENT)
CLOCK_TOP = certificate(CLOCK_ROOT, CLOCK_ROOT, (-1000, 1000))
CLOCK_LEAF = certificate(CLOCK, CLOCK_ROOT, (-900, 900), usages=STAMPS)


@pytest.fixture(scope="module")
def roomy(stranger: PemKey) -> bytes:
    """A PNG signed by a stranger, with the room beside the signature that a key elsewhere is given."""
    return signed(CallbackKey(chain=stranger.chain, anchors=stranger.anchors, callback=stranger.sign))


Unsigned = Callable[[bytes, bytes], list[bytes]]


def chain(*certificates: x509.Certificate) -> bytes:
    return b"\x18\x21" + cbor.array(*(cbor.octets(der(c)) for c in certificates))


def resigned(
    png: bytes, headers: Sequence[bytes], signer: Holder = SIGNER, unsigned: Unsigned = lambda _, __: []
) -> bytes:
    """The PNG with another signature: these signed headers after the algorithm's, and more unsigned ones."""
    store = store_of(png)
    manifest = parse_store(store)[-1]
    protected = bytes([0xA1 + len(headers)]) + b"\x01\x26" + b"".join(headers)
    covered = (cbor.text("Signature1"), cbor.octets(protected), cbor.octets(b""), cbor.octets(manifest.claim))
    value = signer.sign(cbor.array(*covered))
    more = unsigned(protected, value)
    head = b"\xd2\x84" + cbor.octets(protected) + bytes([0xA1 + len(more)]) + b"".join(more)
    head, tail = head + cbor.text("pad"), b"\xf6" + cbor.octets(value)
    room = len(manifest.signature) - len(head) - len(tail) - 3
    assert room >= 256, "a padding whose head takes three bytes"
    return with_store(png, store.replace(manifest.signature, head + cbor.octets(bytes(room)) + tail))


def token(message: bytes, when: datetime, certificates: Sequence[x509.Certificate]) -> cms.ContentInfo:
    """A time-stamp over ``message`` (RFC 3161), signed by `CLOCK` in the name of the first certificate."""
    imprint = {"hash_algorithm": {"algorithm": "sha256"}, "hashed_message": hashlib.sha256(message).digest()}
    said = {"version": "v1", "policy": "1.2.3.4", "message_imprint": imprint, "serial_number": 7, "nonce": 1}
    info = tsp.TSTInfo({**said, "gen_time": when}).dump()
    first = asn1.Certificate.load(der(certificates[0]))
    hashed = {"certs": [{"cert_hash": hashlib.sha256(der(certificates[0])).digest()}]}
    attributes = cms.CMSAttributes(
        [
            cms.CMSAttribute({"type": "content_type", "values": ["tst_info"]}),
            cms.CMSAttribute({"type": "message_digest", "values": [hashlib.sha256(info).digest()]}),
            cms.CMSAttribute(
                {"type": "signing_certificate_v2", "values": [tsp.SigningCertificateV2(hashed)]}
            ),
        ]
    )
    named = {"issuer": first.issuer, "serial_number": first.serial_number}
    signer = {
        "version": "v1",
        "sid": cms.SignerIdentifier({"issuer_and_serial_number": cms.IssuerAndSerialNumber(named)}),
        "digest_algorithm": {"algorithm": "sha256"},
        "signed_attrs": attributes,
        "signature_algorithm": {"algorithm": "sha256_ecdsa"},
        "signature": CLOCK.key.sign(attributes.dump(), ec.ECDSA(hashes.SHA256())),
    }
    content = {
        "version": "v3",
        "digest_algorithms": [{"algorithm": "sha256"}],
        "encap_content_info": {"content_type": "tst_info", "content": core.ParsableOctetString(info)},
        "certificates": [
            cms.CertificateChoices("certificate", asn1.Certificate.load(der(c))) for c in certificates
        ],
        "signer_infos": [cms.SignerInfo(signer)],
    }
    return cms.ContentInfo({"content_type": "signed_data", "content": cms.SignedData(content)})


def header(name: str, value: bytes) -> bytes:
    return (
        cbor.text(name) + b"\xa1" + cbor.text("tstTokens") + cbor.array(b"\xa1\x63val" + cbor.octets(value))
    )


def stamped(when: datetime) -> Unsigned:
    """A time-stamp in the form that C2PA asks for now."""

    def make(protected: bytes, value: bytes) -> list[bytes]:
        covered = (cbor.octets(protected), cbor.octets(b""), cbor.octets(cbor.octets(value)))
        message = cbor.array(cbor.text("CounterSignature"), *covered)
        return [header("sigTst2", token(message, when, [CLOCK_LEAF]).dump())]

    return make


def test_what_these_tests_sign_rightly_is_trusted(roomy: bytes) -> None:
    data = resigned(roomy, [chain(LEAF, BETWEEN)])
    for moment in (None, NOW):
        assert verify(data, trust=pem(TOP), at=moment).state is State.TRUSTED
    data = resigned(roomy, [chain(LEAF, BETWEEN)], unsigned=stamped(NOW - DAY))
    anchors = pem(TOP, CLOCK_TOP)
    assert verify(data, trust=anchors, require=["time"]).state is State.TRUSTED


@pytest.mark.parametrize("moment", [None, NOW])
def test_certificates_under_a_second_label_are_refused(moment: datetime | None, roomy: bytes) -> None:
    """The C2PA library takes the first of the two, whosever the other is."""
    forger = Holder("Signer")
    theirs = cbor.text("x5chain") + cbor.array(cbor.octets(der(certificate(forger, ROOT, usages=CONTENT))))
    forged = resigned(roomy, [theirs, chain(LEAF, BETWEEN)], forger)
    report = verify(forged, trust=pem(TOP), at=moment)
    assert (report.state, report.check("layout").outcome) == (State.INVALID, "failed")
    assert report.check("signer").outcome == "failed"
    (manifest,) = parse_store(store_of(forged))
    assert problems_at(manifest, pem(TOP), NOW)[0] == ["the signature is not the signing certificate's"]


def test_a_signed_header_of_another_label_is_refused(roomy: bytes) -> None:
    for headers in ([chain(LEAF, BETWEEN), b"\x04\x41k"], [cbor.text("x5chain") + chain(LEAF, BETWEEN)[2:]]):
        report = verify(resigned(roomy, headers), trust=pem(TOP))
        assert (report.state, report.check("layout").outcome) == (State.INVALID, "failed")


@pytest.mark.parametrize("moment", [None, NOW])
@pytest.mark.parametrize("usage", [ExtendedKeyUsageOID.TIME_STAMPING, ExtendedKeyUsageOID.OCSP_SIGNING])
def test_a_certificate_for_other_uses_signs_no_content(
    usage: ObjectIdentifier, moment: datetime | None, roomy: bytes
) -> None:
    leaf = certificate(SIGNER, MIDDLE, usages=[usage])
    report = verify(resigned(roomy, [chain(leaf, BETWEEN)]), trust=pem(TOP), at=moment)
    assert report.state is State.UNTRUSTED
    assert "not for signing content" in report.verdict


@pytest.mark.parametrize("moment", [None, NOW])
def test_an_anchor_that_has_ended_vouches_for_what_was_signed_before(
    moment: datetime | None, roomy: bytes
) -> None:
    ended = certificate(ROOT, ROOT, (-1000, -50), length=1)
    leaf = certificate(SIGNER, MIDDLE, (-100, 300), usages=CONTENT)

    def answer(*anchors: x509.Certificate, stamp: datetime | None = None) -> State:
        unsigned = {"unsigned": stamped(stamp)} if stamp else {}
        data = resigned(roomy, [chain(leaf, BETWEEN)], **unsigned)
        return verify(data, trust=pem(*anchors, CLOCK_TOP), at=moment).state

    assert answer(ended) is State.INVALID
    assert answer(ended, TOP) is State.TRUSTED, "renewed under the same name and key"
    assert answer(ended, stamp=NOW - 60 * DAY) is State.TRUSTED
    assert answer(ended, stamp=NOW - 40 * DAY) is State.INVALID


@pytest.mark.parametrize("moment", [None, NOW])
def test_an_authority_that_may_have_none_below_it(moment: datetime | None, roomy: bytes) -> None:
    below = Holder("Below")
    certificates = (
        certificate(SIGNER, below, usages=CONTENT),
        certificate(below, MIDDLE, (-20, 400)),
    )
    allowed = certificate(MIDDLE, ROOT, (-900, 900), length=1)
    top = certificate(ROOT, ROOT, (-1000, 1000))
    for middle, anchor, state in (
        (BETWEEN, top, State.UNTRUSTED),
        (allowed, TOP, State.UNTRUSTED),
        (allowed, top, State.TRUSTED),
    ):
        data = resigned(roomy, [chain(*certificates, middle)])
        assert verify(data, trust=pem(anchor), at=moment).state is state


@pytest.mark.parametrize("moment", [None, NOW])
def test_a_signing_certificate_is_no_anchor(moment: datetime | None, roomy: bytes) -> None:
    data = resigned(roomy, [chain(LEAF, BETWEEN)])
    assert verify(data, trust=pem(LEAF), at=moment).state is State.UNTRUSTED
    assert verify(data, trust=pem(BETWEEN), at=moment).state is State.TRUSTED, "an authority is"


@pytest.mark.parametrize("first", [True, False])
def test_junk_among_the_anchors_is_wrong_usage(first: bool, png: bytes, tmp_path: Path) -> None:
    body = base64.b64encode(b"this is no certificate").decode()
    junk = f"-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n"
    anchors = junk + pem(TOP) if first else pem(TOP) + junk
    (tmp_path / "bad.pem").write_text(anchors)
    (tmp_path / "image.png").write_bytes(png)
    with pytest.raises(TrustError, match=r"bad\.pem: a certificate in it cannot be read"):
        read_anchors([tmp_path / "bad.pem"])
    arguments = ["verify", str(tmp_path / "image.png"), "--trust", str(tmp_path / "bad.pem")]
    assert CliRunner().invoke(app, arguments).exit_code == 2
    with pytest.raises(TrustError, match="anchors given cannot be read"):
        verify(png, trust=anchors)


def test_a_second_time_stamp_of_the_other_form_is_refused(roomy: bytes) -> None:
    """The library looks at the first it finds: in the other, anything could be written."""

    def two(protected: bytes, value: bytes) -> list[bytes]:
        reply: dict[str, Any] = {"status": {"status": "granted"}}
        reply["time_stamp_token"] = token(b"something else", NOW - 900 * DAY, [CLOCK_LEAF])
        real = stamped(NOW - DAY)(protected, value)
        return [*real, header("sigTst", tsp.TimeStampResp(reply).dump())]

    report = verify(resigned(roomy, [chain(LEAF, BETWEEN)], unsigned=two), trust=pem(TOP, CLOCK_TOP))
    assert (report.state, report.check("layout").outcome) == (State.INVALID, "failed")
    assert "two time-stamps" in report.verdict


def test_a_token_of_many_certificates_is_refused_before_they_are_checked() -> None:
    """Each is compared with each other one, and checked against those of its issuer's name."""

    def problems(certificates: list[x509.Certificate]) -> list[str]:
        value = token(b"anything", NOW, certificates).dump()
        return token_problems({"sigTst2": {"tstTokens": [{"val": value}]}})

    several = [certificate(holder, holder) for holder in map(Holder, "abcdefghi")]
    assert problems(several[:8]) == []
    assert problems(several) == ["a time-stamp with 9 certificates, more than 8"]
    namesake = certificate(Holder("a"), Holder("a"))
    assert problems([several[0], namesake]) == ["a time-stamp with two certificates of one name"]
