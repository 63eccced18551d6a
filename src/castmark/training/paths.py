"""Paths of the guided teacher, from pure noise to a picture: what the student learns from.

The teacher's deterministic path (DDIM, arXiv 2010.02502) under classifier-free guidance (Ho & Salimans 2022,
arXiv 2207.12598), where it crosses each of the drawing timesteps, and its end. Paths are made once, into
shards of a folder, and reused. Half of them have references, and are guided by words and references at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from castmark.training.common import Clock, TrainSettings, batch_size, half_precision, load_checkpoint, seeded
from castmark.training.denoiser import NoisePath, TextToLatents, new_model, reference_folder
from castmark.training.latents import Batch, LatentPool, write_shard
from castmark.training.parallel import Rank
from castmark.training.tokenizer import load_tokenizer, token_ids

GUIDANCE = 2.5
STEPS_BETWEEN = 2
"""Steps of the teacher's path from one drawing timestep to the next, and from the last one to the end."""
PATH_BATCH = 64
FIELDS = ("noisy", "ids", "seen", "target")


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

    def to(self, device: str) -> Paths:
        """The same on a device."""
        return Paths(*(part.to(device) for part in (self.noisy, self.ids, self.seen, self.target)))


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
    embeds = model.embed(torch.cat([batch.ids, empty.expand(count, -1)]))
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
    return Paths(torch.stack(crossings[:-1], 1), batch.ids, batch.seen, clean)


def load_teacher(settings: TrainSettings) -> TextToLatents:
    """The teacher that ``work`` holds."""
    state = load_checkpoint(settings.work / "teacher.pt")
    assert state is not None
    model = new_model(settings.out, reference_folder(settings.out))
    model.load_state_dict(state["model"])
    return model.to(settings.device).to(memory_format=torch.channels_last)


def follow(settings: TrainSettings, minutes: float, rank: Rank) -> None:
    """Follow paths for so many minutes, into ``work``/paths, beside those that are there."""
    torch.set_num_threads(1)
    folder = settings.work / "paths"
    folder.mkdir(exist_ok=True)
    number = len(list(folder.glob(f"{rank.index}-*.npz")))
    seeds = [settings.seed, 5, rank.index, number]
    generator = seeded(np.random.default_rng(seeds))
    pool = LatentPool(settings.work / "latents", np.random.default_rng(seeds))
    device, size = settings.device, batch_size(settings, PATH_BATCH)
    model, path = load_teacher(settings).eval(), NoisePath(device)
    empty = token_ids(load_tokenizer(), [""])[0].to(device)
    clock = Clock(minutes)
    made = 0
    while clock.fraction < 1:
        batch = pool.batch(size, referenced=size // 2)
        noise = torch.randn(batch.clean.shape, generator=generator).to(device)
        with half_precision(device):
            found = guided_paths(model, path, noise, batch.to(device), empty).to("cpu")
        write_shard(
            folder / f"{rank.index}-{number:05d}.npz",
            noisy=found.noisy.half().numpy(),
            ids=found.ids.short().numpy(),
            seen=found.seen.half().numpy(),
            target=found.target.half().numpy(),
        )
        number, made = number + 1, made + size
        if rank.leads and number % 20 == 0:
            print(f"paths {made * rank.count} {made * rank.count / clock.spent:.1f}/s", flush=True)  # noqa: T201


class PathPool:
    """The paths of a folder, in memory, shard by shard."""

    def __init__(self, settings: TrainSettings, rng: np.random.Generator) -> None:
        self._rng = rng
        self._shards: list[dict[str, NDArray[Any]]] = []
        for file in sorted((settings.work / "paths").glob("*.npz")):
            with np.load(file) as shard:
                self._shards.append({name: shard[name] for name in FIELDS})

    def batch(self, size: int) -> Paths:
        """Random paths of one random shard; the first half with references."""
        shard = self._shards[int(self._rng.integers(len(self._shards)))]
        given, half = len(shard["seen"]), size // 2
        shown = self._rng.permutation(given)[:half]
        bare = given + self._rng.permutation(len(shard["ids"]) - given)[: size - half]
        where = np.concatenate([shown, bare])
        return Paths(
            torch.from_numpy(shard["noisy"][where]).float(),
            torch.from_numpy(shard["ids"][where]).long(),
            torch.from_numpy(shard["seen"][shown]).float(),
            torch.from_numpy(shard["target"][where]).float(),
        )
