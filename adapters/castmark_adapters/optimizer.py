"""The optimiser of a LoRA: AdamW (arXiv 1711.05101), or the same with an 8-bit state (arXiv 2110.02861)."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Literal, TypeAlias

import torch
from torch import nn

from castmark_adapters.errors import HostError

Optimizer: TypeAlias = Literal["adamw", "adamw8bit"]
WEIGHT_DECAY = 0.01


def make_optimizer(kind: Optimizer, parameters: Sequence[nn.Parameter], rate: float) -> torch.optim.Optimizer:
    """An optimiser of these parameters.

    Raises:
        HostError: 8 bits are asked for where bitsandbytes is not installed, or off a GPU.
    """
    if kind == "adamw":
        return torch.optim.AdamW(parameters, rate, weight_decay=WEIGHT_DECAY)
    device = parameters[0].device.type
    if find_spec("bitsandbytes") is None or device != "cuda":
        raise HostError(
            f"the 8-bit optimiser needs bitsandbytes and a CUDA GPU (here: {device}); "
            "pip install bitsandbytes, or learn with optimizer='adamw'"
        )
    from bitsandbytes.optim import AdamW8bit  # pyright: ignore[reportMissingImports]

    return AdamW8bit(parameters, rate, weight_decay=WEIGHT_DECAY)
