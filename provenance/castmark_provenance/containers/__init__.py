"""Where image files carry a manifest store (C2PA specification 2.4, appendix A), read strictly.

    PNG    one caBX chunk       JPEG   APP11 segments       WebP   one C2PA chunk
    TIFF   one tag 52545        AVIF   one uuid box

What `locate` returns as the range is exactly what the manifest's hash may leave out, no byte more.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable

from castmark_provenance.containers import bmff, jpeg, png, riff, tiff
from castmark_provenance.containers.located import Located
from castmark_provenance.jumbf import BOX_KINDS, UUID_TAIL

_READERS: dict[str, Callable[[bytes], list[Located]]] = {
    "image/png": png.locate,
    "image/jpeg": jpeg.locate,
    "image/webp": riff.locate,
    "image/tiff": tiff.locate,
    "image/avif": bmff.locate,
}
MEDIA_TYPES = tuple(_READERS)


def sniff(data: bytes) -> str | None:
    """Media type by the first bytes, or None if it is none of ours."""
    if data.startswith(png.SIGNATURE):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    if data[:4] in tiff.SIGNATURES:
        return "image/tiff"
    if bmff.is_avif(data):
        return "image/avif"
    return None


def traces(data: bytes) -> bool:
    """Whether anything of a manifest store is left, wherever it is and however damaged."""
    return any(kind + UUID_TAIL in data for kind in BOX_KINDS)


def locate(data: bytes, media_type: str) -> list[Located]:
    """The manifest stores in the file, in order. One is right; of more, the first two may be all.

    Raises:
        ValueError: the file's own structure is damaged before a store could be read whole, or (TIFF) there is
            more than one.
    """
    return _READERS[media_type](data)


def with_store(data: bytes, media_type: str, located: Located, store: bytes) -> bytes:
    """The file with another store of the same length in the same place (a PNG's CRC set right)."""
    assert len(store) == len(located.store), "the store's length is part of what is hashed"
    changed, at = bytearray(data), 0
    for start, length in located.pieces:
        changed[start : start + length] = store[at : at + length]
        at += length
    assert at == len(store)
    if media_type == "image/png":
        end = located.start + located.length - 4
        changed[end : end + 4] = zlib.crc32(changed[located.start + 4 : end]).to_bytes(4, "big")
    return bytes(changed)
