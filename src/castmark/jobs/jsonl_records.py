"""Rows of a JSONL file: an object a line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from castmark.errors import InputError
from castmark.jobs.record import AS_WRITTEN, Records, fields_of

LINE_LIMIT = 2**20


def jsonl_records(path: Path) -> Records:
    """Every line that is not blank."""
    row_number = 0
    with path.open(encoding="utf-8-sig") as file:
        for line_number, line in enumerate(_lines(path, file), start=1):
            if not line.strip():
                continue
            row_number += 1
            where = f"row {row_number} (line {line_number})"
            try:
                record = json.loads(line, object_pairs_hook=_once)
            except (ValueError, RecursionError) as error:
                reason = (
                    "nested too deeply" if isinstance(error, RecursionError) else getattr(error, "msg", error)
                )
                yield where, {AS_WRITTEN: line.strip()}, f" is not JSON ({reason}); write one object a line"
                continue
            fields = fields_of(record)
            problem = "" if fields is not None else " is not a JSON object; write one object a line"
            yield where, fields or {AS_WRITTEN: line.strip()}, problem


def _lines(path: Path, file: Any) -> Iterator[str]:
    while line := file.readline(LINE_LIMIT):
        if len(line) == LINE_LIMIT and not line.endswith("\n"):
            raise InputError(
                f"{path}: a line is longer than {LINE_LIMIT} characters; write one object a line"
            )
        yield line


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a key is there twice")
    return fields
