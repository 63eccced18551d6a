"""Reading job files: CSV, JSONL and YAML as rows, streamed, with every error naming its row and column.

CSV and JSONL are read a line at a time, twice: once to find everything wrong before anything is drawn, once
to draw. A file that changes in between is an error.
"""

from __future__ import annotations

import codecs
import hashlib
from collections.abc import Callable, Collection, Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from castmark.errors import InputError
from castmark.jobs.csv_records import csv_records
from castmark.jobs.jsonl_records import jsonl_records
from castmark.jobs.plan import Job, check
from castmark.jobs.record import ERROR_COLUMN
from castmark.jobs.row import MAX_SUBJECTS, BadRow, JobRow
from castmark.jobs.yaml_records import yaml_records

SUFFIXES = (".csv", ".jsonl", ".ndjson", ".yaml", ".yml")
CHUNK = 2**20


class FileRows:
    """The rows of a job file, read anew each time.

    Args:
        skip: leave out rows that are not valid, instead of an error.
        subjects: with ``skip``, the subjects there are: rows of others are left out too.
    """

    def __init__(
        self, path: Path, sha256: str, *, skip: bool = False, subjects: Collection[str] | None = None
    ) -> None:
        self.path, self.sha256, self._skip, self._subjects = path, sha256, skip, subjects

    def __iter__(self) -> Iterator[JobRow]:
        """
        Raises:
            InputError: a row is not valid, or the file is no longer what it was.
        """
        if _digest(self.path) != self.sha256:
            raise InputError(f"{self.path}: job file changed while it was read; run the command again")
        skip = (lambda _: None) if self._skip else None
        return (row for _, row in _rows(self.path, skip, self._subjects))


def read_job(path: str | Path, *, skip_bad: bool = False, subjects: Collection[str] | None = None) -> Job:
    """Read a job file and look at every row of it; the suffix decides the format.

    With ``skip_bad`` rows that are not valid, cannot be named or bear a name that is taken are left out and
    listed in ``Job.bad`` instead of an error; so are, where ``subjects`` says which there are, rows of
    others.

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
    count = check(str(path), _rows(path, bad.append if skip_bad else None, subjects))
    if count == 0:
        raise InputError(f"{path}: job file has no row that can be drawn; add at least one")
    rows = FileRows(path, sha256, skip=skip_bad, subjects=subjects)
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


def _rows(
    path: Path, skip: Callable[[BadRow], object] | None, subjects: Collection[str] | None
) -> Iterator[tuple[str, JobRow]]:
    suffix = path.suffix.lower()
    records = {".csv": csv_records, ".yaml": yaml_records, ".yml": yaml_records}.get(suffix, jsonl_records)
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
            problem = _unfilled(row) or _without_start(row, path.parent) or _of_strangers(row, subjects)
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


def _without_start(row: JobRow, folder: Path) -> str:
    """That a row's start image is not there, or nothing."""
    if row.start is None or (folder / row.start).is_file():
        return ""
    return f", column 'start': {row.start!r} is not there"


def _of_strangers(row: JobRow, subjects: Collection[str] | None) -> str:
    """That a row's subject is none of those there are, or nothing."""
    unknown = [] if subjects is None else [name for name in row.subject if name not in subjects]
    if not unknown:
        return ""
    near = get_close_matches(unknown[0], subjects or (), n=1)
    meant = f"; did you mean {near[0]!r}?" if near else ""
    return f", column 'subject': there is no subject {unknown[0]!r}{meant}"


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
