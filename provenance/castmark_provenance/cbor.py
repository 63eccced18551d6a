"""A strict CBOR reader (RFC 8949) for the few structures that no signature covers, and a small writer.

Stricter than a general decoder on purpose: every value has one encoding only (shortest heads, definite
lengths, no duplicate keys, nothing after the item), so that no byte can change without changing the value.

    >>> loads(bytes.fromhex("a161780a"))
    {'x': 10}
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

MAX_DEPTH = 16
_SIMPLE = {20: False, 21: True, 22: None}


@dataclass(frozen=True)
class Tagged:
    """A tagged value: RFC 8949 section 3.4."""

    tag: int
    value: Any


def loads(data: bytes) -> Any:
    """The one item that ``data`` encodes.

    Raises:
        ValueError: truncated, trailing bytes, too deep, or not in the strict form above.
    """
    value, end = _item(data, 0, 0)
    if end != len(data):
        raise ValueError(f"{len(data) - end} bytes after the CBOR item")
    return value


def octets(value: bytes) -> bytes:
    """A byte string, encoded."""
    return _head(2, len(value)) + value


def text(value: str) -> bytes:
    """A text string of ASCII, encoded."""
    return _head(3, len(value)) + value.encode("ascii")


def array(*items: bytes) -> bytes:
    """An array of items that are encoded already."""
    return _head(4, len(items)) + b"".join(items)


def _head(major: int, argument: int) -> bytes:
    """The shortest head (RFC 8949 section 4.2.1)."""
    if argument < 24:
        return bytes([major << 5 | argument])
    size = 1 if argument < 1 << 8 else 2 if argument < 1 << 16 else 4
    return bytes([major << 5 | (23 + size.bit_length())]) + argument.to_bytes(size, "big")


def _take(data: bytes, at: int, count: int) -> bytes:
    if count > len(data) - at:
        raise ValueError("CBOR ends early")
    return data[at : at + count]


def _item(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    if depth > MAX_DEPTH:
        raise ValueError("CBOR is nested too deep")
    head = _take(data, at, 1)[0]
    major, info = head >> 5, head & 31
    at += 1
    if major == 7:
        return _simple_or_float(data, at, info)
    argument, at = _argument(data, at, info)
    if major == 0:
        return argument, at
    if major == 1:
        return -1 - argument, at
    if major == 2:
        return _take(data, at, argument), at + argument
    if major == 3:
        return _take(data, at, argument).decode("utf-8"), at + argument
    if major == 6:
        value, at = _item(data, at, depth + 1)
        return Tagged(argument, value), at
    if argument > len(data) - at:  # every element takes a byte at least
        raise ValueError("CBOR ends early")
    if major == 4:
        items: list[Any] = []
        for _ in range(argument):
            value, at = _item(data, at, depth + 1)
            items.append(value)
        return items, at
    mapping: dict[Any, Any] = {}
    for _ in range(argument):
        key, at = _item(data, at, depth + 1)
        value, at = _item(data, at, depth + 1)
        if not isinstance(key, str | int) or key in mapping:
            raise ValueError("CBOR map with a repeated or unusual key")
        mapping[key] = value
    return mapping, at


def _argument(data: bytes, at: int, info: int) -> tuple[int, int]:
    if info < 24:
        return info, at
    if info > 27:
        raise ValueError("CBOR of indefinite length")
    size = 1 << (info - 24)
    value = int.from_bytes(_take(data, at, size), "big")
    if value < (24 if size == 1 else 1 << (4 * size)):
        raise ValueError("CBOR head longer than it need be")
    return value, at + size


def _simple_or_float(data: bytes, at: int, info: int) -> tuple[Any, int]:
    if info in _SIMPLE:
        return _SIMPLE[info], at
    if info not in (25, 26, 27):
        raise ValueError(f"CBOR simple value {info}")
    size = 1 << (info - 24)
    return struct.unpack({2: ">e", 4: ">f", 8: ">d"}[size], _take(data, at, size))[0], at + size
