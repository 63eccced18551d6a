"""Safetensors bytes in and out. A pickle, or a truncated file, is refused without being read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from castmark_adapters.container import safetensors_header
from castmark_adapters.errors import PackError


def read_safetensors(data: bytes, label: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a safetensors file's bytes; ``label`` names it in errors.

    Raises:
        PackError: not safetensors, or truncated.
    """
    header = safetensors_header(data, label)
    try:
        tensors = load(data)
    except SafetensorError as error:
        raise PackError(f"{label}: a damaged safetensors file ({error}); fetch or learn it again") from error
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
