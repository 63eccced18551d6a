"""Polishes a student with a critic: what words ask for, or references show, is drawn more often.

The student goes on from itself. Its own paths, of `CANDIDATES` the one that the critic
(`castmark.training.critic`) finds least wrong, hold it where it draws well (rejection sampling as in RAFT,
arXiv 2304.06767): their ends are its targets from each of its drawing timesteps. On top of that comes the
critic's gradient in its answers, which no regression gives: an arm that is up instead of down is a few cells.
"""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import torch

from castmark.training import parallel, teacher
from castmark.training.common import TrainSettings, batch_size, half_precision, seeded
from castmark.training.critic import Critic, criticised, learn_critic
from castmark.training.denoiser import Images, NoisePath, TextToLatents, new_model, reference_folder, ship
from castmark.training.drawings import Drawings
from castmark.training.latents import Batch
from castmark.training.loop import Loop
from castmark.training.muon import groups
from castmark.training.parallel import Rank
from castmark.training.paths import PathPool, Paths, fill
from castmark.training.student import Levels, student_loss

CRITIC_SHARE, PATH_SHARE = 0.35, 0.1
"""Shares of the time budget for the critic, and for the student's own paths."""
BATCH = 16
"""Examples a step and process, half of them with references: steps are what a critic's gradient lacks."""
CANDIDATES = 2
OWN = "own"
"""Folder of the student's paths in the work folder."""
LEARNING_RATE = 6e-4
KEPT_FACTS = ("guidance_distilled", "paths", "teacher", "student")


def train(settings: TrainSettings) -> None:
    """Polish the student in ``out``; write it and its reference adapter back.

    Learns from the shards in ``work``/latents, which it makes if there are none. Each of ``threads`` is a
    process of its own; on a GPU there is one. A critic already in ``work`` goes on learning, paths in
    ``work``/own are used and added to.
    """
    processes = parallel.trainers(settings)
    before = json.loads((settings.out / "card.json").read_text())
    if not list((settings.work / "latents").glob("*.npz")):
        parallel.run(teacher.shard, settings.threads, settings, teacher.SHARDS)
    before.setdefault("student", {"steps": before["steps"], "minutes": before["minutes"]})
    parallel.run(learn_critic, processes, settings, settings.minutes * CRITIC_SHARE)
    parallel.run(follow_own, processes, settings, settings.minutes * PATH_SHARE)
    parallel.run(_polish, processes, settings, settings.minutes * (1 - CRITIC_SHARE - PATH_SHARE))
    facts = {
        "distilled": True,
        "polished": True,
        "batch": batch_size(settings, BATCH, teacher.TIMES_ON_GPU) * processes,
        **{name: before[name] for name in KEPT_FACTS if name in before},
    }
    ship(settings, "polished.pt", facts)


def _student(settings: TrainSettings) -> TextToLatents:
    """The student in ``out``."""
    model = new_model(settings.out, reference_folder(settings.out))
    model.attend(fused=settings.on_gpu)
    return model.to(settings.device).to(memory_format=torch.channels_last)


@torch.no_grad()
def best_paths(
    model: TextToLatents, critic: Critic, path: NoisePath, batch: Batch, generator: torch.Generator
) -> Paths:
    """The model's own paths for a batch's captions and references: of `CANDIDATES` for each, which start from
    noises of their own, the one whose end the critic misreads least.
    """
    count = len(batch.ids)
    many = CANDIDATES * count
    embeds = model.embed(batch.ids).repeat(CANDIDATES, 1, 1)
    tokens, shown = model.look(batch.seen, count)
    images = Images(tokens.repeat(CANDIDATES, 1, 1), shown.repeat(CANDIDATES))
    noisy = torch.randn(many, *batch.clean.shape[1:], generator=generator, device=batch.clean.device)
    crossings, ends = [noisy], noisy
    for now, after in pairwise([*path.drawn_at.tolist(), 0]):
        timesteps = torch.full((many,), now, device=noisy.device)
        ends = model(noisy, timesteps, embeds, images).float()
        noisy = path.onward(noisy, ends, now, after)
        crossings.append(noisy)
    labels, asked = batch.labels.repeat(CANDIDATES, 1), batch.asked.repeat(CANDIDATES, 1)
    wrong = critic.wrong(ends, path, labels, asked, generator).view(CANDIDATES, count)
    best = wrong.argmin(0) * count + torch.arange(count, device=noisy.device)
    crossed = torch.stack(crossings[:-1], 1)
    return Paths(crossed[best], batch.ids, batch.seen, ends[best], batch.labels, batch.asked)


def follow_own(settings: TrainSettings, minutes: float, rank: Rank) -> None:
    """The student's own paths for so many minutes, into ``work``/own."""
    torch.set_num_threads(1)
    model, critic = _student(settings).eval(), Critic.load(settings)
    path = NoisePath(settings.device)

    def best(batch: Batch, generator: torch.Generator) -> Paths:
        return best_paths(model, critic, path, batch, generator)

    fill(settings, minutes, rank, settings.work / OWN, best)


def _polish(settings: TrainSettings, minutes: float, rank: Rank) -> None:
    torch.set_num_threads(1)
    device, size = settings.device, batch_size(settings, BATCH, teacher.TIMES_ON_GPU)
    model, critic, path = _student(settings), Critic.load(settings), NoisePath(device)
    loop = Loop(
        replace(settings, minutes=minutes),
        "polished",
        model,
        groups(model),
        peak=LEARNING_RATE,
        rank=rank,
        samples=Drawings(settings, model).of_student if rank.leads else None,
    )
    pool = PathPool(
        settings.work / OWN, np.random.default_rng([settings.seed, 10, rank.index, loop.step]), device
    )
    noise = seeded(np.random.default_rng([settings.seed, 11, rank.index, loop.step]), device)
    levels = Levels(settings, loop.step)
    while loop.going:
        paths = pool.batch(size)
        level, own = levels.next()
        with half_precision(device):
            loss, answers = student_loss(model, path, paths, level, own=own)
            criticism = critic.wrong(answers, path, paths.labels, paths.asked, noise).mean()
        loop.update(criticised(loss, criticism, answers), size)
    loop.finish()
