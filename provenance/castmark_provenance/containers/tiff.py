"""TIFF (C2PA specification 2.4, appendix A.3.5): the store is the value of tag 52545 of an image directory.

The data hash leaves out the value and its count; everything else of the file, the directory's other bytes
included, is hashed.
"""

from __future__ import annotations

from collections.abc import Iterator

from castmark_provenance.containers.located import Located

SIGNATURES = (b"II*\0", b"MM\0*")
TAG = 0xCD41
UNDEFINED = 7
MAX_DIRECTORIES = 1000


def locate(data: bytes) -> list[Located]:
    """The value of the tag, sought in all directories of the chain.

    Raises:
        ValueError: the directories are damaged, or the tag stands in them twice: entries are small, may name
            the same bytes, and would have them copied as often as they stand there.
    """
    order = "little" if data.startswith(b"II") else "big"

    def number(at: int, size: int) -> int:
        if at + size > len(data):
            raise ValueError("the TIFF ends inside a directory")
        return int.from_bytes(data[at : at + size], order)

    def entries() -> Iterator[int]:
        seen: set[int] = set()
        total = 0
        at = number(4, 4)
        while at:
            if at in seen or len(seen) == MAX_DIRECTORIES:
                raise ValueError("the TIFF's directories go round in a circle, or are too many")
            seen.add(at)
            count = number(at, 2)
            total += count
            if 12 * total > len(data):
                raise ValueError("the TIFF's directories overlap")
            yield from range(at + 2, at + 2 + 12 * count, 12)
            at = number(at + 2 + 12 * count, 4)

    found: list[Located] = []
    for at in entries():
        if number(at, 2) != TAG:
            continue
        if found:
            raise ValueError("the TIFF names more than one manifest store")
        size, start = number(at + 4, 4), number(at + 8, 4)
        if size <= 4 or start + size > len(data):
            raise ValueError("the TIFF ends inside its manifest")
        kind = number(at + 2, 2)
        problems = () if kind == UNDEFINED else (f"the manifest's tag is of field type {kind}",)
        found.append(
            Located(
                store=data[start : start + size],
                start=start,
                length=size,
                pieces=((start, size),),
                exclusions=tuple(sorted(((at + 4, 4), (start, size)))),
                problems=problems,
            )
        )
    return found
