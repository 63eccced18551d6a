"""Distils the teacher into the student that ships: guidance and 12 steps become at most 4 steps without it.

Trajectory regression: from where a path of the guided teacher (`castmark.training.paths`) crosses one of the
drawing timesteps, the student learns to be at its end in one step, by a pseudo-Huber loss (arXiv 2310.14189).
In every other step it starts where its own steps from the path's noise have led, as it will when it draws: it
learns to make good what it did before (DAgger, arXiv 1011.0686). Half of the paths have references: the
reference adapter is distilled with the base.

Where a prior tells what words leave open, paths end at renders, and no teacher has to be followed: but for a
few steps without the prior, it then always starts where its own steps have led.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from castmark.training import parallel
from castmark.training.common import (
    TrainSettings,
    batch_size,
    half_precision,
    load_checkpoint,
    made_of,
    seeded,
)
from castmark.training.denoiser import Images, NoisePath, TextToLatents, ship
from castmark.training.drawings import Drawings
from castmark.training.latents import LATENTS, Batch, LatentPool
from castmark.training.loop import Loop
from castmark.training.muon import groups
from castmark.training.parallel import Rank
from castmark.training.paths import (
    FORM,
    GUIDANCE,
    PATH_BATCH,
    PATHS,
    PathPool,
    Paths,
    follow,
    load_teacher,
    rendered_paths,
)
from castmark.training.teacher import TIMES_ON_GPU, compiles, some_shards, warm_up
from castmark_adapters.subject import sha256
from castmark_world import DEFAULT

BATCH = 48
"""Examples a step and process; half of them with references."""
SHARES = (0.4, 0.2, 0.2, 0.2)
"""Share of the steps at each drawing timestep: one-step drawing is the hardest."""
OWN_SHARE, OWN_SHARE_OF_TOLD = 0.5, 0.9
"""Share of the steps that start where the student's own have led; of a base with a prior, which is silent in
the others."""
PATH_SHARE = 0.35
"""Share of the time budget for following paths."""
LEARNING_RATE = 8e-4
HUBER = 0.1


def student_loss(
    model: TextToLatents, path: NoisePath, paths: Paths, level: int, *, own: bool, told: bool = True
) -> tuple[Tensor, Tensor]:
    """Weighted pseudo-Huber distance from the answers at one drawing timestep to the paths' ends; and the
    answers.

    Args:
        level: which of the drawing timesteps, 0 is pure noise.
        own: from where the student's own steps have led, instead of the paths' crossings.
        told: whether the prior tells what is not asked.
    """
    start = paths.noisy[:, 0 if own else level].contiguous()  # what is compiled is for one layout
    predicted = answered(model, path, paths, start, level, own=own, told=told)
    square = (predicted - paths.target).square()
    distance = (square + HUBER**2).sqrt() - HUBER
    return (paths.weight * distance).mean() / paths.weight.mean(), predicted


def answered(
    model: TextToLatents,
    path: NoisePath,
    asked: Paths | Batch,
    start: Tensor,
    level: int,
    *,
    own: bool,
    told: bool = True,
) -> Tensor:
    """The model's answers to captions and references at one drawing timestep: latents "b 16 16 16".

    Args:
        start: latents there; with ``own`` the noise from which the model's own steps lead there.
        told: whether the prior tells what is not asked.
    """
    count = len(start)
    embeds = model.embed(asked.ids, asked.told if told else None)
    images = model.look(asked.seen, count)
    noisy = arrived(model, path, start, embeds, images, level) if own else start
    return model(noisy, path.drawn_at[level].repeat(count), embeds, images).float()


class Levels:
    """Where the steps of a run start: the same for all processes, for a step takes as long as the slowest."""

    def __init__(self, settings: TrainSettings, step: int, own_share: float = OWN_SHARE) -> None:
        self._generator = seeded(np.random.default_rng([settings.seed, 6, step]))
        self._shares, self._own_share = torch.tensor(SHARES), own_share

    def next(self) -> tuple[int, bool]:
        """Which of the drawing timesteps, and whether from where the student's own steps have led."""
        level = int(torch.multinomial(self._shares, 1, generator=self._generator))
        return level, float(torch.rand((), generator=self._generator)) < self._own_share


@torch.no_grad()
def arrived(
    model: TextToLatents, path: NoisePath, noise: Tensor, embeds: Tensor, images: Images, level: int
) -> Tensor:
    """Where the model's own deterministic steps lead from noise: latents "b 16 16 16" at ``level``."""
    noisy, times = noise, path.drawn_at.tolist()
    for now, after in pairwise(times[: level + 1]):
        timesteps = torch.full((len(noise),), now, device=noise.device)
        clean = model(noisy, timesteps, embeds, images).float()
        noisy = path.onward(noisy, clean, now, after)
    return noisy


def train(settings: TrainSettings) -> None:
    """Follow paths with ``work``/teacher.pt, train the student on them, write the pipeline to ``out`` and its
    reference adapter beside it.

    Each of ``threads`` is a process of its own; on a GPU there is one. Paths already in ``work``/paths are
    used and added to; what was made of another teacher, or of this one before it learned on, is put
    aside. Where a prior tells everything, it learns from the shards in ``work``/latents instead, which it
    makes if there are none.

    Raises:
        FileNotFoundError: ``work`` holds no teacher.
    """
    teacher = settings.work / "teacher.pt"
    taught = load_checkpoint(teacher)
    if taught is None:
        raise FileNotFoundError(f"{settings.work}: no teacher.pt; run `castmark train teacher` first")
    origin = sha256(teacher.read_bytes())
    made_of(settings.work, "student.pt", origin=origin)
    made_of(settings.work, PATHS, origin=f"{origin} {FORM}")
    processes = parallel.trainers(settings)
    facts: dict[str, Any] = {
        "distilled": True,
        "batch": batch_size(settings, BATCH, TIMES_ON_GPU) * processes,
        "teacher": {"steps": taught["step"], "minutes": round(taught["minutes"], 1)},
    }
    if DEFAULT.decided:
        some_shards(settings)
        parallel.run(_train_student, processes, settings, settings.minutes)
    else:
        parallel.run(follow, processes, settings, settings.minutes * PATH_SHARE)
        parallel.run(_train_student, processes, settings, settings.minutes * (1 - PATH_SHARE))
        followed = len(list((settings.work / PATHS / "bare").glob("*.npz")))
        facts |= {"guidance_distilled": GUIDANCE, "paths": batch_size(settings, PATH_BATCH) * followed}
    ship(settings, "student.pt", facts)


def _train_student(settings: TrainSettings, minutes: float, rank: Rank) -> None:
    torch.set_num_threads(1)
    device, size = settings.device, batch_size(settings, BATCH, TIMES_ON_GPU)
    model, path = load_teacher(settings), NoisePath(device)
    if compiles(settings, minutes):
        model.unet.compile(dynamic=False)
        warm_up(model, path, size, device)
    loop = Loop(
        replace(settings, minutes=minutes),
        "student",
        model,
        groups(model),
        peak=LEARNING_RATE,
        rank=rank,
        samples=Drawings(settings, model).of_student if rank.leads else None,
    )
    next_paths = _paths(settings, path, size, [settings.seed, 6, rank.index, loop.step])
    told = model.telling is not None
    levels = Levels(settings, loop.step, OWN_SHARE_OF_TOLD if told else OWN_SHARE)
    while loop.going:
        paths = next_paths()
        level, own = levels.next()
        with half_precision(device):
            loss, _ = student_loss(model, path, paths, level, own=own, told=own)
        loop.update(loss, size)
    loop.finish()


def _paths(settings: TrainSettings, path: NoisePath, size: int, seeds: list[int]) -> Callable[[], Paths]:
    """Where the next paths come from: renders, where the scope's base has a prior, or else the teacher."""
    rng, device = np.random.default_rng(seeds), settings.device
    if not DEFAULT.decided:
        return partial(PathPool(settings.work / PATHS, rng, device).batch, size)
    pool, generator = LatentPool(settings.work / LATENTS, rng, device), seeded(rng, device)
    return lambda: rendered_paths(path, pool.batch(size, referenced=size // 2), generator)
