"""The journal of a run: which image of the job is done, and everything needed to prove and show it.

One sqlite file (WAL, synchronous FULL) beside the images. The rules:

1. A row is done only when its file exists and the file's sha256 is the one recorded, and, where layers were
   asked for, their file is whole and holds that image.
2. The image is written whole (temporary file, fsync, rename) before its row says so. A process killed between
   the two leaves a file without a row; the next run removes it and draws it again. The image that a row had
   before it changed stays until the new one is there, the row is refused, or the job no longer has it.
3. One process works on a run at a time; a second is told. The lock dies with its holder.
4. A row is drawn again when its shot, the base, an adapter, the policy, its calibration or the code changed:
   when its key did.
5. Rows are planned in one transaction and read in chunks: a job of a hundred thousand rows takes the memory
   of a few hundred.

The prompt and the salt of its hash are kept here and only here: this file is private, the images are not.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import sqlite3
import zipfile
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from castmark.errors import LedgerError
from castmark.runs.ledger_file import locked, opened, opened_to_read, trouble
from castmark.runs.ledger_row import Row, finite, row_from, shot_to_json, verdict_from_json, verdict_to_json
from castmark.shot import Shot
from castmark.take import SUFFIX, Refusal, SignedImage, Take, Verdict

FILE, IMAGES, LOCK = "ledger.sqlite", "images", ".lock"
SCHEMA = 2
CHUNK = 256
"""Rows read at once."""
LAYERS = ".ora"
_LASTING = ("name", "asked", "replaces", "prompt", "subject", "seed", "shot", "file", "sha256")
"""What a row that becomes pending keeps: what it asks for, and which file its earlier image is in."""
_TABLES = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS rows (
    name TEXT PRIMARY KEY, position INTEGER, asked TEXT NOT NULL, replaces TEXT, status TEXT NOT NULL,
    prompt TEXT NOT NULL, subject TEXT, seed INTEGER NOT NULL, shot TEXT NOT NULL,
    redraws INTEGER NOT NULL DEFAULT 0, attempts INTEGER NOT NULL DEFAULT 0,
    redrawable INTEGER NOT NULL DEFAULT 0, key TEXT, salt TEXT, file TEXT, sha256 TEXT, width INTEGER,
    height INTEGER, steps INTEGER, evaluations INTEGER, identity REAL, verdict TEXT, reason TEXT,
    timings TEXT NOT NULL DEFAULT '{}', updated TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS by_position ON rows (position);
CREATE TABLE IF NOT EXISTS refusals (
    name TEXT NOT NULL, seed INTEGER NOT NULL, key TEXT NOT NULL, verdict TEXT NOT NULL, at TEXT NOT NULL
);
"""


class Ledger:
    """The journal of one run folder, opened for work and locked; use it as a context manager."""

    def __init__(self, run: Path, database: sqlite3.Connection, lock: sqlite3.Connection | None) -> None:
        self.run = run
        self.images = run / IMAGES
        self._database = database
        self._lock = lock

    @classmethod
    def open(cls, run: str | Path, source: str, *, amend: bool = False) -> Ledger:
        """Open or start the journal of ``run`` for the job called ``source``, alone.

        With ``amend``, ``source`` is a file of the run's own errors and the journal must be there.

        Raises:
            LedgerError: the folder cannot be made or written, holds other images or another job's run, is
                being worked on by another process, or its journal is damaged.
        """
        run = Path(run)
        if amend and not (run / FILE).is_file():
            raise LedgerError(f"{run}: no run here that {source!r} could be of; give the folder of its run")
        try:
            run.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LedgerError(
                f"{run}: run folder cannot be made ({error.strerror or error}); choose another"
            ) from error
        images = run / IMAGES
        if not (run / FILE).exists() and images.is_dir() and any(images.iterdir()):
            raise LedgerError(f"{images}: holds files and no journal is beside it; choose a new run folder")
        lock = locked(run / LOCK)
        try:
            database = opened(run / FILE)
            ledger = cls(run, database, lock)
            ledger._start(source, amend)
        except BaseException:
            lock.close()
            raise
        return ledger

    @classmethod
    def read(cls, run: str | Path) -> Ledger:
        """Open the journal of ``run`` to read it, also while another process works on it.

        Raises:
            LedgerError: there is none, or it is damaged.
        """
        file = Path(run) / FILE
        if not file.is_file():
            raise LedgerError(
                f"{run}: no {FILE} here; give the folder of a run (castmark batch ... --out RUN)"
            )
        return cls(Path(run), opened_to_read(file), None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the journal and let go of the run."""
        self._database.close()
        if self._lock is not None:
            self._lock.close()

    @property
    def source(self) -> str:
        """Name of the job file this run is of."""
        with self._speaking():
            return self._database.execute("SELECT value FROM meta WHERE name = 'source'").fetchone()["value"]

    def rows(self) -> list[Row]:
        """Every row of the job, in its order."""
        return list(self.each())

    def each(self, where: str = "1", values: Mapping[str, Any] | None = None) -> Iterator[Row]:
        """The job's rows that fulfil a condition, in order, read in chunks; they may be changed meanwhile."""
        last = -1
        while True:
            with self._speaking():
                chunk = self._database.execute(
                    f"SELECT * FROM rows WHERE position > :last AND ({where}) "
                    f"ORDER BY position LIMIT {CHUNK}",
                    {**(values or {}), "last": last},
                ).fetchall()
            if not chunk:
                return
            yield from map(row_from, chunk)
            last = chunk[-1]["position"]

    def counts(self) -> dict[str, int]:
        """How many of the job's rows are in each status."""
        with self._speaking():
            found = self._database.execute(
                "SELECT status, COUNT(*) AS n FROM rows WHERE position IS NOT NULL GROUP BY status"
            )
            return {record["status"]: record["n"] for record in found}

    def every_refusal(self) -> Iterator[Verdict]:
        """Every refusal so far of every image as it is asked for now."""
        last = 0
        while True:
            with self._speaking():
                chunk = self._database.execute(
                    f"SELECT rowid, verdict FROM refusals WHERE rowid > ? ORDER BY rowid LIMIT {CHUNK}",
                    (last,),
                ).fetchall()
            if not chunk:
                return
            yield from (verdict_from_json(record["verdict"]) for record in chunk)
            last = chunk[-1]["rowid"]

    def spend(self, **amounts: float | None) -> None:
        """Add to what the run has taken so far: seconds, drawings, joules."""
        with self._speaking(), self._database:
            for name, amount in amounts.items():
                if amount is not None:
                    total = self.spent().get(name, 0.0) + amount
                    self._database.execute(
                        "INSERT OR REPLACE INTO meta VALUES (?, ?)", (f"spent {name}", repr(total))
                    )

    def spent(self) -> dict[str, float]:
        """What the run has taken so far, by name."""
        with self._speaking():
            found = self._database.execute("SELECT name, value FROM meta WHERE name LIKE 'spent %'")
            return {record["name"].removeprefix("spent "): float(record["value"]) for record in found}

    def todo(self, *, redraws: int = 0, retries: int = 0) -> tuple[str, dict[str, Any]] | None:
        """The condition of the rows still to draw, None if there are none: those not drawn yet, then those
        refused or failed that may be tried again."""
        again = {"redraws": redraws, "retries": retries}
        for condition in (
            "status = 'pending'",
            "(status = 'refused' AND redrawable AND redraws < :redraws) "
            "OR (status = 'failed' AND attempts <= :retries)",
        ):
            if self.count(condition, again):
                return condition, again
        return None

    def count(self, where: str, values: Mapping[str, Any] | None = None) -> int:
        """How many of the job's rows fulfil a condition."""
        with self._speaking():
            return self._database.execute(
                f"SELECT COUNT(*) FROM rows WHERE position IS NOT NULL AND ({where})", values or {}
            ).fetchone()[0]

    def refusals(self, name: str) -> list[tuple[int, Verdict]]:
        """Every refusal so far of an image as it is asked for now, with its seed, oldest first."""
        with self._speaking():
            found = self._database.execute(
                "SELECT seed, verdict FROM refusals WHERE name = ? ORDER BY at", (name,)
            )
            return [(record["seed"], verdict_from_json(record["verdict"])) for record in found]

    def amended(self, name: str, *, several: bool = False) -> list[Row]:
        """The rows of a name that an errors file put in the place of the job's own, also those that the job
        no longer has; with ``several``, its numbered images too."""
        query = "SELECT * FROM rows WHERE replaces IS NOT NULL AND "
        query += "(name = :name OR name GLOB :name || '-[0-9][0-9]*')" if several else "name = :name"
        with self._speaking():
            found = self._database.execute(f"{query} ORDER BY name", {"name": name}).fetchall()
        return [row_from(record) for record in found]

    def plan(
        self,
        planned: Iterable[tuple[Shot, str]],
        *,
        amend: bool = False,
        corrected: Iterable[tuple[Shot, str]] = (),
    ) -> None:
        """Set the job's rows: each shot, named, with its key. All of them, or none where ``planned`` raises.

        Rows done under the same key stay as they are; a refusal stays too, since the same key would be
        refused again. Everything else becomes pending. A row that an errors file corrected stays corrected
        for as long as the job asks for what was corrected.

        With ``amend``, the shots replace those of their names and the other rows stay. ``corrected`` are such
        shots too: they are taken after ``planned``.
        """
        with self._speaking(), self._database:
            if not amend:
                self._database.execute("UPDATE rows SET position = NULL")
            last = self._database.execute("SELECT COALESCE(MAX(position), -1) FROM rows").fetchone()[0]
            places = itertools.count(last + 1)
            for shot, key in planned:
                self._place(shot, key, places, amend)
            for shot, key in corrected:
                self._place(shot, key, places, True)
        self._tidy()

    def keep(self, take: SignedImage) -> None:
        """Write a signed image's file. May be called from any thread; its row is for `record`.

        Raises:
            OSError: the file cannot be written (full disk, no permission); nothing of it is left.
        """
        take.save(self.images)

    def record(self, name: str, take: Take, *, redraws: int = 0) -> Row:
        """Write what became of an image; the file of a signed one was written before (`keep`).

        What its row had before is removed, save where it failed: then nothing has taken its place.

        Raises:
            LedgerError: the journal cannot be written.
            OSError: what its row had before cannot be removed.
        """
        values: dict[str, Any] = {"redraws": redraws, "key": take.key, "seed": take.shot.seed}
        values |= {"redrawable": False, "timings": json.dumps(dict(take.timings))}
        if isinstance(take, SignedImage):
            values |= {
                "status": "signed",
                "salt": take.salt,
                "file": take.file_name,
                "sha256": hashlib.sha256(take.data).hexdigest(),
                "width": take.claim.width,
                "height": take.claim.height,
                "steps": take.claim.steps,
                "evaluations": int(take.claim.settings.get("denoiser_evaluations", take.claim.steps)),
                "identity": finite(take.verdict.identity),
                "verdict": verdict_to_json(take.verdict),
                "reason": None,
            }
        elif isinstance(take, Refusal):
            verdict = verdict_to_json(take.verdict)
            values |= {"status": "refused", "verdict": verdict, "reason": "; ".join(take.verdict.reasons)}
            values |= {"identity": finite(take.verdict.identity), "redrawable": take.verdict.redrawable}
            values |= {"file": None, "sha256": None}
        else:
            values |= {
                "status": "failed",
                "reason": " ".join(str(take.error).split()) or type(take.error).__name__,
            }
        if values["status"] != "failed":
            own = {take.file_name, *take.companions} if isinstance(take, SignedImage) else set[str]()
            for suffix in (*SUFFIX.values(), LAYERS):
                if name + suffix not in own:
                    (self.images / (name + suffix)).unlink(missing_ok=True)
        with self._speaking(), self._database:
            if isinstance(take, Refusal):
                self._database.execute(
                    "INSERT INTO refusals VALUES (?, ?, ?, ?, ?)",
                    (name, take.shot.seed, take.key, values["verdict"], _now()),
                )
            values["updated"] = _now()
            columns = ", ".join(f"{column} = :{column}" for column in values)
            if values["status"] == "failed":
                columns += ", attempts = attempts + 1"
            self._database.execute(f"UPDATE rows SET {columns} WHERE name = :name", values | {"name": name})
            record = self._database.execute("SELECT * FROM rows WHERE name = ?", (name,)).fetchone()
        return row_from(record)

    def _start(self, source: str, amend: bool) -> None:
        with self._speaking(), self._database:
            self._database.executescript(_TABLES)
            self._database.execute("INSERT OR IGNORE INTO meta VALUES ('schema', ?)", (str(SCHEMA),))
            self._database.execute("INSERT OR IGNORE INTO meta VALUES ('source', ?)", (source,))
            meta = {r["name"]: r["value"] for r in self._database.execute("SELECT * FROM meta")}
        if meta["schema"] != str(SCHEMA):
            raise LedgerError(f"{self.run}: journal of another version of castmark; choose a new run folder")
        if meta["source"] != source and not amend:
            raise LedgerError(
                f"{self.run}: holds the run of {meta['source']!r}, not of {source!r}; "
                "choose another run folder"
            )
        try:
            self.images.mkdir(exist_ok=True)
            for part in self.images.glob(".*.part"):
                part.unlink()
        except OSError as error:
            raise LedgerError(
                f"{self.images}: cannot be written ({error.strerror}); check the folder's permissions"
            ) from error

    def _recorded(self, row: sqlite3.Row) -> bool:
        """The row's file is there and is the one recorded."""
        data = None if row["file"] is None else _read(self.images / row["file"])
        return data is not None and hashlib.sha256(data).hexdigest() == row["sha256"]

    def _layered(self, row: sqlite3.Row) -> bool:
        """Where layers were asked for, their file is there, whole, and of the image recorded."""
        if not json.loads(row["shot"]).get("layers"):
            return True
        data = _read(self.images / (row["name"] + LAYERS))
        if data is None:
            return False
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                merged = archive.read("mergedimage.png")
                return archive.testzip() is None and hashlib.sha256(merged).hexdigest() == row["sha256"]
        except Exception:  # noqa: BLE001 - a damaged archive raises whatever its bytes make of it
            return False

    def _done(self, row: sqlite3.Row) -> bool:
        """There is nothing to draw: the row is refused, or signed and as rule 1 wants it."""
        signed = row["status"] == "signed" and self._recorded(row) and self._layered(row)
        return signed or row["status"] == "refused"

    def _place(self, shot: Shot, key: str, places: Iterator[int], amend: bool) -> None:
        """Set one row, in the next place, or in its own where it is amended."""
        found: sqlite3.Row | None = self._database.execute(
            "SELECT * FROM rows WHERE name = ?", (shot.name,)
        ).fetchone()
        place = found["position"] if amend and found is not None else None
        place = next(places) if place is None else place
        same = found is not None and key == found["asked"]
        corrected = found is not None and not amend and key == found["replaces"]
        if found is not None and (same or corrected) and self._done(found):
            self._database.execute("UPDATE rows SET position = ? WHERE name = ?", (place, shot.name))
            return
        replaces = found["replaces"] if amend and found is not None else None
        if amend and replaces is None and not same:
            replaces = "" if found is None else found["asked"]
        values: dict[str, Any] = {} if found is None else {column: found[column] for column in _LASTING}
        if not corrected:
            values |= {"name": shot.name, "asked": key, "replaces": replaces, "prompt": shot.prompt}
            values |= {"seed": shot.seed, "shot": shot_to_json(shot)}
            values |= {"subject": ";".join(subject.name for subject in shot.subjects) or None}
            if not same:
                self._database.execute("DELETE FROM refusals WHERE name = ?", (shot.name,))
        if found is not None and (same or corrected):
            values["redraws"] = found["redraws"]  # the seeds before it were refused, and would be again
        values |= {"status": "pending", "position": place, "updated": _now()}
        self._database.execute(
            f"INSERT OR REPLACE INTO rows ({', '.join(values)}) "
            f"VALUES ({', '.join(f':{column}' for column in values)})",
            values,
        )

    def _tidy(self) -> None:
        """Rule 2: no row, no file. Only names of this run's own rows are looked at."""
        for path in self.images.iterdir():
            if path.suffix not in (*SUFFIX.values(), LAYERS):
                continue
            with self._speaking():
                row: sqlite3.Row | None = self._database.execute(
                    "SELECT position, status, file, sha256 FROM rows WHERE name = ?", (path.stem,)
                ).fetchone()
            if row is None:
                continue
            waits = row["position"] is not None and row["status"] in ("pending", "failed")
            kept = row["status"] == "signed" or (waits and self._recorded(row))
            if not kept or (path.suffix != LAYERS and row["file"] != path.name):
                try:
                    path.unlink(missing_ok=True)
                except OSError as error:
                    raise LedgerError(
                        f"{path}: cannot be removed ({error.strerror}); move it away and run it again"
                    ) from error

    @contextmanager
    def _speaking(self) -> Generator[None]:
        """sqlite's errors in our words."""
        try:
            yield
        except sqlite3.Error as error:
            raise LedgerError(trouble(self.run / FILE, error)) from error


def _read(path: Path) -> bytes | None:
    """A file's bytes, None where it is not there.

    Raises:
        LedgerError: it cannot be read: a folder is in its place, say.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise LedgerError(
            f"{path}: cannot be read ({error.strerror}); move it away and run it again"
        ) from error


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")
