"""Careful steps into JSON that someone else shaped: whatever is not of the kind asked for is empty."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast


def record(value: object) -> dict[str, Any]:
    """``value`` if it is an object, else an empty one."""
    return cast(dict[str, Any], value) if isinstance(value, dict) else {}


def records(value: object) -> list[dict[str, Any]]:
    """The objects in ``value`` if it is an array, else none."""
    return [cast(dict[str, Any], item) for item in items(value) if isinstance(item, dict)]


def items(value: object) -> list[Any]:
    """``value`` if it is an array, else an empty one."""
    return cast(list[Any], value) if isinstance(value, list) else []


def text(value: object) -> str | None:
    """``value`` if it is a string, else None."""
    return value if isinstance(value, str) else None


def found(value: object, name: str) -> Iterator[Any]:
    """Whatever stands under the key ``name``, at any depth (not searched further itself)."""
    if isinstance(value, dict):
        for key, inner in cast(dict[str, Any], value).items():
            if key == name:
                yield inner
            else:
                yield from found(inner, name)
    elif isinstance(value, list):
        for inner in cast(list[Any], value):
            yield from found(inner, name)
