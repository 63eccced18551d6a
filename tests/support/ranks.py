"""Work for processes that are started anew: they can import this file, but no test file."""

from __future__ import annotations

from pathlib import Path

import torch

from castmark.training.parallel import Rank


def average_of_ranks(folder: Path, rank: Rank) -> None:
    """Writes what `Rank.average` makes of a gradient and a value that tell the rank."""
    parameter = torch.nn.Parameter(torch.zeros(3))
    parameter.grad = torch.full((3,), float(rank.index))
    value = rank.average([parameter], 10.0 * rank.index)
    torch.save((parameter.grad, value), folder / f"{rank.index}.pt")
