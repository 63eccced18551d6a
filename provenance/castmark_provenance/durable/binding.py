"""Watermark and fingerprint in C2PA's words: soft-binding assertions and the watermark's action.

C2PA specification 2.4, section 18.10 (``c2pa.soft-binding``) and its action ``c2pa.watermarked.bound``. Each
binds the whole picture (an empty scope) with one value, in hex.

Two things here a validator may hold against a manifest. The value is written as CBOR text: by the
specification's schema (``soft-binding.cddl``, of which we know at second hand only) it is a byte string, and
the C2PA library, which writes it for us, takes text and nothing else. And the names of the algorithms are
ours: they are not on C2PA's list of soft-binding algorithms. A validator that insists on the schema or on the
list may call the assertion ill-formed or its algorithm unknown; one that does not, passes over it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from castmark_provenance.durable import fingerprint, watermark
from castmark_provenance.manifest import Addition, assertions
from castmark_provenance.tree import record, records, text

LABEL = "c2pa.soft-binding"
ACTION = "c2pa.watermarked.bound"


def additions(identifier: int | None, print_of_pixels: bytes) -> tuple[Addition, ...]:
    """What a manifest says of a marked picture: the watermark, if it has one, and the fingerprint."""
    found: list[Addition] = []
    if identifier is not None:
        mark = _assertion(watermark.ALGORITHM, shown(identifier), "invisible watermark, 40-bit id")
        action = {"action": ACTION, "description": f"invisible watermark, {watermark.ALGORITHM}"}
        found.append(Addition(label=LABEL, data=mark, action=action))
    looks = _assertion(fingerprint.ALGORITHM, print_of_pixels.hex(), "perceptual fingerprint, 256 bits")
    return (*found, Addition(label=LABEL, data=looks))


def bound(manifest: Mapping[str, Any]) -> dict[str, str]:
    """Algorithm to value of every soft binding that a manifest (c2pa-rs's detailed JSON) declares."""
    values: dict[str, str] = {}
    for label, body in assertions(manifest).items():
        if label != LABEL and not label.startswith(f"{LABEL}__"):
            continue
        binding = record(body)
        blocks = records(binding.get("blocks"))
        if blocks and (value := text(blocks[0].get("value"))):
            values[text(binding.get("alg")) or ""] = value
    return values


def shown(identifier: int) -> str:
    """A watermark id as it is written: ten hex digits."""
    return f"{identifier:010x}"


def _assertion(algorithm: str, value: str, name: str) -> dict[str, Any]:
    return {"alg": algorithm, "name": name, "blocks": [{"scope": {}, "value": value}]}
