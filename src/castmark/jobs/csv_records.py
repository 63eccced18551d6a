"""Rows of a CSV file, parted by commas, semicolons or tabs."""

from __future__ import annotations

import csv
import re
from itertools import chain
from pathlib import Path
from typing import Any, TextIO

from castmark.errors import InputError
from castmark.jobs.record import AS_WRITTEN, ERROR_COLUMN, Records
from castmark.jobs.row import COLUMNS
from castmark.jobs.template import COLUMN, placeholders

DELIMITERS = {",": "a comma", ";": "a ';'", "\t": "a tab"}
"""What may part the columns of a CSV file; Excel writes ';' wherever a comma parts decimals."""
_SEP = re.compile(r'^"?sep=([,;\t])"?[,;\t]*\s*$', re.IGNORECASE)
"""Excel's own first line, which says what parts the columns."""


def csv_records(path: Path) -> Records:
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
