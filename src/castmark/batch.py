"""Job files: CSV or JSONL in, a plan of shots out. No torch here.

    name,prompt,subject,seed,count,width,height,steps
    beach,mira at the beach,mira,7,2,,,

Only ``prompt`` is required. ``count`` asks for that many images, with seeds ``seed``, ``seed + 1``, ...; a
row without a name is called after its position. Anything wrong in a file is found before anything is drawn.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from castmark.errors import InputError
from castmark.shot import MAX_SEED, Shot
from castmark_adapters.subject import Subject

COLUMNS = ("name", "prompt", "subject", "seed", "count", "width", "height", "steps")
MAX_COUNT = 10_000
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"


class JobRow(BaseModel):
    """One row of a job file. Sizes are in pixels; what is None the studio resolves from its base."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    name: str = Field(pattern=NAME)
    prompt: str = Field(min_length=1, max_length=2000)
    subject: str | None = Field(default=None, pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")
    seed: int = Field(default=0, ge=0, le=MAX_SEED - MAX_COUNT)
    count: int = Field(default=1, ge=1, le=MAX_COUNT)
    width: int | None = Field(default=None, gt=0)
    height: int | None = Field(default=None, gt=0)
    steps: int | None = Field(default=None, gt=0, le=100)

    def names(self) -> list[str]:
        """The names of the row's images: its own, or numbered where it asks for more than one."""
        if self.count == 1:
            return [self.name]
        digits = max(2, len(str(self.count)))
        return [f"{self.name}-{index:0{digits}d}" for index in range(1, self.count + 1)]


class Job(BaseModel):
    """A job: its rows in order, and the digest of the file they came from (None if made in memory)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    rows: tuple[JobRow, ...] = Field(min_length=1)
    sha256: str | None = None

    @property
    def subjects(self) -> tuple[str, ...]:
        """Names of the subjects the rows speak of, in order of first use."""
        return tuple(dict.fromkeys(row.subject for row in self.rows if row.subject is not None))


@dataclass(frozen=True, kw_only=True)
class PlannedShot:
    """One image of a run: its name in the run folder, and the shot to draw."""

    name: str
    shot: Shot


def read_job(path: str | Path) -> Job:
    """Read a job file; the suffix decides the format (.csv, .jsonl, .ndjson).

    Raises:
        InputError: missing, unreadable, empty, not UTF-8, malformed, with unknown or missing columns, a bad
            value (the message names row and column), or two images of one name.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"{path}: job file cannot be read ({error.strerror or error}); check the path"
        ) from error
    text = _decode(path, data)
    if not text.strip():
        raise InputError(f"{path}: job file is empty; give a header line and at least one row")
    suffix = path.suffix.lower()
    if suffix == ".csv":
        records = _csv_records(path, text)
    elif suffix in {".jsonl", ".ndjson"}:
        records = _jsonl_records(path, text)
    else:
        raise InputError(f"{path}: unknown kind of job file {suffix!r}; name it .csv or .jsonl")
    rows = [_row(path, where, index, fields) for index, (where, fields) in enumerate(records, start=1)]
    if not rows:
        raise InputError(f"{path}: job file has a header and no row; add at least one")
    _refuse_duplicates(path, rows)
    return Job(source=path.name, rows=tuple(rows), sha256=hashlib.sha256(data).hexdigest())


def plan(job: Job, subject: Callable[[str], Subject]) -> list[PlannedShot]:
    """Every image of a job, in order, with ``count`` expanded to seeds.

    ``subject`` finds a subject by name and raises where it is unknown, before anything is drawn.

    Raises:
        InputError: two images of one name.
    """
    cast_list = {name: subject(name) for name in job.subjects}
    planned: list[PlannedShot] = []
    taken: set[str] = set()
    for row in job.rows:
        for offset, name in enumerate(row.names()):
            if name.casefold() in taken:
                raise InputError(f"{job.source}: two images would be named {name!r}; rename one of the rows")
            taken.add(name.casefold())
            shot = Shot(
                row.prompt,
                subjects=() if row.subject is None else (cast_list[row.subject],),
                seed=row.seed + offset,
                width=row.width,
                height=row.height,
                steps=row.steps,
                name=name,
            )
            planned.append(PlannedShot(name=name, shot=shot))
    return planned


def _decode(path: Path, data: bytes) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise InputError(f"{path}: job file is UTF-16; save it as UTF-8")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(f"{path}: line {line} is not UTF-8; save the job file as UTF-8") from error
    if "\0" in text:
        raise InputError(
            f"{path}: line {text[: text.index(chr(0))].count(chr(10)) + 1} holds a NUL; not a job file"
        )
    return text


Records = Iterator[tuple[str, dict[str, Any]]]


def _csv_records(path: Path, text: str) -> Records:
    """(place, fields) of every row that is not blank; empty cells are left out."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [cell.strip().lower() for cell in next(reader)]
        _check_header(path, header)
        for row_number, cells in enumerate((c for c in reader if any(cell.strip() for cell in c)), start=1):
            where = f"row {row_number} (line {reader.line_num})"
            if len(cells) != len(header):
                raise InputError(
                    f"{path}: {where} has {len(cells)} cells and the header {len(header)} columns; "
                    "put cells that hold a comma in double quotes"
                )
            yield where, {k: c.strip() for k, c in zip(header, cells, strict=True) if c.strip()}
    except csv.Error as error:
        raise InputError(
            f"{path}: line {reader.line_num} is not valid CSV ({error}); check its quotes"
        ) from error


def _check_header(path: Path, header: list[str]) -> None:
    unknown = [column for column in header if column not in COLUMNS]
    if unknown:
        raise InputError(f"{path}: unknown column {unknown[0]!r}; columns are {', '.join(COLUMNS)}")
    twice = [column for column in header if header.count(column) > 1]
    if twice:
        raise InputError(f"{path}: column {twice[0]!r} is there twice; keep one")
    if "prompt" not in header:
        raise InputError(f"{path}: the header lacks the column 'prompt'; columns are {', '.join(COLUMNS)}")


def _jsonl_records(path: Path, text: str) -> Records:
    row_number = 0
    for line_number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        row_number += 1
        where = f"row {row_number} (line {line_number})"
        try:
            record = json.loads(line)
        except (json.JSONDecodeError, RecursionError) as error:
            reason = error.msg if isinstance(error, json.JSONDecodeError) else "nested too deeply"
            raise InputError(f"{path}: {where} is not JSON ({reason}); write one object a line") from error
        if not isinstance(record, dict):
            raise InputError(f"{path}: {where} is not a JSON object; write one object a line")
        fields = cast("dict[str, Any]", record)
        yield where, {key: value for key, value in fields.items() if value is not None}


def _row(path: Path, where: str, index: int, fields: dict[str, Any]) -> JobRow:
    fields.setdefault("name", f"row-{index:04d}")
    try:
        return JobRow.model_validate(fields)
    except ValidationError as error:
        problems = error.errors(include_url=False)
        first = problems[0]
        column = str(first["loc"][0]) if first["loc"] else "?"
        more = f" (and {len(problems) - 1} more in this row)" if len(problems) > 1 else ""
        raise InputError(f"{path}: {where}, column {column!r}: {_say(first, column)}{more}") from error


def _say(problem: Any, column: str) -> str:
    """What is wrong with one cell, and what it should hold."""
    value: str = repr(problem["input"])
    shown = value if len(value) <= 60 else f"{value[:57]}..."
    match problem["type"]:
        case "extra_forbidden":
            return f"unknown column; columns are {', '.join(COLUMNS)}"
        case "missing":
            return "is missing; every row needs one"
        case "string_pattern_mismatch" if column == "name":
            return f"{shown} cannot name a file in the run folder; use letters, digits, '.', '_' and '-'"
        case "string_pattern_mismatch":
            return f"{shown} is not a subject's name; use small letters, digits, '_' and '-'"
        case _:
            return f"{shown}: {problem['msg'][:1].lower()}{problem['msg'][1:]}"


def _refuse_duplicates(path: Path, rows: list[JobRow]) -> None:
    """File systems may not tell ``Beach`` from ``beach``, so neither do we."""
    first: dict[str, int] = {}
    for number, row in enumerate(rows, start=1):
        for name in row.names():
            earlier = first.setdefault(name.casefold(), number)
            if earlier != number:
                raise InputError(
                    f"{path}: row {number}, column 'name': {name!r} is already the name of an image of row "
                    f"{earlier}; rename one"
                )
