"""JUMBF boxes (ISO/IEC 19566-5) as a C2PA manifest store uses them, read strictly.

The store is a tree: ``c2pa`` holds manifests; a manifest holds its assertion store, its claim and its
signature (C2PA specification 2.4, section "Manifests"). Assertions are hashed by the claim and the claim is
signed, but the boxes around them are covered by nothing: `parse_store` accepts them in one form only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

UUID_TAIL = bytes.fromhex("00110010800000aa00389b71")
BOX_KINDS = (b"c2pa", b"c2ma", b"c2as", b"c2cl", b"c2cs")
MAX_STORE_BYTES = 64 * 1024 * 1024
MAX_MANIFESTS = 100
MAX_ASSERTIONS = 1000
"""In one manifest: a real one has a few dozen."""
MAX_LEAF_BYTES = 1024 * 1024
"""Of a claim, and of a signature."""
TOGGLES = b"\x03"  # requestable, with a label


@dataclass(frozen=True)
class Manifest:
    """One manifest of a store: its label, and the claim's and the signature's CBOR."""

    label: str
    assertions: Mapping[str, bytes]
    """By label, what the claim hashes: the whole content of an assertion's superbox, as it stands."""
    claim_label: str
    claim: bytes
    signature: bytes


def parse_store(data: bytes) -> tuple[Manifest, ...]:
    """The manifests of one store, in order; the last is the active one.

    Raises:
        ValueError: a box, label, identifier or order other than the one a claim generator writes.
    """
    if len(data) > MAX_STORE_BYTES:
        raise ValueError(f"a manifest store of more than {MAX_STORE_BYTES >> 20} MiB")
    kind, body, end = _box(data, 0)
    if kind != b"jumb" or end != len(data):
        raise ValueError("the manifest store is not exactly one box")
    at = _describe(body, 0, b"c2pa", "c2pa")
    manifests: list[Manifest] = []
    while at < len(body):
        content, at = _super(body, at)
        manifests.append(_manifest(content))
        if len(manifests) > MAX_MANIFESTS:
            raise ValueError(f"the manifest store holds more than {MAX_MANIFESTS} manifests")
    labels = [m.label for m in manifests]
    if not manifests or len(set(labels)) != len(labels):
        raise ValueError("the manifest store holds no manifest, or one label twice")
    return tuple(manifests)


def _manifest(body: bytes) -> Manifest:
    label, at = _label(body, 0, b"c2ma")
    store, at = _super(body, at)
    assertions = _assertions(store)
    claim, at = _super(body, at)
    claim_label, claim_cbor = _leaf(claim, b"c2cl")
    if claim_label not in ("c2pa.claim.v2", "c2pa.claim"):
        raise ValueError(f"claim box labelled {claim_label!r}")
    signature, at = _super(body, at)
    signature_label, signature_cbor = _leaf(signature, b"c2cs")
    if signature_label != "c2pa.signature":
        raise ValueError(f"signature box labelled {signature_label!r}")
    if at != len(body):
        raise ValueError("a manifest holds more than its assertions, claim and signature")
    return Manifest(label, assertions, claim_label, claim_cbor, signature_cbor)


def _assertions(body: bytes) -> dict[str, bytes]:
    at = _describe(body, 0, b"c2as", "c2pa.assertions")
    found: dict[str, bytes] = {}
    while at < len(body):
        content, at = _super(body, at)
        kind, description, end = _box(content, 0)
        if kind != b"jumd" or len(description) < 18:
            raise ValueError("an assertion without a description")
        label = description[17:].split(b"\0", 1)[0].decode("utf-8")
        if label in found:
            raise ValueError("two assertions with one label")
        if len(found) == MAX_ASSERTIONS:
            raise ValueError(f"a manifest of more than {MAX_ASSERTIONS} assertions")
        while end < len(content):
            kind, _, end = _box(content, end)
            if kind == b"jumb":
                raise ValueError(f"{label}: boxes inside an assertion's content")
        found[label] = content
    return found


def _leaf(body: bytes, kind: bytes) -> tuple[str, bytes]:
    """Label and content of a superbox that holds one CBOR box."""
    label, at = _label(body, 0, kind)
    content_kind, content, end = _box(body, at)
    if len(content) > MAX_LEAF_BYTES:
        raise ValueError(f"{label}: more than {MAX_LEAF_BYTES >> 20} MiB")
    if content_kind != b"cbor" or end != len(body):
        raise ValueError(f"{label}: more or other than one CBOR box")
    return label, content


def _super(data: bytes, at: int) -> tuple[bytes, int]:
    kind, body, end = _box(data, at)
    if kind != b"jumb":
        raise ValueError(f"a {kind!r} box where a superbox belongs")
    return body, end


def _describe(data: bytes, at: int, kind: bytes, label: str) -> int:
    found, end = _label(data, at, kind)
    if found != label:
        raise ValueError(f"box labelled {found!r} where {label!r} belongs")
    return end


def _label(data: bytes, at: int, kind: bytes) -> tuple[str, int]:
    """The label of a description box of exactly: type identifier, toggles, label, NUL."""
    box, body, end = _box(data, at)
    if box != b"jumd" or body[:16] != kind + UUID_TAIL or body[16:17] != TOGGLES:
        raise ValueError(f"a description that is not {kind.decode()}'s")
    label, nul, rest = body[17:].partition(b"\0")
    if not nul or rest:
        raise ValueError("a description with more than a label")
    return label.decode("utf-8"), end


def _box(data: bytes, at: int) -> tuple[bytes, bytes, int]:
    """Type, content and end of the box at ``at`` (32-bit lengths only)."""
    if len(data) - at < 8:
        raise ValueError("a box ends early")
    size = int.from_bytes(data[at : at + 4], "big")
    if not 8 <= size <= len(data) - at:
        raise ValueError("a box of impossible length")
    return data[at + 4 : at + 8], data[at + 8 : at + size], at + size
