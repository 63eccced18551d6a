"""PNG (C2PA specification 2.4, appendix A.3.2): the store is one caBX chunk."""

from __future__ import annotations

import zlib

from castmark_provenance.containers.located import Located

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def locate(data: bytes) -> list[Located]:
    """The caBX chunks, two at most. Raises ValueError where the file's chunks are damaged before that."""
    found: list[Located] = []
    at = len(SIGNATURE)
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
        at += size + 12
        if kind == b"IEND":
            break  # what follows is covered by the data hash
    else:
        raise ValueError("the PNG ends without an IEND chunk")
    return found
