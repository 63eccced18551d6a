"""Trains the teacher: the denoiser and its reference adapter together, on rendered scenes, their captions and
other views of their subjects; captions are dropped at times, for guidance.

Half of every batch has references, and the base learns with them as the adapter does: a base that only ever
saw words has no use for what words don't say. The other half is the base alone.

The loss is the velocity loss (Salimans & Ho 2022, arXiv 2202.00512, appendix D), which for x-prediction is
the squared error times SNR + 1; SNR is capped as in min-SNR (Hang et al. 2023, arXiv 2303.09556). The
subject's cells weigh more than its surroundings, which are most of every picture and easily learned.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from diffusers import AutoencoderTiny
from torch import Tensor

from castmark.training import parallel
from castmark.training.common import TrainSettings, batch_size, half_precision, seeded
from castmark.training.denoiser import (
    NoisePath,
    TextToLatents,
    new_model,
    reference_folder,
    ship,
)
from castmark.training.drawings import Drawings
from castmark.training.latents import Batch, LatentPool, make_shards
from castmark.training.loop import Loop
from castmark.training.muon import groups
from castmark.training.parallel import Rank
from castmark.training.tokenizer import load_tokenizer, token_ids
from castmark_adapters.encoder import SubjectEncoder
from castmark_adapters.reference import ENCODER

BATCH = 48
"""Scenes a step and process; half of them with references."""
SHARDS = 40
LEARNING_RATE = 2.5e-3
TEXT_RATE = 0.3
CAPTION_DROP = 0.1
SNR_CAP = 8.0
SUBJECT_WEIGHT = 4.0
COMPILE_MINUTES = 30.0
"""Runs longer than this compile the UNet, which takes a few minutes and then saves a fifth."""


def sample_timesteps(path: NoisePath, count: int, generator: torch.Generator) -> Tensor:
    """Long "b", on the CPU: 60% uniform from 100 up, 30% the drawing steps' own, 10% pure noise."""
    uniform = torch.randint(100, 1000, (count,), generator=generator)
    own = path.drawn_at.cpu()[torch.randint(0, len(path.drawn_at), (count,), generator=generator)]
    draw = torch.rand(count, generator=generator)
    return torch.where(draw < 0.6, uniform, torch.where(draw < 0.9, own, torch.full_like(own, 999)))


def teacher_loss(model: TextToLatents, path: NoisePath, batch: Batch, generator: torch.Generator) -> Tensor:
    """Velocity loss of one batch; the random numbers are the CPU's, wherever the batch is."""
    clean = batch.clean
    timesteps = sample_timesteps(path, len(clean), generator).to(clean.device)
    alpha, sigma = path.at(timesteps)
    noise = torch.randn(clean.shape, generator=generator).to(clean)
    images = model.look(batch.seen, len(clean))
    predicted = model(alpha * clean + sigma * noise, timesteps, model.embed(batch.ids), images)
    by_snr = (alpha / sigma).square().clamp(max=SNR_CAP) + 1
    by_place = 1 + SUBJECT_WEIGHT * batch.subject
    error = (predicted.float() - clean).square()
    return (by_snr * by_place * error).mean() / by_place.mean()


def train(settings: TrainSettings) -> None:
    """Train the teacher, or go on training, within the time budget; then write the pipeline to ``out``.

    Reads the autoencoder from ``out``/vae and the subject encoder from the folder ``reference`` beside
    ``out``, where the reference adapter goes; makes shards of latents in ``work``/latents first. Each of
    ``threads`` is a process of its own, and on a GPU one process trains. It goes on from its checkpoint, or
    else from the weights in both folders, if there are any.
    """
    parallel.run(_make_shards, settings.threads, settings)
    processes = parallel.trainers(settings)
    parallel.run(train_teacher, processes, settings)
    ship(settings, "teacher.pt", {"distilled": False, "batch": batch_size(settings, BATCH) * processes})


def _make_shards(settings: TrainSettings, rank: Rank) -> None:
    torch.set_num_threads(1)
    autoencoder = AutoencoderTiny.from_pretrained(settings.out / "vae")
    numbers = range(rank.index, SHARDS, rank.count)
    encoder = SubjectEncoder.load(reference_folder(settings.out) / ENCODER)
    make_shards(settings.work / "latents", autoencoder, load_tokenizer(), encoder, numbers)


def train_teacher(settings: TrainSettings, rank: Rank) -> None:
    """The teacher's loop: checkpoints only."""
    torch.set_num_threads(1)
    torch.manual_seed(settings.seed)
    device, size = settings.device, batch_size(settings, BATCH)
    model = new_model(settings.out, reference_folder(settings.out)).to(device)
    model = model.to(memory_format=torch.channels_last)
    learning = [*groups(model.unet), *groups(model.resampler), *groups(model.text_encoder, TEXT_RATE)]
    samples = Drawings(settings, model).of_teacher if rank.leads else None
    loop = Loop(
        settings, "teacher", model, learning, peak=LEARNING_RATE, warm_up=200, rank=rank, samples=samples
    )
    if settings.minutes > COMPILE_MINUTES:
        model.unet.compile()
    seeds = [settings.seed, loop.step, rank.index]
    generator = seeded(np.random.default_rng(seeds))
    pool = LatentPool(settings.work / "latents", np.random.default_rng(seeds))
    path = NoisePath(device)
    empty = token_ids(load_tokenizer(), [""])[0]
    while loop.going:
        batch = pool.batch(size, referenced=size // 2)
        dropped = torch.rand(size, generator=generator) < CAPTION_DROP
        batch = replace(batch, ids=torch.where(dropped[:, None], empty, batch.ids)).to(device)
        with half_precision(device):
            loss = teacher_loss(model, path, batch, generator)
        loop.update(loss, size)
    loop.finish()
