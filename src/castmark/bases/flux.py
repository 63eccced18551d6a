"""FLUX.1 in its distilled form: schnell (timestep-distilled, 1 to 4 steps).

A flow transformer over 2 x 2 patches of latents, T5 for the words and CLIP's pooled output beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, cast

import torch
from diffusers import FluxImg2ImgPipeline
from jaxtyping import Float, Shaped
from torch import Tensor

from castmark.bases.facts import BaseFacts, read_json
from castmark.bases.family import Family
from castmark.bases.flow import static_mu
from castmark.bases.reference_files import find_reference
from castmark.errors import BaseError
from castmark_adapters.host import ReferenceSource, Words
from castmark_adapters.reference_flux import FluxReferenceAdapter
from castmark_adapters.schedule import StraightPath

MAX_TOKENS = 256
"""T5 tokens that schnell was trained with."""


class Flux(Family):
    """``FluxPipeline``."""

    words_kept: ClassVar[int] = 64
    image_class = FluxImg2ImgPipeline

    @classmethod
    def check(cls, facts: BaseFacts) -> None:
        """FLUX.1-dev is refused."""
        config = facts.folder / "transformer/config.json"
        if config.is_file() and read_json(config).get("guidance_embeds"):
            raise BaseError(
                f"{facts.name}: guidance is still to be chosen, so it is not distilled to few steps; "
                "use FLUX.1-schnell"
            )

    def open_reference(self, source: str | Path) -> ReferenceSource:
        """An IP-Adapter for FLUX.1."""
        return FluxReferenceAdapter.read(*find_reference(source))

    @property
    def keeps_subjects(self) -> str:
        """An IP-Adapter, or a LoRA."""
        return (
            "give it an IP-Adapter (--reference FOLDER), or learn the subject on it "
            "(castmark learn NAME --base ...)"
        )

    @property
    def native_side(self) -> int:
        """1024."""
        return int(self.pipeline.default_sample_size) * int(self.pipeline.vae_scale_factor)

    def encode_text(self, text: str) -> Words:
        """T5's hidden states and CLIP's pooled output."""
        embedding, pooled, _ = self.pipeline.encode_prompt(
            text, None, device=self.device, max_sequence_length=MAX_TOKENS
        )
        return {"prompt_embeds": cast("Tensor", embedding), "pooled_prompt_embeds": cast("Tensor", pooled)}

    def reads(self) -> tuple[Any, int]:
        """T5's: what CLIP reads beside it is only the gist."""
        return self.pipeline.tokenizer_2, MAX_TOKENS

    def call_arguments(self, worn: Mapping[str, Any], batch: int) -> dict[str, Any]:
        """Image embeddings are repeated over the batch: this pipeline does not do it itself."""
        arguments = {"guidance_scale": 0.0, **worn}
        if embeds := worn.get("ip_adapter_image_embeds"):
            arguments["ip_adapter_image_embeds"] = [e.expand(batch, *e.shape[1:]) for e in embeds]
            # The pipeline makes negatives up where none are given, although guidance is off.
            arguments["negative_ip_adapter_image_embeds"] = arguments["ip_adapter_image_embeds"]
        return arguments

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
        """The velocity. Latents go in and out as 2 x 2 patches."""
        pipeline, (batch, channels, height, width) = self.pipeline, x_t.shape
        embeds = torch.cat([each["prompt_embeds"] for each in words])
        images = self.call_arguments(extra, batch).get("ip_adapter_image_embeds")
        found = pipeline.transformer(
            hidden_states=pipeline._pack_latents(x_t.to(self.dtype), batch, channels, height, width),
            timestep=t.to(x_t.device, self.dtype),
            guidance=None,
            pooled_projections=torch.cat([each["pooled_prompt_embeds"] for each in words]),
            encoder_hidden_states=embeds,
            txt_ids=torch.zeros(embeds.shape[1], 3, device=x_t.device, dtype=self.dtype),
            img_ids=pipeline._prepare_latent_image_ids(
                batch, height // 2, width // 2, x_t.device, self.dtype
            ),
            joint_attention_kwargs={"ip_adapter_image_embeds": images} if images else {},
            return_dict=False,
        )[0]
        scale = int(pipeline.vae_scale_factor)
        return cast("Tensor", pipeline._unpack_latents(found, height * scale, width * scale, scale))

    def unpacked(self, latents: Tensor) -> Float[Tensor, "b c h w"]:
        """From patches back to a plane."""
        scale = int(self.pipeline.vae_scale_factor)
        return cast("Tensor", self.pipeline._unpack_latents(latents, self.side, self.side, scale))
