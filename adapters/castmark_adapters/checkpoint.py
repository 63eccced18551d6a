"""Checkpoints of a LoRA being learned: safetensors, written whole or not at all, keyed by what they are good
for.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from castmark_adapters.errors import PackError
from castmark_adapters.lora import LoraWeights
from castmark_adapters.weights import read_safetensors, write_safetensors


@dataclass(frozen=True)
class Saved:
    """A run as it was after ``step`` steps; ``optimizer`` is the state of every parameter, in order.

    bitsandbytes counts its steps in a plain integer, and must get one back.
    """

    weights: LoraWeights
    optimizer: dict[int, dict[str, Tensor | int]]
    step: int


class Checkpoint:
    """The checkpoint of one run in a work folder; without a folder, none is kept.

    Args:
        folder: the work folder, or None.
        digest: of all that decides the run; a checkpoint of another is not seen.
    """

    def __init__(self, folder: str | Path | None, digest: str) -> None:
        self._path = Path(folder) / f"learn-{digest[:16]}.safetensors" if folder is not None else None

    def read(self) -> Saved | None:
        """The last state, or None; a damaged one counts as none, because learning anew only costs time."""
        if self._path is None or not self._path.is_file():
            return None
        try:
            tensors, _ = read_safetensors(self._path.read_bytes(), str(self._path))
        except PackError:
            return None
        layers: dict[str, tuple[Tensor, Tensor]] = {}
        optimizer: dict[int, dict[str, Tensor | int]] = {}
        for key, tensor in tensors.items():
            group, _, rest = key.partition("/")
            if group == "down":
                layers[rest] = (tensor, tensors[f"up/{rest}"])
            elif group == "optimizer":
                index, _, name = rest.partition("/")
                optimizer.setdefault(int(index), {})[name] = tensor
            elif group == "counts":
                index, _, name = rest.partition("/")
                optimizer.setdefault(int(index), {})[name] = int(tensor)
        rank = next(iter(layers.values()))[0].shape[0]
        return Saved(LoraWeights(rank, layers), optimizer, int(tensors["step"]))

    def write(self, saved: Saved) -> None:
        """Replace the last state.

        Raises:
            OSError: the work folder cannot be written.
        """
        if self._path is None:
            return
        tensors = {"step": torch.tensor(saved.step)}
        for name, (down, up) in saved.weights.layers.items():
            tensors |= {f"down/{name}": down, f"up/{name}": up}
        for index, state in saved.optimizer.items():
            for name, value in state.items():
                if isinstance(value, Tensor):
                    tensors[f"optimizer/{index}/{name}"] = value
                else:
                    tensors[f"counts/{index}/{name}"] = torch.tensor(value)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=self._path.parent, suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(write_safetensors(tensors))
            Path(temporary).replace(self._path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise

    def remove(self) -> None:
        """The run is done; its checkpoint is no longer needed."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)
