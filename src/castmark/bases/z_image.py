"""Z-Image in its distilled form: Turbo (8 steps, guidance 0).

A single-stream flow transformer; a Qwen3 model reads the words, each text in as many tokens as it has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, cast

import torch
from diffusers import ZImageImg2ImgPipeline
from jaxtyping import Float, Shaped
from torch import Tensor

from castmark.bases.family import Family
from castmark.bases.flow import static_mu
from castmark.bases.reading import around_a_user
from castmark_adapters.host import Words
from castmark_adapters.schedule import StraightPath

MAX_TOKENS = 512
"""As its pipeline reads."""


class ZImage(Family):
    """``ZImagePipeline``."""

    few_steps = 8
    lengths_vary = True  # a text has as many tokens as it has
    words_kept: ClassVar[int] = 64
    image_class = ZImageImg2ImgPipeline

    @property
    def native_side(self) -> int:
        """1024."""
        return 1024

    def reads(self) -> tuple[Any, int]:
        """Qwen's, as the pipeline cuts."""
        return self.pipeline.tokenizer, MAX_TOKENS

    def unread(self, text: str) -> str:
        """It is read as what a user says in a chat."""
        return self.window.unread(text, *around_a_user(self.pipeline.tokenizer, thinking=True))

    def encode_text(self, text: str) -> Words:
        """The text model's last hidden states but one, without padding."""
        embeddings, _ = self.pipeline.encode_prompt(
            text, device=self.device, do_classifier_free_guidance=False
        )
        return {"prompt_embeds": cast("Tensor", embeddings[0])[None]}

    def together(self, words: Sequence[Words]) -> dict[str, Any]:
        """A list: texts differ in length."""
        return {"prompt_embeds": [each["prompt_embeds"][0] for each in words]}

    def call_arguments(self, worn: Mapping[str, Any], batch: int) -> dict[str, Any]:
        """Guidance is off at 0 here, not at 1."""
        return {"guidance_scale": 0.0, **worn}

    def run(
        self,
        words: Sequence[Words],
        size: tuple[int, int],
        steps: int,
        seeds: Sequence[int],
        worn: Mapping[str, Any],
        output: Literal["pt", "latent"] = "pt",
    ) -> Tensor:
        """One picture at a time: texts of a batch are padded to the longest, which changes the others' last
        bits, and a transformer of this size is as fast alone.
        """
        return torch.cat(
            [
                super(ZImage, self).run([text], size, steps, [seed], worn, output)
                for text, seed in zip(words, seeds, strict=True)
            ]
        )

    def path(self, drawing_steps: int) -> StraightPath:
        """Straight."""
        tokens = (self.side // self.multiple) ** 2
        scheduler = self.pipeline.scheduler
        return StraightPath(scheduler, drawing_steps, static_mu(scheduler, tokens))

    def predict(
        self,
        x_t: Float[Tensor, "b c h w"],
        t: Shaped[Tensor, " b"],
        words: Sequence[Words],
        extra: Mapping[str, Any],
    ) -> Float[Tensor, "b c h w"]:
        """The velocity: the transformer is told 1 - s and gives x0 - e."""
        found = self.pipeline.transformer(
            list(x_t.to(self.dtype)[:, :, None]),
            1 - t.to(x_t.device),
            [each["prompt_embeds"][0] for each in words],
            return_dict=False,
        )[0]
        return -torch.stack(list(found)).squeeze(2)
