"""JPEG (C2PA specification 2.4, appendix A.3.1): the store is cut into APP11 segments (ISO/IEC 19566-5)."""

from __future__ import annotations

from castmark_provenance.containers.located import Located

C2PA_RS_INSTANCE = b"\x02\x11"


def locate(data: bytes) -> list[Located]:
    """Boxes of type jumb from APP11 segments, joined by box instance number.

    Raises:
        ValueError: the segments before the scan are damaged.
    """
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
    skipped = [
        12 if number == 0 else 20 for number in range(len(parts))
    ]  # marker, size, JP, instance, number
    pieces = [
        (start + skip, end - start - skip) for (start, end, _), skip in zip(parts, skipped, strict=True)
    ]
    return Located(
        store=store,
        start=first,
        length=last - first,
        pieces=tuple(pieces),
        exclusions=((first, last - first),),
        problems=tuple(problems),
    )
