"""JPEG (C2PA specification 2.4, appendix A.3.1): the store is cut into APP11 segments (ISO/IEC 19566-5)."""

from __future__ import annotations

from castmark_provenance.containers.located import Located
from castmark_provenance.jumbf import MAX_STORE_BYTES, UUID_TAIL

C2PA_RS_INSTANCE = b"\x02\x11"
MAX_SEGMENTS = 2 * (MAX_STORE_BYTES >> 16)
"""Of one store: twice as many as the largest fills."""
Segment = tuple[int, int, bytes]
"""Start, end and body."""


def locate(data: bytes) -> list[Located]:
    """The C2PA stores, two at most, joined from APP11 segments by box instance number.

    Other JUMBF boxes (a JPEG 360's, say) are left alone: the data hash covers them.

    Raises:
        ValueError: the segments before the scan are damaged, or too many carry one store.
    """
    stores: dict[bytes, list[Segment]] = {}
    others: set[bytes] = set()
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
            instance = body[2:4]
            if instance not in stores and body[24:40] != b"c2pa" + UUID_TAIL:  # as its description says
                others.add(instance)
            if instance not in others:
                parts = stores.setdefault(instance, [])
                parts.append((at, at + 2 + size, body))
                if len(parts) > MAX_SEGMENTS:
                    raise ValueError(f"its manifest is cut into more than {MAX_SEGMENTS} segments")
                if len(stores) == 2:
                    break  # more than one is one too many
        at += 2 + size
    return [_join(instance, parts) for instance, parts in stores.items()]


def _join(instance: bytes, parts: list[Segment]) -> Located:
    # marker, size, JP, instance and number are none of the store; after the first, nor are LBox and TBox
    pieces = [(start + (20 if place else 12), end) for place, (start, end, _) in enumerate(parts)]
    first, last = parts[0][0], parts[-1][1]
    problem = _problem(instance, parts)
    return Located(
        store=parts[0][2][8:16] + b"".join(body[16:] for _, _, body in parts),
        start=first,
        length=last - first,
        pieces=tuple((start, end - start) for start, end in pieces),
        exclusions=((first, last - first),),
        problems=() if problem is None else (problem,),
    )


def _problem(instance: bytes, parts: list[Segment]) -> str | None:
    """The first way in which the segments are not as our signer writes them."""
    if instance != C2PA_RS_INSTANCE:
        return "an APP11 box instance number other than the one our signer writes"
    head = parts[0][2][8:16]  # LBox and TBox, repeated in every segment
    for number, (start, _, body) in enumerate(parts, start=1):
        if int.from_bytes(body[4:8], "big") != number or body[8:16] != head:
            return f"APP11 segment {number} is out of sequence"
        if number > 1 and start != parts[number - 2][1]:
            return "APP11 segments with other bytes between them"
    # bytes of the store in each segment: after the first, the repeated LBox and TBox are none of it
    sizes = [len(body) - (8 if place == 0 else 16) for place, (_, _, body) in enumerate(parts)]
    if len({*sizes[:-1]}) > 1 or sizes[-1] > sizes[0]:
        return "APP11 segments divided otherwise than into equal parts and a rest"
    return None
