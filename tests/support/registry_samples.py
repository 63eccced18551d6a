"""Made-up registry entries, and a writer that another process can run."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np

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


def add_many(file: Path, first: int, count: int) -> None:
    with Registry.open(file) as registry:
        for number in range(first, first + count):
            registry.add(entry(number))
