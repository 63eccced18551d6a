"""Stable Diffusion's form with a prior beside it (`castmark.bases.prior`): the base that ships.

The pipeline is diffusers' own, and draws without the prior too. With it, what a prompt leaves open is decided
by the shot's seed before anything is drawn, and told beside the prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from castmark.bases.facts import BaseFacts
from castmark.bases.loaded import PRIOR
from castmark.bases.prior import Prior
from castmark.bases.stable_diffusion import StableDiffusion
from castmark.errors import BaseError
from castmark_adapters.host import Words


class Embedded(StableDiffusion):
    """``StableDiffusionPipeline`` and its prior.

    Raises:
        BaseError: the prior is damaged.
    """

    def __init__(self, pipeline: Any, facts: BaseFacts) -> None:
        super().__init__(pipeline, facts)
        try:
            self.prior = Prior.load(facts.folder / PRIOR)
        except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
            raise BaseError(
                f"{facts.folder / PRIOR}: cannot be read as a prior ({error}); install Castmark again, or "
                "train the base again"
            ) from error

    def completed(self, words: Sequence[Words], seeds: Sequence[int], cast: Sequence[bool]) -> list[Words]:
        """What words leave open beside them; what is a subject's own is left to what is worn for it."""
        self.prior.to(self.device)
        return [
            {"prompt_embeds": self.prior(each["prompt_embeds"], [seed], shown=shown)}
            for each, seed, shown in zip(words, seeds, cast, strict=True)
        ]
