"""Polishes a student with a critic: what words ask for, or references show, is drawn more often.

The student goes on from itself. Its own paths, of `CANDIDATES` the one that the critic
(`castmark.training.critic`) finds least wrong, hold it where it draws well (rejection sampling as in RAFT,
arXiv 2304.06767): their ends are its targets from each of its drawing timesteps.

What no regression gives is asked of its answers to other captions and references, drawn anew for every step:
the critic's gradient, for an arm that is up instead of down is a few cells; that what was left open is as
often this or that as in the world (`castmark.training.variety`); and that they look like renders
(`castmark.training.adversary`).

Where a prior tells what words leave open, all of it is asked of the very answers that are regressed on
renders, as they are of a student (`castmark.training.student`): the critic looks for everything that was
told, and how often there is this or that is the prior's to say.
"""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from castmark.bench.truth import columns
from castmark.training import parallel, teacher
from castmark.training.adversary import Adversary
from castmark.training.common import TrainSettings, batch_size, half_precision, made_of, seeded
from castmark.training.critic import Critic, asked_in, learn_critic, misread, steered
from castmark.training.denoiser import Images, NoisePath, TextToLatents, learning_model, ship
from castmark.training.drawings import Drawings
from castmark.training.latents import LATENTS, Batch, LatentPool
from castmark.training.loop import PRINT_EVERY, Loop
from castmark.training.muon import groups
from castmark.training.parallel import Rank
from castmark.training.paths import FORM, PathPool, Paths, between, fill, rendered_paths
from castmark.training.student import OWN_SHARE_OF_TOLD, Levels, answered, student_loss
from castmark.training.variety import Variety
from castmark_adapters.subject import sha256
from castmark_world import DEFAULT

CRITIC_SHARE, PATH_SHARE = 0.35, 0.1
"""Shares of the time budget for the critic, and for the student's own paths."""
BATCH = 16
"""Answers a step and process, half of them with references, beside half as many paths: steps are what a
critic's gradient lacks."""
CRITIC, ADVERSARY = 1.0, 0.5
"""Gradients of both in the student's answers, as shares of the regression's."""
CANDIDATES = 2
OWN = "own"
"""Folder of the student's paths in the work folder."""
LEARNING_RATE = 6e-4
KEPT_FACTS = ("guidance_distilled", "paths", "teacher", "student", "polished_before")


def train(settings: TrainSettings) -> None:
    """Polish the student in ``out``; write it and its reference adapter back.

    Learns from the shards in ``work``/latents, which it makes if there are none. What was made
    of another student is put aside. Each of ``threads`` is a
    process of its own; on a GPU there is one. A critic already in ``work`` goes on learning, paths in
    ``work``/own are used and added to.
    """
    processes = parallel.trainers(settings)
    before = json.loads((settings.out / "card.json").read_text())
    student = settings.work / "student.pt"
    began = sha256(student.read_bytes()) if student.is_file() else "what shipped"
    made_of(settings.work, "polished.pt", origin=began)
    made_of(settings.work, OWN, origin=f"{began} {FORM}")
    teacher.some_shards(settings)
    behind = {"steps": before["steps"], "minutes": before["minutes"]}
    before.setdefault("student", behind)
    if before.get("polished") and not (settings.work / "polished.pt").exists():
        earlier = before.get("polished_before", dict.fromkeys(behind, 0))
        before["polished_before"] = {name: value + earlier[name] for name, value in behind.items()}
    parallel.run(learn_critic, processes, settings, settings.minutes * CRITIC_SHARE)
    left = 1 - CRITIC_SHARE
    if not DEFAULT.decided:
        parallel.run(follow_own, processes, settings, settings.minutes * PATH_SHARE)
        left -= PATH_SHARE
    parallel.run(_polish, processes, settings, settings.minutes * left)
    facts = {
        "distilled": True,
        "polished": True,
        "batch": batch_size(settings, BATCH, teacher.TIMES_ON_GPU) * processes,
        **{name: before[name] for name in KEPT_FACTS if name in before},
    }
    ship(settings, "polished.pt", facts)


@torch.no_grad()
def best_paths(
    model: TextToLatents, critic: Critic, path: NoisePath, batch: Batch, generator: torch.Generator
) -> Paths:
    """The model's own paths for a batch's captions and references: of `CANDIDATES` for each, which start from
    noises of their own, the one whose end the critic misreads least.
    """
    count = len(batch.ids)
    many = CANDIDATES * count
    embeds = model.embed(batch.ids, batch.told).repeat(CANDIDATES, 1, 1)
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
    return between(torch.stack(crossings[:-1], 1)[best], ends[best], batch)


def follow_own(settings: TrainSettings, minutes: float, rank: Rank) -> None:
    """The student's own paths for so many minutes, into ``work``/own."""
    torch.set_num_threads(1)
    model, critic = learning_model(settings).eval(), Critic.load(settings)
    path = NoisePath(settings.device)

    def best(batch: Batch, generator: torch.Generator) -> Paths:
        return best_paths(model, critic, path, batch, generator)

    fill(settings, minutes, rank, settings.work / OWN, best)


def _polish(settings: TrainSettings, minutes: float, rank: Rank) -> None:
    torch.set_num_threads(1)
    device, size = settings.device, batch_size(settings, BATCH, teacher.TIMES_ON_GPU)
    model, critic, path = learning_model(settings), Critic.load(settings), NoisePath(device)
    loop = Loop(
        replace(settings, minutes=minutes),
        "polished",
        model,
        groups(model),
        peak=LEARNING_RATE,
        rank=rank,
        samples=Drawings(settings, model).of_student if rank.leads else None,
    )

    def seeds(number: int) -> np.random.Generator:
        return np.random.default_rng([settings.seed, number, rank.index, loop.step])

    kept = None if DEFAULT.decided else PathPool(settings.work / OWN, seeds(10), device)
    fresh = LatentPool(settings.work / LATENTS, seeds(12), device)
    variety = None if kept is None else Variety(columns(), *kept.asked)
    torch.manual_seed(settings.seed)  # the adversary is one, whichever process it is in
    adversary = Adversary(device)
    noise, levels = seeded(seeds(11), device), Levels(settings, loop.step, OWN_SHARE_OF_TOLD)
    while loop.going:
        level, told = levels.next()
        batch = fresh.batch(size, referenced=size // 2)
        if kept is None:
            found = _on_renders(model, path, batch, level, noise, told=told)
        else:
            found = _beside_own(model, path, batch, level, noise, kept.batch(size // 2))
        with half_precision(device):
            features, outputs = critic.look(asked_in(found.drawn, path, noise))
            criticism = misread(outputs, batch.labels, found.asked, columns()).mean()
            varied = 0.0 if variety is None else variety.loss(outputs, batch.labels, found.asked)
            beside = [(CRITIC, criticism + varied)]
            with torch.no_grad():
                known, _ = critic.look(asked_in(batch.clean, path, noise))
            seen = adversary.learn(known, features, rank)
            if adversary.ready:
                beside.append((ADVERSARY, adversary.doubt(features)))
        loop.update(steered(found.loss, found.held, beside, found.drawn), size)
        if rank.leads and loop.step % PRINT_EVERY == 0:
            more = "" if variety is None else f", {variety}"
            print(f"critic {float(criticism):.3f}, adversary {seen:.2f}{more}", flush=True)  # noqa: T201
    loop.finish()


class _Answers(NamedTuple):
    loss: Tensor
    """Of regression."""
    held: Tensor
    """Answers that it is of."""
    drawn: Tensor
    """Answers that critic and adversary look at."""
    asked: Tensor
    """What was to be in those, Bool "b k"."""


def _on_renders(
    model: TextToLatents, path: NoisePath, batch: Batch, level: int, noise: torch.Generator, *, told: bool
) -> _Answers:
    """Where a prior tells what words leave open (but for a few steps): one answer to each, held to its
    render."""
    paths = rendered_paths(path, batch, noise)
    with half_precision(noise.device.type):
        loss, drawn = student_loss(model, path, paths, level, own=told, told=told)
    return _Answers(loss, drawn, drawn, torch.ones_like(batch.said) if told else batch.unaided)


def _beside_own(
    model: TextToLatents, path: NoisePath, batch: Batch, level: int, noise: torch.Generator, paths: Paths
) -> _Answers:
    """Answers to other captions beside the ones that are held to the student's own paths."""
    start = torch.randn(batch.clean.shape, generator=noise, device=noise.device)
    with half_precision(noise.device.type):
        loss, held = student_loss(model, path, paths, level, own=False)
        drawn = answered(model, path, batch, start, level, own=True)
    return _Answers(loss, held, drawn, batch.asked)
