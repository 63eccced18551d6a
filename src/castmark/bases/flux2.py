"""FLUX.2 in its distilled form: klein (4 steps).

A flow transformer with a Qwen3 model for the words, which reads reference images by itself: they go in as
further tokens beside the picture's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, cast

import torch
from diffusers.pipelines.flux2.pipeline_flux2_klein import compute_empirical_mu
from jaxtyping import Float, Shaped
from PIL import Image
from torch import Tensor
from torchvision.transforms.functional import pil_to_tensor

from castmark.bases.facts import BaseFacts, read_json
from castmark.bases.family import Family
from castmark.bases.loaded import INDEX
from castmark.bases.partway import whole_steps
from castmark.bases.reading import around_a_user
from castmark.errors import BaseError
from castmark_adapters.host import Words
from castmark_adapters.lora import TARGETS
from castmark_adapters.native import ALL, EACH, NativeReferences
from castmark_adapters.running import running_device
from castmark_adapters.schedule import StraightPath

MAX_TOKENS = 512
"""As its pipeline reads."""


class Flux2Klein(Family):
    """``Flux2KleinPipeline``."""

    lora_targets: Sequence[str] = (*TARGETS, "to_qkv_mlp_proj", "attn.to_out")
    words_kept: ClassVar[int] = 32
    lengths_vary = True  # reference images are further tokens
    draft_decoder = False  # latents are normalised by the autoencoder's own statistics

    @classmethod
    def check(cls, facts: BaseFacts) -> None:
        """The klein that is still to be distilled is refused."""
        if not read_json(facts.folder / INDEX).get("is_distilled"):
            raise BaseError(
                f"{facts.name}: not distilled to few steps (is_distilled is off); "
                "use FLUX.2-klein, not its base"
            )

    def native_references(self) -> NativeReferences:
        """By itself."""
        return NativeReferences()

    @property
    def native_side(self) -> int:
        """1024."""
        return int(self.pipeline.default_sample_size) * int(self.pipeline.vae_scale_factor)

    def reads(self) -> tuple[Any, int]:
        """Qwen's, as the pipeline cuts."""
        return self.pipeline.tokenizer, MAX_TOKENS

    def unread(self, text: str) -> str:
        """It is read as what a user says in a chat."""
        return self.window.unread(text, *around_a_user(self.pipeline.tokenizer, thinking=False))

    def encode_text(self, text: str) -> Words:
        """Hidden states of three of the text model's layers, side by side."""
        embedding, _ = self.pipeline.encode_prompt(text, device=self.device)
        return {"prompt_embeds": cast("Tensor", embedding)}

    def path(self, drawing_steps: int) -> StraightPath:
        """Straight."""
        mu = self._mu((self.side, self.side), drawing_steps)
        return StraightPath(self.pipeline.scheduler, drawing_steps, mu)

    def predict(
        self,
        x_t: Float[Tensor, "b c h w"],
        t: Shaped[Tensor, " b"],
        words: Sequence[Words],
        extra: Mapping[str, Any],
    ) -> Float[Tensor, "b c h w"]:
        """The velocity, without reference images."""
        pipeline = self.pipeline
        embeds = torch.cat([each["prompt_embeds"] for each in words])
        found = pipeline.transformer(
            hidden_states=pipeline._pack_latents(x_t.to(self.dtype)),
            timestep=t.to(x_t.device, self.dtype),
            guidance=None,
            encoder_hidden_states=embeds,
            txt_ids=pipeline._prepare_text_ids(embeds).to(x_t.device),
            img_ids=pipeline._prepare_latent_ids(x_t).to(x_t.device),
            return_dict=False,
        )[0]
        return cast("Tensor", found).permute(0, 2, 1).reshape(x_t.shape)

    def encode_images(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c h w"]:
        """In 2 x 2 patches as channels, normalised by the autoencoder's own statistics."""
        vae = self.pipeline.vae
        pixels = (images * 2 - 1).to(running_device(vae), vae.dtype)
        return cast("Tensor", self.pipeline._encode_vae_image(pixels, cast("Any", None)))

    def unpacked(self, latents: Tensor) -> Float[Tensor, "b c h w"]:
        """What the pipeline gives out is undone: back to patches, and normalised."""
        vae, patches = self.pipeline.vae, self.pipeline._patchify_latents(latents)
        mean = vae.bn.running_mean.view(1, -1, 1, 1).to(patches)
        deviation = (vae.bn.running_var.view(1, -1, 1, 1) + vae.config.batch_norm_eps).sqrt().to(patches)
        return cast("Tensor", (patches - mean) / deviation)

    def run(
        self,
        words: Sequence[Words],
        size: tuple[int, int],
        steps: int,
        seeds: Sequence[int],
        worn: Mapping[str, Any],
        output: Literal["pt", "latent"] = "pt",
    ) -> Tensor:
        """A batch shares its references; where each image has its own, they are drawn one after another."""
        if EACH not in worn:
            return super().run(words, size, steps, seeds, worn, output)
        rest = {name: value for name, value in worn.items() if name != EACH}
        drawn = [
            super(Flux2Klein, self).run([text], size, steps, [seed], {**rest, ALL: images}, output)
            for text, seed, images in zip(words, seeds, worn[EACH], strict=True)
        ]
        return torch.cat(drawn)

    def run_from(
        self,
        images: Sequence[Image.Image],
        strength: float,
        words: Sequence[Words],
        size: tuple[int, int],
        steps: int,
        seeds: Sequence[int],
        worn: Mapping[str, Any],
    ) -> Float[Tensor, "b 3 h w"]:
        """diffusers has no image-to-image for it: its own loop is begun where the noised images stand."""
        if EACH in worn:
            rest = {name: value for name, value in worn.items() if name != EACH}
            alone = [
                self.run_from([image], strength, [text], size, steps, [seed], {**rest, ALL: own})
                for image, text, seed, own in zip(images, words, seeds, worn[EACH], strict=True)
            ]
            return torch.cat(alone)
        whole = whole_steps(steps, strength)
        sigmas = torch.linspace(1.0, 1 / whole, whole)[whole - steps :].tolist()
        scheduler: Any = type(self.pipeline.scheduler).from_config(self.pipeline.scheduler.config)
        scheduler.set_timesteps(sigmas=sigmas, mu=self._mu(size, steps))
        begin = float(scheduler.sigmas[0])
        pixels = torch.stack([pil_to_tensor(image.convert("RGB")) for image in images]).float() / 255
        clean = self.encode_images(pixels.to(self.device))
        noise = [torch.randn(clean.shape[1:], generator=torch.Generator().manual_seed(s)) for s in seeds]
        found = self.pipeline(
            **self.together(words),
            width=size[0],
            height=size[1],
            sigmas=sigmas,
            num_inference_steps=steps,
            latents=(1 - begin) * clean + begin * torch.stack(noise).to(clean),
            output_type="pt",
            return_dict=False,
            **self.call_arguments(worn, len(seeds)),
        )
        return cast("Tensor", found[0])

    def _mu(self, size: tuple[int, int], steps: int) -> float:
        return compute_empirical_mu((size[0] // self.multiple) * (size[1] // self.multiple), steps)
