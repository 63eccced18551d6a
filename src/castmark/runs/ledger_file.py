"""The file of a journal: opened to write or only to read, locked, and sqlite's errors in our words."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from castmark.errors import LedgerError


def opened(file: Path) -> sqlite3.Connection:
    """The journal, to be written; it is made where it is not there.

    Raises:
        LedgerError: it cannot be written, or is damaged.
    """
    try:
        database = sqlite3.connect(file, timeout=10)
        database.row_factory = sqlite3.Row
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
    except sqlite3.Error as error:
        raise LedgerError(trouble(file, error)) from error
    return database


def opened_to_read(file: Path) -> sqlite3.Connection:
    """The journal, of which nothing can be changed: also on storage that cannot be written.

    Raises:
        LedgerError: it cannot be read, or is damaged.
    """
    log = file.with_name(f"{file.name}-wal")
    if os.access(file.parent, os.W_OK):
        mode = "rw"  # to read a WAL, sqlite puts files beside it, and only so it takes them away again
    elif log.exists():
        mode = "ro"
    else:
        mode = "ro&immutable=1"
    try:
        database = sqlite3.connect(f"{file.resolve().as_uri()}?mode={mode}", timeout=10, uri=True)
        database.row_factory = sqlite3.Row
        database.execute("PRAGMA query_only = ON")
        database.execute("PRAGMA schema_version")
    except sqlite3.Error as error:
        if "unable to open" in str(error):
            raise LedgerError(
                f"{file}: journal cannot be read where it is ({error}); copy its folder to a place that can "
                "be written"
            ) from error
        raise LedgerError(trouble(file, error)) from error
    return database


def locked(file: Path) -> sqlite3.Connection:
    """An exclusive lock on the run of a lock file, that the operating system lets go of when its holder dies.

    Raises:
        LedgerError: another process has it, or the file cannot be written or is damaged.
    """
    lock = None
    try:
        lock = sqlite3.connect(file, timeout=0, isolation_level=None)
        lock.execute("BEGIN EXCLUSIVE")
    except sqlite3.DatabaseError as error:
        if lock is not None:
            lock.close()
        if "locked" in str(error):
            raise LedgerError(
                f"{file.parent}: another process is working on this run; wait for it or choose another run "
                "folder"
            ) from error
        if not isinstance(error, sqlite3.OperationalError):
            raise LedgerError(f"{file}: lock is damaged ({error}); remove it and run it again") from error
        raise LedgerError(trouble(file, error)) from error
    return lock


def trouble(file: Path, error: sqlite3.Error) -> str:
    """What sqlite said of a journal, and what to do."""
    message = str(error)
    if "readonly" in message or "unable to open" in message:
        return f"{file}: journal cannot be written ({message}); check the folder's permissions"
    if "full" in message:
        return f"{file}: journal cannot be written, the disk is full; free some space and run it again"
    return f"{file}: journal is damaged or in use ({message}); move it away to draw the whole run again"
