"""How a denoiser runs: on which device, and for a while not compiled.

Parts of a base may wait in main memory, or on no device at all ("meta"), and be brought to a GPU when they
are called (accelerate's hooks). What is put beside their weights has to be where they run, not where they
wait.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import nn


def running_device(module: nn.Module) -> torch.device:
    """Where a module's forward runs: its hooks' device, or that of its first weight."""
    for part in module.modules():
        device: Any = getattr(getattr(part, "_hf_hook", None), "execution_device", None)
        if device is not None:
            return torch.device(device)
    return next(module.parameters()).device


@contextmanager
def uncompiled() -> Generator[None]:
    """What torch.compile has compiled runs as it was written: for work whose modules change at every call, of
    which each would be compiled. Process-wide, as torch's own switch is.
    """
    with cast("Any", torch.compiler.set_stance)("force_eager"):
        yield
