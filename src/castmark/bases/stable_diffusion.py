"""Stable Diffusion 1 and 2 in their distilled forms: SD-Turbo, LCM and the like, and the embedded base.

A UNet on a variance-preserving path, CLIP's text tower before it. What the model predicts, and the times it
draws at, are its scheduler's to say ("trailing" spacing is what distilled models want).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, cast

import torch
from diffusers import StableDiffusionImg2ImgPipeline
from jaxtyping import Float, Shaped
from PIL import Image
from torch import Tensor

from castmark.bases.family import Family
from castmark.bases.reference_files import find_reference
from castmark_adapters.host import ReferenceSource, Words
from castmark_adapters.reference import ReferenceAdapter
from castmark_adapters.schedule import Schedule


class StableDiffusion(Family):
    """``StableDiffusionPipeline``."""

    lora_prefix = "unet"
    multiple = 64
    repeated_blocks = False
    plane_latents = True
    draws_in_regions = True
    image_class = StableDiffusionImg2ImgPipeline
    image_class_arguments: ClassVar[Mapping[str, Any]] = {"requires_safety_checker": False}
    start_rounding = 0.5

    @classmethod
    def load_arguments(cls) -> dict[str, Any]:
        """Without the safety checker that paints pictures black: ours refuses them, with reasons."""
        return {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}

    def open_reference(self, source: str | Path) -> ReferenceSource:
        """An IP-Adapter, plain or Plus."""
        return ReferenceAdapter.read(*find_reference(source))

    @property
    def keeps_subjects(self) -> str:
        """An IP-Adapter, or a LoRA."""
        return (
            "give it an IP-Adapter (--reference FOLDER), or learn the subject on it "
            "(castmark learn NAME --base ...)"
        )

    @property
    def native_side(self) -> int:
        """The UNet's own sample size, times the autoencoder's factor."""
        return int(self.pipeline.unet.config.sample_size) * int(self.pipeline.vae_scale_factor)

    def encode_text(self, text: str) -> Words:
        """CLIP's hidden states."""
        embedding, _ = self.pipeline.encode_prompt(
            text, device=self.device, num_images_per_prompt=1, do_classifier_free_guidance=False
        )
        return {"prompt_embeds": cast("Tensor", embedding)}

    def reads(self) -> tuple[Any, int]:
        """CLIP's, usually 77."""
        return self.pipeline.tokenizer, int(self.pipeline.tokenizer.model_max_length)

    def path(self, drawing_steps: int) -> Schedule:
        """Variance preserving."""
        return Schedule(self.pipeline.scheduler, drawing_steps)

    def conditions(self, words: Sequence[Words], extra: Mapping[str, Any]) -> dict[str, Any]:
        """What the UNet is told besides the text: image tokens where a reference adapter is worn."""
        embeds: list[Tensor] = extra.get("ip_adapter_image_embeds", [])
        images = [each.expand(len(words), *each.shape[1:]) for each in embeds]
        return {"image_embeds": images} if images else {}

    def predict(
        self,
        x_t: Float[Tensor, "b c h w"],
        t: Shaped[Tensor, " b"],
        words: Sequence[Words],
        extra: Mapping[str, Any],
    ) -> Float[Tensor, "b c h w"]:
        """The UNet's output."""
        found = self.pipeline.unet(
            x_t.to(self.dtype),
            t.to(x_t.device),
            encoder_hidden_states=torch.cat([each["prompt_embeds"] for each in words]),
            added_cond_kwargs=self.conditions(words, extra) or None,
        )
        return cast("Tensor", found.sample)

    def image_arguments(self, images: Sequence[Image.Image], size: tuple[int, int]) -> dict[str, Any]:
        """Its size is the images'."""
        return {"image": list(images)}
