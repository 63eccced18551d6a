"""Trains the teacher: the denoiser on rendered scenes and their captions, with captions dropped for guidance.

The loss is the velocity loss (Salimans & Ho 2022, arXiv 2202.00512, appendix D), which for x-prediction is
the squared error times SNR + 1; SNR is capped as in min-SNR (Hang et al. 2023, arXiv 2303.09556). The
subject's cells weigh more than its surroundings, which are most of every picture and easily learned.
"""

from __future__ import annotations

import numpy as np
import torch
from diffusers import AutoencoderTiny
from torch import Tensor

from castmark.training import parallel
from castmark.training.common import TrainSettings, half_precision, seeded
from castmark.training.denoiser import (
    NoisePath,
    TextToLatents,
    new_text_encoder,
    new_unet,
    ship,
    start_from_shipped,
)
from castmark.training.latents import LatentPool, make_shards
from castmark.training.loop import Loop
from castmark.training.muon import groups
from castmark.training.parallel import Rank
from castmark.training.tokenizer import load_tokenizer, token_ids

BATCH = 32
"""Scenes a step and process."""
SHARDS = 52
LEARNING_RATE = 3e-3
TEXT_RATE = 0.3
CAPTION_DROP = 0.1
SNR_CAP = 8.0
SUBJECT_WEIGHT = 2.0
COMPILE_MINUTES = 20.0
"""Runs longer than this compile the UNet, which takes a few minutes and then saves a fifth."""


def sample_timesteps(path: NoisePath, count: int, generator: torch.Generator) -> Tensor:
    """Long "b": 60% uniform from 100 up, 30% the drawing steps' own, 10% pure noise."""
    uniform = torch.randint(100, 1000, (count,), generator=generator)
    own = path.drawn_at[torch.randint(0, len(path.drawn_at), (count,), generator=generator)]
    draw = torch.rand(count, generator=generator)
    return torch.where(draw < 0.6, uniform, torch.where(draw < 0.9, own, torch.full_like(own, 999)))


def teacher_loss(
    model: TextToLatents,
    path: NoisePath,
    clean: Tensor,
    subject: Tensor,
    ids: Tensor,
    generator: torch.Generator,
) -> Tensor:
    """Velocity loss of one batch: latents "b 16 16 16", subject shares "b 1 16 16", token ids "b 48"."""
    timesteps = sample_timesteps(path, len(clean), generator)
    alpha, sigma = path.at(timesteps)
    noise = torch.randn(clean.shape, generator=generator)
    predicted = model(alpha * clean + sigma * noise, timesteps, model.embed(ids))
    by_snr = (alpha / sigma).square().clamp(max=SNR_CAP) + 1
    by_place = 1 + SUBJECT_WEIGHT * subject
    error = (predicted.float() - clean).square()
    return (by_snr * by_place * error).mean() / by_place.mean()


def train(settings: TrainSettings) -> None:
    """Train the teacher, or go on training, within the time budget; then write the pipeline to ``out``.

    Reads the autoencoder from ``out``/vae, and makes shards of latents in ``work``/latents first. Each of
    ``threads`` is a process of its own. It goes on from its checkpoint, or else from the weights in ``out``,
    if there are any.
    """
    parallel.run(_make_shards, settings.threads, settings)
    parallel.run(train_teacher, settings.threads, settings)
    ship(settings, "teacher.pt", {"distilled": False, "batch": BATCH * settings.threads})


def _make_shards(settings: TrainSettings, rank: Rank) -> None:
    torch.set_num_threads(1)
    autoencoder = AutoencoderTiny.from_pretrained(settings.out / "vae")
    numbers = range(rank.index, SHARDS, rank.count)
    make_shards(settings.work / "latents", autoencoder, load_tokenizer(), numbers)


def train_teacher(settings: TrainSettings, rank: Rank) -> None:
    """The teacher's loop: checkpoints only."""
    torch.set_num_threads(1)
    torch.manual_seed(settings.seed)
    tokenizer = load_tokenizer()
    model = TextToLatents(new_text_encoder(tokenizer), new_unet()).to(memory_format=torch.channels_last)
    start_from_shipped(model, settings.out)
    learning = [*groups(model.unet), *groups(model.text_encoder, TEXT_RATE)]
    loop = Loop(settings, "teacher", model, learning, peak=LEARNING_RATE, warm_up=200, rank=rank)
    if settings.minutes > COMPILE_MINUTES:
        model.unet.compile()
    seeds = [settings.seed, loop.step, rank.index]
    generator = seeded(np.random.default_rng(seeds))
    pool = LatentPool(settings.work / "latents", np.random.default_rng(seeds))
    path = NoisePath("cpu")
    empty = token_ids(tokenizer, [""])[0]
    while loop.going:
        clean, subject, ids = pool.batch(BATCH)
        dropped = torch.rand(BATCH, generator=generator) < CAPTION_DROP
        ids = torch.where(dropped[:, None], empty, ids)
        with half_precision("cpu"):
            loss = teacher_loss(model, path, clean, subject, ids, generator)
        loop.update(loss, BATCH)
    loop.finish()
