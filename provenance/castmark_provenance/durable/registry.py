"""The registry: every signed manifest, found again by its watermark's id or by what its picture looks like.

    registry = Registry.open()                     # $CASTMARK_HOME/registry/registry.sqlite
    registry.add(entry)
    registry.by_watermark(identifier)              # an indexed look-up
    registry.nearest(fingerprint, COPY)            # a scan of packed fingerprints: milliseconds for 100,000

One sqlite file in WAL mode, for any number of readers and writers at once; a writer waits for another for up
to `WAIT` seconds. Fingerprints are kept a second time, packed in pages, because reading 100,000 rows takes
longer than comparing them. It holds manifests, which are public, and one secret: what watermark ids are
derived from (`secret`), so the folder is the user's alone.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import sqlite3
import threading
import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from castmark_provenance.containers import MEDIA_TYPES
from castmark_provenance.durable.errors import RegistryError
from castmark_provenance.home import home_folder
from castmark_provenance.pixels import MAX_PIXELS

WAIT = 30.0
"""Seconds."""
PAGE = 1024
"""Fingerprints in a page."""
SCHEMA_VERSION = 1

_SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS entries (
    number INTEGER PRIMARY KEY,
    manifest_sha256 TEXT NOT NULL UNIQUE,
    watermark INTEGER,
    fingerprint BLOB NOT NULL CHECK (length(fingerprint) = 32),
    width INTEGER NOT NULL,
    height INTEGER NOT NULL,
    pixel_sha256 TEXT NOT NULL,
    media_type TEXT NOT NULL,
    title TEXT NOT NULL,
    registered TEXT NOT NULL,
    manifest BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS by_watermark ON entries (watermark) WHERE watermark IS NOT NULL;
CREATE TABLE IF NOT EXISTS pages (number INTEGER PRIMARY KEY, fingerprints BLOB NOT NULL);
"""
_COLUMNS = (
    "manifest_sha256, watermark, fingerprint, width, height, pixel_sha256, media_type, title, registered, "
    "manifest"
)


class Entry(BaseModel):
    """One signed manifest, and how to find it. Sizes in pixels; digests are SHA-256 in hex.

    Only the manifest is signed: what the other fields say is believed where it says the same (`statement`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    manifest: bytes
    """The manifest store, as it was embedded (JUMBF)."""
    fingerprint: bytes = Field(min_length=32, max_length=32)
    watermark: int | None = Field(default=None, ge=0, lt=1 << 40)
    width: int = Field(ge=1)
    height: int = Field(ge=1)
    pixel_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    """Digest of the signed pixels (`claim.pixel_digest`)."""
    media_type: str
    title: str = ""
    registered: datetime

    @field_validator("media_type")
    @classmethod
    def _known(cls, media_type: str) -> str:
        if media_type not in MEDIA_TYPES:
            raise ValueError(f"not one of {', '.join(MEDIA_TYPES)}")
        return media_type

    @field_validator("title")
    @classmethod
    def _encodable(cls, title: str) -> str:
        title.encode()  # a lone surrogate is text to Python and to JSON, and to nothing else
        return title

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if self.width * self.height > MAX_PIXELS:
            raise ValueError(f"{self.width}x{self.height} is more than {MAX_PIXELS} pixels")
        return self

    @property
    def manifest_sha256(self) -> str:
        """Digest of the manifest store: the entry's identity."""
        return hashlib.sha256(self.manifest).hexdigest()


def registry_file() -> Path:
    """Where the user's registry is: $CASTMARK_HOME/registry/registry.sqlite. Nothing is created."""
    return home_folder() / "registry" / "registry.sqlite"


class Registry:
    """An open registry. One object may be used by several threads, one after the other."""

    def __init__(self, file: Path, connection: sqlite3.Connection) -> None:
        self.file = file
        self._connection = connection
        self._turn = threading.RLock()

    @classmethod
    def open(cls, file: str | Path | None = None, *, create: bool = True) -> Registry:
        """The registry in ``file`` (default: the user's), made if it is not there and ``create``.

        Raises:
            RegistryError: it is not there, no registry, of a later version, or not accessible.
        """
        path = registry_file() if file is None else Path(file)
        if not create and not path.is_file():
            raise RegistryError(f"no registry at {path}; it is made when the first image is signed")
        try:
            if create:
                path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            connection = sqlite3.connect(path, timeout=WAIT, isolation_level=None, check_same_thread=False)
        except (OSError, sqlite3.Error) as error:
            raise RegistryError(
                f"the registry {path} cannot be opened ({error}); check the path and its permissions"
            ) from error
        registry = cls(path, connection)
        try:
            registry._prepare()
        except BaseException:
            connection.close()
            raise
        return registry

    def close(self) -> None:
        """Close the file; the object is of no more use."""
        self._connection.close()

    def __enter__(self) -> Registry:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        with self._reading() as database:
            (count,) = database.execute("SELECT count(*) FROM entries").fetchone()
        return int(count)

    @property
    def secret(self) -> bytes:
        """32 random bytes made with the registry: watermark ids are derived from them, and never them alone
        published, or an id would let anybody test a guess at the prompt."""
        with self._reading() as database:
            (value,) = database.execute("SELECT value FROM facts WHERE name = 'secret'").fetchone()
        return bytes(value)

    def add(self, entry: Entry) -> bool:
        """Keep an entry. False if that manifest is here already; it is committed when this returns.

        Raises:
            RegistryError: it cannot be written (full disk, locked for longer than `WAIT`).
        """
        return self.add_all([entry]) == 1

    def add_all(self, entries: Iterable[Entry]) -> int:
        """Keep entries, all or none; returns how many were new.

        Raises:
            RegistryError: they cannot be written; none was kept.
        """
        with self._writing() as database:
            return sum(_insert(database, entry) for entry in entries)

    def by_watermark(self, identifier: int, count: int = -1) -> list[Entry]:
        """Entries with that watermark id: several where one shot was signed again, or somebody copied its id.

        The oldest first, and no more than ``count`` (not below zero): those added later cannot crowd it out.
        """
        with self._reading() as database:
            rows = database.execute(
                f"SELECT {_COLUMNS} FROM entries WHERE watermark = ? ORDER BY number LIMIT ?",
                (identifier, count),
            ).fetchall()
        return [_entry(row) for row in rows]

    def nearest(self, fingerprint: bytes, within: int, count: int = 3) -> list[tuple[int, Entry]]:
        """At most ``count`` entries at most ``within`` bits away, with their distances.

        The nearest first, and of those as near the oldest: those added later cannot crowd it out.
        """
        import numpy as np

        from castmark_provenance.durable.fingerprint import distances

        found: list[tuple[int, int]] = []
        with self._reading() as database:
            for page, packed in database.execute("SELECT number, fingerprints FROM pages"):
                away = distances(fingerprint, packed)
                found += [(int(away[at]), page * PAGE + int(at) + 1) for at in np.flatnonzero(away <= within)]
            return [(away, self._numbered(database, number)) for away, number in sorted(found)[:count]]

    def entries(self) -> Iterator[Entry]:
        """Every entry, oldest first."""
        last = 0
        while True:
            with self._reading() as database:
                rows = database.execute(
                    f"SELECT number, {_COLUMNS} FROM entries WHERE number > ? ORDER BY number LIMIT 256",
                    (last,),
                ).fetchall()
            if not rows:
                return
            for number, *row in rows:
                last = number
                yield _entry(tuple(row))

    def _numbered(self, database: sqlite3.Connection, number: int) -> Entry:
        row = database.execute(f"SELECT {_COLUMNS} FROM entries WHERE number = ?", (number,)).fetchone()
        return _entry(row)

    def _prepare(self) -> None:
        with self._reading() as database:
            database.execute(f"PRAGMA busy_timeout = {int(WAIT * 1000)}")
            _use_wal(database)
            database.execute("PRAGMA synchronous = FULL")  # what was signed is registered, power cut or not
            (version,) = database.execute("PRAGMA user_version").fetchone()
        if version > SCHEMA_VERSION:
            raise RegistryError(
                f"the registry {self.file} is of version {version}, later than this program; update Castmark"
            )
        if version == SCHEMA_VERSION:
            return
        with self._writing() as database:
            for statement in _SCHEMA.split(";"):
                database.execute(statement)
            database.execute("INSERT OR IGNORE INTO facts VALUES ('secret', ?)", (secrets.token_bytes(32),))
            database.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    @contextmanager
    def _reading(self) -> Generator[sqlite3.Connection]:
        with self._turn:
            try:
                yield self._connection
            except sqlite3.Error as error:
                raise self._trouble(error) from error

    @contextmanager
    def _writing(self) -> Generator[sqlite3.Connection]:
        """One transaction: committed at the end, rolled back on any error."""
        with self._reading() as database:
            database.execute("BEGIN IMMEDIATE")
            try:
                yield database
                database.execute("COMMIT")
            except BaseException:
                if database.in_transaction:
                    database.execute("ROLLBACK")
                raise

    def _trouble(self, error: sqlite3.Error) -> RegistryError:
        return RegistryError(
            f"the registry {self.file} cannot be used ({error}); nothing in it was changed. Check the disk "
            "and its permissions, or move the file aside and import an export of it"
        )


def _use_wal(database: sqlite3.Connection) -> None:
    """Turn WAL on, waiting for others who do the same: sqlite does not apply its busy timeout to this switch,
    since two connections that both read before they switch would wait for each other."""
    until = time.monotonic() + WAIT
    while True:
        try:
            database.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
        time.sleep(0.01)


def _insert(database: sqlite3.Connection, entry: Entry) -> bool:
    cursor = database.execute(
        f"INSERT INTO entries ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (manifest_sha256) DO NOTHING",
        (
            entry.manifest_sha256, entry.watermark, entry.fingerprint, entry.width, entry.height,
            entry.pixel_sha256, entry.media_type, entry.title, entry.registered.isoformat(), entry.manifest,
        ),
    )  # fmt: skip
    if cursor.rowcount != 1:
        return False
    assert cursor.lastrowid is not None
    # Numbers run from 1 without gaps (nothing is deleted), so an entry's number is its place in the pages.
    page = (cursor.lastrowid - 1) // PAGE
    database.execute(
        "INSERT INTO pages VALUES (?1, ?2) ON CONFLICT (number) DO UPDATE SET "
        "fingerprints = CAST(fingerprints || ?2 AS BLOB)",
        (page, entry.fingerprint),
    )
    return True


def _entry(row: tuple[object, ...]) -> Entry:
    names = _COLUMNS.split(", ")
    body = dict(zip(names, row, strict=True))
    stated = body.pop("manifest_sha256")
    try:
        entry = Entry.model_validate(body)
    except ValidationError as error:
        (first, *_) = error.errors(include_url=False, include_input=False)
        raise RegistryError(
            f"the registry's entry {stated} is damaged ({first['msg']}); move the registry aside and import "
            "an export of it"
        ) from error
    if entry.manifest_sha256 != stated:
        raise RegistryError(
            f"the registry's entry {stated} is damaged: its manifest has another digest; "
            "import an export of it"
        )
    return entry


def now() -> datetime:
    """The moment of registering, UTC."""
    return datetime.now(UTC)
