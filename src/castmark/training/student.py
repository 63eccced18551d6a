"""Distils the teacher into the student that ships: guidance and 25 steps become at most 4 steps without it.

Trajectory regression: from noisy latents at each of the drawing timesteps, the guided teacher (Ho & Salimans
2022, arXiv 2207.12598) follows its deterministic path (DDIM, arXiv 2010.02502) to the end; the student
learns to be there in one step, by a pseudo-Huber loss (arXiv 2310.14189). Pairs are made once and reused.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from castmark.training import parallel
from castmark.training.common import Clock, TrainSettings, half_precision, load_checkpoint, seeded
from castmark.training.denoiser import NoisePath, TextToLatents, new_text_encoder, new_unet, ship
from castmark.training.latents import LatentPool, read_shards, write_shard
from castmark.training.loop import Loop
from castmark.training.muon import groups
from castmark.training.parallel import Rank
from castmark.training.tokenizer import load_tokenizer, token_ids

BATCH = 32
"""Pairs a step and process."""
GUIDANCE = 2.5
TEACHER_STEPS = (12, 9, 6, 4)
"""Steps of the teacher's path from each drawing timestep."""
SHARES = (0.4, 0.2, 0.2, 0.2)
"""Share of the pairs that start at each drawing timestep: one-step drawing is the hardest."""
PAIR_BATCH = 64
PAIR_SHARE = 0.45
"""Share of the time budget for making pairs."""
LEARNING_RATE = 8e-4
HUBER = 0.1


@dataclass(frozen=True)
class Pairs:
    """Noisy latents "n 16 16 16" at timesteps "n" of token ids "n 48", and where the teacher leads."""

    noisy: Tensor
    timesteps: Tensor
    ids: Tensor
    target: Tensor

    def take(self, where: Tensor) -> Pairs:
        """Those at the indices."""
        return Pairs(self.noisy[where], self.timesteps[where], self.ids[where], self.target[where])


@torch.no_grad()
def guided_path(
    model: TextToLatents,
    path: NoisePath,
    noisy: Tensor,
    start: int,
    ids: Tensor,
    empty: Tensor,
    *,
    steps: int,
    guidance: float = GUIDANCE,
) -> Tensor:
    """Latents at the end of the guided teacher's deterministic path from ``noisy`` at timestep ``start``.

    Args:
        noisy: latents "b 16 16 16".
        ids: token ids "b 48".
        empty: token ids of no caption "48".
        steps: model calls, each of twice the batch.
        guidance: 1 is none.
    """
    count = len(noisy)
    embeds = model.embed(torch.cat([ids, empty.expand(count, -1)]))
    times = np.linspace(start, 0, steps + 1).round().astype(int)
    clean = noisy
    for now, after in pairwise(times):
        timesteps = torch.full((2 * count,), int(now))
        said, unsaid = model(torch.cat([noisy, noisy]), timesteps, embeds).float().chunk(2)
        clean = unsaid + guidance * (said - unsaid)
        noise = (noisy - path.alpha[now] * clean) / path.sigma[now]
        noisy = path.alpha[after] * clean + path.sigma[after] * noise
    return clean


def student_loss(model: TextToLatents, pairs: Pairs) -> Tensor:
    """Pseudo-Huber distance to where the teacher leads."""
    predicted = model(pairs.noisy, pairs.timesteps, model.embed(pairs.ids)).float()
    square = (predicted - pairs.target).square()
    return ((square + HUBER**2).sqrt() - HUBER).mean()


def train(settings: TrainSettings) -> None:
    """Make pairs with ``work``/teacher.pt, train the student on them, write the pipeline to ``out``.

    Each of ``threads`` is a process of its own. Pairs already in ``work``/pairs are used and added to.

    Raises:
        FileNotFoundError: ``work`` holds no teacher.
    """
    taught = load_checkpoint(settings.work / "teacher.pt")
    if taught is None:
        raise FileNotFoundError(f"{settings.work}: no teacher.pt; run `castmark train teacher` first")
    clock = Clock(settings.minutes)
    parallel.run(_make_pairs, settings.threads, settings)
    left = settings.minutes - clock.spent / 60
    parallel.run(_train_student, settings.threads, settings, left)
    facts = {
        "distilled": True,
        "batch": BATCH * settings.threads,
        "guidance_distilled": GUIDANCE,
        "pairs": PAIR_BATCH * len(list((settings.work / "pairs").glob("*.npz"))),
        "teacher": {"steps": taught["step"], "minutes": round(taught["minutes"], 1)},
    }
    ship(settings, "student.pt", facts)


def _teacher(settings: TrainSettings) -> TextToLatents:
    state = load_checkpoint(settings.work / "teacher.pt")
    assert state is not None
    model = TextToLatents(new_text_encoder(load_tokenizer()), new_unet())
    model.load_state_dict(state["model"])
    return model.to(memory_format=torch.channels_last)


def _make_pairs(settings: TrainSettings, rank: Rank) -> None:
    torch.set_num_threads(1)
    folder = settings.work / "pairs"
    folder.mkdir(exist_ok=True)
    number = len(list(folder.glob(f"{rank.index}-*.npz")))
    seeds = [settings.seed, 5, rank.index, number]
    generator = seeded(np.random.default_rng(seeds))
    pool = LatentPool(settings.work / "latents", np.random.default_rng(seeds))
    model, path = _teacher(settings).eval(), NoisePath("cpu")
    empty = token_ids(load_tokenizer(), [""])[0]
    clock = Clock(settings.minutes * PAIR_SHARE)
    made = 0
    while clock.fraction < 1:
        level = int(torch.multinomial(torch.tensor(SHARES), 1, generator=generator))
        start = int(path.drawn_at[level])
        clean, _, ids = pool.batch(PAIR_BATCH)
        noise = torch.randn(clean.shape, generator=generator)
        noisy = path.alpha[start] * clean + path.sigma[start] * noise
        with half_precision("cpu"):
            target = guided_path(model, path, noisy, start, ids, empty, steps=TEACHER_STEPS[level])
        pairs = Pairs(noisy, torch.full((len(ids),), start), ids, target)
        write_shard(
            folder / f"{rank.index}-{number:05d}.npz",
            noisy=pairs.noisy.half().numpy(),
            timesteps=pairs.timesteps.short().numpy(),
            ids=pairs.ids.short().numpy(),
            target=pairs.target.half().numpy(),
        )
        number, made = number + 1, made + PAIR_BATCH
        if rank.leads and number % 20 == 0:
            print(f"pairs {made * rank.count} {made * rank.count / clock.spent:.1f}/s", flush=True)  # noqa: T201


def _train_student(settings: TrainSettings, minutes: float, rank: Rank) -> None:
    torch.set_num_threads(1)
    model = _teacher(settings)
    held = read_shards(settings.work / "pairs", ("noisy", "timesteps", "ids", "target"))
    pairs = Pairs(**{name: torch.from_numpy(values) for name, values in held.items()})
    loop = Loop(
        replace(settings, minutes=minutes), "student", model, groups(model), peak=LEARNING_RATE, rank=rank
    )
    seeds = [settings.seed, 6, rank.index, loop.step]
    generator = seeded(np.random.default_rng(seeds))
    while loop.going:
        batch = pairs.take(torch.randint(len(pairs.ids), (BATCH,), generator=generator))
        batch = Pairs(batch.noisy.float(), batch.timesteps.long(), batch.ids.long(), batch.target.float())
        with half_precision("cpu"):
            loss = student_loss(model, batch)
        loop.update(loss, BATCH)
    loop.finish()
