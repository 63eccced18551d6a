"""Trains the truth reader (`castmark.bench.truth`): every attribute and trait of a scene, from its pixels.

Cross-entropy for what has values and Huber's loss for numbers, each averaged over the pictures to which it
applies. Pictures are degraded, because what it will read is drawn by a small diffusion model. Its seeds are
no other model's, so that it shares no training scene with what it measures.

    train(TrainSettings(minutes=60, work=Path(".training/reader"), out=Path("reader")))
"""

from __future__ import annotations

import json
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from castmark.bases.attribute_network import SIDE, Network
from castmark.bench.truth import Column, TruthReader, columns, marks, seen
from castmark.bench.truth.marks import Marks, mean, only
from castmark.bench.truth.reader import CONFIG, WEIGHTS, layout
from castmark.training.attributes import BATCH, GAIN, SHIFT, Batch, learned
from castmark.training.common import TrainSettings, hardware, write_card
from castmark.training.degrade import degrade
from castmark.training.labels import labels_of, losses
from castmark.training.loop import Loop
from castmark_world import DEFAULT, SCOPES, Scene, Scope, render, sample_scene

SEED = 4_211
"""Its own: no other model's scenes start from it."""
HELD_OUT_SEED = 4_212
HELD_OUT = 1000
NUMBERS_WEIGHT = 4.0


def batch_of(scenes: list[Scene], read: tuple[Column, ...], rng: np.random.Generator) -> Batch:
    """Rendered and degraded, with their labels."""
    images = torch.from_numpy(np.stack([render(scene, SIDE) for scene in scenes])).float().div_(255)
    pixels = degrade(images.permute(0, 3, 1, 2), rng, gain=GAIN, shift=SHIFT).mul_(255).round_().byte()
    return Batch(pixels, torch.from_numpy(np.stack([labels_of(scene, read) for scene in scenes])))


def loss_of(outputs: Tensor, labels: Tensor, read: tuple[Column, ...]) -> Tensor:
    """Mean cross-entropy over columns of values, plus weighted Huber's loss over numbers."""
    found, known = losses(outputs, labels, read)
    by_column = (found * known).sum(0) / known.sum(0).clamp(min=1)
    valued, there = torch.tensor([bool(column.values) for column in read]).to(known.device), known.any(0)
    total = by_column[valued & there].mean()
    numbers = by_column[~valued & there]
    return total + NUMBERS_WEIGHT * numbers.mean() if len(numbers) else total


def _batch(seed: int, scope: str, number: int) -> Batch:
    rng = np.random.default_rng((SEED, seed, number))
    world = SCOPES[scope]
    return batch_of([sample_scene(rng, scope=world.alone) for _ in range(BATCH)], columns(world), rng)


def train(settings: TrainSettings, scope: Scope = DEFAULT) -> None:
    """Train, or go on training, within the time budget; then write the reader and its ceiling to ``out``."""
    learn(settings, scope)
    document(settings.out)


def learn(settings: TrainSettings, scope: Scope = DEFAULT) -> None:
    """Train within the time budget, and write the reader; a run that goes on has half the learning rate."""
    torch.set_num_threads(settings.threads)
    torch.manual_seed(SEED + settings.seed)
    read = columns(scope)
    network = Network([column.outputs for column in read])
    fresh = not (settings.work / "reader.pt").is_file()
    make, loss = partial(_batch, settings.seed, scope.name), partial(loss_of, read=read)
    loop = learned(settings, "reader", network, make, loss, fresh=fresh)
    ship(network, settings, loop, scope)


def ship(network: Network, settings: TrainSettings, loop: Loop, scope: Scope) -> None:
    """Write configuration, float16 weights, and the card with what is read of held-out renders."""
    out = settings.out
    out.mkdir(parents=True, exist_ok=True)
    config = {"scope": scope.name, "columns": layout(scope)}
    (out / CONFIG).write_text(json.dumps(config, indent=2) + "\n")
    weights = {
        name: (value.half() if value.is_floating_point() else value).contiguous().cpu()
        for name, value in network.state_dict().items()
    }
    save_file(weights, out / WEIGHTS)
    (out / WEIGHTS).chmod(0o644)  # safetensors writes it for its owner alone
    card = {
        "model": "Castmark truth reader, for benchmarks only",
        "parameters": sum(p.numel() for p in network.parameters()),
        "data": "castmark_world, split train, rendered in the loop at 256 px and degraded; seeds of its own",
        "scope": scope.name,
        "seed": [SEED, settings.seed],
        "steps": loop.step,
        "batch": BATCH,
        "minutes": round(loop.minutes, 1),
        "hardware": hardware(settings.device, settings.threads),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "licence": "Apache-2.0",
    }
    write_card(out, card)


def document(folder: Path) -> None:
    """Measure the reader in ``folder`` on held-out renders, and finish its card."""
    card = json.loads((folder / "card.json").read_text())
    write_card(folder, card | {"ceiling": ceiling(TruthReader.open(folder))})


def ceiling(reader: TruthReader, count: int | None = None) -> dict[str, Any]:
    """What is read rightly of held-out renders, by column, where the render shows it.

    ``unseen`` are accuracies where no reader could be sure: columns that a scene has but does not show.
    """
    rng, count = np.random.default_rng(HELD_OUT_SEED), count or HELD_OUT
    scenes = [sample_scene(rng, split="test", scope=reader.scope.alone) for _ in range(count)]
    rows: list[Marks] = []
    hidden: list[Marks] = []
    names = {column.name for column in reader.columns}
    for start in range(0, count, BATCH):
        part = scenes[start : start + BATCH]
        for scene, reading in zip(part, reader.read([render(s, SIDE) for s in part]), strict=True):
            shown = seen(scene, reader.scope)
            rows.append(marks(scene, reading, shown, reader.scope))
            hidden.append(marks(scene, reading, frozenset(names - shown), reader.scope))
    named = only(rows, lambda column: column.named, reader.scope)
    traits = only(rows, lambda column: not column.named, reader.scope)
    return {
        "n": count,
        "split": "test",
        "named, mean": round(mean(named), 4),
        "named, joint": round(sum(all(row.values()) for row in named) / count, 4),
        "traits, mean": round(mean(traits), 4),
        "shown": _by_column(rows),
        "unseen": _by_column(hidden),
    }


def _by_column(rows: list[Marks]) -> dict[str, str]:
    names = sorted({name for row in rows for name in row})
    found = {name: [row[name] for row in rows if name in row] for name in names}
    return {name: f"{sum(right) / len(right):.3f} of {len(right)}" for name, right in found.items()}
