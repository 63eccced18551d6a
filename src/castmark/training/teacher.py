"""Trains the teacher: the denoiser and its reference adapter together, on rendered scenes, their captions and
other views of their subjects; captions are dropped at times, for guidance.

Half of every batch has references, and the base learns with them as the adapter does: a base that only ever
saw words has no use for what words don't say. The other half is the base alone.

The loss is the velocity loss (Salimans & Ho 2022, arXiv 2202.00512, appendix D), which for x-prediction is
the squared error times SNR + 1; SNR is capped as in min-SNR (Hang et al. 2023, arXiv 2303.09556). The
subject's cells weigh more than its surroundings, which are most of every picture and easily learned; its face
and what it holds, a few cells of which all depends, still more.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Event, Thread

import numpy as np
import torch
from diffusers import AutoencoderTiny
from torch import Tensor

from castmark.bench.truth import columns
from castmark.training import parallel
from castmark.training.autoencoder import LATENT_CHANNELS, PLAN_CHANNELS
from castmark.training.common import (
    TrainSettings,
    batch_size,
    digest_of,
    half_precision,
    made_of,
    seeded,
)
from castmark.training.denoiser import (
    LATENT_SIDE,
    NoisePath,
    TextToLatents,
    learning_model,
    prompt_tokenizer,
    reference_folder,
    ship,
)
from castmark.training.drawings import Drawings
from castmark.training.latents import LATENTS, REFERENCES, Batch, LatentPool
from castmark.training.loop import Loop
from castmark.training.muon import groups
from castmark.training.parallel import Rank
from castmark.training.shards import draw_shards, encode_shards, make_shards
from castmark.training.tokenizer import token_ids
from castmark.training.told import told_columns
from castmark_adapters.encoder import SubjectEncoder
from castmark_adapters.reference import ENCODER
from castmark_world import DEFAULT

BATCH = 48
"""Scenes a step and process; half of them with references."""
TIMES_ON_GPU = 16
"""So many times as many on a GPU: at 8 times, an H100 waited for its kernels to be started two thirds of the
time; at 16, half of it."""
WAITING = "waiting"
"""Folder, in the work folder, of shards that are drawn and wait to be encoded."""
FAILED = "shards-failed.txt"
"""File, in the work folder, that says that no more shards come."""
SHARDS = 160
SHARDS_FOR_GPU = 100_000
"""More than any budget has time for."""
FEWEST_ON_GPU = 16
"""Shards that are waited for."""
REFRESH = 100
"""Steps on a GPU after which new shards are taken up."""
LEARNING_RATE, GOING_ON = 2.5e-3, 1.2e-3
"""Of a first run, and of one that goes on."""
TEXT_RATE = 0.3
TELL_RATE = 4.0
CAPTION_DROP = 0.2 if DEFAULT.decided else 0.1
OWN_TIMES, PURE_NOISE = (0.25, 0.35) if DEFAULT.decided else (0.3, 0.1)
"""Shares of the timesteps that are the drawing steps' own, and pure noise: more of it where much can be told
from words and prior alone."""
UNTOLD_EVERY = 10
"""Every so many steps the prior is silent: so the base draws for whoever calls it without."""
SNR_CAP = 8.0
COMPILE_MINUTES = 30.0
"""Runs longer than this compile the UNet, which takes a few minutes and then saves a fifth."""
COMPILE_ON_GPU = 6.0
"""The same: it takes two minutes beside the processes that draw."""


def sample_timesteps(path: NoisePath, count: int, generator: torch.Generator) -> Tensor:
    """Long "b", on the generator's device: pure noise, the drawing steps' own and uniform from 100 up, in the
    shares above.
    """
    device = generator.device
    uniform = torch.randint(100, 1000, (count,), generator=generator, device=device)
    which = torch.randint(0, len(path.drawn_at), (count,), generator=generator, device=device)
    own = path.drawn_at.to(device)[which]
    draw = torch.rand(count, generator=generator, device=device)
    return torch.where(draw < PURE_NOISE, 999, torch.where(draw < PURE_NOISE + OWN_TIMES, own, uniform))


def teacher_loss(
    model: TextToLatents, path: NoisePath, batch: Batch, generator: torch.Generator, *, told: bool = True
) -> Tensor:
    """Velocity loss of one batch; the generator is of the batch's device.

    Args:
        told: whether the prior tells what is not asked.
    """
    clean = batch.clean
    timesteps = sample_timesteps(path, len(clean), generator)
    alpha, sigma = path.at(timesteps)
    noise = torch.randn(clean.shape, generator=generator, device=clean.device)
    images = model.look(batch.seen, len(clean))
    embeds = model.embed(batch.ids, batch.told if told else None)
    predicted = model(alpha * clean + sigma * noise, timesteps, embeds, images)
    by_snr = (alpha / sigma).square().clamp(max=SNR_CAP) + 1
    error = (predicted.float() - clean).square()
    return (by_snr * batch.weight * error).mean() / batch.weight.mean()


def train(settings: TrainSettings) -> None:
    """Train the teacher, or go on training, within the time budget; then write the pipeline to ``out``.

    Reads the autoencoder from ``out``/vae and the subject encoder from the folder ``reference`` beside
    ``out``, where the reference adapter goes; makes shards of latents in ``work``/latents. On a CPU each of
    ``threads`` is a process of its own that first makes shards and then trains; on a GPU one process trains,
    while ``workers`` others make shards. It goes on from its checkpoint, or else from the weights in both
    folders, if there are any.
    """
    processes = parallel.trainers(settings)
    if settings.on_gpu:
        with sharding(settings):
            train_teacher(settings, Rank())
    else:
        keep_fitting(settings)
        parallel.run(shard, settings.threads, settings, SHARDS)
        parallel.run(train_teacher, processes, settings)
    size = batch_size(settings, BATCH, TIMES_ON_GPU) * processes
    ship(settings, "teacher.pt", {"distilled": False, "batch": size})


@contextmanager
def sharding(settings: TrainSettings) -> Generator[None]:
    """Shards for as long as the teacher wants them: ``workers`` processes draw (one at least), and one beside
    them encodes on the GPU. Where one of them fails, the teacher that waits for shards is told
    (`_wait_for_shards`)."""
    keep_fitting(settings)
    (settings.work / FAILED).unlink(missing_ok=True)
    context, count = multiprocessing.get_context("spawn"), max(1, settings.workers)
    ranks = (Rank(index, count) for index in range(count))
    makers = [context.Process(target=_draw, args=(settings, rank)) for rank in ranks]
    makers.append(context.Process(target=_encode, args=(settings,)))
    for maker in makers:
        maker.start()
    ended = Event()
    watch = Thread(target=_watch, args=(makers, settings.work / FAILED, ended), daemon=True)
    watch.start()
    try:
        yield
    finally:
        ended.set()
        watch.join()
        for maker in makers:
            maker.terminate()
            maker.join()


def keep_fitting(settings: TrainSettings) -> None:
    """Put shards aside that another autoencoder or subject encoder made than lie around ``out``."""
    eyes = (
        AutoencoderTiny.from_pretrained(settings.out / "vae").encoder,
        SubjectEncoder.load(reference_folder(settings.out) / ENCODER).model,
    )
    made_of(settings.work, LATENTS, WAITING, origin=" ".join(digest_of(eye) for eye in eyes))


def some_shards(settings: TrainSettings) -> None:
    """Make shards, where ``work`` holds none that fit."""
    keep_fitting(settings)
    if not list((settings.work / LATENTS).glob("*.npz")):
        parallel.run(shard, settings.threads, settings, SHARDS)


def _watch(makers: Sequence[BaseProcess], failed: Path, ended: Event) -> None:
    while not ended.wait(1.0):
        if codes := [maker.exitcode for maker in makers if maker.exitcode]:
            failed.parent.mkdir(parents=True, exist_ok=True)
            failed.write_text(f"exit code {codes[0]}")
            return


def _wait_for_shards(settings: TrainSettings) -> None:
    """Wait for the first shards.

    Raises:
        RuntimeError: a process that makes them failed.
    """
    fewest = FEWEST_ON_GPU if settings.on_gpu else 1
    while len(list((settings.work / LATENTS).glob("*.npz"))) < fewest:
        if (settings.work / FAILED).is_file():
            told = (settings.work / FAILED).read_text()
            raise RuntimeError(f"drawing or encoding what the teacher learns from failed: {told}")
        time.sleep(0.5)


def _draw(settings: TrainSettings, rank: Rank) -> None:
    torch.set_num_threads(1)
    numbers = range(rank.index, SHARDS_FOR_GPU, rank.count)
    encoder = SubjectEncoder.load(reference_folder(settings.out) / ENCODER)
    draw_shards(settings.work / LATENTS, settings.work / WAITING, prompt_tokenizer(), encoder, numbers)


def _encode(settings: TrainSettings) -> None:
    autoencoder = AutoencoderTiny.from_pretrained(settings.out / "vae")
    encoder = SubjectEncoder.load(reference_folder(settings.out) / ENCODER)
    encode_shards(settings.work / LATENTS, settings.work / WAITING, autoencoder, encoder, settings.device)


def shard(settings: TrainSettings, shards: int, rank: Rank) -> None:
    """Make this process's part of so many shards, in ``work``/latents."""
    torch.set_num_threads(1)
    autoencoder = AutoencoderTiny.from_pretrained(settings.out / "vae")
    numbers = range(rank.index, shards, rank.count)
    encoder = SubjectEncoder.load(reference_folder(settings.out) / ENCODER)
    make_shards(settings.work / LATENTS, autoencoder, prompt_tokenizer(), encoder, numbers)


def train_teacher(settings: TrainSettings, rank: Rank) -> None:
    """The teacher's loop: checkpoints only. Its time budget starts with the first shards."""
    torch.set_num_threads(1)
    torch.manual_seed(settings.seed)
    device, size = settings.device, batch_size(settings, BATCH, TIMES_ON_GPU)
    model = learning_model(settings)
    path = NoisePath(device)
    if compiles(settings, settings.minutes):
        model.unet.compile(dynamic=False)  # texts are of two lengths where a prior is silent at times
        warm_up(model, path, size, device)
    _wait_for_shards(settings)
    learning = [*groups(model.unet), *groups(model.resampler), *groups(model.text_encoder, TEXT_RATE)]
    if model.telling is not None:
        learning += groups(model.telling, TELL_RATE)
    samples = Drawings(settings, model).of_teacher if rank.leads else None
    peak = GOING_ON if (settings.work / "teacher.pt").is_file() else LEARNING_RATE
    loop = Loop(settings, "teacher", model, learning, peak=peak, warm_up=100, rank=rank, samples=samples)
    seeds = [settings.seed, loop.step, rank.index]
    generator = seeded(np.random.default_rng(seeds), device)
    pool = LatentPool(settings.work / LATENTS, np.random.default_rng(seeds), device)
    empty = token_ids(prompt_tokenizer(), [""])[0].to(device)
    while loop.going:
        if settings.on_gpu and loop.step % REFRESH == REFRESH - 1:
            pool.refresh()
        batch = pool.batch(size, referenced=size // 2)
        dropped = torch.rand(size, generator=generator, device=device) < CAPTION_DROP
        batch = batch.silent(dropped, empty)
        told = loop.step % UNTOLD_EVERY > 0
        with half_precision(device):
            loss = teacher_loss(model, path, batch, generator, told=told)
        loop.update(loss, size)
    loop.finish()


def compiles(settings: TrainSettings, minutes: float) -> bool:
    """Whether compiling the UNet pays in so many minutes."""
    return minutes > (COMPILE_ON_GPU if settings.on_gpu else COMPILE_MINUTES)


def warm_up(model: TextToLatents, path: NoisePath, size: int, device: str) -> None:
    """Compile for batches of this size, so that no time of the budget goes into it."""
    generator = seeded(np.random.default_rng(0), device)
    latents = torch.randn(size, LATENT_CHANNELS + PLAN_CHANNELS, LATENT_SIDE, LATENT_SIDE, device=device)
    ids = token_ids(prompt_tokenizer(), [""]).to(device).expand(size, -1)
    width = model.resampler.proj_in.in_features
    seen = torch.randn(size // 2, REFERENCES, 5, width, device=device)
    known = len(columns(DEFAULT))
    labels, standing = torch.zeros(size, known), torch.zeros(size, len(told_columns()) - known)
    labels, standing = labels.to(device), standing.to(device)
    said = labels.bool()
    batch = Batch(latents, latents[:, :1].abs(), ids, seen, labels, said, said[: len(seen)], standing)
    for told in (True, False) if model.telling is not None else (True,):
        with half_precision(device):
            teacher_loss(model, path, batch, generator, told=told).backward()
    model.zero_grad()
