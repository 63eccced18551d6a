"""Time-stamps (RFC 3161): a time-stamp authority's word for when a signature was there.

    >>> choice = Timestamping(url="http://timestamp.example.org", on_failure="sign_without")

The C2PA library would ask the authority itself, and a silent one would hold it for half a minute. So we ask,
under our own deadline, once the image is signed, and put the token into the room that the signer left in the
unsigned header (``sigTst2``, C2PA specification 2.4, section "Time-stamps"): it is over the COSE structure
``["CounterSignature", protected header, h'', bstr(signature)]`` (RFC 8152 section 4.5).
"""

from __future__ import annotations

import hashlib
import json
import secrets
import threading
import time
import urllib.error
import urllib.request
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from castmark_provenance.cbor import array, octets, text
from castmark_provenance.containers import locate, with_store
from castmark_provenance.errors import KeyMaterialError, TimestampError
from castmark_provenance.jumbf import parse_store
from castmark_provenance.layout import sign1_parts

FILE = "timestamp.json"
MAX_REPLY = 64 * 1024
GRANTED = ("granted", "granted_with_mods")
"""PKIStatus (RFC 3161 section 2.4.2)."""


@dataclass(frozen=True, kw_only=True)
class Timestamping:
    """Whom to ask for time-stamps, and what to do without an answer.

    ``on_failure`` is the declared choice: "fail" gives no image, "sign_without" gives one without a
    time-stamp, with a logged warning. ``deadline`` is in seconds, for everything together. ``anchors`` is PEM
    of the authority's root; with it the token must lead there, without it the token need only be whole.

    Raises (on construction):
        TimestampError: not a web address, or no time to answer in.
    """

    url: str
    on_failure: Literal["fail", "sign_without"] = "fail"
    deadline: float = 10.0
    anchors: str = ""

    def __post_init__(self) -> None:
        if urlsplit(self.url).scheme not in ("http", "https") or not urlsplit(self.url).hostname:
            raise TimestampError(f"time-stamp authority {self.url!r}: give an http or https address")
        if self.on_failure not in ("fail", "sign_without"):
            raise TimestampError(f"on_failure {self.on_failure!r}: choose 'fail' or 'sign_without'")
        if not self.deadline > 0:
            raise TimestampError(f"a deadline of {self.deadline} s: give more than 0")


def read_choice(folder: Path) -> Timestamping | None:
    """The choice kept beside a key (``timestamp.json``), or None.

    Raises:
        KeyMaterialError: it cannot be read; nothing is signed rather than signed otherwise than declared.
    """
    try:
        return Timestamping(**json.loads((folder / FILE).read_bytes()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, TimestampError) as error:
        raise KeyMaterialError(
            f"{folder / FILE}: the choice of time-stamps cannot be read ({error}); set it anew with: "
            "castmark timestamp"
        ) from error


def keep_choice(folder: Path, choice: Timestamping | None) -> None:
    """Keep a choice beside the key in ``folder``, or none.

    Raises:
        KeyMaterialError: there is no key, or the folder cannot be written.
    """
    if not (folder / "signer.pem").is_file():
        raise KeyMaterialError(f"{folder}: there is no key here; make one with: castmark keygen")
    file = folder / FILE
    try:
        if choice is None:
            file.unlink(missing_ok=True)
            return
        fresh = file.with_suffix(".part")
        fresh.write_text(json.dumps(asdict(choice), indent=2) + "\n")
        fresh.replace(file)
    except OSError as error:
        raise KeyMaterialError(f"{file}: cannot be written ({error.strerror}); fix permissions") from error


def stamp(signed: bytes, media_type: str, choice: Timestamping) -> bytes:
    """The signed file with a time-stamp, byte for byte as long as before.

    Raises:
        TimestampError: no token in time, or none that fits.
    """
    (located,) = locate(signed, media_type)
    signature = parse_store(located.store)[-1].signature
    protected, unprotected, _, value = sign1_parts(signature)
    if set(unprotected) - {"pad", "pad2"}:
        raise TimestampError("the signature has a time-stamp already; nothing was changed")
    token = ask(
        array(text("CounterSignature"), octets(protected), octets(b""), octets(octets(value))), choice
    )
    changed = _with_token(protected, value, token, len(signature))
    assert located.store.count(signature) == 1
    return with_store(signed, media_type, located, located.store.replace(signature, changed))


def ask(message: bytes, choice: Timestamping) -> bytes:
    """The authority's token (a DER ContentInfo) over the SHA-256 of ``message``.

    The token's own signature is for the verifier to check, who sees the file as it will be.

    Raises:
        TimestampError: no answer before the deadline, or not a token for this message and nonce.
    """
    # asn1crypto reads what ``openssl ts`` writes; stricter readers refuse its unsorted set of certificates.
    from asn1crypto import tsp

    imprint = {"hash_algorithm": {"algorithm": "sha256"}, "hashed_message": hashlib.sha256(message).digest()}
    nonce = secrets.randbits(63)
    body = {"version": "v1", "message_imprint": imprint, "nonce": nonce, "cert_req": True}
    reply = _post(tsp.TimeStampReq(body).dump(), choice)
    try:
        response: Any = tsp.TimeStampResp.load(reply, strict=True)
        status: str = response["status"]["status"].native
        if status not in GRANTED:
            reasons = response["status"]["status_string"].native or []
            raise TimestampError(f"{choice.url}: refused ({status} {'; '.join(reasons)}); ask its operator")
        token: bytes = response["time_stamp_token"].dump()
        info: Any = response["time_stamp_token"]["content"]["encap_content_info"]["content"].parsed
        answered = info["nonce"].native, info["message_imprint"]["hashed_message"].native
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        reason = " ".join(str(error).split())[:100]
        raise TimestampError(
            f"{choice.url}: the answer is no time-stamp ({reason}); check the address"
        ) from error
    if answered != (nonce, imprint["hashed_message"]):
        raise TimestampError(f"{choice.url}: answered another request than ours; do not use this authority")
    return token


def _post(body: bytes, choice: Timestamping) -> bytes:
    """The reply to ``body``. The work is a thread's, because a name look-up cannot be given a deadline."""
    ends = time.monotonic() + choice.deadline
    got: list[bytes | Exception] = []

    def work() -> None:
        request = urllib.request.Request(
            choice.url, body, {"Content-Type": "application/timestamp-query"}, method="POST"
        )
        try:
            with urllib.request.urlopen(request, timeout=choice.deadline) as reply:
                parts: list[bytes] = []
                while part := reply.read1(MAX_REPLY):
                    parts.append(part)
                    if sum(map(len, parts)) > MAX_REPLY:
                        raise ValueError(f"more than {MAX_REPLY} bytes")
                    if time.monotonic() > ends:
                        raise TimeoutError("too slow")
                got.append(b"".join(parts))
        except urllib.error.HTTPError as error:
            error.close()
            got.append(error)
        except Exception as error:  # noqa: BLE001 - raised in the caller's thread below
            got.append(error)

    thread = threading.Thread(target=work, name="time-stamp", daemon=True)
    thread.start()
    thread.join(choice.deadline)
    if not got or _timed_out(got[0]):  # the socket may give up a moment before we do
        raise TimestampError(
            f"{choice.url}: no answer within {choice.deadline:g} s; try again, or choose "
            "on_failure='sign_without'"
        )
    if isinstance(answer := got[0], Exception):
        raise TimestampError(
            f"{choice.url}: no time-stamp ({answer}); check the address and the network"
        ) from answer
    return answer


def _timed_out(answer: bytes | Exception) -> bool:
    reason = answer.reason if isinstance(answer, urllib.error.URLError) else answer
    return isinstance(reason, TimeoutError)


def _with_token(protected: bytes, signature: bytes, token: bytes, length: int) -> bytes:
    """COSE_Sign1 with the token in its unsigned header, padded with zeros to ``length``."""
    stamps = b"\xa1" + text("tstTokens") + array(b"\xa1" + text("val") + octets(token))
    for padding in (("pad",), ("pad", "pad2")):  # one alone misses the lengths where a CBOR head grows
        spare = 1 if len(padding) == 2 else 0
        head = b"\xd2\x84" + octets(protected) + bytes([0xA1 + len(padding)]) + text("sigTst2") + stamps
        names = [text(name) for name in padding]
        tail = b"\xf6" + octets(signature)
        room = length - len(head) - len(tail) - sum(map(len, names)) - spare
        for size in range(max(room - 5, 0), room):
            zeros = [octets(bytes(size)), *([octets(b"")] if spare else [])]
            whole = head + b"".join(n + z for n, z in zip(names, zeros, strict=True)) + tail
            if len(whole) == length:
                return whole
    raise TimestampError(
        f"a token of {len(token)} bytes does not fit beside the signature; use an authority that sends fewer "
        "certificates"
    )
