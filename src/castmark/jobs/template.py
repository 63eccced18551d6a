"""Templates: ``{product} on {surface}`` filled from a row's columns; ``{{`` and ``}}`` are plain braces.

A placeholder is a column's name and nothing else: no attributes, indices or format codes, so that a job file
can read nothing but its own row.
"""

from __future__ import annotations

import re
import string
from collections.abc import Mapping
from functools import lru_cache

COLUMN = re.compile(r"^[a-z][a-z0-9_]{0,39}$")


@lru_cache(maxsize=4096)
def parse(template: str) -> tuple[tuple[str, str | None], ...]:
    """The template as (literal text, placeholder after it or None).

    Raises:
        ValueError: unbalanced braces, or a placeholder that is no column's name.
    """
    parts: list[tuple[str, str | None]] = []
    try:
        found = list(string.Formatter().parse(template))
    except ValueError as error:
        raise ValueError(f"braces do not match ({error}); write {{{{ and }}}} for plain ones") from error
    for literal, field, code, conversion in found:
        if field is not None and (code or conversion or not COLUMN.match(field)):
            raise ValueError(f"{{{field}}} is not a column's name; use small letters, digits and '_'")
        parts.append((literal, field))
    return tuple(parts)


def placeholders(template: str) -> frozenset[str]:
    """Names of the columns a template reads.

    Raises:
        ValueError: see `parse`.
    """
    return frozenset(field for _, field in parse(template) if field is not None)


def fill(template: str, values: Mapping[str, str]) -> str:
    """The template with every placeholder replaced.

    Raises:
        ValueError: see `parse`; or a placeholder without a value.
    """
    filled: list[str] = []
    for literal, field in parse(template):
        filled.append(literal)
        if field is None:
            continue
        if not values.get(field, "").strip():
            raise ValueError(f"{{{field}}} has no value in this row; fill the column {field!r}")
        filled.append(values[field].strip())
    return "".join(filled)
