"""The tamper table: what can be done to a signed file, and the one right answer to each.

A row changes a signed PNG (or signs a false manifest with the right key) and names the state that the
verifier must give, and the check that must fail. Each answer must also say what to do next.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import c2pa
from PIL import Image

from castmark.bench.attacks.signed_samples import Sample, sample
from castmark_provenance import cbor
from castmark_provenance.containers import locate
from castmark_provenance.jumbf import parse_store
from castmark_provenance.keys import CallbackKey, PemKey
from castmark_provenance.layout import sign1_parts
from castmark_provenance.manifest import to_manifest
from castmark_provenance.report import Report, State
from castmark_provenance.sign import sign
from castmark_provenance.trust import TRUST_CONFIG
from castmark_provenance.verify import verify

SIGNATURE = b"\x89PNG\r\n\x1a\n"
Chunks = list[tuple[bytes, bytes]]


@dataclass(frozen=True)
class Bench:
    """What the rows work on: two signed PNGs, and keys of ours and of a stranger's."""

    key: PemKey
    stranger: PemKey
    image: Sample
    other: Sample
    png: bytes = field(default=b"")
    other_png: bytes = field(default=b"")

    @classmethod
    def of(cls, key: PemKey, stranger: PemKey, image: Sample, other: Sample) -> Bench:
        """The bench with both pictures signed."""
        return cls(key, stranger, image, other, image.signed(key), other.signed(key))


@dataclass(frozen=True)
class Row:
    """One way to tamper: how, the right state, and the check that must fail (None: there are no checks)."""

    name: str
    make: Callable[[Bench], bytes]
    state: State
    check: str | None
    independent: bool = False
    """Whether an implementation without our own rules must refuse it as well."""

    def judge(self, bench: Bench) -> tuple[bool, Report]:
        """Whether the verifier answers rightly, and its report."""
        report = verify(self.make(bench), trust=bench.key.anchors)
        failed = {c.name for c in report.checks if c.outcome == "failed"}
        right = report.state is self.state and bool(report.remedy)
        return right and (self.check is None or self.check in failed), report


def chunks(png: bytes) -> Chunks:
    """Type and body of every chunk of a PNG."""
    found, at = [], len(SIGNATURE)
    while at < len(png):
        size = int.from_bytes(png[at : at + 4], "big")
        found.append((png[at + 4 : at + 8], png[at + 8 : at + 8 + size]))
        at += 12 + size
    return found


def join(parts: Chunks) -> bytes:
    """A PNG of these chunks, with right CRCs."""
    return SIGNATURE + b"".join(
        len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")
        for kind, body in parts
    )


def store_of(png: bytes) -> bytes:
    """The manifest store of a signed PNG."""
    return next(body for kind, body in chunks(png) if kind == b"caBX")


def with_store(png: bytes, store: bytes) -> bytes:
    """The PNG with another manifest store, its CRC right."""
    return join([(kind, store if kind == b"caBX" else body) for kind, body in chunks(png)])


def flipped(data: bytes, at: int, bits: int = 1) -> bytes:
    """The bytes with some bits of one changed."""
    return data[:at] + bytes([data[at] ^ bits]) + data[at + 1 :]


def false_manifest(
    bench: Bench, edit: Callable[[dict[str, Any]], object], ingredients: list[bytes] | None = None
) -> bytes:
    """The picture signed by the right key with a manifest that its owner edited: the library trusts it."""
    manifest = to_manifest(bench.image.claim)
    edit(manifest)
    key = bench.key
    settings = {
        "verify": {"verify_after_sign": False},
        "trust": {"user_anchors": key.anchors, "trust_config": TRUST_CONFIG},
        "builder": {"thumbnail": {"enabled": False}},
    }
    info = c2pa.C2paSignerInfo(key.algorithm.encode(), key.chain.encode(), key.private_pem(), None)
    out = io.BytesIO()
    context = c2pa.Context.from_dict(settings, signer=c2pa.Signer.from_info(info))
    with c2pa.Builder(manifest, context=context) as builder:
        for data in ingredients or []:
            builder.add_ingredient(
                {"title": "source.png", "relationship": "inputTo"}, "image/png", io.BytesIO(data)
            )
        builder.sign("image/png", io.BytesIO(bench.image.encoded), out)
    return out.getvalue()


def body_of(manifest: dict[str, Any], label: str) -> dict[str, Any]:
    """An assertion of a manifest definition."""
    return next(a["data"] for a in manifest["assertions"] if a["label"] == label)


def _one_pixel(bench: Bench) -> bytes:
    image = Image.open(io.BytesIO(bench.png))
    red, green, blue = image.getpixel((5, 5))  # pyright: ignore
    image.putpixel((5, 5), (red ^ 1, green, blue))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    parts = chunks(buffer.getvalue())
    parts.insert(1, (b"caBX", store_of(bench.png)))
    return join(parts)


def _resaved(bench: Bench, kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.open(io.BytesIO(bench.png)).save(buffer, kind)
    return buffer.getvalue()


def _in_store(*marks: bytes, after: int) -> Callable[[Bench], bytes]:
    """One bit changed ``after`` bytes beyond the last of some marks, each sought after the one before."""

    def make(bench: Bench) -> bytes:
        store, at = store_of(bench.png), 0
        for mark in marks:
            at = store.index(mark, at)
        return with_store(bench.png, flipped(store, at + after))

    return make


def _pad(bench: Bench) -> bytes:
    store = store_of(bench.png)
    at = store.index(b"\x63pad\x59") + 20
    return with_store(bench.png, store[:at] + b"hidden" + store[at + 6 :])


def _crc(bench: Bench) -> bytes:
    (located,) = locate(bench.png, "image/png")
    return flipped(bench.png, located.start + located.length - 1)


def _swapped_assertions(bench: Bench) -> bytes:
    store = store_of(bench.png)
    bodies = list(parse_store(store)[0].assertions.values())
    boxes = [(len(body) + 8).to_bytes(4, "big") + b"jumb" + body for body in bodies[:2]]
    return with_store(bench.png, store.replace(boxes[0] + boxes[1], boxes[1] + boxes[0]))


def _grown_store(bench: Bench) -> bytes:
    store = store_of(bench.png)
    size = (len(store) + 16).to_bytes(4, "big")
    return with_store(bench.png, size + store[4:] + b"\0\0\0\x10free" + b"secretly")


def _two_chains(bench: Bench) -> bytes:
    """A stranger's signature with the stranger's certificates, and ours under a label read second."""
    elsewhere = CallbackKey(  # for which the library leaves room beside the signature
        chain=bench.stranger.chain, anchors=bench.stranger.anchors, callback=bench.stranger.sign
    )
    image = bench.image
    png = sign(image.encoded, image.media_type, image.claim, elsewhere, pixels=image.pixels)
    store = store_of(png)
    forged, ours = parse_store(store)[-1], parse_store(store_of(bench.png))[-1]
    protected, *_ = sign1_parts(forged.signature)
    ours_protected, *_ = sign1_parts(ours.signature)
    at = [header.index(b"\x18\x21") for header in (protected, ours_protected)]  # the label 33
    their_chain, our_chain = protected[at[0] + 2 :], ours_protected[at[1] :]
    header = b"\xa3" + protected[1 : at[0]] + cbor.text("x5chain") + their_chain + our_chain
    covered = cbor.array(
        cbor.text("Signature1"), cbor.octets(header), cbor.octets(b""), cbor.octets(forged.claim)
    )
    head = b"\xd2\x84" + cbor.octets(header) + b"\xa1" + cbor.text("pad")
    tail = b"\xf6" + cbor.octets(bench.stranger.sign(covered))
    room = len(forged.signature) - len(head) - len(tail)
    signature = head + cbor.octets(bytes(room - 3)) + tail
    return with_store(png, store.replace(forged.signature, signature))


def _source_type(manifest: dict[str, Any]) -> None:
    body_of(manifest, "c2pa.actions.v2")["actions"][0]["digitalSourceType"] = "bogus"


def _captured(manifest: dict[str, Any]) -> None:
    source = "http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture"
    body_of(manifest, "c2pa.actions.v2")["actions"][0]["digitalSourceType"] = source


def _label(manifest: dict[str, Any]) -> None:
    manifest["assertions"].append({"label": "c2pa.invented", "data": {"x": 1}})


def _action(manifest: dict[str, Any]) -> None:
    body_of(manifest, "c2pa.actions.v2")["actions"].append({"action": "c2pa.invented"})


def _forbidden(manifest: dict[str, Any]) -> None:
    body_of(manifest, "org.castmark.safety")["findings"][1]["allowed"] = False


def _unchecked(manifest: dict[str, Any]) -> None:
    record = body_of(manifest, "org.castmark.safety")
    record["findings"] = record["findings"][:1]


def _other_pixels(manifest: dict[str, Any]) -> None:
    body_of(manifest, "org.castmark.safety")["pixel_sha256"] = "0" * 64


def _other_model(manifest: dict[str, Any]) -> None:
    body_of(manifest, "c2pa.ai-disclosure")["modelIdentifier"] = "sha256:" + "0" * 64


def _hidden_reference(manifest: dict[str, Any]) -> None:
    body_of(manifest, "org.castmark.generation")["ingredients"].pop()


def _no_safety(manifest: dict[str, Any]) -> None:
    manifest["assertions"] = [a for a in manifest["assertions"] if a["label"] != "org.castmark.safety"]


def _nothing(manifest: dict[str, Any]) -> None:
    pass


def _drop(bench: Bench, kind: bytes) -> bytes:
    return join([part for part in chunks(bench.png) if part[0] != kind])


def _add(bench: Bench, place: int, part: tuple[bytes, bytes]) -> bytes:
    parts = chunks(bench.png)
    return join([*parts[:place], part, *parts[place:]])


INVALID, ABSENT = State.INVALID, State.ABSENT
TABLE: tuple[Row, ...] = (
    # the table of what the library is known to say
    Row("one pixel changed", _one_pixel, INVALID, "integrity", True),
    Row(
        "one bit of the picture",
        lambda b: flipped(b.png, b.png.index(b"IDAT") + 10),
        INVALID,
        "integrity",
        True,
    ),
    Row(
        "manifest of another picture", lambda b: with_store(b.png, store_of(b.other_png)), INVALID, None, True
    ),
    Row("bytes appended", lambda b: b.png + b"more", INVALID, "integrity", True),
    Row("a chunk added", lambda b: _add(b, -1, (b"tEXt", b"Author\0me")), INVALID, "integrity", True),
    Row("cut in the picture", lambda b: b.png[: len(b.png) - len(b.image.encoded) // 3], INVALID, None, True),
    Row("cut in the manifest", lambda b: b.png[:3000], INVALID, None),
    Row("an assertion's byte", _in_store(b"org.castmark.generation", b"cbor", after=40), INVALID, None, True),
    Row("the claim's byte", _in_store(b"c2pa.claim.v2\0", b"cbor", after=30), INVALID, None, True),
    Row(
        "the signature's byte",
        _in_store(b"c2pa.signature\0", b"\xf6\x58\x40", after=9),
        INVALID,
        "integrity",
        True,
    ),
    Row("saved again as PNG", lambda b: _resaved(b, "PNG"), ABSENT, None, True),
    Row("converted to JPEG", lambda b: _resaved(b, "JPEG"), ABSENT, None, True),
    Row("manifest removed", lambda b: _drop(b, b"caBX"), ABSENT, None, True),
    Row("manifest twice", lambda b: _add(b, 1, (b"caBX", store_of(b.png))), INVALID, None),
    Row(
        "a second manifest, another's", lambda b: _add(b, -1, (b"caBX", store_of(b.other_png))), INVALID, None
    ),
    Row("an unknown signer", lambda b: b.image.signed(b.stranger), State.UNTRUSTED, "signer"),
    # what it passes as trusted
    Row("bytes hidden in the COSE pad", _pad, INVALID, "layout", True),
    Row("the manifest chunk's CRC", _crc, INVALID, "layout"),
    Row("a box label's toggles", _in_store(b"\x13org.castmark.safety\0", after=0), INVALID, None),
    Row(
        "an ingredient that was tampered with",
        lambda b: false_manifest(b, _nothing, [flipped(b.other_png, b.other_png.index(b"IDAT") + 10)]),
        INVALID,
        "ingredients",
    ),
    Row(
        "a source type that does not exist", lambda b: false_manifest(b, _source_type), INVALID, "vocabulary"
    ),
    Row("a label that does not exist", lambda b: false_manifest(b, _label), INVALID, "vocabulary"),
    Row("an action that does not exist", lambda b: false_manifest(b, _action), INVALID, "vocabulary"),
    # and more of our own
    Row("a finding that forbids", lambda b: false_manifest(b, _forbidden), INVALID, "safety_record"),
    Row("a check left out", lambda b: false_manifest(b, _unchecked), INVALID, "safety_record"),
    Row("no record of a check", lambda b: false_manifest(b, _no_safety), INVALID, "safety_record"),
    Row("a check of other pixels", lambda b: false_manifest(b, _other_pixels), INVALID, "pixels"),
    Row("called a photograph", lambda b: false_manifest(b, _captured), INVALID, "ingredients"),
    Row("another model disclosed", lambda b: false_manifest(b, _other_model), INVALID, "ingredients"),
    Row(
        "a reference left out of the record",
        lambda b: false_manifest(b, _hidden_reference),
        INVALID,
        "ingredients",
    ),
    Row("another's certificates beside the signer's", _two_chains, INVALID, "layout"),
    Row("assertions in another order", _swapped_assertions, INVALID, "layout"),
    Row("a box after the manifest", _grown_store, INVALID, None),
    Row(
        "manifest in another place",
        lambda b: join(
            [p for p in chunks(b.png) if p[0] not in (b"caBX", b"IEND")]
            + [(b"caBX", store_of(b.png)), (b"IEND", b"")]
        ),
        INVALID,
        None,
        True,
    ),
    Row("manifest chunk renamed", lambda b: b.png.replace(b"caBX", b"caBY"), INVALID, None, True),
    Row("header destroyed", lambda b: b"\0" + b.png[1:], INVALID, None, True),
    Row(
        "a picture replaced whole",
        lambda b: with_store(
            join([*chunks(b.other.encoded)[:1], (b"caBX", b""), *chunks(b.other.encoded)[1:]]),
            store_of(b.png),
        ),
        INVALID,
        "integrity",
        True,
    ),
    Row("not an image", lambda b: b"hello" * 100, State.UNREADABLE, None),
    Row("empty", lambda b: b"", State.UNREADABLE, None),
)


def bench_of(key: PemKey, stranger: PemKey, images: list[Image.Image]) -> Bench:
    """A bench on two pictures."""
    first, second = (sample(image, "PNG") for image in images)
    return Bench.of(key, stranger, first, second)
