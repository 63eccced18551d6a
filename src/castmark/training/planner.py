"""Teaches the autoencoder's encoder to tell a picture's plan, while what it makes of the picture stays.

A base learns from plans that the world knows (`castmark_world.plan`); of a user's own picture, which a LoRA
learns from or a drawing starts with, the encoder has to tell it. Its other channels are held to what they
were, so that a base trained on them stays good; the decoder, which reads no plan, does not change.
"""

from __future__ import annotations

import copy
from functools import partial

import torch
import torch.nn.functional as F
from diffusers import AutoencoderTiny
from torch import Tensor

from castmark.errors import InputError
from castmark.training.autoencoder import (
    BATCH,
    LATENT_CHANNELS,
    PLAN_CHANNELS,
    Batch,
    Folded,
    batch_of,
    grown,
    ran,
    ship_part,
)
from castmark.training.common import (
    TrainSettings,
    digest_of,
    half_precision,
    made_of,
)
from castmark.training.loop import Loop
from castmark.training.muon import groups
from castmark.training.samples import to_tensor
from castmark.training.supply import Supply
from castmark_world import DEFAULT

LEARNING_RATE = 1e-3
HELD = 20.0
"""Weight of the squared change of the picture's own latents, against that of the error of the plan."""


def train(settings: TrainSettings) -> None:
    """Train the encoder in ``out``, or go on training it, within the time budget; then write it back.

    Raises:
        InputError: the scope's base draws no plan.
        OSError: ``out`` holds no autoencoder.
    """
    if not PLAN_CHANNELS:
        raise InputError(f"bases of the scope {DEFAULT.name!r} draw no plan (castmark_world/scopes.py)")
    torch.set_num_threads(settings.threads)
    torch.manual_seed(settings.seed)
    model = grown(AutoencoderTiny.from_pretrained(settings.out))
    made_of(settings.work, "plan.pt", origin=digest_of(model.decoder))
    before = Folded(copy.deepcopy(model)).to(settings.device).requires_grad_(False)
    model.decoder.requires_grad_(False)
    folded = Folded(model).to(settings.device)
    loop = Loop(settings, "plan", model, groups(model.encoder), peak=LEARNING_RATE, warm_up=20)
    make = partial(batch_of, settings.seed, True)
    with Supply(make, first=loop.step, workers=settings.workers) as supply:
        while loop.going:
            batch: Batch = next(supply)
            images = to_tensor(batch[0].to(settings.device)).contiguous(memory_format=torch.channels_last)
            with half_precision(settings.device):
                with torch.no_grad():
                    kept = before.encode(images)[:, :LATENT_CHANNELS]
                latents, told = folded.encode(images).split([LATENT_CHANNELS, PLAN_CHANNELS], 1)
            error = F.mse_loss(told.float(), batch[2].to(settings.device))
            loop.update(error + HELD * F.mse_loss(latents.float(), kept.float()), BATCH)
    loop.finish()
    model.cpu().eval()
    figures = evaluate(model, before.model.cpu())
    learned = ran(settings, loop, BATCH) | {"figures": figures}
    ship_part(model.half(), settings, {"plan told by the encoder": learned})


@torch.no_grad()
def evaluate(model: AutoencoderTiny, before: AutoencoderTiny, batches: int = 4) -> dict[str, float]:
    """On held-out scenes: the share of the plan's variance that the encoder tells, and how far the picture's
    own latents have moved, as a share of their deviation.
    """
    errors, moved = list[Tensor](), list[Tensor]()
    for number in range(batches):
        images, _, plans = batch_of(77_002, True, number, split="test")
        pixels = to_tensor(images)
        latents, told = model.encoder(pixels).split([LATENT_CHANNELS, PLAN_CHANNELS], 1)
        kept = before.encoder(pixels)[:, :LATENT_CHANNELS]
        errors.append((told - plans).square().mean() / plans.var())
        moved.append((latents - kept).square().mean().sqrt() / kept.std())
    return {
        "n": batches * BATCH,
        "variance_told": round(1 - float(torch.stack(errors).mean()), 4),
        "picture_moved": round(float(torch.stack(moved).mean()), 4),
    }
