"""WebP (C2PA specification 2.4, appendix A.3.4): the store is one C2PA chunk of the RIFF container."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from castmark_provenance.containers.located import Located


def webp_is_lossy(data: bytes) -> bool:
    """Whether the picture of a WebP file is coded with loss (VP8) and not without (VP8L).

    Raises:
        ValueError: the file's chunks are damaged.
    """
    return any(kind == b"VP8 " for kind, _, _ in _chunks(data))


def locate(data: bytes) -> list[Located]:
    """The C2PA chunks, two at most. Raises ValueError where the file's chunks are damaged before that."""
    manifests = (chunk for chunk in _chunks(data) if chunk[0] == b"C2PA")
    return [
        Located(
            store=data[at + 8 : at + 8 + size],
            start=at,
            length=size + 8,
            pieces=((at + 8, size),),
            exclusions=((at, size + 8),),
        )
        for _, at, size in islice(manifests, 2)  # more than one is one too many
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
