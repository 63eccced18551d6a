"""The safetensors container, looked at without torch: a header of JSON, then bytes. No pickle is read."""

from __future__ import annotations

import json
import struct
from typing import Any, cast

from castmark_adapters.errors import PackError

MAX_HEADER = 100_000_000  # the format's own limit, in bytes
_PICKLES = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"PK")


def safetensors_header(data: bytes, label: str) -> dict[str, Any]:
    """The header of a safetensors file's bytes, checked against their length; ``label`` names it in errors.

    Raises:
        PackError: a pickle (or torch's archive of one), another kind of file, or one that is cut short.
    """
    remedy = "learn it again, or fetch the file again from where it came"
    if data[:2] in _PICKLES and data[8:9] != b"{":  # a header's length may begin like a pickle
        raise PackError(f"{label}: a pickle, not safetensors; it was not read, because a pickle can run code")
    try:
        (length,) = struct.unpack_from("<Q", data)
        if length > min(MAX_HEADER, len(data) - 8):
            raise PackError(f"{label}: not a safetensors file, or cut short ({len(data)} bytes); {remedy}")
        header = cast("dict[str, Any]", json.loads(data[8 : 8 + length]))
        ends = [int(entry["data_offsets"][1]) for name, entry in header.items() if name != "__metadata__"]
    except (struct.error, ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
        raise PackError(f"{label}: not a safetensors file, or cut short ({error}); {remedy}") from error
    if max(ends, default=0) != len(data) - 8 - length:
        raise PackError(f"{label}: not a safetensors file, or cut short ({len(data)} bytes); {remedy}")
    return header
