"""Reading job files: CSV, JSONL and YAML as rows, streamed, with every error naming its row and column.

CSV and JSONL are read a line at a time, twice: once to find everything wrong before anything is drawn, once
to draw. A file that changes in between is an error.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any, TextIO, cast

from pydantic import ValidationError

from castmark.errors import InputError
from castmark.jobs.plan import Job, check
from castmark.jobs.row import COLUMNS, MAX_SUBJECTS, BadRow, JobRow
from castmark.jobs.template import COLUMN, placeholders

SUFFIXES = (".csv", ".jsonl", ".ndjson", ".yaml", ".yml")
MAX_YAML = 8 * 2**20
"""Bytes of YAML, which cannot be streamed; longer jobs are CSV or JSONL."""
ERROR_COLUMN = "error"
"""A column of the files that runs write about rows that failed; it is ignored when such a file is read."""
AS_WRITTEN = "_as_written"
"""A note that stands for a row whose columns cannot be told: the row as it is in the file."""
DELIMITERS = {",": "a comma", ";": "a ';'", "\t": "a tab"}
"""What may part the columns of a CSV file; Excel writes ';' wherever a comma parts decimals."""
LINE_LIMIT = 2**20
CHUNK = 2**20
_SEP = re.compile(r'^"?sep=([,;\t])"?[,;\t]*\s*$', re.IGNORECASE)
"""Excel's own first line, which says what parts the columns."""

Records = Iterator[tuple[str, dict[str, Any], str]]
"""Place, fields, and what is wrong with the record itself: text that goes on after the place, or none."""


class FileRows:
    """The rows of a job file, read anew each time.

    Args:
        skip: leave out rows that are not valid, instead of an error.
    """

    def __init__(self, path: Path, sha256: str, *, skip: bool = False) -> None:
        self.path, self.sha256, self._skip = path, sha256, skip

    def __iter__(self) -> Iterator[JobRow]:
        """
        Raises:
            InputError: a row is not valid, or the file is no longer what it was.
        """
        if _digest(self.path) != self.sha256:
            raise InputError(f"{self.path}: job file changed while it was read; run the command again")
        return (row for _, row in _rows(self.path, (lambda _: None) if self._skip else None))


def read_job(path: str | Path, *, skip_bad: bool = False) -> Job:
    """Read a job file and look at every row of it; the suffix decides the format.

    With ``skip_bad`` rows that are not valid, cannot be named or bear a name that is taken are left out and
    listed in ``Job.bad`` instead of an error.

    Raises:
        InputError: missing, unreadable, empty, not UTF-8, malformed, with unknown or missing columns, a bad
            value (the message names row and column), or two images of one name.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(
            f"{path}: unknown kind of job file {path.suffix!r}; name it one of {', '.join(SUFFIXES)}"
        )
    sha256 = _digest(path)
    bad: list[BadRow] = []
    count = check(str(path), _rows(path, bad.append if skip_bad else None))
    if count == 0:
        raise InputError(f"{path}: job file has no row that can be drawn; add at least one")
    rows = FileRows(path, sha256, skip=skip_bad)
    return Job(source=path.name, rows=rows, sha256=sha256, folder=path.parent, bad=tuple(bad))


def _digest(path: Path) -> str:
    """sha256 of the file, found to be UTF-8 text on the way."""
    total = hashlib.sha256()
    decoder = codecs.getincrementaldecoder("utf-8")()
    line, empty, first = 1, True, True
    try:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                if first and chunk.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                    raise InputError(f"{path}: job file is UTF-16; save it as UTF-8")
                first = False
                total.update(chunk)
                if (at := chunk.find(b"\0")) >= 0:
                    at_line = line + chunk.count(b"\n", 0, at)
                    raise InputError(f"{path}: line {at_line} holds a NUL; not a job file")
                try:
                    text = decoder.decode(chunk)
                except UnicodeDecodeError as error:
                    bad = line + error.object.count(b"\n", 0, error.start)
                    raise InputError(
                        f"{path}: line {bad} is not UTF-8; save the job file as UTF-8"
                    ) from error
                empty = empty and not text.strip("\ufeff \t\r\n")
                line += chunk.count(b"\n")
            decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: line {line} is not UTF-8; save the job file as UTF-8") from error
    except OSError as error:
        raise InputError(
            f"{path}: job file cannot be read ({error.strerror or error}); check the path"
        ) from error
    if empty:
        raise InputError(f"{path}: job file is empty; give at least one row")
    return total.hexdigest()


def _rows(path: Path, skip: Callable[[BadRow], object] | None) -> Iterator[tuple[str, JobRow]]:
    suffix = path.suffix.lower()
    records = {".csv": _csv_records, ".yaml": _yaml_records, ".yml": _yaml_records}.get(
        suffix, _jsonl_records
    )
    taken: dict[str, int] = {}
    for number, (where, fields, problem) in enumerate(records(path), start=1):
        fields.pop(ERROR_COLUMN, None)
        # Named by its place in the file, so that leaving out a row before it renames nothing.
        if isinstance(name := fields.get("name", "row-{row}"), str):
            fields["name"] = name.replace("{row}", f"{number:04d}")
        row = None
        if not problem:
            row, problem = _row(fields)
        if row is not None and skip is not None:
            problem = _unfilled(row)
            if not problem and (problem := _misnamed(row, number, taken)):
                # Fed back as it stands it can be drawn, and replaces no image that has the name already.
                fields["name"] = f"row-{number:04d}"
        if row is not None and not problem:
            yield where, row
        elif skip is None:
            raise InputError(f"{path}: {where}{problem}")
        else:
            skip(BadRow(where, fields, problem.lstrip(" ,:")))


def _row(fields: dict[str, Any]) -> tuple[JobRow | None, str]:
    """The row, or what is wrong with it."""
    try:
        return JobRow.model_validate(fields), ""
    except ValidationError as error:
        return None, _explain(error)


def _unfilled(row: JobRow) -> str:
    """What is wrong with the template of a valid row, or nothing."""
    try:
        _ = row.text
    except ValueError as error:
        return f": {error}"
    return ""


def _misnamed(row: JobRow, number: int, taken: dict[str, int]) -> str:
    """Take the names of a row's images, all or none; what is wrong with one of them, or nothing."""
    try:
        names = [name for name, _ in row.images(number)]
    except ValueError as error:
        return f", column 'name': {error}"
    for name in names:
        if earlier := taken.get(name.casefold()):
            return f", column 'name': {name!r} is already the name of an image of row {earlier}; rename one"
    taken.update((name.casefold(), number) for name in names)
    return ""


def _csv_records(path: Path) -> Records:
    """Every row that is not blank; empty cells are left out."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        before, delimiter, first = _opening(path, file)
        reader = csv.reader(chain([first], file), delimiter=delimiter, strict=True)
        try:
            header = [cell.strip().lower() for cell in next(reader)]
            wide = len(header)
            while header and not header[-1]:
                header.pop()
            _check_header(path, header)
            used: set[str] = set()
            own = {name for name in header if name not in COLUMNS and not name.startswith("_")} - {
                ERROR_COLUMN
            }
            row_number = 0
            for cells in reader:
                if not any(cell.strip() for cell in cells):
                    continue
                row_number += 1
                where = f"row {row_number} (line {before + reader.line_num})"
                if len(cells) <= wide and not any(cell.strip() for cell in cells[len(header) :]):
                    del cells[len(header) :]
                if len(cells) != len(header):
                    # Which cell is of which column is not known, so none is given as if it were.
                    used |= own
                    yield (
                        where,
                        {AS_WRITTEN: delimiter.join(cells)},
                        f" has {len(cells)} cells and the header {len(header)} columns; "
                        f"put cells that hold {DELIMITERS[delimiter]} in double quotes",
                    )
                    continue
                fields: dict[str, Any] = {
                    k: c.strip() for k, c in zip(header, cells, strict=True) if c.strip()
                }
                if own:
                    # A column that only other rows' templates name is no mistake of this row.
                    named = _named(fields.get("template"), fields.get("name"))
                    used |= named & own
                    fields = {k: v for k, v in fields.items() if k not in own or k in named}
                yield where, fields, ""
        except csv.Error as error:
            raise InputError(
                f"{path}: line {before + reader.line_num} is not valid CSV ({error}); check its quotes"
            ) from error
        if row_number == 0:
            raise InputError(f"{path}: job file has a header and no row; add at least one")
        if unused := sorted(own - used):
            raise InputError(
                f"{path}: unknown column {unused[0]!r} that no template names; columns are "
                f"{', '.join(COLUMNS)} (one that begins with '_' is a note)"
            )


def _opening(path: Path, file: TextIO) -> tuple[int, str, str]:
    """Lines before the header, what parts its columns, and its first line, read up to there.

    Blank lines and Excel's ``sep=;`` are passed over.
    """
    lines, said = 0, ""
    while line := file.readline():
        if found := _SEP.match(line):
            said = found[1]
        elif line.strip(' ,;"\t\r\n'):
            header = line
            return lines, said or max(DELIMITERS, key=lambda mark: _known(header, mark)), header
        lines += 1
    raise InputError(f"{path}: job file has no header; give one with a column 'prompt', and a row")


def _known(line: str, delimiter: str) -> int:
    """Cells of a header that are columns with a meaning, where this parts them."""
    return sum(cell.strip(' "\r\n').lower() in COLUMNS for cell in line.split(delimiter))


def _named(*templates: str | None) -> frozenset[str]:
    """Columns that templates name; none where one is malformed, which the row's own check then says."""
    try:
        return frozenset(name for template in templates if template for name in placeholders(template))
    except ValueError:
        return frozenset()


def _check_header(path: Path, header: list[str]) -> None:
    twice = [column for column in header if column and header.count(column) > 1]
    if twice:
        raise InputError(f"{path}: column {twice[0]!r} is there twice; keep one")
    if not {"prompt", "template"} & set(header):
        raise InputError(
            f"{path}: the header lacks the column 'prompt' (or 'template'); columns are {', '.join(COLUMNS)}"
        )
    for column in header:
        if column not in COLUMNS and not column.startswith("_") and not COLUMN.match(column):
            raise InputError(f"{path}: column {column!r}: name it with small letters, digits and '_'")


def _jsonl_records(path: Path) -> Records:
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
            fields = _fields(record)
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


def _yaml_records(path: Path) -> Records:
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
        fields = _fields(SafeConstructor().construct_document(node))
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


def _fields(record: object) -> dict[str, Any] | None:
    """What a record holds beside nulls; None where it is no object."""
    if not isinstance(record, dict):
        return None
    fields = cast("dict[Any, Any]", record)
    return {str(key): value for key, value in fields.items() if value is not None}


def _explain(error: ValidationError) -> str:
    """The first problem of a row, for a person: its column, what is there and what should be."""
    problems = error.errors(include_url=False)
    first = problems[0]
    more = f" (and {len(problems) - 1} more in this row)" if len(problems) > 1 else ""
    if not first["loc"]:
        return f": {first['msg'].removeprefix('Value error, ')}{more}"
    value = repr(first["input"])
    shown = value if len(value) <= 60 else f"{value[:57]}..."
    column = str(first["loc"][0])
    message = first["msg"].removeprefix("Value error, ")
    if column == "subject" and first["type"] == "string_pattern_mismatch":
        message = "not a subject's name; use small letters, digits, '_' and '-'"
    elif column == "subject" and first["type"] == "too_long":
        message = f"more than the {MAX_SUBJECTS} subjects that a picture may have; leave some out"
    return f", column {column!r}: {shown}: {message[:1].lower()}{message[1:]}{more}"
