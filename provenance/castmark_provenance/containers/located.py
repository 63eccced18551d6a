"""Located: a manifest store, where in the file it lies, and what its hash may leave out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

DATA_HASH = "c2pa.hash.data"
BMFF_HASHES = ("c2pa.hash.bmff.v3", "c2pa.hash.bmff.v2")


@dataclass(frozen=True, kw_only=True)
class Located:
    """A manifest store and the byte range that carries it; ``problems`` are bytes no hash covers."""

    store: bytes
    start: int
    length: int
    pieces: tuple[tuple[int, int], ...]
    """Where the store's own bytes lie: start and length, in order."""
    exclusions: tuple[tuple[int, int], ...] = ()
    """What ``c2pa.hash.data`` leaves out: start and length. Empty where a BMFF hash binds by box names."""
    header: bytes = b""
    """Bytes outside the hash that describe the container (an AVIF's ``ftyp``): signed separately by us."""
    problems: tuple[str, ...] = ()

    @property
    def bindings(self) -> tuple[str, ...]:
        """Labels of the assertions that may bind the manifest to the file."""
        return (DATA_HASH,) if self.exclusions else BMFF_HASHES

    def exclusion_problem(self, hashes: dict[str, Any]) -> bool:
        """Whether a binding leaves out anything but the manifest's own place."""
        found = hashes.get("exclusions")
        if self.exclusions:
            return found != [{"start": start, "length": length} for start, length in self.exclusions]
        from castmark_provenance.containers.bmff import EXCLUSIONS

        return not isinstance(found, list) or any(entry not in EXCLUSIONS for entry in found)  # pyright: ignore[reportUnknownVariableType]
