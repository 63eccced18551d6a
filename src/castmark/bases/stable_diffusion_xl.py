"""Stable Diffusion XL in its distilled forms: SDXL-Turbo, SDXL-Lightning, LCM, DMD2.

Two text towers, and the picture's size told to the UNet. Lightning is published as a UNet of its own for
SDXL's other parts; saved together once with diffusers, with the Euler scheduler in "trailing" spacing, they
are a base.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, cast

import torch
from diffusers import StableDiffusionXLImg2ImgPipeline
from torch import Tensor

from castmark.bases.stable_diffusion import StableDiffusion
from castmark_adapters.host import Words


class StableDiffusionXL(StableDiffusion):
    """``StableDiffusionXLPipeline``."""

    words_kept: ClassVar[int] = 128
    draws_in_regions = False  # its UNet is told pooled words too
    image_class = StableDiffusionXLImg2ImgPipeline
    image_class_arguments: ClassVar[Mapping[str, Any]] = {"add_watermarker": False}

    @classmethod
    def load_arguments(cls) -> dict[str, Any]:
        """No watermark but the one that is drawn before the check."""
        return {"add_watermarker": False}

    def encode_text(self, text: str) -> Words:
        """Both towers' hidden states side by side, and the second's pooled output."""
        embedding, _, pooled, _ = self.pipeline.encode_prompt(
            text, device=self.device, num_images_per_prompt=1, do_classifier_free_guidance=False
        )
        return {"prompt_embeds": cast("Tensor", embedding), "pooled_prompt_embeds": cast("Tensor", pooled)}

    def conditions(self, words: Sequence[Words], extra: Mapping[str, Any]) -> dict[str, Any]:
        """The pooled text, and size, crop and target size: all of the square pictures it learns from."""
        ids = torch.tensor([[self.side, self.side, 0, 0, self.side, self.side]], dtype=self.dtype)
        return {
            **super().conditions(words, extra),
            "text_embeds": torch.cat([each["pooled_prompt_embeds"] for each in words]),
            "time_ids": ids.expand(len(words), -1).to(self.device),
        }
