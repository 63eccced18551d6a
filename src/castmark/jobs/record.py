"""A row as its file has it, before it is one: its place, its fields, what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

AS_WRITTEN = "_as_written"
"""A note that stands for a row whose columns cannot be told: the row as it is in the file."""
ERROR_COLUMN = "error"
"""A column of the files that runs write about rows that failed; it is ignored when such a file is read."""
Records = Iterator[tuple[str, dict[str, Any], str]]
"""Place, fields, and what is wrong with the record itself: text that goes on after the place, or none."""


def fields_of(record: object) -> dict[str, Any] | None:
    """What a record holds beside nulls; None where it is no object."""
    if not isinstance(record, dict):
        return None
    fields = cast("dict[Any, Any]", record)
    return {str(key): value for key, value in fields.items() if value is not None}
