"""Distils the teacher into the student that ships: guidance and 12 steps become at most 4 steps without it.

Trajectory regression: from where a path of the guided teacher (`castmark.training.paths`) crosses one of the
drawing timesteps, the student learns to be at its end in one step, by a pseudo-Huber loss (arXiv 2310.14189).
In every other step it starts where its own steps from the path's noise have led, as it will when it draws: it
learns to make good what it did before (DAgger, arXiv 1011.0686). Half of the paths have references: the
reference adapter is distilled with the base.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

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
from castmark.training.latents import Batch
from castmark.training.loop import Loop
from castmark.training.muon import groups
from castmark.training.parallel import Rank
from castmark.training.paths import GUIDANCE, PATH_BATCH, PATHS, PathPool, Paths, follow, load_teacher
from castmark.training.teacher import TIMES_ON_GPU
from castmark_adapters.subject import sha256

BATCH = 48
"""Examples a step and process; half of them with references."""
SHARES = (0.4, 0.2, 0.2, 0.2)
"""Share of the steps at each drawing timestep: one-step drawing is the hardest."""
OWN_SHARE = 0.5
"""Share of the steps that start where the student's own have led."""
PATH_SHARE = 0.35
"""Share of the time budget for following paths."""
LEARNING_RATE = 8e-4
HUBER = 0.1


def student_loss(
    model: TextToLatents, path: NoisePath, paths: Paths, level: int, *, own: bool
) -> tuple[Tensor, Tensor]:
    """Pseudo-Huber distance from the answers at one drawing timestep to the paths' ends; and the answers.

    Args:
        level: which of the drawing timesteps, 0 is pure noise.
        own: from where the student's own steps have led, instead of the paths' crossings.
    """
    start = paths.noisy[:, 0 if own else level]
    predicted = answered(model, path, paths, start, level, own=own)
    square = (predicted - paths.target).square()
    return ((square + HUBER**2).sqrt() - HUBER).mean(), predicted


def answered(
    model: TextToLatents, path: NoisePath, asked: Paths | Batch, start: Tensor, level: int, *, own: bool
) -> Tensor:
    """The model's answers to captions and references at one drawing timestep: latents "b 16 16 16".

    Args:
        start: latents there; with ``own`` the noise from which the model's own steps lead there.
    """
    count = len(start)
    embeds, images = model.embed(asked.ids, asked.told), model.look(asked.seen, count)
    noisy = arrived(model, path, start, embeds, images, level) if own else start
    return model(noisy, path.drawn_at[level].expand(count), embeds, images).float()


class Levels:
    """Where the steps of a run start: the same for all processes, for a step takes as long as the slowest."""

    def __init__(self, settings: TrainSettings, step: int) -> None:
        self._generator = seeded(np.random.default_rng([settings.seed, 6, step]))
        self._shares = torch.tensor(SHARES)

    def next(self) -> tuple[int, bool]:
        """Which of the drawing timesteps, and whether from where the student's own steps have led."""
        level = int(torch.multinomial(self._shares, 1, generator=self._generator))
        return level, float(torch.rand((), generator=self._generator)) < OWN_SHARE


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
    aside.

    Raises:
        FileNotFoundError: ``work`` holds no teacher.
    """
    teacher = settings.work / "teacher.pt"
    taught = load_checkpoint(teacher)
    if taught is None:
        raise FileNotFoundError(f"{settings.work}: no teacher.pt; run `castmark train teacher` first")
    made_of(settings.work, "student.pt", PATHS, origin=sha256(teacher.read_bytes()))
    processes = parallel.trainers(settings)
    parallel.run(follow, processes, settings, settings.minutes * PATH_SHARE)
    parallel.run(_train_student, processes, settings, settings.minutes * (1 - PATH_SHARE))
    facts = {
        "distilled": True,
        "batch": batch_size(settings, BATCH, TIMES_ON_GPU) * processes,
        "guidance_distilled": GUIDANCE,
        "paths": batch_size(settings, PATH_BATCH) * len(list((settings.work / PATHS / "bare").glob("*.npz"))),
        "teacher": {"steps": taught["step"], "minutes": round(taught["minutes"], 1)},
    }
    ship(settings, "student.pt", facts)


def _train_student(settings: TrainSettings, minutes: float, rank: Rank) -> None:
    torch.set_num_threads(1)
    device, size = settings.device, batch_size(settings, BATCH, TIMES_ON_GPU)
    model, path = load_teacher(settings), NoisePath(device)
    loop = Loop(
        replace(settings, minutes=minutes),
        "student",
        model,
        groups(model),
        peak=LEARNING_RATE,
        rank=rank,
        samples=Drawings(settings, model).of_student if rank.leads else None,
    )
    seeds = [settings.seed, 6, rank.index, loop.step]
    pool = PathPool(settings.work / PATHS, np.random.default_rng(seeds), device)
    levels = Levels(settings, loop.step)
    while loop.going:
        paths = pool.batch(size)
        level, own = levels.next()
        with half_precision(device):
            loss, _ = student_loss(model, path, paths, level, own=own)
        loop.update(loss, size)
    loop.finish()
