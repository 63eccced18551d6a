"""Data-parallel training on one machine: one process a core, gradients averaged after every step.

A GPU has one process to itself.

On a CPU, two processes of one thread each train faster than one of two threads, and do not stall where
another program takes one of the cores for a moment: they wait for each other once a step, not at every layer.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing
from torch import nn

from castmark.training.common import TrainSettings


@dataclass(frozen=True)
class Rank:
    """Which of how many processes this is."""

    index: int = 0
    count: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process prints and writes."""
        return self.index == 0

    def average(self, parameters: Iterable[nn.Parameter], value: float) -> float:
        """Average the gradients of all processes, in place; and ``value``, which is returned.

        The value is how the processes agree: on the share of the budget that is spent, say.
        """
        if self.count == 1:
            return value
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([*(g.flatten() for g in gradients), gradients[0].new_tensor([value])])
        dist.all_reduce(flat)
        flat /= self.count
        start = 0
        for gradient in gradients:
            gradient.copy_(flat[start : start + gradient.numel()].view_as(gradient))
            start += gradient.numel()
        return float(flat[-1])


def trainers(settings: TrainSettings) -> int:
    """Processes that train one model: one a core, or one a GPU, of which ``device`` names one."""
    return 1 if settings.device.startswith("cuda") else settings.threads


def run(work: Callable[..., Any], processes: int, *arguments: Any) -> None:
    """Call ``work(*arguments, rank)`` in that many processes, and wait for all of them.

    Raises:
        torch.multiprocessing.ProcessRaisedException: one of them failed; the others are stopped.
    """
    if processes == 1:
        work(*arguments, Rank())
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    multiprocessing.spawn(_join, (processes, port, work, arguments), nprocs=processes)


def _join(index: int, count: int, port: int, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    dist.init_process_group("gloo", rank=index, world_size=count)
    try:
        work(*arguments, Rank(index, count))
    finally:
        dist.destroy_process_group()
