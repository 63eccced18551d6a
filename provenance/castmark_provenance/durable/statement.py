"""What a registered manifest says, once it is sound and its entry says the same.

    said = statement(entry, anchors)       # a Statement, or EntryError

An entry's own fields are unsigned: whoever writes a portable file chooses them. So each that a find rests on
or shows (watermark, fingerprint, size, digest of the pixels, title) must be what the manifest's signer said.
And what makes a whole file invalid, whoever signed it (`examination`), makes its manifest unsound here too.
Who the signer is, and whether an anchor vouches, is for the reader to judge: anybody can sign.
"""

from __future__ import annotations

import functools
import io
import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from PIL import Image

from castmark_provenance import cbor
from castmark_provenance.chain import problems_at
from castmark_provenance.claim import Claim
from castmark_provenance.containers import Located
from castmark_provenance.durable import binding
from castmark_provenance.durable.errors import EntryError
from castmark_provenance.durable.fingerprint import ALGORITHM as PRINT_ALGORITHM
from castmark_provenance.durable.registry import Entry
from castmark_provenance.durable.watermark import ALGORITHM as MARK_ALGORITHM
from castmark_provenance.errors import ClaimError
from castmark_provenance.examination import (
    EXPIRED,
    TRUSTED_STAMP,
    UNTRUSTED,
    ingredient_codes,
    ingredient_problems,
    refusals,
    store_problems,
)
from castmark_provenance.jumbf import Manifest
from castmark_provenance.layout import certificates, sign1_parts, uncovered
from castmark_provenance.manifest import from_manifest, vocabulary_problems
from castmark_provenance.report import Signer
from castmark_provenance.tree import found as values_of
from castmark_provenance.tree import record, records, text
from castmark_provenance.trust import TRUST_CONFIG

_BINDING = ("assertion.dataHash.mismatch", "assertion.bmffHash.mismatch", "assertion.hardBinding.mismatch")


@dataclass(frozen=True, kw_only=True)
class Statement:
    """What a sound manifest says, and who signed it."""

    claim: Claim
    generator: str | None
    signer: Signer | None
    signer_problems: tuple[str, ...]
    """Why the signer is not trusted, in C2PA's words; empty if an anchor vouches."""
    certificate: bytes
    """The signing certificate (DER). It tells signers apart where no anchor vouches for their names."""


def statement(entry: Entry, anchors: str) -> Statement:
    """What the manifest of ``entry`` says; ``anchors`` (PEM) may vouch for its signer.

    Raises:
        EntryError: the manifest is unsound, or does not say what the entry says.
    """
    manifests, problems = uncovered(
        Located(store=entry.manifest, start=0, length=len(entry.manifest), pieces=((0, len(entry.manifest)),))
    )
    if problems:  # the C2PA library is not shown what is not built as it must be
        raise _error(entry, problems[0])
    try:
        store = _library_view(entry, anchors)
        active = record(record(store.get("manifests")).get(str(store.get("active_manifest"))))
        claim = from_manifest(active)
    except (ValueError, ClaimError) as error:
        raise _error(entry, str(error)) from error
    results = record(store.get("validation_results"))
    groups = values_of(results, "failure")
    failures = [text(status.get("code")) or "?" for group in groups for status in records(group)]
    if broken := sorted(set(failures) - {*_BINDING, UNTRUSTED, EXPIRED}):
        raise _error(entry, ", ".join(broken))
    if claim is None:
        raise _error(entry, "it holds no record of Castmark's")
    problems = [
        *store_problems(store, manifests),
        *vocabulary_problems(active),
        *refusals(claim),
        *ingredient_problems(active, ingredient_codes(active, results), claim),
    ]
    if problems:
        raise _error(entry, problems[0])
    if unsigned := _unsigned(entry, claim, binding.bound(active)):
        raise _error(entry, f"its entry has another {', another '.join(unsigned)} than was signed")
    return Statement(
        claim=claim,
        generator=_generator(active),
        signer=_signer(active),
        signer_problems=tuple(sorted(_signer_problems(store, active, manifests[-1], failures, anchors))),
        certificate=_certificate(manifests[-1]),
    )


def _signer_problems(
    store: dict[str, Any], active: dict[str, Any], manifest: Manifest, failures: list[str], anchors: str
) -> set[str]:
    """The library's codes, and ours where `chain` is stricter; as of a trusted time-stamp, or of now."""
    codes = set(failures) & {UNTRUSTED, EXPIRED}
    own = record(record(store.get("validation_results")).get("activeManifest"))
    stamped = any(status.get("code") == TRUSTED_STAMP for status in records(own.get("success")))
    moment = datetime.now(UTC)
    if stamped and (said := text(record(active.get("signature")).get("time"))) is not None:
        moment = min(moment, datetime.fromisoformat(said))
    loose, untimely = problems_at(manifest, anchors, moment)
    return codes | ({UNTRUSTED} if loose else set()) | ({EXPIRED} if untimely else set())


def _certificate(manifest: Manifest) -> bytes:
    protected, *_ = sign1_parts(manifest.signature)
    first = next(iter(certificates(record(cbor.loads(protected)))), None)
    return first if isinstance(first, bytes) else b""


def _unsigned(entry: Entry, claim: Claim, bound: dict[str, str]) -> list[str]:
    """Names of the entry's fields that are not as the manifest, with these soft bindings, says."""
    mark = None if entry.watermark is None else binding.shown(entry.watermark)
    pairs = {
        "watermark": (mark, bound.get(MARK_ALGORITHM)),
        "fingerprint": (entry.fingerprint.hex(), bound.get(PRINT_ALGORITHM)),
        "size": ((entry.width, entry.height), (claim.width, claim.height)),
        "pixel digest": (entry.pixel_sha256, claim.safety.pixel_sha256),
        "title": (entry.title, claim.title),
    }
    return [name for name, (held, signed) in pairs.items() if held != signed]


def _error(entry: Entry, why: str) -> EntryError:
    return EntryError(f"the registered manifest {entry.manifest_sha256[:12]} cannot be used ({why})")


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
