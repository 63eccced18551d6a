"""The error file of a run: rows without an image, each with its reason, as a job to correct and run.

errors.csv     name,prompt,subject,seed,...,error
mug-7,a mug with a knife,,7,...,"L1 prompt: weapon scored 9.000, threshold 1.000"
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from castmark.jobs.row import COLUMNS, BadRow
from castmark.take import write_atomically

if TYPE_CHECKING:
    from castmark.jobs.plan import Job
    from castmark.runs.ledger import Ledger
    from castmark.runs.ledger_row import Row
    from castmark.shot import Shot

STEM = "errors"
_OURS = re.compile(rf"^{STEM}\.(csv|jsonl)$")


def is_corrections(source: str) -> bool:
    """True for the name of a file that `write_errors` wrote: its rows replace those of the run."""
    return _OURS.match(source) is not None


def corrected(ledger: Ledger, bad: BadRow) -> list[Row]:
    """The images of a run that an errors file put in the place of a row that is not valid."""
    name = bad.fields.get("name")
    if not isinstance(name, str):
        return []
    return ledger.amended(name, several=bool(bad.fields.keys() & {"count", "seeds"}))


def with_quota(ledger: Ledger, shot: Shot) -> Shot:
    """A row of an errors file with what a quota had put into its prompt (`castmark.safety.bias.quotas`), as
    long as it still says so: a corrected seed or size does not undo the run's quotas."""
    for row in ledger.each("name = :name", {"name": shot.name}):
        quota = tuple(json.loads(row.shot).get("quota", ()))
        if quota and row.prompt == shot.prompt and not shot.subjects:
            return shot.model_copy(update={"quota": quota})
    return shot


def write_errors(ledger: Ledger, out: Path, job: Job, bad: Iterable[BadRow] = ()) -> Path | None:
    """Write the file anew, beside the journal, in the job's own format; no file if every row is done.

    ``bad`` are rows of the job that are not valid, and have no image for that.

    Raises:
        OSError: it cannot be written.
    """
    records = [_record(row) for row in ledger.each("status IN ('refused', 'failed')")]
    records += [_plain(row.fields, job.folder or Path()) | {"error": row.problem} for row in bad]
    suffix = ".csv" if job.source.lower().endswith(".csv") else ".jsonl"
    for other in {".csv", ".jsonl"} - {suffix if records else ""}:
        (out / f"{STEM}{other}").unlink(missing_ok=True)
    if not records:
        return None
    path = out / f"{STEM}{suffix}"
    write_atomically(path, (_csv(records) if suffix == ".csv" else _jsonl(records)).encode())
    return path


def _record(row: Row) -> dict[str, Any]:
    """One image as a job row: what its shot says, in the job's columns."""
    shot = json.loads(row.shot)
    shot["subject"] = shot.pop("subjects")
    if aspect := shot.pop("aspect", None):
        shot["aspect"] = f"{aspect[0]}:{aspect[1]}"
    if start := shot.pop("start", None):
        shot |= {"start": start["path"], "strength": start["strength"]}
    found = {column: shot[column] for column in COLUMNS if shot.get(column) not in (None, [], ())}
    return found | {"error": row.reason or "not drawn"}


def _plain(fields: dict[str, Any], folder: Path) -> dict[str, Any]:
    """A row's own fields; its start image is looked for in the job's folder, which is not the run's."""
    plain = {key: value for key, value in fields.items() if value is not None}
    if isinstance(start := plain.get("start"), str):
        plain["start"] = str((folder / start).resolve())
    return plain


def _csv(records: list[dict[str, Any]]) -> str:
    columns = list(dict.fromkeys(column for record in records for column in record if column != "error"))
    ordered = [column for column in COLUMNS if column in columns]
    ordered += [column for column in columns if column not in ordered]
    text = io.StringIO()
    writer = csv.DictWriter(text, [*ordered, "error"], lineterminator="\n")
    writer.writeheader()
    for record in records:
        writer.writerow({k: ";".join(v) if isinstance(v, list) else v for k, v in record.items()})
    return text.getvalue()


def _jsonl(records: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(record, ensure_ascii=True, default=str) + "\n" for record in records)
