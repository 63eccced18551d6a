"""Stable Diffusion's form with a prior beside it (`castmark.bases.prior`), as our own bases have it.

The pipeline is diffusers' own, and draws without the prior too. With it, what a prompt leaves open is decided
by the shot's seed before anything is drawn, and told beside the prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from castmark.bases.facts import BaseFacts
from castmark.bases.loaded import PRIOR
from castmark.bases.prior import Prior, text_encoder_of
from castmark.bases.stable_diffusion import StableDiffusion
from castmark.errors import BaseError
from castmark_adapters.errors import AdapterError
from castmark_adapters.host import Words


class WithPrior(StableDiffusion):
    """``StableDiffusionPipeline`` and its prior.

    Raises:
        BaseError: the prior is damaged, or reads from another text encoder.
    """

    def __init__(self, pipeline: Any, facts: BaseFacts) -> None:
        super().__init__(pipeline, facts)
        folder = facts.folder / PRIOR
        try:
            self.prior = Prior.load(folder)
            known = text_encoder_of(facts.folder) == self.prior.text_encoder
        except (
            AdapterError,
            AttributeError,
            KeyError,
            OSError,
            RuntimeError,
            TypeError,
            ValueError,
        ) as error:
            raise BaseError(f"{folder}: not a prior that can be used ({error}); get the base anew") from error
        if not known:
            raise BaseError(
                f"{folder}: learned to read from another text encoder than this base's; "
                f"run: castmark train prior --out {facts.folder}"
            )

    def completed(self, words: Sequence[Words], seeds: Sequence[int], *, worn: bool) -> list[Words]:
        """With what they leave open beside them; what is a subject's own is left to what is worn."""
        self.prior.to(self.device)
        return [
            {"prompt_embeds": self.prior(each["prompt_embeds"], [seed], shown=worn)}
            for each, seed in zip(words, seeds, strict=True)
        ]
