"""Recovery: a copy that lost its manifest -> the manifest of the picture it is a copy of.

    found = recover("copy.jpg")            # None, or a Recovery

A watermark names registered manifests; the copy's fingerprint, put back into the frame that the watermark
implies, must be near the registered one, or the mark was moved to another picture and nothing is recovered.
Without a watermark, the nearest fingerprint is taken if it is near and no other picture's is as near.

What is recovered is never trusted: the bytes are not those that were signed, and anybody can draw a mark.
The manifest itself is checked (its signature, its assertions, its signer); that its pixels are these is not.
"""

from __future__ import annotations

import functools
import io
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from castmark_provenance.claim import Claim
from castmark_provenance.containers import Located
from castmark_provenance.durable import binding
from castmark_provenance.durable.fingerprint import ALGORITHM as PRINT_ALGORITHM
from castmark_provenance.durable.fingerprint import COPY, FRAMED, distance, fingerprint, in_frame
from castmark_provenance.durable.plane import Pixels
from castmark_provenance.durable.registry import Entry, Registry
from castmark_provenance.durable.watermark import ALGORITHM as MARK_ALGORITHM
from castmark_provenance.durable.watermark import Mark, read
from castmark_provenance.errors import ClaimError
from castmark_provenance.layout import uncovered
from castmark_provenance.manifest import from_manifest
from castmark_provenance.pixels import FORMATS, OTHER_FORMATS, opened
from castmark_provenance.report import Signer
from castmark_provenance.sources import read as read_file
from castmark_provenance.tree import found as values_of
from castmark_provenance.tree import record, records, text
from castmark_provenance.trust import TRUST_CONFIG, local_anchors

MARGIN = 12
"""Bits by which the nearest fingerprint must beat another picture's, where no watermark says which it is."""
_BINDING = ("assertion.dataHash.mismatch", "assertion.bmffHash.mismatch", "assertion.hardBinding.mismatch")
_CREDENTIAL = "signingCredential."


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
    claim: Claim | None


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
    nearest = registry.nearest(fingerprint(pixels), COPY + MARGIN)
    if not nearest or nearest[0][0] > COPY:
        return Search(recovery=None, watermark=None, why="no watermark, and no registered picture like it")
    near, entry = nearest[0]
    rivals = [away for away, other in nearest[1:] if other.pixel_sha256 != entry.pixel_sha256]
    if rivals and rivals[0] - near < MARGIN:
        why = "no watermark, and several registered pictures are as like it as one another"
        return Search(recovery=None, watermark=None, why=why)
    return _examined(entry, "fingerprint", None, near, anchors)


def _examined(
    entry: Entry, by: Literal["watermark", "fingerprint"], name: str | None, near: int, anchors: str
) -> Search:
    """The recovery, if the registered manifest is sound and says itself what led to it."""
    trouble = f"the registered manifest {entry.manifest_sha256[:12]} cannot be used"
    _, problems = uncovered(
        Located(store=entry.manifest, start=0, length=len(entry.manifest), pieces=((0, len(entry.manifest)),))
    )
    if problems:  # the C2PA library is not shown what is not built as it must be
        return Search(recovery=None, watermark=name, why=f"{trouble} ({problems[0]})")
    try:
        store = _library_view(entry, anchors)
        active = record(record(store.get("manifests")).get(str(store.get("active_manifest"))))
        claim = from_manifest(active)
    except (ValueError, ClaimError) as error:
        return Search(recovery=None, watermark=name, why=f"{trouble} ({error})")
    failures = [
        text(status.get("code")) or "?"
        for group in values_of(record(store.get("validation_results")), "failure")
        for status in records(group)
    ]
    if broken := sorted({c for c in failures if c not in _BINDING and not c.startswith(_CREDENTIAL)}):
        return Search(recovery=None, watermark=name, why=f"{trouble} ({', '.join(sorted(broken))})")
    bound = binding.bound(active)
    stated = bound.get(MARK_ALGORITHM) == name if by == "watermark" else PRINT_ALGORITHM in bound
    if not stated:
        return Search(recovery=None, watermark=name, why=f"{trouble} (it does not state this {by})")
    recovery = Recovery(
        by=by,
        entry=entry,
        watermark=name,
        distance=near,
        signer=_signer(active),
        signer_problems=tuple(sorted({code for code in failures if code.startswith(_CREDENTIAL)})),
        generator=_generator(active),
        claim=claim,
    )
    why = f"{by}{f' {name}' if name else ''} found in the registry; fingerprint {near} of 256 bits away"
    return Search(recovery=recovery, watermark=name, why=why)


def _library_view(entry: Entry, anchors: str) -> dict[str, Any]:
    """The C2PA library's reading of a registered manifest, against an empty picture: every check but the
    binding to pixels counts.

    Raises:
        ValueError: it cannot be read.
    """
    import c2pa

    blank = io.BytesIO()
    Image.new("RGB", (1, 1)).save(blank, "PNG")
    blank.seek(0)
    try:
        context = _context(anchors, os.getpid())
        with c2pa.Reader("image/png", blank, entry.manifest, context=context) as reader:
            return record(json.loads(reader.detailed_json()))
    except (c2pa.C2paError, RecursionError) as error:
        raise ValueError(str(error)[:200]) from error


@functools.lru_cache(maxsize=8)
def _context(anchors: str, process: int) -> Any:
    """The library's settings for these anchors; one per process, as its handles do not survive a fork."""
    import c2pa

    trust = {"trust_config": TRUST_CONFIG} | ({"user_anchors": anchors} if anchors else {})
    offline = {"remote_manifest_fetch": False, "ocsp_fetch": False, "verify_trust": True}
    return c2pa.Context.from_dict({"verify": offline, "trust": trust})


def _signer(active: dict[str, Any]) -> Signer | None:
    signature = record(active.get("signature"))
    if not signature:
        return None
    return Signer(
        common_name=text(signature.get("common_name")),
        organisation=text(signature.get("issuer")),
        algorithm=text(signature.get("alg")),
    )


def _generator(active: dict[str, Any]) -> str | None:
    facts = record(record(active.get("claim")).get("claim_generator_info"))
    name, version = text(facts.get("name")), text(facts.get("version"))
    return " ".join(part for part in (name, version) if part) or None
