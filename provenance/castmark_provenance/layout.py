"""The bytes that no hash and no signature covers, and the one form in which they are accepted.

A signed file is: bytes under the data hash, and the range it leaves out. That range is container headers and
CRC, JUMBF boxes, assertions (hashed by the claim), the claim (signed), and the COSE_Sign1 structure, of which
only the protected header and the payload are signed. Whatever else could vary there is refused here, save one
bit that says nothing: to an ECDSA signature (r, s) there is always (r, n - s), and signers write either.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, cast

from castmark_provenance import cbor
from castmark_provenance.containers import Located
from castmark_provenance.jumbf import MAX_ASSERTIONS, Manifest, parse_store
from castmark_provenance.timestamp_token import token_problems
from castmark_provenance.tree import items, record, records

COSE_SIGN1_TAG = 18
ALGORITHM, X5CHAIN = 1, 33
"""Labels of what is signed beside the claim, and nothing else: algorithm (RFC 9052 section 3.1), certificates
(RFC 9360). The C2PA library takes certificates from a label ``x5chain`` as well, whichever comes first."""
PADDING = ("pad", "pad2")
TIME_STAMPS = ("sigTst", "sigTst2")
"""Unsigned, and accepted only where the library finds them valid (`time_stamped`) and nothing hides in them
(`timestamp_token`)."""
CONTAINER = "org.castmark.container"
HASHES = ("sha256", "sha384", "sha512")


def uncovered(located: Located) -> tuple[tuple[Manifest, ...], list[str]]:
    """The store's manifests, and every way in which uncovered bytes are not as they must be.

    An empty list means that each byte of the range is signed, hashed, or has the only value it may have.
    """
    problems = list(located.problems)
    try:
        manifests = parse_store(located.store)
        for manifest in manifests:
            problems += _signature_problems(manifest)
            problems += _assertion_problems(manifest)
    except ValueError as error:
        return (), [str(error), *problems]
    return manifests, problems


def time_stamped(manifest: Manifest) -> bool:
    """Whether the signature of a manifest that `uncovered` returned carries a time-stamp beside it."""
    _, unprotected, _, _ = sign1_parts(manifest.signature)
    return any(name in unprotected for name in TIME_STAMPS)


def exclusion_problems(manifest: Manifest, decoded: Mapping[str, Any], located: Located) -> list[str]:
    """Why the hash in the active manifest leaves out more, or less, than the manifest's own place.

    ``decoded`` are the manifest's assertions by label. What describes an AVIF (its ``ftyp`` box) lies outside
    the hash: where the signer states its digest, as we do, it must be right.
    """
    bindings = [label for label in manifest.assertions if label.startswith("c2pa.hash.")]
    if len(bindings) != 1 or bindings[0] not in located.bindings:
        return [f"bound to the file by {bindings or 'nothing'}, not by one {located.bindings[0]}"]
    if located.exclusion_problem(record(decoded.get(bindings[0]))):
        return ["the data hash leaves out other bytes than the manifest's own"]
    stated = record(decoded.get(CONTAINER)).get("header_sha256")
    if located.header and stated not in (None, hashlib.sha256(located.header).hexdigest()):
        return ["the file type box is not the one that was signed"]
    return []


def _assertion_problems(manifest: Manifest) -> list[str]:
    """Where the (signed) claim's list of assertions and the bytes of the assertion store do not agree.

    The C2PA library hashes an assertion as it would write it, not as it stands; here the bytes are hashed.

    Raises:
        ValueError: more are listed than a manifest may hold, or one twice. A reference takes a few bytes, and
            whoever follows it hashes a whole assertion (the library, by the last part of its path alone).
    """
    claim = record(cbor.loads(manifest.claim))
    own = f"self#jumbf=/c2pa/{manifest.label}/"
    problems: list[str] = []
    if claim.get("signature") != f"{own}c2pa.signature":
        problems.append("the claim names another signature box than its own")
    lists = [records(claim.get(name)) for name in ("created_assertions", "gathered_assertions", "assertions")]
    if sum(map(len, lists)) > MAX_ASSERTIONS:
        raise ValueError(f"the claim lists more than {MAX_ASSERTIONS} assertions")
    listed: set[str] = set()
    names: set[str] = set()
    places = {label: place for place, label in enumerate(manifest.assertions)}
    for references in lists:
        last = -1
        for reference in references:
            url = str(reference.get("url"))
            label = url.removeprefix(own).removeprefix("self#jumbf=").removeprefix("c2pa.assertions/")
            algorithm = str(reference.get("alg") or claim.get("alg"))
            name = label.rpartition("/")[2]
            if name in names:
                raise ValueError("the claim lists one assertion twice")
            names.add(name)
            listed.add(label)
            if algorithm not in HASHES:
                problems.append(f"{label}: hashed with {algorithm!r}")
            elif label not in manifest.assertions:
                problems.append(f"{label}: listed and missing")
            elif hashlib.new(algorithm, manifest.assertions[label]).digest() != reference.get("hash"):
                problems.append(f"{label}: its bytes are not those that the claim hashes")
            elif places[label] < last:
                problems.append(f"{label}: stands in another place than the claim lists it in")
            last = places.get(label, last)
    problems += [f"{label}: not listed in the claim" for label in manifest.assertions if label not in listed]
    return problems


def sign1_parts(signature: bytes) -> tuple[bytes, dict[Any, Any], Any, bytes]:
    """Protected header, unprotected header, payload and signature of COSE_Sign1 (RFC 9052 section 4.2).

    Raises:
        ValueError: it is something else.
    """
    sign1 = cbor.loads(signature)
    if not isinstance(sign1, cbor.Tagged) or sign1.tag != COSE_SIGN1_TAG:
        raise ValueError("the signature box holds no COSE_Sign1")
    if len(parts := items(sign1.value)) != 4:
        raise ValueError("the COSE_Sign1 has not four parts")
    protected, unprotected, payload, value = parts
    if not (isinstance(protected, bytes) and isinstance(unprotected, dict) and isinstance(value, bytes)):
        raise ValueError("the COSE_Sign1 has parts of another kind")
    return protected, cast(dict[Any, Any], unprotected), payload, value


def certificates(header: Mapping[Any, Any]) -> list[Any]:
    """The certificates (DER) of a protected header, the signing one first; one alone needs no list."""
    chain = header.get(X5CHAIN)
    return [chain] if isinstance(chain, bytes) else items(chain)


def _signature_problems(manifest: Manifest) -> list[str]:
    """Only padding of zeros and a time-stamp may be unsigned; algorithm and certificates are signed, once."""
    protected, unprotected, payload, _ = sign1_parts(manifest.signature)
    header: Any = cbor.loads(protected)
    problems: list[str] = []
    if not isinstance(header, dict) or set(cast(dict[Any, Any], header)) != {ALGORITHM, X5CHAIN}:
        problems.append("the signature's own header is not exactly an algorithm and a certificate chain")
    if sum(name in unprotected for name in TIME_STAMPS) > 1:
        problems.append("two time-stamps beside the signature, of which one counts")
    if payload is not None:
        problems.append("the signature carries a payload of its own")
    for name, value in unprotected.items():
        if name in PADDING:
            if not isinstance(value, bytes) or any(value):
                problems.append(f"bytes hidden in the signature's unsigned {name}")
        elif name not in TIME_STAMPS:
            problems.append(f"an unsigned header {name!r} beside the signature")
    return problems + token_problems(unprotected)
