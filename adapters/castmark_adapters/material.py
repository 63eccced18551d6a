"""What a LoRA learns from, computed once before the first step: latents, masks, texts, and others of the
class.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from castmark_adapters.host import Host
from castmark_adapters.reference import ReferenceAdapter
from castmark_adapters.subject import Kind, Subject
from castmark_adapters.views import moved, reference_views

if TYPE_CHECKING:
    from diffusers import StableDiffusionPipeline

PLACES = ("at the beach", "in the forest", "in the city", "in the kitchen", "in the snow", "in the desert")
OTHERS: dict[Kind, tuple[str, ...]] = {
    "character": ("a man", "a woman", "a girl", "a boy"),
    "person": ("a man", "a woman", "a girl", "a boy"),
    "product": ("a mug", "a sneaker", "a backpack", "a lamp", "a teapot"),
}
"""Others of the kind, which must stay as the base draws them."""
PLAIN_WORDS = ("in a studio", "on a plain background")
MASK_FLOOR = 0.02


@dataclass(frozen=True)
class Material:
    """Everything a step draws from; latents are scaled as the UNet reads them."""

    latents: Float[Tensor, "n c h w"]
    masks: Float[Tensor, "n 1 h w"]
    source: Int[Tensor, " n"]
    """Index of the reference each view was made from."""
    texts: Float[Tensor, "texts tokens dim"]
    """The phrase; with words for a plain background after it, if the references have one."""
    others: Float[Tensor, "m c h w"]
    """The base's own pictures of others of the class."""
    other_texts: Float[Tensor, "m tokens dim"]
    tokens: Float[Tensor, "1 refs seq dim"] | None
    """Image tokens of the references, if a reference adapter is learned with."""


@torch.no_grad()
def prepare(
    subject: Subject,
    host: Host,
    *,
    views: int,
    others: int,
    steps: int,
    seed: int,
    reference: ReferenceAdapter | None,
) -> Material:
    """Encode ``views`` small variations of every reference, and let the base draw ``others`` of the class.

    Raises:
        SubjectError: a reference is not at hand.
    """
    pipeline = host.pipeline
    side = int(pipeline.unet.config.sample_size) * int(pipeline.vae_scale_factor)
    generator = torch.Generator().manual_seed(seed)
    found = reference_views([subject.file(r.name) for r in subject.references], side)
    latents: list[Tensor] = []
    masks: list[Tensor] = []
    for view in found:
        for i in range(views):
            one = view if i == 0 else moved(view, generator)
            latents.append(encode_images(pipeline, one.image[None]))
            masks.append(F.interpolate(one.mask[None], size=latents[-1].shape[-2:], mode="area"))
    plain = all(view.plain for view in found)
    texts = [subject.phrase, *(f"{subject.phrase} {words}" for words in PLAIN_WORDS if plain)]
    who = OTHERS[subject.kind]
    prompts = [f"{who[i % len(who)]} {PLACES[i % len(PLACES)]}" for i in range(others)]
    return Material(
        latents=torch.cat(latents),
        masks=torch.cat(masks).clamp(min=MASK_FLOOR),
        source=torch.arange(len(found)).repeat_interleave(views),
        texts=_texts(pipeline, texts),
        others=_draw(pipeline, prompts, steps, seed),
        other_texts=_texts(pipeline, prompts),
        tokens=reference.of(subject).tokens if reference is not None else None,
    )


def encode_images(
    pipeline: StableDiffusionPipeline, images: Float[Tensor, "b 3 s s"]
) -> Float[Tensor, "b c h w"]:
    """Images in [0, 1] as the UNet's scaled latents: the mean, where the autoencoder gives a distribution."""
    vae = pipeline.vae
    found: Any = vae.encode((images * 2 - 1).to(vae.device, vae.dtype))
    latents = found.latent_dist.mode() if hasattr(found, "latent_dist") else found.latents
    return cast("Tensor", latents) * vae.config.scaling_factor


def _texts(pipeline: StableDiffusionPipeline, prompts: list[str]) -> Float[Tensor, "n tokens dim"]:
    embeds, _ = pipeline.encode_prompt(prompts, pipeline.device, 1, do_classifier_free_guidance=False)
    return cast("Tensor", embeds)


def _draw(
    pipeline: StableDiffusionPipeline, prompts: list[str], steps: int, seed: int
) -> Float[Tensor, "n c h w"]:
    generators = [torch.Generator().manual_seed(seed + i) for i in range(len(prompts))]
    bar = getattr(pipeline, "_progress_bar_config", {})
    pipeline.set_progress_bar_config(disable=True)
    try:
        drawn = pipeline(
            prompts, num_inference_steps=steps, guidance_scale=1.0, generator=generators, output_type="latent"
        )
    finally:
        pipeline._progress_bar_config = bar  # pyright: ignore[reportPrivateUsage, reportAttributeAccessIssue]
    return cast("Tensor", drawn.images)  # pyright: ignore[reportAttributeAccessIssue]
