"""Bases: one file per family of diffusion model, behind one protocol (`castmark.bases.base.Base`)."""

from __future__ import annotations

import json
from pathlib import Path

import castmark_data
from castmark.bases.base import Base
from castmark.errors import BaseError

EMBEDDED = "embedded"
FAMILIES = {"StableDiffusionPipeline": "Stable Diffusion"}


def open_base(base: str | Path | None = None, device: str | None = None, *, exact: bool = True) -> Base:
    """Open the embedded base (None or "embedded") or a diffusers pipeline folder.

    Drawn ``exact``, its pixels are those of plain diffusers; otherwise they may differ in their last bit.

    Raises:
        BaseError: no such folder, not a pipeline, or of a family that is not known.
    """
    folder = castmark_data.path("embedded", "base") if base in (None, EMBEDDED) else Path(base)
    index = folder / "model_index.json"
    if not index.is_file():
        raise BaseError(
            f"{folder}: no model_index.json there, so not a diffusers pipeline folder; "
            "give the folder of a base, or 'embedded'"
        )
    try:
        family = json.loads(index.read_text())["_class_name"]
    except (ValueError, KeyError, OSError) as error:
        raise BaseError(f"{index}: cannot be read ({error}); the base is damaged, fetch it again") from error
    if family not in FAMILIES:
        raise BaseError(f"{folder}: family {family!r} is not known; known are {', '.join(sorted(FAMILIES))}")
    from castmark.bases.stable_diffusion import StableDiffusionBase

    return StableDiffusionBase(folder, device or "cpu", exact=exact)


__all__ = ["Base", "open_base"]
