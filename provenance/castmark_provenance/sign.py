"""Sign: image bytes and a claim in, signed bytes out, read back and found trusted before they are returned.

    >>> signed = sign(png, "image/png", claim, ensure_local_key())  # doctest: +SKIP

Nothing touches the disk. Bytes come back only if our own verifier, given the key's own root and nothing else,
calls them trusted, reads the same claim out of them, and finds the pixels the safety check saw.
"""

from __future__ import annotations

import functools
import io
import logging
import os
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import c2pa

from castmark_provenance.authority import Algorithm
from castmark_provenance.claim import Claim
from castmark_provenance.containers import MEDIA_TYPES, bmff, locate, sniff, traces
from castmark_provenance.errors import KeyExpired, PixelMismatch, SignError, TimestampError
from castmark_provenance.examination import Terms
from castmark_provenance.keys import Key, PemKey, near_expiry
from castmark_provenance.manifest import Addition, canonical, to_manifest
from castmark_provenance.pixels import MAX_BLOCK, MAX_RMS, Pixels, decode, difference, is_lossy
from castmark_provenance.report import State
from castmark_provenance.timestamp import Timestamping, stamp
from castmark_provenance.trust import TRUST_CONFIG
from castmark_provenance.verify import examine

log = logging.getLogger(__name__)

_ALGORITHMS: dict[Algorithm, c2pa.C2paSigningAlg] = {
    "es256": c2pa.C2paSigningAlg.ES256,
    "es384": c2pa.C2paSigningAlg.ES384,
    "ed25519": c2pa.C2paSigningAlg.ED25519,
}


def sign(
    data: bytes,
    media_type: str,
    claim: Claim,
    key: Key,
    *,
    pixels: bytes | None = None,
    timestamp: Timestamping | None = None,
    additions: Sequence[Addition] = (),
) -> bytes:
    """Signed bytes of the encoded image ``data``.

    ``pixels`` are the row-major 8-bit RGB bytes the check saw; a lossy file (JPEG, AVIF, lossy WebP) needs
    them where it decodes to others (the rules are in `pixels`). ``timestamp`` overrides the key's choice.
    ``additions`` are further assertions, such as a soft binding of a watermark that is in ``data`` already.

    Raises:
        PixelMismatch: the file's pixels are not those in the claim's safety record.
        KeyExpired: the key's certificate has ended.
        TimestampError: no time-stamp, and ``timestamp.on_failure`` is "fail".
        SignError: anything else that keeps the result from being trusted. No bytes are returned.
    """
    if media_type not in MEDIA_TYPES:
        raise SignError(
            f"{media_type!r} cannot be signed; encode the image as one of {', '.join(MEDIA_TYPES)}"
        )
    if sniff(data) != media_type:
        raise SignError(f"the bytes given are no {media_type} file; check the encoder")
    if traces(data):
        raise SignError("the image carries a manifest already; sign a freshly encoded one")
    if datetime.now(UTC) >= key.not_after:
        raise KeyExpired(
            f"the signing certificate ended on {key.not_after:%Y-%m-%d}; make a new one with: "
            "castmark keygen --renew"
        )
    decoded = _require_checked_pixels(data, media_type, claim, pixels)
    timestamp = timestamp or key.timestamp
    header = bmff.header(data) if media_type == "image/avif" else b""
    manifest = to_manifest(claim, header=header, additions=additions)
    signed = _sign(data, media_type, manifest, key, room=timestamp is not None)
    # Where signing only put the manifest in, the pixels are those just decoded, and need no second look.
    seen = decoded if _only_put_in(signed, data, media_type) else None
    _read_back(signed, claim, key, seen)
    if timestamp is None:
        return signed
    try:
        stamped = stamp(signed, media_type, timestamp)
        _read_back(stamped, claim, key, seen, timestamp)
    except SignError as error:
        if timestamp.on_failure == "fail":
            raise
        log.warning("signed without a time-stamp: %s", error)
        return signed
    return stamped


def _only_put_in(signed: bytes, data: bytes, media_type: str) -> bool:
    """Whether the signed file is the one given with a manifest put in and nothing else changed.

    Raises:
        SignError: it does not carry exactly one manifest.
    """
    stores = locate(signed, media_type)
    if len(stores) != 1:
        raise SignError(
            f"the C2PA library left {len(stores)} manifests in the image and not one; encode it afresh, "
            "without boxes of other standards"
        )
    located = stores[0]
    rest = signed[: located.start] + signed[located.start + located.length :]
    if media_type == "image/webp":  # the RIFF header says how long the file is, and the chunk may be padded
        return rest[8:] in (data[8:], data[8:] + b"\0")
    return rest == data


def _require_checked_pixels(data: bytes, media_type: str, claim: Claim, pixels: bytes | None) -> Pixels:
    """What the file decodes to."""
    try:
        decoded = decode(data, media_type)
    except ValueError as error:
        raise SignError(f"the image to sign cannot be decoded ({error}); encode 8-bit RGB pixels") from error
    if (decoded.width, decoded.height) != (claim.width, claim.height):
        raise PixelMismatch(
            f"the image is {decoded.width}x{decoded.height} and its claim says {claim.width}x{claim.height}; "
            "sign the image the claim was made for"
        )
    if decoded.digest == claim.safety.pixel_sha256:
        return decoded
    if not is_lossy(data, media_type):
        raise PixelMismatch(
            "the image's pixels are not those its safety check saw; check these pixels, then sign"
        )
    if pixels is None:
        raise PixelMismatch(f"a lossy {media_type} needs the checked pixels beside it; give them as pixels=")
    if len(pixels) != 3 * claim.width * claim.height:
        raise PixelMismatch(
            f"{len(pixels)} bytes of pixels are not {claim.width}x{claim.height} RGB; give the checked pixels"
        )
    checked = Pixels(claim.width, claim.height, pixels)
    if checked.digest != claim.safety.pixel_sha256:
        raise PixelMismatch("the pixels given are not those the safety check saw; give the checked pixels")
    rms, block = difference(checked, decoded)
    if not (rms <= MAX_RMS and block <= MAX_BLOCK):
        raise PixelMismatch(
            f"the encoded image differs from the checked pixels by {rms:.1f} of 255 (rms, at most "
            f"{MAX_RMS:.0f}) and {block:.0f} in a block (at most {MAX_BLOCK}); "
            "encode it with a higher quality, or as PNG"
        )
    return decoded


@functools.lru_cache(maxsize=8)
def _signing_context(key: Key, process: int, room: bool) -> tuple[Any, threading.local]:
    """A context that signs with ``key``, and where an exception of the key's is kept, by thread.

    ``room`` leaves space beside the signature for a time-stamp.

    The library consumes a signer and prints a callback's exception; so one context serves every image of a
    key and process, and the exception is carried around the library instead. A key near its end is warned of
    here, once.
    """
    raised = threading.local()

    def callback(data: bytes) -> bytes:
        try:
            return key.sign(data)
        except Exception as error:  # noqa: BLE001  (`_sign` raises it again as the cause)
            raised.error = error
            return b""

    if warning := near_expiry(key):
        log.warning("%s", warning)
    if isinstance(key, PemKey) and not room:
        # Signing inside the library spares the 10 KB that it reserves for whatever a callback may return.
        info = c2pa.C2paSignerInfo(key.algorithm.encode(), key.chain.encode(), key.private_pem(), None)
        signer = c2pa.Signer.from_info(info)
    else:
        signer = c2pa.Signer.from_callback(callback, _ALGORITHMS[key.algorithm], key.chain)
    settings = {  # `_read_back` reads the result itself: everything the library would look at, and more
        "verify": {"verify_after_sign": False, "remote_manifest_fetch": False, "ocsp_fetch": False},
        "trust": {"user_anchors": key.anchors, "trust_config": TRUST_CONFIG},
        "builder": {"thumbnail": {"enabled": False}, "created_assertion_labels": ["c2pa.ingredient"]},
    }
    return c2pa.Context.from_dict(settings, signer=signer), raised


def _sign(data: bytes, media_type: str, manifest: dict[str, Any], key: Key, *, room: bool) -> bytes:
    signed = io.BytesIO()
    raised: threading.local | None = None
    try:
        context, raised = _signing_context(key, os.getpid(), room)
        raised.error = None
        with c2pa.Builder(manifest, context=context) as builder:
            builder.sign(media_type, io.BytesIO(data), signed)
    except c2pa.C2paError as error:
        if raised is not None and raised.error is not None:
            raise SignError(
                f"the key did not sign ({raised.error}); check the key's service"
            ) from raised.error
        raise SignError(
            f"the C2PA library did not sign the image ({error}); check the key with: castmark keygen --help"
        ) from error
    return signed.getvalue()


def _read_back(
    signed: bytes, claim: Claim, key: Key, pixels: Pixels | None, timestamp: Timestamping | None = None
) -> None:
    anchors = key.anchors + (timestamp.anchors if timestamp else "")
    report = examine(signed, None, Terms(anchors=anchors, pixels=pixels))
    if timestamp and timestamp.anchors and (time := report.check("time")) and time.outcome != "passed":
        raise TimestampError(
            f"{timestamp.url}: its time-stamp is not trusted under the root given ({time.detail}); "
            "ask its operator for the right root"
        )
    if report.state is not State.TRUSTED:
        raise SignError(
            f"the signed image does not read back as trusted under the key's own root ({report.verdict}); "
            "check that root.pem is the root of the key's chain"
        )
    if report.claim != canonical(claim):
        raise SignError("the signed image does not say what it was given to say; report this with the claim")
    if (check := report.check("pixels")) is None or check.outcome not in ("passed", "not checked"):
        raise PixelMismatch("the signed image's pixels are not those its safety check saw")
