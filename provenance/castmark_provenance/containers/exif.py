"""Exif: which way up a picture is to be shown (Exif 3.0, tag Orientation), and nothing else.

Entries are small and may all name the same megabytes, so no other value is read.
"""

from __future__ import annotations

from castmark_provenance.containers.tiff import SIGNATURES

ORIENTATION = 0x0112
UPRIGHT = 1


def orientation(exif: bytes) -> int:
    """What the first directory of Exif data, or of a TIFF file, says of its picture; upright without a word.

    Raises:
        ValueError: damaged, or two things are said.
    """
    body = exif.removeprefix(b"Exif\0\0")
    if not body:
        return UPRIGHT
    if body[:4] not in SIGNATURES:
        raise ValueError("the Exif data have another beginning")
    order = "little" if body.startswith(b"II") else "big"

    def number(at: int, size: int) -> int:
        if at + size > len(body):
            raise ValueError("the Exif data end inside their first directory")
        return int.from_bytes(body[at : at + size], order)

    first = number(4, 4)
    entries = range(first + 2, first + 2 + 12 * number(first, 2), 12)
    said = {number(at + 8, 2) for at in entries if number(at, 2) == ORIENTATION}
    if len(said) > 1:
        raise ValueError("the Exif data turn the picture in two ways")
    return said.pop() if said else UPRIGHT
