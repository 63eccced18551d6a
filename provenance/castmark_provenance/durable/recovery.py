"""Recovery: a copy that lost its manifest -> the manifest of the picture it is a copy of.

    found = recover("copy.jpg")            # None, or a Recovery

A watermark names registered manifests; the copy's fingerprint, put back into the frame that the watermark
implies, must be near the registered one, or the mark was moved to another picture and nothing is recovered.
Without a watermark, the nearest fingerprint is taken if it is near and no other picture's is as near.

What is recovered is never trusted: the bytes are not those that were signed, and anybody can draw a mark.
The manifest itself is checked (`statement`: its signature, its assertions, its signer, and that its entry
says the same); that its pixels are these is not.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from castmark_provenance.claim import Claim
from castmark_provenance.durable import binding
from castmark_provenance.durable.errors import EntryError
from castmark_provenance.durable.fingerprint import COPY, FRAMED, distance, fingerprint, in_frame
from castmark_provenance.durable.plane import Pixels
from castmark_provenance.durable.registry import Entry, Registry
from castmark_provenance.durable.statement import statement
from castmark_provenance.durable.watermark import Mark, read
from castmark_provenance.pixels import FORMATS, OTHER_FORMATS, opened
from castmark_provenance.report import Signer
from castmark_provenance.sources import read as read_file
from castmark_provenance.trust import local_anchors

MARGIN = 12
"""Bits by which the nearest fingerprint must beat another picture's, where no watermark says which it is."""


@dataclass(frozen=True, kw_only=True)
class Recovery:
    """A manifest found again. Recovered, not trusted: see the module."""

    by: Literal["watermark", "fingerprint"]
    entry: Entry
    watermark: str | None
    """The id that was read, in hex."""
    distance: int
    """Bits, of 256, between the copy's fingerprint and the registered one."""
    signer: Signer | None
    signer_problems: tuple[str, ...]
    """Why the manifest's signer is not trusted, in the C2PA library's words; empty if an anchor vouches."""
    generator: str | None
    claim: Claim
    """What was signed. The entry says the same of the picture; its date and media type nobody signed."""


@dataclass(frozen=True, kw_only=True)
class Search:
    """What was looked for, and found, in one copy. ``why`` is a line for a person, also without a find."""

    recovery: Recovery | None
    watermark: str | None
    why: str


def recover(
    source: str | Path | bytes, *, registry: Registry | None = None, trust: str | None = None
) -> Recovery | None:
    """The manifest of the picture that ``source`` (a path or an image file's bytes) is a copy of, or None.

    ``registry``: where to look (default: the user's); ``trust``: PEM anchors for the manifest's signer
    (default: the local ones).

    Raises:
        RegistryError: there is no registry, or it cannot be read.
        OSError, ValueError: the file cannot be read, or is no picture.
        TrustError: the local anchors cannot be read.
    """
    data = source if isinstance(source, bytes) else read_file(Path(source))
    if registry is not None:
        return look_up(data, registry, local_anchors() if trust is None else trust).recovery
    with Registry.open(create=False) as opened:
        return look_up(data, opened, local_anchors() if trust is None else trust).recovery


def look_up(data: bytes, registry: Registry, anchors: str) -> Search:
    """As `recover`, with the reason where nothing was found.

    Raises:
        RegistryError, ValueError: as `recover`.
    """
    pixels = pixels_of(data)
    return match(pixels, read(pixels), registry, anchors)


def match(pixels: Pixels, mark: Mark | None, registry: Registry, anchors: str) -> Search:
    """What comes after decoding: the registered manifest of the picture with this watermark, or these looks.

    Raises:
        RegistryError: the registry cannot be read.
    """
    if mark is None:
        return _by_fingerprint(pixels, registry, anchors)
    return _by_watermark(pixels, mark, registry, anchors)


def pixels_of(data: bytes) -> Pixels:
    """UInt8 pixels "h w 3" of any image file, transparency on white, the first frame.

    Raises:
        ValueError: it is none, damaged, or too large.
    """
    with opened(data, (*FORMATS.values(), *OTHER_FORMATS)) as image:
        if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
            above = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", above.size, "white"), above)
        return np.asarray(image.convert("RGB"))


def _by_watermark(pixels: Pixels, mark: Mark, registry: Registry, anchors: str) -> Search:
    name = binding.shown(mark.identifier)
    entries = registry.by_watermark(mark.identifier)
    best: tuple[int, Entry] | None = None
    for entry in entries:
        framed = in_frame(pixels, mark, (entry.height, entry.width))
        near = min((distance(each, entry.fingerprint) for each in framed), default=256)
        if best is None or near < best[0]:
            best = (near, entry)
    if best is None:
        return Search(recovery=None, watermark=name, why=f"watermark {name} is not in the registry")
    near, entry = best
    if near > FRAMED:
        why = f"watermark {name} is in the registry, for another picture ({near} of 256 bits apart)"
        return Search(recovery=None, watermark=name, why=why)
    return _examined(entry, "watermark", name, near, anchors)


def _by_fingerprint(pixels: Pixels, registry: Registry, anchors: str) -> Search:
    nearest = registry.nearest(fingerprint(pixels), COPY + MARGIN, count=2)
    if not nearest or nearest[0][0] > COPY:
        return Search(recovery=None, watermark=None, why="no watermark, and no registered picture like it")
    near, entry = nearest[0]
    if any(away - near < MARGIN for away, _ in nearest[1:]):
        why = "no watermark, and several registered pictures are as like it as one another"
        return Search(recovery=None, watermark=None, why=why)
    return _examined(entry, "fingerprint", None, near, anchors)


def _examined(
    entry: Entry, by: Literal["watermark", "fingerprint"], name: str | None, near: int, anchors: str
) -> Search:
    """The recovery, if the registered manifest is sound and says itself what led to it."""
    try:
        said = statement(entry, anchors)
    except EntryError as error:
        return Search(recovery=None, watermark=name, why=str(error))
    recovery = Recovery(
        by=by,
        entry=entry,
        watermark=name,
        distance=near,
        signer=said.signer,
        signer_problems=said.signer_problems,
        generator=said.generator,
        claim=said.claim,
    )
    why = f"{by}{f' {name}' if name else ''} found in the registry; fingerprint {near} of 256 bits away"
    return Search(recovery=recovery, watermark=name, why=why)
