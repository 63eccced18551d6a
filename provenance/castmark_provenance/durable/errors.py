"""What can go wrong with the durable layer.

ProvenanceError
├── WatermarkError      pixels that cannot carry a mark, or an id that does not fit
└── RegistryError       the registry cannot be read or written
    ├── PortableError   a portable file that is damaged, or whose digests do not hold; nothing was imported
    └── EntryError      an entry whose manifest is unsound or says something else; neither kept nor believed
"""

from __future__ import annotations

from castmark_provenance.errors import ProvenanceError


class WatermarkError(ProvenanceError):
    """Pixels that cannot carry a watermark, or an id that does not fit."""


class RegistryError(ProvenanceError):
    """The registry cannot be read or written."""


class PortableError(RegistryError):
    """A portable file is damaged, or its digests do not hold; nothing was imported."""


class EntryError(RegistryError):
    """An entry's manifest is unsound, or says something else than the entry; neither kept nor believed."""
