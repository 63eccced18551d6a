"""Paths of the guided teacher, from pure noise to a picture: what the student learns from.

The teacher's deterministic path (DDIM, arXiv 2010.02502) under classifier-free guidance (Ho & Salimans 2022,
arXiv 2207.12598), where it crosses each of the drawing timesteps, and its end. Paths are made once, into
shards of a folder, and reused. Half of them have references, and are guided by words and references at once;
what the prior tells is told on either side.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from castmark.training.common import Clock, TrainSettings, batch_size, half_precision, load_checkpoint, seeded
from castmark.training.denoiser import (
    NoisePath,
    TextToLatents,
    learning_model,
    prompt_tokenizer,
)
from castmark.training.latents import LATENTS, Batch, LatentPool, ShardPool, besides, write_shard
from castmark.training.parallel import Rank
from castmark.training.tokenizer import token_ids

GUIDANCE = 2.5
STEPS_BETWEEN = 2
"""Steps of the teacher's path from one drawing timestep to the next, and from the last one to the end."""
PATH_BATCH = 64
PATHS = "paths"
"""Folder of the teacher's paths in the work folder."""
FORM = 2
"""Counts up as what is kept of them changes."""
FIELDS = ("noisy", "ids", "target", "weight", "labels", "asked", "standing")


@dataclass(frozen=True)
class Paths:
    """Guided paths of the teacher: where they cross the drawing timesteps, and where they end."""

    noisy: Tensor
    """Latents Float "b crossings 16 16 16", from pure noise down."""
    ids: Tensor
    """Token ids, Long "b 48"."""
    seen: Tensor
    """References of the first r of them, Float "r refs 65 128"."""
    target: Tensor
    """Latents Float "b 16 16 16"."""
    weight: Tensor
    """Of each of its cells, Float "b 1 16 16"."""
    labels: Tensor
    """The truth of the scenes that captions and references are of, Float "b k"."""
    asked: Tensor
    """What of it these say or show, Bool "b k"."""
    standing: Tensor
    """Where everything stands, Float "b s"."""

    @property
    def told(self) -> Tensor:
        """What the prior told besides, Float "b p"."""
        return besides(self.labels, self.asked, self.standing)

    def to(self, device: str) -> Paths:
        """The same on a device."""
        return Paths(**{field.name: getattr(self, field.name).to(device) for field in fields(self)})


def rendered_paths(path: NoisePath, batch: Batch, generator: torch.Generator) -> Paths:
    """Paths from noise to a batch's own renders: where a prior tells everything, there is no other end."""
    noise = torch.randn(batch.clean.shape, generator=generator, device=batch.clean.device)
    crossed = [path.alpha[at] * batch.clean + path.sigma[at] * noise for at in path.drawn_at.tolist()]
    return between(torch.stack(crossed, 1), batch.clean, batch)


def between(crossed: Tensor, ends: Tensor, batch: Batch) -> Paths:
    """Paths from where they cross the drawing timesteps to their ends, for what a batch asks for."""
    known = (batch.labels, batch.asked, batch.standing)
    return Paths(crossed, batch.ids, batch.seen, ends, batch.weight, *known)


@torch.no_grad()
def guided_paths(
    model: TextToLatents,
    path: NoisePath,
    noise: Tensor,
    batch: Batch,
    empty: Tensor,
    *,
    steps: int = STEPS_BETWEEN,
    guidance: float = GUIDANCE,
) -> Paths:
    """The guided teacher's deterministic paths for a batch's captions and references.

    Args:
        noise: where they start, Float "b 16 16 16".
        empty: token ids of no caption "48".
        steps: model calls from one crossing to the next, each of twice the batch.
        guidance: away from the picture without words and references; 1 is none.
    """
    count = len(noise)
    embeds = model.embed(torch.cat([batch.ids, empty.expand(count, -1)]), batch.told.repeat(2, 1))
    images = model.look(batch.seen, 2 * count)  # the second half is unsaid and unseen
    stops = [*path.drawn_at.tolist(), 0]
    noisy, crossings, clean = noise, [noise], noise
    for start, end in pairwise(stops):
        for now, after in pairwise(np.linspace(start, end, steps + 1).round().astype(int).tolist()):
            timesteps = torch.full((2 * count,), now, device=noise.device)
            said, unsaid = model(torch.cat([noisy, noisy]), timesteps, embeds, images).float().chunk(2)
            clean = unsaid + guidance * (said - unsaid)
            noisy = path.onward(noisy, clean, now, after)
        crossings.append(noisy)
    return between(torch.stack(crossings[:-1], 1), clean, batch)


def load_teacher(settings: TrainSettings) -> TextToLatents:
    """The teacher that ``work`` holds."""
    state = load_checkpoint(settings.work / "teacher.pt")
    assert state is not None
    model = learning_model(settings)
    model.load_state_dict(state["model"])
    return model


def follow(settings: TrainSettings, minutes: float, rank: Rank) -> None:
    """Follow the teacher's paths for so many minutes, into ``work``/paths."""
    torch.set_num_threads(1)
    model, path = load_teacher(settings).eval(), NoisePath(settings.device)
    empty = token_ids(prompt_tokenizer(), [""])[0].to(settings.device)

    def guided(batch: Batch, generator: torch.Generator) -> Paths:
        noise = torch.randn(batch.clean.shape, generator=generator, device=settings.device)
        return guided_paths(model, path, noise, batch, empty)

    fill(settings, minutes, rank, settings.work / PATHS, guided)


def fill(
    settings: TrainSettings,
    minutes: float,
    rank: Rank,
    folder: Path,
    make: Callable[[Batch, torch.Generator], Paths],
) -> None:
    """Make paths for so many minutes, into a folder, beside those that are there.

    Those with references go into its folder ``shown``, the others into ``bare``.
    """
    for name in ("shown", "bare"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    number = len(list((folder / "bare").glob(f"{rank.index}-*.npz")))
    seeds = [settings.seed, 5, rank.index, number]
    device, size = settings.device, batch_size(settings, PATH_BATCH)
    generator = seeded(np.random.default_rng(seeds), device)
    pool = LatentPool(settings.work / LATENTS, np.random.default_rng(seeds), device)
    half = size // 2
    clock = Clock(minutes)
    made = 0
    while clock.fraction < 1:
        with half_precision(device):
            found = make(pool.batch(size, referenced=half), generator).to("cpu")
        whole = {
            "noisy": found.noisy.half().numpy(),
            "ids": found.ids.short().numpy(),
            "target": found.target.half().numpy(),
            "weight": found.weight.half().numpy(),
            "labels": found.labels.numpy(),
            "asked": found.asked.numpy(),
            "standing": found.standing.numpy(),
        }
        file = f"{rank.index}-{number:05d}.npz"
        shown = {name: values[:half] for name, values in whole.items()}
        write_shard(folder / "shown" / file, **shown, seen=found.seen.half().numpy())
        write_shard(folder / "bare" / file, **{name: values[half:] for name, values in whole.items()})
        number, made = number + 1, made + size
        if rank.leads and number % 20 == 0:
            print(f"paths {made * rank.count} {made * rank.count / clock.spent:.1f}/s", flush=True)  # noqa: T201


class PathPool:
    """The paths of a folder, in the memory of the device that learns."""

    def __init__(self, folder: Path, rng: np.random.Generator, device: str = "cpu") -> None:
        self._rng, self._device = rng, device
        self._shown = ShardPool(folder / "shown", (*FIELDS, "seen"), device)
        self._bare = ShardPool(folder / "bare", FIELDS, device)

    @property
    def asked(self) -> tuple[Tensor, Tensor]:
        """The truth of all scenes, Float "n k", and what of it was asked, Bool "n k"."""
        held = (self._shown.held, self._bare.held)
        return torch.cat([each["labels"] for each in held]), torch.cat([each["asked"] for each in held])

    def batch(self, size: int) -> Paths:
        """Random paths; the first half with references."""
        half = size // 2
        shown, bare = self._random(self._shown, half), self._random(self._bare, size - half)
        both = {
            name: torch.cat([self._shown.held[name][shown], self._bare.held[name][bare]]) for name in FIELDS
        }
        seen = self._shown.held["seen"][shown].float()
        floats = {name: both[name].float() for name in ("noisy", "target", "weight")}
        return Paths(**both | floats | {"ids": both["ids"].long(), "seen": seen})

    def _random(self, pool: ShardPool, count: int) -> Tensor:
        return torch.from_numpy(self._rng.integers(len(pool), size=count)).to(self._device)
