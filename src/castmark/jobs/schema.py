"""The published JSON Schema of a job file's row, made from `JobRow`, with the rules between columns.

A row of JSONL or YAML is an instance of it; a CSV row is one whose cells are all text.
"""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

from castmark.jobs.row import JobRow

FILE = "job.schema.json"


def job_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of one row."""
    schema = JobRow.model_json_schema()
    properties = schema["properties"]
    del properties["columns"]
    text = {
        "type": "string",
        "pattern": r"^\s*[a-z0-9][a-z0-9_-]{0,63}\s*(;\s*[a-z0-9][a-z0-9_-]{0,63}\s*)*$",
    }
    listed = {key: properties["subject"].pop(key) for key in ("type", "items", "maxItems")}
    properties["subject"]["anyOf"] = [listed, text]
    ranges = r"^\s*\d{1,19}(-\d{1,19})?([;,\s]+\d{1,19}(-\d{1,19})?)*\s*$"
    seeds = properties["seeds"]["anyOf"][0]
    seeds |= {"minItems": seeds.pop("minLength"), "maxItems": seeds.pop("maxLength")}
    properties["seeds"]["anyOf"].insert(1, {"type": "string", "pattern": ranges})
    properties["error"] = {"description": "Why the row failed, in files that runs write; ignored."}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Castmark job row",
        "description": "One row of a job file. JSONL has one a line; YAML a list of them, or 'rows:' and "
        "'defaults:'.",
        "type": "object",
        "properties": properties,
        "patternProperties": {"^_": True},
        "propertyNames": {"pattern": "^(_.*|[a-z][a-z0-9_]{0,39})$"},
        "additionalProperties": {"type": ["string", "number"], "description": "A column for templates."},
        "allOf": [
            {"oneOf": [_given("prompt"), _given("template")]},
            {"not": {"anyOf": [_given("seeds", "seed"), _given("seeds", "count")]}},
            {"not": {"anyOf": [_given("size", "width"), _given("size", "height")]}},
            {"not": {"anyOf": [_given("aspect", "size"), _given("aspect", "width", "height")]}},
            {"if": _given("strength"), "then": {"required": ["start"]}},
            {"if": _is("background", "transparent"), "then": {"not": _is("format", "jpeg", "avif")}},
            {"if": _is("layers", True), "then": {"not": _is("format", "jpeg", "webp", "avif")}},
        ],
    }


def published() -> str:
    """The schema as it ships: what `job_schema` gives, as text."""
    return files("castmark.jobs").joinpath(FILE).read_text(encoding="utf-8")


def as_text(schema: dict[str, Any]) -> str:
    """The schema as the file holds it."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _given(*columns: str) -> dict[str, Any]:
    return {
        "properties": {column: {"not": {"type": "null"}} for column in columns},
        "required": list(columns),
    }


def _is(column: str, *values: str | bool) -> dict[str, Any]:
    return {"properties": {column: {"enum": list(values)}}, "required": [column]}
