"""AVIF (ISO base media; C2PA specification 2.4, appendix A.5): the store is in a top-level ``uuid`` box.

``c2pa.hash.bmff`` hashes the top-level boxes with their places, save those that its exclusions name. The C2PA
library always names ``ftyp``, ``mfra``, ``free`` and ``skip``: the last three are refused here, and ``ftyp``
may hold known brands only. What we sign has a digest of ``ftyp`` in an assertion of its own besides.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator

from castmark_provenance.containers.located import Located

C2PA_UUID = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
PREFIX = bytes(4) + b"manifest\0" + bytes(8)
"""Version and flags, purpose, and the offset of a Merkle box (none)."""
EXCLUSIONS: tuple[dict[str, object], ...] = (
    {"xpath": "/uuid", "data": [{"offset": 8, "value": base64.b64encode(C2PA_UUID).decode()}]},
    *({"xpath": f"/{kind}"} for kind in ("ftyp", "mfra", "free", "skip")),
)
UNHASHED = (b"mfra", b"free", b"skip")
BRANDS = frozenset((b"avif", b"mif1", b"miaf", b"MA1A", b"MA1B"))
"""Of still pictures in AVIF (AV1 Image File Format 1.2, section 6 and 8)."""


def is_avif(data: bytes) -> bool:
    """Whether the file type box says that this is an AVIF still picture."""
    return data[4:8] == b"ftyp" and data[8:12] == b"avif"


def header(data: bytes) -> bytes:
    """The file type box, which no C2PA hash covers."""
    return next((data[start:end] for kind, start, end in _boxes(data) if kind == b"ftyp"), b"")


def locate(data: bytes) -> list[Located]:
    """The ``uuid`` boxes of C2PA's, two at most.

    Raises:
        ValueError: the top-level boxes are damaged before that.
    """
    found: list[tuple[int, int]] = []
    problems: list[str] = []
    unhashed: list[bytes] = []
    ftyp = b""
    for kind, start, end in _boxes(data):
        if kind == b"ftyp":
            if ftyp:
                problems.append("more than one ftyp box")
            ftyp = data[start:end]
        elif kind == b"uuid" and data[start + 8 : start + 24] == C2PA_UUID:
            found.append((start, end))
            if len(found) == 2:
                break  # more than one is one too many
        elif kind in UNHASHED and kind not in unhashed:
            unhashed.append(kind)
    problems += [f"a {kind.decode()} box, which no hash covers" for kind in unhashed]
    known = all(ftyp[at : at + 4] in BRANDS for at in range(16, len(ftyp), 4))
    if len(ftyp) % 4 or ftyp[12:16] != bytes(4) or not known:
        problems.append("the file type box names a brand that no AVIF picture has")
    return [_located(data, start, end, ftyp, problems) for start, end in found]


def _located(data: bytes, start: int, end: int, ftyp: bytes, problems: list[str]) -> Located:
    at = start + 24 + len(PREFIX)
    if int.from_bytes(data[start : start + 4], "big") != end - start or data[start + 24 : at] != PREFIX:
        problems = [*problems, "the manifest's box is headed otherwise than for one manifest"]
    return Located(
        store=data[at:end],
        start=start,
        length=end - start,
        pieces=((at, end - at),),
        header=ftyp,
        problems=tuple(problems),
    )


def _boxes(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Type, start and end of each top-level box."""
    at = 0
    while at < len(data):
        if len(data) - at < 8:
            raise ValueError("the AVIF ends inside a box header")
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if size == 1:
            size = int.from_bytes(data[at + 8 : at + 16], "big")
        elif size == 0:
            size = len(data) - at
        if not 8 <= size <= len(data) - at:
            raise ValueError(f"the AVIF ends inside its {kind!r} box")
        yield kind, at, at + size
        at += size
