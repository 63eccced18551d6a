"""The reader that a benchmark asks: a network over attributes (`castmark.bases.attribute_network`), whose
weights are its own.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor

import castmark_data
from castmark.bases.attribute_network import SIDE, Network
from castmark.bench.truth.columns import Column, columns
from castmark.errors import InputError
from castmark_world import DEFAULT, SCOPES, Scope

BATCH = 16
CONFIG, WEIGHTS = "config.json", "model.safetensors"


class Reading(NamedTuple):
    """What one picture shows, by column; a column that does not apply to what is seen says nothing."""

    values: dict[str, str]
    """The likeliest value."""
    numbers: dict[str, float]
    """A trait in [-1, 1], or a hue in [0, 1)."""


class TruthReader:
    """Reads pictures of the embedded world."""

    def __init__(self, network: Network, scope: Scope) -> None:
        self.network, self.scope, self.columns = network.eval(), scope, columns(scope)

    @classmethod
    def open(cls, folder: Path | None = None) -> TruthReader:
        """The reader in a folder; by default the shipped one.

        Raises:
            InputError: there is none, it is damaged, or it was trained on another world than this code's.
        """
        where = folder or castmark_data.path("bench", "reader")
        again = "train one with: castmark train reader --minutes 60 --out FOLDER"
        try:
            config: dict[str, Any] = json.loads((where / CONFIG).read_text(encoding="utf-8"))
            scope = SCOPES[config["scope"]]
            if config["columns"] != layout(scope):
                raise InputError(f"truth reader {where}: trained on another form of the world; {again}")
            if folder is None and scope is not DEFAULT:
                raise InputError(f"truth reader {where}: reads the {scope.name} scope of the world; {again}")
            network = Network(list(layout(scope).values()))
            weights = load_file(where / WEIGHTS)
            network.load_state_dict(weights)  # which makes float32 of float16
        except InputError:
            raise
        except Exception as error:  # whatever is wrong with the files, there is no reader
            reason = " ".join(str(error).split())[:300]
            raise InputError(f"truth reader {where}: cannot be loaded ({reason}); {again}") from error
        return cls(network, scope)

    @torch.inference_mode()
    def read(self, images: Sequence[UInt8[NDArray[Any], "h w 3"]]) -> list[Reading]:
        """What each picture shows; pictures of another size are seen at 256 pixels a side."""
        readings: list[Reading] = []
        for start in range(0, len(images), BATCH):
            batch = torch.stack([_tensor(image) for image in images[start : start + BATCH]])
            readings += decode(self.network(batch), self.columns)
        return readings


def layout(scope: Scope = DEFAULT) -> dict[str, int]:
    """The columns and their outputs, as the configuration holds them."""
    return {column.name: column.outputs for column in columns(scope)}


def decode(outputs: Float[Tensor, "b n"], read: Sequence[Column]) -> list[Reading]:
    """Outputs of the network as readings."""
    parts = outputs.split([column.outputs for column in read], 1)
    readings = [Reading({}, {}) for _ in outputs]
    for column, part in zip(read, parts, strict=True):
        if column.values:
            for reading, best in zip(readings, part.argmax(1).tolist(), strict=True):
                reading.values[column.name] = column.values[best]
            continue
        turns = torch.atan2(part[:, -1], part[:, 0]) / (2 * math.pi) % 1.0
        numbers = turns if column.circle else part[:, 0]
        for reading, number in zip(readings, numbers.tolist(), strict=True):
            reading.numbers[column.name] = number
    return readings


def _tensor(image: NDArray[np.uint8]) -> Float[Tensor, "3 256 256"]:
    x = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1).float().div_(255)
    if x.shape[-2:] == (SIDE, SIDE):
        return x
    return F.interpolate(x[None], size=(SIDE, SIDE), mode="bilinear", antialias=True)[0]
