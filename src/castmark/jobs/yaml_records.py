"""Rows of a YAML file: a list, or ``defaults:`` for all of them and ``rows:``."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

from castmark.errors import InputError
from castmark.jobs.record import AS_WRITTEN, Records, fields_of

MAX_YAML = 8 * 2**20
"""Bytes of YAML, which cannot be streamed; longer jobs are CSV or JSONL."""


def yaml_records(path: Path) -> Records:
    """A list of rows, or ``defaults:`` for all rows and ``rows:``."""
    import yaml
    from yaml.reader import ReaderError

    if path.stat().st_size > MAX_YAML:
        raise InputError(f"{path}: more than {MAX_YAML >> 20} MiB of YAML; write long jobs as CSV or JSONL")
    text = path.read_text(encoding="utf-8-sig")
    try:
        root = yaml.compose(text, _loader())
        defaults: dict[str, Any] = {}
        if isinstance(root, yaml.MappingNode):
            parts = {str(key.value): value for key, value in root.value}
            if set(parts) - {"defaults", "rows"} or "rows" not in parts:
                raise InputError(f"{path}: give a list of rows, or 'rows:' and, for all of them, 'defaults:'")
            root = parts["rows"]
            if "defaults" in parts:
                where = f"defaults (line {parts['defaults'].start_mark.line + 1})"
                defaults, problem = _yaml_fields(parts["defaults"], text)
                if problem:
                    raise InputError(f"{path}: {where}{problem}")
        if not isinstance(root, yaml.SequenceNode):
            raise InputError(f"{path}: no list of rows there; begin each row with '- '")
        for number, node in enumerate(root.value, start=1):
            where = f"row {number} (line {node.start_mark.line + 1})"
            fields, problem = _yaml_fields(node, text)
            if not problem:
                rest = {k: v for k, v in defaults.items() if k not in _displaced(fields)}
                fields = {**rest, **fields}
            yield where, fields, problem
    except ReaderError as error:
        found = chr(error.character)
        line = text.count("\n", 0, text.find(found)) + 1
        raise InputError(f"{path}: line {line} holds {found!r} ({error.reason}); take it out") from error
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = "" if mark is None else f" line {mark.line + 1}"
        reason = getattr(error, "problem", None) or "nested too deeply"
        raise InputError(f"{path}:{line} is not valid YAML ({reason}); check its indentation") from error


@lru_cache(maxsize=1)
def _loader() -> Any:
    """yaml's safe loader, which leaves plain numbers and dates the text they are, as they are in a CSV.

    YAML 1.1 reads 16:9 and 12:30 to base sixty, 010 to base eight, and 1.50 as 1.5; the row makes numbers
    of what must be one.
    """
    import yaml

    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    changed = {f"tag:yaml.org,2002:{kind}" for kind in ("int", "float", "timestamp")}
    resolvers = {
        first: [(tag, pattern) for tag, pattern in known if tag not in changed]
        for first, known in base.yaml_implicit_resolvers.items()
    }
    return type("_Loader", (base,), {"yaml_implicit_resolvers": resolvers})


def _yaml_fields(node: Any, text: str) -> tuple[dict[str, Any], str]:
    """What a row's node holds, or its text and what is wrong with it."""
    import yaml
    from yaml.constructor import SafeConstructor

    written = {AS_WRITTEN: text[node.start_mark.index : node.end_mark.index].strip()}
    if isinstance(node, yaml.MappingNode):
        keys = [str(key.value) for key, _ in node.value]
        if len(set(keys)) != len(keys):
            return written, " has a key twice; keep one"
        for key, value in node.value:
            if value.tag == "tag:yaml.org,2002:null" and value.value == "":
                return written, (
                    f", column {str(key.value)!r}: no value in line {key.start_mark.line + 1}; "
                    "quote it if it begins with '#', or write null to leave it out"
                )
    try:
        fields = fields_of(SafeConstructor().construct_document(node))
    except (ValueError, LookupError, AttributeError):
        return written, ": a value is not what its tag ('!!int' or the like) says; leave out the tag"
    if fields is None:
        return written, " is not a row; write 'column: value' lines"
    return fields, ""


def _displaced(fields: Iterable[str]) -> set[str]:
    """Defaults that a row's own columns stand in for."""
    groups = ({"prompt", "template"}, {"seed", "count", "seeds"}, {"size", "width", "height", "aspect"})
    own = set(fields)
    return set[str]().union(
        *(group for group in groups if group & own and not ({"seed", "count"} & own) - own)
    )
