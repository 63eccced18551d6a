"""A registry as a file that can be carried: JSON lines, a digest in each, and one over all at the end.

    {"schema": "castmark.registry/1"}
    {"manifest": "<base64>", "manifest_sha256": "...", "fingerprint": "<hex>", "watermark": "<hex>", ...}
    {"entries": 1, "sha256": "..."}

Import reads the whole file and checks every digest before it keeps anything. The secret that ids are derived
from is not exported.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from castmark_provenance.durable.errors import PortableError, RegistryError
from castmark_provenance.durable.registry import Entry, Registry
from castmark_provenance.tree import record

SCHEMA = "castmark.registry/1"


def export_to(registry: Registry, file: Path) -> int:
    """Write every entry to ``file``, whole or not at all; returns how many.

    Raises:
        RegistryError: the registry cannot be read, or the file not written.
    """
    whole, count = hashlib.sha256(), 0
    partial = file.with_name(f".{file.name}.part")
    try:
        with partial.open("wb") as out:
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
        partial.unlink(missing_ok=True)
    return count - 1


def import_from(registry: Registry, file: Path) -> tuple[int, int]:
    """Add the entries of ``file``; returns how many it holds and how many were new.

    Raises:
        PortableError: the file cannot be read, is damaged or incomplete; nothing was imported.
        RegistryError: the registry cannot be written; nothing was imported.
    """
    for _ in _read(file):  # every digest first, then again to keep them: it may not fit into memory
        pass
    held = 0

    def counted() -> Iterator[Entry]:
        nonlocal held
        for entry in _read(file):
            held += 1
            yield entry

    new = registry.add_all(counted())
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


def _read(file: Path) -> Iterator[Entry]:
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
                    yield _entry(file, number, body)
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
