"""Bases: one file per family of diffusion model, behind one protocol (`castmark.bases.base.Base`)."""

from __future__ import annotations

import logging
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import castmark_data
from castmark.bases.base import Base
from castmark.bases.facts import BaseFacts, read_facts
from castmark.bases.hub import fetch, is_hub_id
from castmark.errors import BaseError

if TYPE_CHECKING:
    from castmark.bases.diffusers_base import DiffusersBase
    from castmark.bases.family import Family
    from castmark.bases.speed import SpeedSettings

EMBEDDED = "embedded"
FAMILIES: dict[str, str] = {
    "StableDiffusionPipeline": "stable_diffusion:StableDiffusion",
    "StableDiffusionXLPipeline": "stable_diffusion_xl:StableDiffusionXL",
    "FluxPipeline": "flux:Flux",
    "Flux2KleinPipeline": "flux2:Flux2Klein",
    "SanaSprintPipeline": "sana:SanaSprint",
    "ZImagePipeline": "z_image:ZImage",
}
"""Pipeline classes (``_class_name`` of ``model_index.json``), and the family that speaks to each."""

log = logging.getLogger(__name__)


def find_base(base: str | Path | None = None) -> BaseFacts:
    """What is known of a base before it is loaded.

    It is the embedded one (None or "embedded"), a diffusers pipeline folder, or a hub id
    "organisation/name" or "organisation/name@revision".

    Raises:
        BaseError: no such base, not a pipeline, of a family that is not known, or not safetensors.
    """
    if base in (None, EMBEDDED):
        facts = read_facts(castmark_data.path("embedded", "base"))
    elif not Path(base).exists() and is_hub_id(str(base)):
        found = fetch(str(base))
        facts = read_facts(found.folder, name=found.repo, revision=found.revision)
    else:
        facts = read_facts(Path(base))
    if facts.family not in FAMILIES:
        raise BaseError(
            f"{facts.folder}: family {facts.family!r} is not known; known are {', '.join(sorted(FAMILIES))}"
        )
    return facts


def open_base(
    base: str | Path | None = None,
    device: str | None = None,
    *,
    exact: bool = True,
    settings: SpeedSettings | None = None,
) -> DiffusersBase:
    """Load a base; see `find_base` for how it is named. Its licence is said where it forbids commercial use.

    Drawn ``exact``, its pixels are those of plain diffusers; otherwise they may differ in their last bit.

    Raises:
        BaseError: no such base, or it cannot be loaded.
    """
    from castmark.bases.diffusers_base import DiffusersBase

    facts = find_base(base)
    if facts.non_commercial:
        log.warning(
            "%s: its licence (%s) forbids commercial use; every image records it", facts.name, facts.licence
        )
    return DiffusersBase(facts, family_of(facts), device or "cpu", exact=exact, settings=settings)


def family_of(facts: BaseFacts) -> type[Family]:
    """The class that speaks to pipelines of this base's kind."""
    module, name = FAMILIES[facts.family].split(":")
    return getattr(import_module(f"castmark.bases.{module}"), name)


__all__ = ["Base", "BaseFacts", "family_of", "find_base", "open_base"]
