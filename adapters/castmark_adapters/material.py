"""What a LoRA learns from, computed once before the first step: latents, masks, texts, and others of the
class.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from castmark_adapters.host import Host, Words
from castmark_adapters.reference import ReferenceAdapter
from castmark_adapters.running import running_device
from castmark_adapters.subject import Kind, Subject
from castmark_adapters.views import moved, subject_views

PLACES = ("at the beach", "in the forest", "in the city", "in the kitchen", "in the snow", "in the desert")
_PEOPLE = ("a man", "a woman", "a girl", "a boy", "a person")
OTHERS: dict[Kind, tuple[str, ...]] = {
    "character": _PEOPLE,
    "person": _PEOPLE,
    "product": ("a mug", "a sneaker", "a backpack", "a lamp", "a teapot"),
    "mascot": ("a fox", "a cat", "a bear", "a rabbit", "a robot", "an owl", "a dragon"),
}
"""Others of the kind, which must stay as the base draws them. As many as have no divisor in common with
`PLACES`: each comes to stand in every place.
"""
PLAIN_WORDS = ("in a studio", "on a plain background")
MASK_FLOOR = 0.02


@dataclass(frozen=True)
class Material:
    """Everything a step draws from; latents are scaled as the denoiser reads them."""

    latents: Float[Tensor, "n c h w"]
    masks: Float[Tensor, "n 1 h w"]
    source: Int[Tensor, " n"]
    """Index of the reference each view was made from."""
    texts: list[Words]
    """The phrase; with words for a plain background after it, if the references have one."""
    others: Float[Tensor, "m c h w"]
    """The base's own pictures of others of the class."""
    other_texts: list[Words]
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
    model = host.model
    generator = torch.Generator().manual_seed(seed)
    found = subject_views(subject, model.side)
    latents: list[Tensor] = []
    masks: list[Tensor] = []
    for view in found:
        for i in range(views):
            one = view if i == 0 else moved(view, generator)
            latents.append(model.encode_images(one.image[None]).float())
            masks.append(F.interpolate(one.mask[None], size=latents[-1].shape[-2:], mode="area"))
    plain = all(view.plain for view in found)
    texts = [subject.phrase, *(f"{subject.phrase} {words}" for words in PLAIN_WORDS if plain)]
    who = OTHERS[subject.kind]
    prompts = [f"{who[i % len(who)]} {PLACES[i % len(PLACES)]}" for i in range(others)]
    return Material(
        latents=torch.cat(latents),
        masks=torch.cat(masks).clamp(min=MASK_FLOOR).to(latents[0].device),
        source=torch.arange(len(found)).repeat_interleave(views),
        texts=model.encode_texts(texts),
        others=model.sketch(prompts, steps, seed).float(),
        other_texts=model.encode_texts(prompts),
        tokens=reference.of(subject).tokens if reference is not None else None,
    )


def encode_images(pipeline: Any, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c h w"]:
    """Images in [0, 1] as scaled latents: the mean, where the autoencoder gives a distribution.

    The form of most autoencoders; a family with another has its own (`castmark_adapters.host.Model`).
    """
    vae = pipeline.vae
    found = vae.encode((images * 2 - 1).to(running_device(vae), vae.dtype))
    if hasattr(found, "latent_dist"):
        latents = found.latent_dist.mode()
    else:
        latents = found.latents if hasattr(found, "latents") else found.latent
    shift = getattr(vae.config, "shift_factor", None) or 0.0
    return (cast("Tensor", latents) - shift) * vae.config.scaling_factor
