"""How networks that read attributes (`castmark.bases.attribute_network`) learn: from batches that are made
while they do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from castmark.bases.attribute_network import Columns
from castmark.training.common import TrainSettings, half_precision
from castmark.training.loop import Loop
from castmark.training.muon import groups
from castmark.training.supply import Replay, Supply

BATCH = 64
REPLAYED, TIMES_ON_GPU = 300, 3
"""Batches that a GPU learns from again while others are rendered, and how often from each."""
PEAK_RATE = 2e-3
GAIN, SHIFT = 0.04, 0.02
"""How far off colours are: little, for the hue of a thing is among what is read."""


@dataclass(frozen=True)
class Batch:
    """Pictures UInt8 "b 3 256 256", and the truth by column, Float "b k" (see `castmark.training.labels`)."""

    pixels: Tensor
    labels: Tensor


def learning_of(network: Columns) -> list[dict[str, Any]]:
    """What of a network of columns learns, for the loop."""
    layers = torch.nn.ModuleList(network.children())
    beside = list(network.parameters(recurse=False))  # queries and outputs, of which each row learns alone
    return [*groups(layers), {"params": beside, "orthogonal": False, "scale": 1.0}]


def learned(
    settings: TrainSettings,
    name: str,
    network: Columns,
    make: Callable[[int], Batch],
    loss_of: Callable[[Tensor, Tensor], Tensor],
    *,
    fresh: bool,
) -> Loop:
    """Train a network within the time budget, or go on from ``work``/NAME.pt; its loop, which is over.

    Args:
        make: makes the batch of a number; with workers it is pickled.
        loss_of: outputs and labels.
        fresh: whether it has learned nothing yet; one that goes on has half the learning rate.
    """
    peak = PEAK_RATE if fresh else PEAK_RATE / 2
    network.to(settings.device).to(memory_format=torch.channels_last).train()
    loop = Loop(settings, name, network, learning_of(network), peak=peak)
    with Supply(make, first=loop.step, workers=settings.workers) as supply:
        batches = Replay(supply, keep=REPLAYED, times=TIMES_ON_GPU if settings.on_gpu else 1)
        while loop.going:
            batch = next(batches)
            with half_precision(settings.device):
                outputs = network(batch.pixels.to(settings.device).float().div_(255))
            loop.update(loss_of(outputs, batch.labels.to(settings.device)), len(batch.labels))
    loop.finish()
    network.cpu()
    return loop
