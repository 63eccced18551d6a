"""WebP (C2PA specification 2.4, appendix A.3.4): the store is one C2PA chunk of the RIFF container."""

from __future__ import annotations

from collections.abc import Iterator

from castmark_provenance.containers.located import Located


def webp_is_lossy(data: bytes) -> bool:
    """Whether the picture of a WebP file is coded with loss (VP8) and not without (VP8L).

    Raises:
        ValueError: the file's chunks are damaged.
    """
    return any(kind == b"VP8 " for kind, _, _ in _chunks(data))


def locate(data: bytes) -> list[Located]:
    """Every C2PA chunk. Raises ValueError where the file's chunks are damaged."""
    return [
        Located(
            store=data[at + 8 : at + 8 + size],
            start=at,
            length=size + 8,
            pieces=((at + 8, size),),
            exclusions=((at, size + 8),),
        )
        for kind, at, size in _chunks(data)
        if kind == b"C2PA"
    ]


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Type, start and body size of each chunk."""
    at = 12
    while len(data) - at >= 8:
        kind, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if size > len(data) - at - 8:
            raise ValueError(f"the WebP ends inside its {kind!r} chunk")
        yield kind, at, size
        at += 8 + size + (size & 1)
