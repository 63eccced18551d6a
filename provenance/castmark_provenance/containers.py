"""Where PNG, JPEG and WebP files carry a manifest store (C2PA specification 2.4, appendix A), read strictly.

    PNG    one caBX chunk                  JPEG   APP11 segments (ISO/IEC 19566-5 annex D)
    WebP   one C2PA chunk

What `locate` returns as the range is exactly what the manifest's data hash may leave out, no byte more.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from castmark_provenance.jumbf import BOX_KINDS, UUID_TAIL

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
MEDIA_TYPES = ("image/png", "image/jpeg", "image/webp")
C2PA_RS_INSTANCE = b"\x02\x11"


@dataclass(frozen=True)
class Located:
    """A manifest store and the byte range that carries it; ``problems`` are bytes no hash covers."""

    store: bytes
    start: int
    length: int
    problems: tuple[str, ...] = ()


def sniff(data: bytes) -> str | None:
    """Media type by the first bytes, or None if it is none of ours."""
    if data.startswith(PNG_SIGNATURE):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return None


def traces(data: bytes) -> bool:
    """Whether anything of a manifest store is left, wherever it is and however damaged."""
    return any(kind + UUID_TAIL in data for kind in BOX_KINDS)


def locate(data: bytes, media_type: str) -> list[Located]:
    """Every manifest store in the file, in order.

    Raises:
        ValueError: the file's own structure is damaged before a store could be read whole.
    """
    return {"image/png": _png, "image/jpeg": _jpeg, "image/webp": _webp}[media_type](data)


def _png(data: bytes) -> list[Located]:
    found: list[Located] = []
    at = len(PNG_SIGNATURE)
    while at < len(data):
        if len(data) - at < 12:
            raise ValueError("the PNG ends inside a chunk")
        size = int.from_bytes(data[at : at + 4], "big")
        kind = data[at + 4 : at + 8]
        if size > len(data) - at - 12:
            raise ValueError(f"the PNG ends inside its {kind!r} chunk")
        if kind == b"caBX":
            body = data[at + 8 : at + 8 + size]
            written = int.from_bytes(data[at + 8 + size : at + 12 + size], "big")
            problems = () if zlib.crc32(kind + body) == written else ("the manifest chunk's CRC is wrong",)
            found.append(Located(body, at, size + 12, problems))
        at += size + 12
        if kind == b"IEND":
            break  # what follows is covered by the data hash
    else:
        raise ValueError("the PNG ends without an IEND chunk")
    return found


def webp_is_lossy(data: bytes) -> bool:
    """Whether the picture of a WebP file is coded with loss (VP8) and not without (VP8L).

    Raises:
        ValueError: the file's chunks are damaged.
    """
    return any(kind == b"VP8 " for kind, _, _ in _riff_chunks(data))


def _webp(data: bytes) -> list[Located]:
    return [
        Located(data[at + 8 : at + 8 + size], at, size + 8)
        for kind, at, size in _riff_chunks(data)
        if kind == b"C2PA"
    ]


def _riff_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Type, start and body size of each chunk."""
    at = 12
    while len(data) - at >= 8:
        kind, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if size > len(data) - at - 8:
            raise ValueError(f"the WebP ends inside its {kind!r} chunk")
        yield kind, at, size
        at += 8 + size + (size & 1)


def _jpeg(data: bytes) -> list[Located]:
    """Boxes of type jumb from APP11 segments, joined by box instance number."""
    stores: dict[bytes, list[tuple[int, int, bytes]]] = {}
    at = 2
    while True:
        if len(data) - at < 4 or data[at] != 0xFF:
            raise ValueError("the JPEG ends or breaks inside its header")
        if data[at + 1] == 0xFF:  # a fill byte before a marker
            at += 1
            continue
        marker, size = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == 0xDA:  # start of scan: segments end here
            break
        if size < 2 or size > len(data) - at - 2:
            raise ValueError("the JPEG ends inside a segment")
        body = data[at + 4 : at + 2 + size]
        if marker == 0xEB and body[:2] == b"JP" and body[12:16] == b"jumb":
            stores.setdefault(body[2:4], []).append((at, at + 2 + size, body))
        at += 2 + size
    return [_join(instance, parts) for instance, parts in stores.items()]


def _join(instance: bytes, parts: list[tuple[int, int, bytes]]) -> Located:
    head = parts[0][2][8:16]  # LBox and TBox, repeated in every segment
    store = head + b"".join(body[16:] for _, _, body in parts)
    problems: list[str] = []
    if instance != C2PA_RS_INSTANCE:
        problems.append("an APP11 box instance number other than the one our signer writes")
    for number, (start, _, body) in enumerate(parts, start=1):
        if int.from_bytes(body[4:8], "big") != number or body[8:16] != head:
            problems.append(f"APP11 segment {number} is out of sequence")
        if number > 1 and start != parts[number - 2][1]:
            problems.append("APP11 segments with other bytes between them")
    # bytes of the store in each segment: after the first, the repeated LBox and TBox are none of it
    sizes = [len(body) - (8 if number == 0 else 16) for number, (_, _, body) in enumerate(parts)]
    if len({*sizes[:-1]}) > 1 or sizes[-1] > sizes[0]:
        problems.append("APP11 segments divided otherwise than into equal parts and a rest")
    first, last = parts[0][0], parts[-1][1]
    return Located(store, first, last - first, tuple(problems))
