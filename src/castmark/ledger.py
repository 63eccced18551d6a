"""The journal of a run: which image of the job is done, and everything needed to prove and show it.

One sqlite file (WAL, synchronous FULL) beside the images. The rules:

1. A row is done only when its file exists and the file's sha256 is the one recorded.
2. The image is written whole (temporary file, fsync, rename) before its row says so. A process killed between
   the two leaves a file without a row; the next run removes it and draws it again.
3. One process works on a run at a time; a second is told. The lock dies with its holder.
4. A row is drawn again when its shot, the base, an adapter, the policy or the code changed: when its key did.

The prompt and the salt of its hash are kept here and only here: this file is private, the images are not.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import sqlite3
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from castmark.errors import LedgerError
from castmark.shot import Shot
from castmark.take import SUFFIX, Finding, Refusal, SignedImage, Take, Verdict, write_atomically

FILE, IMAGES, LOCK = "ledger.sqlite", "images", ".lock"
SCHEMA = 1
Status = Literal["pending", "signed", "refused", "failed"]

_TABLES = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS rows (
    name TEXT PRIMARY KEY, position INTEGER, asked TEXT NOT NULL, status TEXT NOT NULL, prompt TEXT NOT NULL,
    subject TEXT, seed INTEGER NOT NULL, redraws INTEGER NOT NULL DEFAULT 0, key TEXT, salt TEXT, file TEXT,
    sha256 TEXT, width INTEGER, height INTEGER, steps INTEGER, identity REAL, verdict TEXT, reason TEXT,
    seconds REAL, updated TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS refusals (
    name TEXT NOT NULL, seed INTEGER NOT NULL, key TEXT NOT NULL, verdict TEXT NOT NULL, at TEXT NOT NULL
);
"""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One image of a run as the journal has it.

    ``asked`` is the key of the shot the job asks for; ``key`` that of the shot drawn, which differs from it
    only in the seed of a redraw.
    """

    name: str
    position: int | None
    """Place in the job; None where the job no longer has it."""
    asked: str
    status: Status
    prompt: str
    subject: str | None
    seed: int
    redraws: int
    key: str | None
    salt: str | None
    file: str | None
    sha256: str | None
    width: int | None
    height: int | None
    steps: int | None
    identity: float | None
    verdict: Verdict | None
    reason: str | None
    seconds: float | None
    """Time this image took to draw, check and sign."""
    updated: str

    @property
    def redrawable(self) -> bool:
        """True where another seed may help: the image was refused, and not for its prompt."""
        return self.status == "refused" and self.verdict is not None and self.verdict.drawn


class Ledger:
    """The journal of one run folder, opened for work and locked; use it as a context manager."""

    def __init__(self, run: Path, database: sqlite3.Connection, lock: sqlite3.Connection | None) -> None:
        self.run = run
        self.images = run / IMAGES
        self._database = database
        self._lock = lock

    @classmethod
    def open(cls, run: str | Path, source: str) -> Ledger:
        """Open or start the journal of ``run`` for the job called ``source``, alone.

        Raises:
            LedgerError: the folder cannot be made or written, holds other images or another job's run, is
                being worked on by another process, or its journal is damaged.
        """
        run = Path(run)
        try:
            run.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LedgerError(
                f"{run}: run folder cannot be made ({error.strerror or error}); choose another"
            ) from error
        images = run / IMAGES
        if not (run / FILE).exists() and images.is_dir() and any(images.iterdir()):
            raise LedgerError(f"{images}: holds files and no journal is beside it; choose a new run folder")
        lock = _locked(run)
        try:
            database = _connect(run / FILE)
            ledger = cls(run, database, lock)
            ledger._start(source)
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
        return cls(Path(run), _connect(file), None)

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
        with self._speaking():
            found = self._database.execute("SELECT * FROM rows WHERE position IS NOT NULL ORDER BY position")
            return [_row(record) for record in found]

    def refusals(self, name: str) -> list[tuple[int, Verdict]]:
        """Every refusal of an image so far, with the seed it was drawn with, oldest first."""
        with self._speaking():
            found = self._database.execute(
                "SELECT seed, verdict FROM refusals WHERE name = ? ORDER BY at", (name,)
            )
            return [(record["seed"], verdict_from_json(record["verdict"])) for record in found]

    def plan(self, shots: Sequence[Shot], asked: Sequence[str]) -> list[Row]:
        """Set the job's rows (each shot named, with its key) and return those that are not done.

        Rows done under the same key stay as they are; a refusal stays too, since the same key would be
        refused again. Everything else becomes pending, and what an earlier attempt left of it is removed.
        """
        known = {row.name: row for row in self._all()}
        with self._speaking(), self._database:
            self._database.execute("UPDATE rows SET position = NULL")
            for position, (shot, key) in enumerate(zip(shots, asked, strict=True)):
                row = known.get(shot.name or "")
                if row is not None and row.asked == key and (row.status == "refused" or self._intact(row)):
                    self._database.execute(
                        "UPDATE rows SET position = ? WHERE name = ?", (position, row.name)
                    )
                else:
                    self._reset(shot, key, position)
        return [row for row in self.rows() if row.status == "pending"]

    def record(self, name: str, take: Take, *, redraws: int = 0) -> Row:
        """Write what became of an image: its file first if it was signed, then the row.

        Raises:
            OSError: the file cannot be written (full disk, no permission); nothing of it is left, and the row
                stays as it was.
            LedgerError: the journal cannot be written.
        """
        values: dict[str, Any] = {"redraws": redraws, "key": take.key, "seed": take.shot.seed}
        if isinstance(take, SignedImage):
            write_atomically(self.images / take.file_name, take.data)
            values |= {
                "status": "signed",
                "salt": take.salt,
                "file": take.file_name,
                "sha256": hashlib.sha256(take.data).hexdigest(),
                "width": take.claim.width,
                "height": take.claim.height,
                "steps": take.claim.steps,
                "identity": take.verdict.identity,
                "verdict": verdict_to_json(take.verdict),
                "reason": None,
                "seconds": sum(take.timings.values()),
            }
        elif isinstance(take, Refusal):
            verdict = verdict_to_json(take.verdict)
            values |= {"status": "refused", "verdict": verdict, "reason": "; ".join(take.verdict.reasons)}
            values |= {"identity": _finite(take.verdict.identity)}
        else:
            values |= {
                "status": "failed",
                "reason": " ".join(str(take.error).split()) or type(take.error).__name__,
            }
        with self._speaking(), self._database:
            if isinstance(take, Refusal):
                self._database.execute(
                    "INSERT INTO refusals VALUES (?, ?, ?, ?, ?)",
                    (name, take.shot.seed, take.key, values["verdict"], _now()),
                )
            values["updated"] = _now()
            columns = ", ".join(f"{column} = :{column}" for column in values)
            self._database.execute(f"UPDATE rows SET {columns} WHERE name = :name", values | {"name": name})
            record = self._database.execute("SELECT * FROM rows WHERE name = ?", (name,)).fetchone()
        return _row(record)

    def _start(self, source: str) -> None:
        with self._speaking(), self._database:
            self._database.executescript(_TABLES)
            self._database.execute("INSERT OR IGNORE INTO meta VALUES ('schema', ?)", (str(SCHEMA),))
            self._database.execute("INSERT OR IGNORE INTO meta VALUES ('source', ?)", (source,))
            meta = {r["name"]: r["value"] for r in self._database.execute("SELECT * FROM meta")}
        if meta["schema"] != str(SCHEMA):
            raise LedgerError(f"{self.run}: journal of another version of castmark; choose a new run folder")
        if meta["source"] != source:
            raise LedgerError(
                f"{self.run}: holds the run of {meta['source']!r}, not of {source!r}; "
                "choose another run folder"
            )
        self.images.mkdir(exist_ok=True)
        for part in self.images.glob(".*.part"):
            part.unlink()

    def _all(self) -> list[Row]:
        with self._speaking():
            return [_row(record) for record in self._database.execute("SELECT * FROM rows")]

    def _intact(self, row: Row) -> bool:
        """Rule 1: the file is there and is the one recorded."""
        if row.status != "signed" or row.file is None:
            return False
        try:
            return hashlib.sha256((self.images / row.file).read_bytes()).hexdigest() == row.sha256
        except FileNotFoundError:
            return False

    def _reset(self, shot: Shot, key: str, position: int) -> None:
        """Rule 2: no row, no file. The row becomes pending."""
        for suffix in SUFFIX.values():
            (self.images / f"{shot.name}{suffix}").unlink(missing_ok=True)
        self._database.execute(
            "INSERT OR REPLACE INTO rows (name, position, asked, status, prompt, subject, seed, updated) "
            "VALUES (?, ?, ?, 'pending', ?, ?, ?, ?)",
            (
                shot.name,
                position,
                key,
                shot.prompt,
                shot.subjects[0].name if shot.subjects else None,
                shot.seed,
                _now(),
            ),
        )

    @contextmanager
    def _speaking(self) -> Generator[None]:
        """sqlite's errors in our words."""
        try:
            yield
        except sqlite3.Error as error:
            raise LedgerError(_trouble(self.run / FILE, error)) from error


def verdict_to_json(verdict: Verdict) -> str:
    """JSON of a verdict; scores that are not finite become strings, so that any reader can read it."""
    return json.dumps(_spelt(dataclasses.asdict(verdict)), allow_nan=False)


def verdict_from_json(text: str) -> Verdict:
    """The verdict that `verdict_to_json` wrote."""
    fields = json.loads(text)
    findings = tuple(
        Finding(**(f | {"score": float(f["score"]), "threshold": float(f["threshold"])}))
        for f in fields.pop("findings")
    )
    return Verdict(**fields, findings=findings)


def _spelt(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _spelt(v) for k, v in value.items()}  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, list | tuple):
        return [_spelt(v) for v in value]  # pyright: ignore[reportUnknownVariableType]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _row(record: sqlite3.Row) -> Row:
    fields = dict(record)
    verdict = fields.pop("verdict")
    return Row(**fields, verdict=None if verdict is None else verdict_from_json(verdict))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")


def _trouble(file: Path, error: sqlite3.Error) -> str:
    message = str(error)
    if "readonly" in message or "unable to open" in message:
        return f"{file}: journal cannot be written ({message}); check the folder's permissions"
    if "full" in message:
        return f"{file}: journal cannot be written, the disk is full; free some space and run it again"
    return f"{file}: journal is damaged or in use ({message}); move it away to draw the whole run again"


def _connect(file: Path) -> sqlite3.Connection:
    try:
        database = sqlite3.connect(file, timeout=10)
        database.row_factory = sqlite3.Row
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
    except sqlite3.Error as error:
        raise LedgerError(_trouble(file, error)) from error
    return database


def _locked(run: Path) -> sqlite3.Connection:
    """An exclusive lock on the run that the operating system lets go of when its holder dies."""
    lock = None
    try:
        lock = sqlite3.connect(run / LOCK, timeout=0, isolation_level=None)
        lock.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError as error:
        if lock is not None:
            lock.close()
        if "locked" in str(error):
            raise LedgerError(
                f"{run}: another process is working on this run; wait for it or choose another run folder"
            ) from error
        raise LedgerError(_trouble(run / LOCK, error)) from error
    return lock
