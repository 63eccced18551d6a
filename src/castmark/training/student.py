"""Distils the teacher into the student that ships: guidance and 12 steps become at most 4 steps without it.

Trajectory regression: from where a path of the guided teacher (`castmark.training.paths`) crosses each of the
drawing timesteps, the student learns to be at its end in one step, by a pseudo-Huber loss (arXiv 2310.14189).
So one path is as many examples as there are drawing timesteps. Half of them have references: the reference
adapter is distilled with the base.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from castmark.training import parallel
from castmark.training.common import TrainSettings, batch_size, half_precision, load_checkpoint, seeded
from castmark.training.denoiser import NoisePath, TextToLatents, ship
from castmark.training.drawings import Drawings
from castmark.training.loop import Loop
from castmark.training.muon import groups
from castmark.training.parallel import Rank
from castmark.training.paths import GUIDANCE, PATH_BATCH, PathPool, Paths, follow, load_teacher

BATCH = 32
"""Examples a step and process; half of them with references."""
SHARES = (0.4, 0.2, 0.2, 0.2)
"""Share of the examples at each drawing timestep: one-step drawing is the hardest."""
PATH_SHARE = 0.5
"""Share of the time budget for following paths."""
LEARNING_RATE = 8e-4
HUBER = 0.1


def student_loss(model: TextToLatents, path: NoisePath, paths: Paths, levels: Tensor) -> Tensor:
    """Pseudo-Huber distance from the answers at the crossings ``levels``, Long "b", to the paths' ends."""
    count = len(levels)
    noisy = paths.noisy[torch.arange(count, device=levels.device), levels]
    images = model.look(paths.seen, count)
    predicted = model(noisy, path.drawn_at[levels], model.embed(paths.ids), images).float()
    square = (predicted - paths.target).square()
    return ((square + HUBER**2).sqrt() - HUBER).mean()


def train(settings: TrainSettings) -> None:
    """Follow paths with ``work``/teacher.pt, train the student on them, write the pipeline to ``out`` and its
    reference adapter beside it.

    Each of ``threads`` is a process of its own; on a GPU there is one. Paths already in ``work``/paths are
    used and added to.

    Raises:
        FileNotFoundError: ``work`` holds no teacher.
    """
    taught = load_checkpoint(settings.work / "teacher.pt")
    if taught is None:
        raise FileNotFoundError(f"{settings.work}: no teacher.pt; run `castmark train teacher` first")
    processes = parallel.trainers(settings)
    parallel.run(follow, processes, settings, settings.minutes * PATH_SHARE)
    parallel.run(_train_student, processes, settings, settings.minutes * (1 - PATH_SHARE))
    facts = {
        "distilled": True,
        "batch": batch_size(settings, BATCH) * processes,
        "guidance_distilled": GUIDANCE,
        "paths": batch_size(settings, PATH_BATCH) * len(list((settings.work / "paths").glob("*.npz"))),
        "teacher": {"steps": taught["step"], "minutes": round(taught["minutes"], 1)},
    }
    ship(settings, "student.pt", facts)


def _train_student(settings: TrainSettings, minutes: float, rank: Rank) -> None:
    torch.set_num_threads(1)
    device, size = settings.device, batch_size(settings, BATCH)
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
    generator = seeded(np.random.default_rng(seeds))
    pool = PathPool(settings, np.random.default_rng(seeds))
    shares = torch.tensor(SHARES)
    while loop.going:
        paths = pool.batch(size).to(device)
        levels = torch.multinomial(shares, size, replacement=True, generator=generator).to(device)
        with half_precision(device):
            loss = student_loss(model, path, paths, levels)
        loop.update(loss, size)
    loop.finish()
