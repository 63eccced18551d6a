"""Made-up registry entries, portable files of whatever one likes, and a writer for another process to run."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from castmark_provenance.durable.portable import export_to
from castmark_provenance.durable.registry import Entry, Registry


def entry(number: int) -> Entry:
    rng = np.random.default_rng(number)
    return Entry(
        manifest=f"manifest {number}".encode(),
        fingerprint=rng.bytes(32),
        watermark=number,
        width=256,
        height=192,
        pixel_sha256=f"{number:064x}",
        media_type="image/png",
        title=f"shot {number}",
        registered=datetime(2026, 11, 21, tzinfo=UTC),
    )


class _Forged:
    def __init__(self, held: tuple[Entry, ...]) -> None:
        self.held = held

    def entries(self) -> Iterator[Entry]:
        return iter(self.held)


def portable(file: Path, *held: Entry) -> Path:
    """An exported registry with every digest right, whatever its entries say."""
    export_to(_Forged(held), file)  # pyright: ignore[reportArgumentType]
    return file


def add_many(file: Path, first: int, count: int) -> None:
    with Registry.open(file) as registry:
        for number in range(first, first + count):
            registry.add(entry(number))
