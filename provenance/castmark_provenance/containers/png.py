"""PNG (C2PA specification 2.4, appendix A.3.2): the store is one caBX chunk."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from castmark_provenance.containers.exif import UPRIGHT, orientation
from castmark_provenance.containers.located import Located

SIGNATURE = b"\x89PNG\r\n\x1a\n"
DEPTH = 8
ANIMATION = (b"acTL", b"fcTL", b"fdAT")
GAMMAS = range(45_000, 46_001)
"""1/2.2 in hundred thousandths, as encoders round it."""


def locate(data: bytes) -> list[Located]:
    """The caBX chunks, two at most. Raises ValueError where the file's chunks are damaged before that."""
    found: list[Located] = []
    for kind, at, size in _chunks(data):
        if kind != b"caBX":
            continue
        body = data[at + 8 : at + 8 + size]
        written = int.from_bytes(data[at + 8 + size : at + 12 + size], "big")
        problems = () if zlib.crc32(kind + body) == written else ("the manifest chunk's CRC is wrong",)
        found.append(
            Located(
                store=body,
                start=at,
                length=size + 12,
                pieces=((at + 8, size),),
                exclusions=((at, size + 12),),
                problems=problems,
            )
        )
        if len(found) == 2:
            break  # more than one is one too many
    return found


def require_plain(data: bytes) -> None:
    """Nothing that would show another picture than 8-bit samples, as they stand, to one viewer or another.

    Raises:
        ValueError: damaged, animated, turned, of another gamma, or of other than 8 bits a sample.
    """
    for kind, at, size in _chunks(data):
        if kind in ANIMATION:
            raise ValueError(f"an animation (a chunk {kind.decode()})")
        if kind == b"IHDR" and data[at + 16] != DEPTH:
            raise ValueError(f"{data[at + 16]} bits a sample, not {DEPTH}")
        if kind == b"gAMA" and int.from_bytes(data[at + 8 : at + 8 + size], "big") not in GAMMAS:
            raise ValueError("a gamma other than 1/2.2")
        if kind == b"eXIf" and orientation(data[at + 8 : at + 8 + size]) != UPRIGHT:
            raise ValueError("an orientation, which not every viewer reads")


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Type, start and body size of each chunk to the end of the picture; the data hash covers the rest."""
    at = len(SIGNATURE)
    while at < len(data):
        if len(data) - at < 12:
            raise ValueError("the PNG ends inside a chunk")
        kind, size = data[at + 4 : at + 8], int.from_bytes(data[at : at + 4], "big")
        if size > len(data) - at - 12:
            raise ValueError(f"the PNG ends inside its {kind!r} chunk")
        yield kind, at, size
        at += size + 12
        if kind == b"IEND":
            return
    raise ValueError("the PNG ends without an IEND chunk")
