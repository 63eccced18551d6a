"""Bases: one file per family of diffusion model, behind one protocol (`castmark.bases.base.Base`)."""

from __future__ import annotations

import logging
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import castmark_data
from castmark.bases.base import Base
from castmark.bases.facts import BaseFacts, read_facts, read_json
from castmark.bases.hub import fetch, is_hub_id
from castmark.bases.loaded import INDEX, PRIOR, RECOGNITION, parts_of, wanted
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


def find_base(base: str | Path | None = None, *, cached_only: bool = False) -> BaseFacts:
    """What is known of a base before it is loaded.

    It is the embedded one (None or "embedded"), a diffusers pipeline folder, or a hub id
    "organisation/name" or "organisation/name@revision", which is fetched unless ``cached_only``.

    Raises:
        BaseError: no such base, not a pipeline, of a family that is not known or that needs another of it, or
            not safetensors (`castmark.bases.hub.NotCached`: it would have to be fetched).
    """
    if base in (None, EMBEDDED):
        return _known(read_facts(castmark_data.path("embedded", "base")))
    if Path(base).exists() or not is_hub_id(str(base)):
        return _known(read_facts(Path(base)))
    first = fetch(str(base), cached_only=cached_only)
    facts = _known(read_facts(first.folder, name=first.repo, revision=first.revision))
    parts = parts_of(read_json(first.folder / INDEX), family_of(facts).form().left_out)
    found = fetch(
        f"{first.repo}@{first.revision}", wanted([*parts, PRIOR, RECOGNITION]), cached_only=cached_only
    )
    return read_facts(found.folder, name=first.repo, revision=first.revision)


def _known(facts: BaseFacts) -> BaseFacts:
    if facts.family not in FAMILIES:
        raise BaseError(
            f"{facts.folder}: family {facts.family!r} is not known; known are {', '.join(sorted(FAMILIES))}"
        )
    family_of(facts).check(facts)
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
    if facts.has_prior:
        module, name = "with_prior", "WithPrior"
    return getattr(import_module(f"castmark.bases.{module}"), name)


__all__ = ["Base", "BaseFacts", "family_of", "find_base", "open_base"]
