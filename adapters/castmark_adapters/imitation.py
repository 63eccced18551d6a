"""What a LoRA imitates: the base's own drawings of the subject's words, the subject itself in its place.

A few-step base that is asked, under much noise, for pictures it cannot tell apart gives their mean, and a
LoRA learned on freely noised references is blurred for it. So every drawing of the base is paired with the
reference that is most like it, put where the drawing has its subject (`castmark_adapters.placement`). Noise
and target then belong together, as in minibatch optimal transport (arXiv 2302.00482), at all of the base's
own timesteps, the first included; and the pose, the place and the prompt stay the drawing's.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from inspect import signature
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from castmark_adapters.errors import SubjectError
from castmark_adapters.host import Host
from castmark_adapters.material import OTHERS, PLACES, encode_images
from castmark_adapters.placement import find, put
from castmark_adapters.reference import ReferenceAdapter
from castmark_adapters.running import running_device
from castmark_adapters.schedule import Schedule
from castmark_adapters.subject import Subject
from castmark_adapters.views import ReferenceView, subject_views

if TYPE_CHECKING:
    from diffusers import StableDiffusionPipeline

MORE_PLACES = ("in a studio", "in the bedroom")
SPREAD = 5
"""Latent pixels around the subject, odd, that are neither its own nor background: what stood there before."""


@dataclass(frozen=True)
class Drawings:
    """n drawings of the base: at each of its k timesteps what it was given, and what it made of it."""

    noisy: Float[Tensor, "n k c h w"]
    clean: Float[Tensor, "n k c h w"]
    texts: Float[Tensor, "n tokens dim"]


@dataclass(frozen=True)
class Lessons:
    """Drawings with what they should have been inside the mask; and others of the class, to be left alone."""

    own: Drawings
    targets: Float[Tensor, "n c h w"]
    masks: Float[Tensor, "n 1 h w"]
    outside: Float[Tensor, "n 1 h w"]
    """1 where the background is the drawing's own."""
    source: Int[Tensor, " n"]
    """Index of the reference each target was made from."""
    others: Drawings


@torch.no_grad()
def lessons(
    subject: Subject,
    host: Host,
    schedule: Schedule,
    *,
    drawings: int,
    others: int,
    seed: int,
    recognised: ReferenceAdapter | None = None,
) -> Lessons:
    """Draw, look where the subject is, and put the reference there. References without a mask are left out:
    what is learned from one that covers the background too, or is a guess, comes out blurred.

    Raises:
        SubjectError: a reference is not at hand, or none has a mask.
    """
    pipeline = host.pipeline
    places = (*PLACES, *MORE_PLACES)
    prompts = [f"{subject.phrase} {places[i % len(places)]}" for i in range(drawings)]
    with nullcontext() if recognised is None else recognised.known(subject):
        own = draw(host, schedule, prompts, seed, worn=True)
    who = OTHERS[subject.kind]
    apart = [f"{who[i % len(who)]} {PLACES[i % len(PLACES)]}" for i in range(others)]
    side = int(pipeline.unet.config.sample_size) * int(pipeline.vae_scale_factor)
    views = subject_views(subject, side)
    known = [index for index, view in enumerate(views) if view.known]
    if not known:
        raise SubjectError(
            f"subject {subject.name!r}: no reference says where the subject is; make it anew with masks "
            "(castmark subject new --mask), or from pictures on a transparent or plain background"
        )
    placed: list[ReferenceView] = []
    source: list[int] = []
    for latents in own.clean[:, -1].split(4):
        for picture in decode(pipeline, latents):
            placement = find(picture, [views[index] for index in known])
            placed.append(put(views[known[placement.reference]], placement))
            source.append(known[placement.reference])
    targets = [encode_images(pipeline, view.image[None]).float() for view in placed]
    masks = torch.stack([view.mask for view in placed]).to(targets[0].device)
    masks = F.interpolate(masks, size=targets[0].shape[-2:], mode="area")
    return Lessons(
        own=own,
        targets=torch.cat(targets),
        masks=masks,
        outside=1 - F.max_pool2d(masks, SPREAD, stride=1, padding=SPREAD // 2),
        source=torch.tensor(source),
        others=draw(host, schedule, apart, seed + drawings, worn=False),
    )


@torch.no_grad()
def draw(host: Host, schedule: Schedule, prompts: Sequence[str], seed: int, *, worn: bool) -> Drawings:
    """Drawings under what is worn, from seeds counted up, step by step as the base's scheduler goes.

    Args:
        worn: what is the subject's own is left to what is worn.
    """
    unet: Any = host.pipeline.unet
    embeds: Sequence[Tensor] | None = host.call_arguments.get("ip_adapter_image_embeds")
    size = (1, unet.config.in_channels, unet.config.sample_size, unet.config.sample_size)
    device = running_device(unet)
    seeds = range(seed, seed + len(prompts))
    words = host.model.completed(host.model.encode_texts(prompts), seeds, worn=worn)
    texts = torch.cat([each["prompt_embeds"] for each in words])
    generators = [torch.Generator().manual_seed(each) for each in seeds]
    x = torch.cat([torch.randn(size, generator=one) for one in generators]).to(device)
    stepper = schedule.stepper()
    noisy_anew = {"generator": generators} if "generator" in signature(stepper.step).parameters else {}
    noisy: list[Tensor] = []
    clean: list[Tensor] = []
    for time in stepper.timesteps:
        t = time.long().cpu().expand(len(x))
        noisy.append(x)
        parts: list[Tensor] = []
        for part, when, said in zip(x.split(8), t.split(8), texts.split(8), strict=True):
            shown = [each.expand(len(part), *each.shape[1:]) for each in embeds] if embeds else None
            conditions = {"image_embeds": shown} if shown else None
            found = unet(
                part.to(unet.dtype),
                when.to(device),
                encoder_hidden_states=said,
                added_cond_kwargs=conditions,
            )
            parts.append(found.sample.float())
        output = torch.cat(parts)
        clean.append(schedule.x0(output, x, t))
        (x,) = stepper.step(output, time, x, **noisy_anew, return_dict=False)[:1]
    return Drawings(torch.stack(noisy, 1), torch.stack(clean, 1), texts)


@torch.no_grad()
def decode(pipeline: StableDiffusionPipeline, latents: Float[Tensor, "b c h w"]) -> Float[Tensor, "b 3 s s"]:
    """Pictures in [0, 1] of scaled latents, on the CPU."""
    vae: Any = pipeline.vae
    pixels = vae.decode((latents / vae.config.scaling_factor).to(vae.dtype)).sample.float()
    return (pixels / 2 + 0.5).clamp(0, 1).cpu()
