"""What every training run shares: settings, checkpoints, cards.

A run is resumable: it checkpoints every few minutes, and started again with the same work folder it goes on
from there, with its own time budget.
"""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import nn

from castmark.machine.facts import cpu_fact, cpu_name
from castmark_adapters.subject import sha256

T = TypeVar("T")
CHECKPOINT_SECONDS = 120.0


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """One run. ``minutes`` is this run's time budget; ``work`` holds checkpoints; ``out`` what ships.

    ``threads`` are the cores that train on a CPU; on a GPU ``workers`` processes render what it learns from.
    """

    minutes: float
    work: Path
    out: Path
    threads: int = 1
    seed: int = 0
    device: str = "cpu"
    workers: int = 0

    @property
    def on_gpu(self) -> bool:
        """Whether a GPU trains."""
        return self.device.startswith("cuda")


class Clock:
    """Time budget of a run."""

    def __init__(self, minutes: float) -> None:
        self.start = time.monotonic()
        self.budget = max(0.0, minutes) * 60
        self.last_checkpoint = self.start

    @property
    def spent(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.start

    @property
    def fraction(self) -> float:
        """Share of the budget that is spent, at most 1."""
        return min(1.0, self.spent / self.budget) if self.budget else 1.0

    def checkpoint_due(self) -> bool:
        """True every `CHECKPOINT_SECONDS`."""
        now = time.monotonic()
        if now - self.last_checkpoint < CHECKPOINT_SECONDS:
            return False
        self.last_checkpoint = now
        return True


def seeded(rng: np.random.Generator, device: str = "cpu") -> torch.Generator:
    """A generator of torch's, for a device, that follows from one of numpy's."""
    return torch.Generator(device).manual_seed(int(rng.integers(2**62)))


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".part")
    torch.save(state, temporary)
    temporary.replace(path)


def load_checkpoint(path: Path) -> dict[str, Any] | None:
    """The last checkpoint, or None."""
    return torch.load(path, map_location="cpu", weights_only=True) if path.exists() else None


def made_of(work: Path, *made: str, origin: str) -> None:
    """Put aside what ``work`` holds that was made of something else than ``origin`` (a digest): a checkpoint
    would otherwise put an earlier model in the place of what it is to go on from.

    A file gets another name (``NAME.earlier``), a folder, which can be made anew, is deleted. Of what origin
    they are stands in a file beside the first of them; where there is none, they are taken to be right.
    """
    mark = work / f"{Path(made[0]).stem}.origin"
    known = mark.read_text() if mark.is_file() else origin
    for path in (work / name for name in made) if known != origin else ():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.exists():
            path.replace(path.with_name(f"{path.name}.earlier"))
    work.mkdir(parents=True, exist_ok=True)
    mark.write_text(origin)


def digest_of(model: nn.Module) -> str:
    """sha256 over a model's weights."""
    return sha256(b"".join(t.detach().cpu().float().numpy().tobytes() for t in model.state_dict().values()))


def batch_size(settings: TrainSettings, on_cpu: int, times: int = 8) -> int:
    """Samples a step and process: a GPU is idle at what a core can do, and takes ``times`` as many."""
    return on_cpu * times if settings.on_gpu else on_cpu


def half_precision(device: str) -> torch.autocast:
    """Autocast to bfloat16 where the machine is quick at it; else nothing."""
    return torch.autocast(torch.device(device).type, torch.bfloat16, enabled=halves_quickly(device))


@cache
def halves_quickly(device: str) -> bool:
    """Whether the machine multiplies bfloat16 in hardware (GPU, AMX, AVX512-BF16).

    On a CPU without either, bfloat16 is ten times slower than float32.
    """
    return device.startswith("cuda") or bool({"amx_bf16", "avx512_bf16"} & set(cpu_fact("flags").split()))


def hardware(device: str, threads: int) -> str:
    """The machine in words, for a card."""
    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    return f"{cpu_name()}, {threads} thread{'s' if threads > 1 else ''}"


def forget_path(config: Path) -> None:
    """Take out of a ``config.json`` the folder that diffusers notes it was read from: of no use to others."""
    found = json.loads(config.read_text())
    found.pop("_name_or_path", None)
    config.write_text(json.dumps(found, indent=2) + "\n")


def write_card(folder: Path, card: dict[str, Any]) -> None:
    """Write ``card.json``: what the model is, its data, seed, steps, hardware and figures."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "card.json").write_text(json.dumps(card, indent=2, sort_keys=True) + "\n")
