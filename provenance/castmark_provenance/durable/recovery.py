"""Recovery: a copy that lost its manifest -> the manifest of the picture it is a copy of.

    found = recover("copy.jpg")            # None, or a Recovery

A watermark names registered manifests; the copy's fingerprint, put back into the frame that the watermark
implies, must be near the registered one, or the mark was moved to another picture and nothing is recovered.
Without a watermark that leads to the picture, the nearest fingerprint is taken if it is near and no other
picture's is as near. Of several manifests for one picture, unsound ones are left out and those go first whose
signer an anchor vouches for; where different signers remain, nothing is recovered.

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
from castmark_provenance.durable.statement import Statement, statement
from castmark_provenance.durable.watermark import Mark, read
from castmark_provenance.pixels import FORMATS, OTHER_FORMATS, opened, upright
from castmark_provenance.report import Signer
from castmark_provenance.sources import read as read_file
from castmark_provenance.trust import local_anchors

MARGIN = 12
"""Bits by which the nearest fingerprint must beat another picture's, where no watermark says which it is."""

CANDIDATES = 64
"""Entries looked at, at most, for one copy: each one's manifest is read and its signature checked."""
By = Literal["watermark", "fingerprint"]


@dataclass(frozen=True, kw_only=True)
class Recovery:
    """A manifest found again. Recovered, not trusted: see the module."""

    by: By
    entry: Entry
    watermark: str | None
    """The id that was read, in hex: found by its fingerprint, it is none that leads to this picture."""
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
        return _by_fingerprint(pixels, None, registry, anchors, "no watermark")
    return _by_watermark(pixels, mark, registry, anchors)


def pixels_of(data: bytes) -> Pixels:
    """UInt8 pixels "h w 3" of any image file, upright, transparency on white, the first frame.

    Raises:
        ValueError: it is none, damaged, too large, or of 32 bits a sample, whose range nothing says.
    """
    with opened(data, (*FORMATS.values(), *OTHER_FORMATS)) as image:
        if image.mode in ("I", "F"):
            raise ValueError(f"32 bits a sample (mode {image.mode}), of a range that the file does not say")
        image = upright(image)
        if image.mode.startswith("I;16"):  # Pillow would cut off all above 255, not scale it
            image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
        if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
            above = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", above.size, "white"), above)
        return np.asarray(image.convert("RGB"))


def _by_watermark(pixels: Pixels, mark: Mark, registry: Registry, anchors: str) -> Search:
    name = binding.shown(mark.identifier)
    entries = registry.by_watermark(mark.identifier, CANDIDATES + 1)
    frames: dict[tuple[int, int], list[bytes]] = {}
    found: list[tuple[int, Entry]] = []
    for entry in entries[:CANDIDATES]:
        size = (entry.height, entry.width)
        if size not in frames:
            frames[size] = in_frame(pixels, mark, size)
        found.append((min((distance(each, entry.fingerprint) for each in frames[size]), default=256), entry))
    near = min((away for away, _ in found), default=None)
    if near is not None and near <= FRAMED:
        why = f"watermark {name} found in the registry"
        found = [(away, entry) for away, entry in found if away <= FRAMED]
        return _answer(found, len(entries) > CANDIDATES, "watermark", name, anchors, why)
    # Anybody can draw a mark: one that leads nowhere does not hide what the picture looks like.
    why = f"watermark {name} is not in the registry"
    if near is not None:
        why = f"watermark {name} is in the registry, for another picture ({near} of 256 bits apart)"
    return _by_fingerprint(pixels, name, registry, anchors, why)


def _by_fingerprint(pixels: Pixels, name: str | None, registry: Registry, anchors: str, why: str) -> Search:
    found = registry.nearest(fingerprint(pixels), COPY + MARGIN, CANDIDATES + 1)
    if not found or found[0][0] > COPY:
        return Search(recovery=None, watermark=name, why=f"{why}, and no registered picture is like it")
    return _answer(found[:CANDIDATES], len(found) > CANDIDATES, "fingerprint", name, anchors, why)


def _answer(
    found: list[tuple[int, Entry]], more: bool, by: By, name: str | None, anchors: str, why: str
) -> Search:
    """The recovery, if the sound ones of the manifests found are of one picture and one signer.

    A stranger can state another's mark, looks and pixels in a manifest of their own. So where an anchor
    vouches for a signer, what others registered counts for nothing, and else no signer goes before another.
    ``found``: bits away, and of those as near the oldest first; ``more``: there were others, not looked at.
    """
    sound: list[_Sound] = []
    refused: list[str] = []
    for away, entry in found:
        try:
            sound.append(_Sound(away, entry, statement(entry, anchors)))
        except EntryError as error:
            refused.append(str(error))

    def nothing(because: str) -> Search:
        return Search(recovery=None, watermark=name, why=f"{why}, and {because}")

    limit = FRAMED if by == "watermark" else COPY
    vouched = [each for each in sound if not each.said.signer_problems]
    pool = vouched if any(each.away <= limit for each in vouched) else sound
    best = min(reversed(pool), key=lambda each: each.away, default=None)  # of those as near, the newest
    if best is None or best.away > limit:
        return nothing(refused[0] if refused else "no registered picture is like it")
    if more and pool is not vouched:
        return nothing(f"more than {CANDIDATES} manifests are registered for it, and no anchor vouches")
    if by == "fingerprint":
        pool = [each for each in pool if each.pixels == best.pixels or each.away - best.away < MARGIN]
        if any(each.pixels != best.pixels for each in pool):
            return nothing("several registered pictures are as like it as one another")
    if len({each.signer for each in pool}) > 1:
        return nothing("several signers registered a manifest for this picture")
    said = best.said
    recovery = Recovery(
        by=by,
        entry=best.entry,
        watermark=name,
        distance=best.away,
        signer=said.signer,
        signer_problems=said.signer_problems,
        generator=said.generator,
        claim=said.claim,
    )
    why = f"{why}; fingerprint {best.away} of 256 bits from the registered picture's"
    if more:
        why += f"; only {CANDIDATES} of the manifests registered for it were looked at"
    return Search(recovery=recovery, watermark=name, why=why)


@dataclass(frozen=True)
class _Sound:
    """An entry whose manifest is sound, and how many bits away its picture is."""

    away: int
    entry: Entry
    said: Statement

    @property
    def pixels(self) -> str:
        return self.entry.pixel_sha256

    @property
    def signer(self) -> object:
        """Who signed: the names, where an anchor vouches for them, as one signer has many certificates."""
        signer = self.said.signer
        if self.said.signer_problems or signer is None:
            return self.said.certificate
        return signer.common_name, signer.organisation
