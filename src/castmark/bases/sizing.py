"""How large a base is and of what form: what plans are made from, before anything is loaded."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from castmark.bases.facts import BaseFacts
from castmark.errors import BaseError


@dataclass(frozen=True, kw_only=True)
class Form:
    """What a family says of its models."""

    denoiser: str
    """Name of the denoiser among the pipeline's parts."""
    repeated_blocks: bool
    """A denoiser of like blocks (a transformer), or one that is compiled whole (a UNet)."""
    lengths_vary: bool = False
    """Whether what it reads differs in length from text to text."""
    left_out: frozenset[str] = frozenset()
    """Parts of a folder's pipeline that are not loaded."""


@dataclass(frozen=True, kw_only=True)
class Weights:
    """What is drawn with: numbers of parameters of the denoiser and of each other part."""

    denoiser: int
    others: tuple[int, ...]
    repeated_blocks: bool
    lengths_vary: bool = False

    @property
    def parameters(self) -> int:
        """Of all parts."""
        return self.denoiser + sum(self.others)

    @classmethod
    def of(cls, facts: BaseFacts, form: Form) -> Weights:
        """Counted from the heads of a folder's files; no weights are read.

        Raises:
            BaseError: a file that is damaged.
        """
        parts: dict[str, int] = {}
        for path in facts.paths(form.left_out):
            if path.suffix == ".safetensors":
                parts[path.parent.name] = parts.get(path.parent.name, 0) + parameters_in(path)
        return cls._from(parts, form)

    @classmethod
    def loaded(cls, pipeline: Any, form: Form) -> Weights:
        """Counted on a pipeline that is loaded."""
        modules = {name: part for name, part in pipeline.components.items() if hasattr(part, "parameters")}
        parts = {name: sum(p.numel() for p in module.parameters()) for name, module in modules.items()}
        return cls._from(parts, form)

    @classmethod
    def _from(cls, parts: dict[str, int], form: Form) -> Weights:
        others = tuple(count for name, count in sorted(parts.items()) if name != form.denoiser)
        return cls(
            denoiser=parts.get(form.denoiser, 0),
            others=others,
            repeated_blocks=form.repeated_blocks,
            lengths_vary=form.lengths_vary,
        )


def parameters_in(path: Path) -> int:
    """Numbers in a safetensors file, from its head.

    Raises:
        BaseError: it is no such file.
    """
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            head: dict[str, dict[str, list[int]]] = json.loads(file.read(min(length, 100_000_000)))
    except (OSError, ValueError, struct.error) as error:
        raise BaseError(f"{path}: not a safetensors file, or cut short ({error}); fetch it again") from error
    return sum(prod(entry["shape"]) for name, entry in head.items() if name != "__metadata__")
