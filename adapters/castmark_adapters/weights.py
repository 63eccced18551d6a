"""Safetensors bytes in and out. A pickle, or a truncated file, is refused without being read."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import Any, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from castmark_adapters.errors import PackError

_MAX_HEADER = 100_000_000  # the safetensors format's own limit, in bytes


def read_safetensors(data: bytes, label: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a safetensors file's bytes; ``label`` names it in errors.

    Raises:
        PackError: not safetensors, or truncated.
    """
    remedy = "learn it again, or fetch the file again from where it came"
    if data[:2] in (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"PK"):
        raise PackError(f"{label}: a pickle, not safetensors; it was not read, because a pickle can run code")
    try:
        (length,) = struct.unpack_from("<Q", data)
        if length > min(_MAX_HEADER, len(data) - 8):
            raise PackError(f"{label}: not a safetensors file, or cut short ({len(data)} bytes); {remedy}")
        header = cast("dict[str, Any]", json.loads(data[8 : 8 + length]))
        tensors = load(data)
    except (struct.error, ValueError, SafetensorError) as error:
        raise PackError(f"{label}: not a safetensors file, or cut short ({error}); {remedy}") from error
    return tensors, cast("dict[str, str]", header.get("__metadata__", {}))


def write_safetensors(tensors: Mapping[str, Tensor], metadata: tuple[str, str] | None = None) -> bytes:
    """Safetensors bytes: the same tensors and metadata give the same bytes.

    One metadata entry at most: the library writes several in an order that differs from run to run.
    """
    plain = {name: tensors[name].detach().cpu().contiguous() for name in sorted(tensors)}
    return save(plain, metadata=dict([metadata]) if metadata else None)


def all_finite(tensors: Mapping[str, Tensor]) -> bool:
    """True if no tensor holds a NaN or an infinity."""
    return all(bool(torch.isfinite(t).all()) for t in tensors.values())
