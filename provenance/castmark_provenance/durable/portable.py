"""A registry as a file that can be carried: JSON lines, a digest in each, and one over all at the end.

    {"schema": "castmark.registry/1"}
    {"manifest": "<base64>", "manifest_sha256": "...", "fingerprint": "<hex>", "watermark": "<hex>", ...}
    {"entries": 1, "sha256": "..."}

Import reads the whole file and checks every digest before it keeps anything. Digests show damage, not lies:
whoever writes a file writes them too. So each manifest is read, and an entry whose manifest is unsound, or
says something else (`statement`), is refused. The secret that ids are derived from is not exported.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import secrets
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from castmark_provenance.console import printable
from castmark_provenance.durable.errors import EntryError, PortableError, RegistryError
from castmark_provenance.durable.registry import Entry, Registry
from castmark_provenance.durable.statement import statement
from castmark_provenance.tree import record

SCHEMA = "castmark.registry/1"


def export_to(registry: Registry, file: Path) -> int:
    """Write every entry to ``file``, whole or not at all; returns how many.

    Raises:
        RegistryError: the registry cannot be read, or the file not written.
    """
    whole, count = hashlib.sha256(), 0
    # A name of its own: two exports to one path must not write into one file.
    partial = file.with_name(f".{file.name}.{secrets.token_hex(8)}.part")
    try:
        with partial.open("xb") as out:
            for line in _lines(registry):
                whole.update(line)
                out.write(line)
                count += 1
            out.write(_line({"entries": count - 1, "sha256": whole.hexdigest()}))
        partial.replace(file)
    except OSError as error:
        raise RegistryError(
            f"{file}: cannot be written ({error.strerror or error}); check the path"
        ) from error
    finally:
        with suppress(OSError):  # where it could not be made, there is nothing to take away
            partial.unlink(missing_ok=True)
    return count - 1


def import_from(registry: Registry, file: Path) -> tuple[int, int]:
    """Add the entries of ``file``; returns how many it holds and how many were new.

    Raises:
        PortableError: the file cannot be read, is damaged or incomplete; nothing was imported.
        EntryError: manifests of some entries are unsound or say something else; the others were imported.
        RegistryError: the registry cannot be written; nothing was imported.
    """
    sound: set[bytes] = set()
    refused: list[str] = []
    held = 0
    for line, entry in _read(file):  # all of it first, then again to keep it: it may not fit into memory
        held += 1
        try:
            statement(entry, "")
        except EntryError as error:
            refused.append(f"line {held + 1}: {error}")
        else:
            sound.add(hashlib.sha256(line).digest())
    # By digest: what stands on a line now may be something else than what was read there before.
    new = registry.add_all(entry for line, entry in _read(file) if hashlib.sha256(line).digest() in sound)
    if refused:
        raise EntryError(
            f"{file}: refused {len(refused)} of {held} entries and imported {new} new ones; "
            f"{printable(refused[0])}; get these from who signed them"
        )
    return held, new


def _lines(registry: Registry) -> Iterator[bytes]:
    yield _line({"schema": SCHEMA})
    for entry in registry.entries():
        yield _line(
            entry.model_dump(mode="json", exclude={"manifest", "fingerprint", "watermark"})
            | {
                "manifest": base64.b64encode(entry.manifest).decode(),
                "manifest_sha256": entry.manifest_sha256,
                "fingerprint": entry.fingerprint.hex(),
                "watermark": None if entry.watermark is None else f"{entry.watermark:010x}",
            }
        )


def _line(body: dict[str, Any]) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode() + b"\n"


def _read(file: Path) -> Iterator[tuple[bytes, Entry]]:
    whole, count = hashlib.sha256(), 0
    try:
        with file.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                body = record(json.loads(line))
                if number == 1 and body.get("schema") != SCHEMA:
                    raise PortableError(f"{file}: not an exported registry ({SCHEMA}); nothing was imported")
                if number > 1 and "entries" in body:
                    if body != {"entries": count, "sha256": whole.hexdigest()} or next(lines, None):
                        raise PortableError(
                            f"{file}: its digest does not hold; nothing was imported, get it again"
                        )
                    return
                whole.update(line)
                if number > 1:
                    count += 1
                    yield line, _entry(file, number, body)
    except OSError as error:
        raise PortableError(f"{file}: cannot be read ({error.strerror or error}); check the path") from error
    except (ValueError, RecursionError) as error:
        raise PortableError(f"{file}: damaged ({error}); nothing was imported, get it again") from error
    raise PortableError(f"{file}: ends too early; nothing was imported, get it again")


def _entry(file: Path, number: int, body: dict[str, Any]) -> Entry:
    stated = body.pop("manifest_sha256", None)
    try:
        body["manifest"] = base64.b64decode(body["manifest"], validate=True)
        body["fingerprint"] = bytes.fromhex(body["fingerprint"])
        body["watermark"] = None if body["watermark"] is None else int(body["watermark"], 16)
        entry = Entry.model_validate(body)
    except (KeyError, TypeError, binascii.Error, ValidationError, ValueError) as error:
        raise PortableError(
            f"{file}, line {number}: no entry ({type(error).__name__}); nothing was imported"
        ) from error
    if entry.manifest_sha256 != stated:
        raise PortableError(
            f"{file}, line {number}: the manifest's digest does not hold; nothing was imported"
        )
    return entry
