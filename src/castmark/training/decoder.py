"""Finishes the autoencoder's decoder on whole images, with the encoder left as it is.

A decoder learns most of what it knows on crops (`castmark.training.autoencoder`), whose borders are not those
of images. Latents do not change here, so that a base trained on them stays good.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from diffusers import AutoencoderTiny
from torch import Tensor

from castmark.training.autoencoder import (
    LATENT_CHANNELS,
    SIZE,
    Folded,
    evaluate,
    loss_of,
    ran,
    ship_part,
    weights_of,
)
from castmark.training.common import (
    TrainSettings,
    digest_of,
    half_precision,
    made_of,
)
from castmark.training.loop import Loop
from castmark.training.muon import groups
from castmark.training.samples import round_trip, to_tensor
from castmark.training.supply import Supply
from castmark_world import masks, render, sample_scene

BATCH = 16
LEARNING_RATE = 3e-4
BORDER = 3
"""Pixels from the edge inwards that count as the border."""
BORDER_WEIGHT = 6.0


def _batch(seed: int, number: int) -> tuple[Tensor, Tensor]:
    """Images "b 3 h w" in [-1, 1] and the weights of their pixels "b 1 h w"."""
    rng = np.random.default_rng([seed, 4, number])
    scenes = [sample_scene(rng) for _ in range(BATCH)]
    weights = np.stack([weights_of(masks(scene, SIZE)) for scene in scenes]) + BORDER_WEIGHT - 1
    weights[:, BORDER:-BORDER, BORDER:-BORDER] -= BORDER_WEIGHT - 1
    return to_tensor(np.stack([render(scene, SIZE) for scene in scenes])), torch.from_numpy(weights)[:, None]


def train(settings: TrainSettings) -> None:
    """Train the decoder in ``out``, or go on training it, within the time budget; then write it back. A
    checkpoint beside another encoder is put aside.

    Raises:
        OSError: ``out`` holds no autoencoder.
    """
    torch.set_num_threads(settings.threads)
    torch.manual_seed(settings.seed)
    model = AutoencoderTiny.from_pretrained(settings.out)
    made_of(settings.work, "decoder.pt", origin=digest_of(model.encoder))
    model.encoder.requires_grad_(False)
    folded = Folded(model)
    folded.to(settings.device).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    loop = Loop(
        settings,
        "decoder",
        model,
        groups(model.decoder),
        peak=LEARNING_RATE,
        warm_up=20,
        samples=partial(round_trip, model),
    )
    with Supply(partial(_batch, settings.seed), first=loop.step, workers=settings.workers) as supply:
        while loop.going:
            images, weights = next(supply)
            images = images.to(settings.device, memory_format=torch.channels_last)
            with half_precision(settings.device):
                with torch.no_grad():  # as a base's latents are made
                    latents = folded.encode(images)
                drawn = folded.decode(latents)
            seen = latents.float()[:, :LATENT_CHANNELS]
            loop.update(loss_of(images, drawn.float(), weights.to(settings.device), seen), BATCH)
    loop.finish()
    model.eval()
    finished = {"decoder finished": ran(settings, loop, BATCH), "figures": evaluate(model)}
    ship_part(model, settings, finished)
