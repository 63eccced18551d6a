"""The reader's network, and the reader that a benchmark asks.

Convolutions down to a map of 16 x 16; on it every column has queries of its own, each of which looks where
its thing is (attention pooling, as of Set Transformer, arXiv 1810.00825, section 3.2), and two transformer
layers between the columns, for what one says about another: how long a leg is depends on how near it stands.
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
from torch import Tensor, nn

import castmark_data
from castmark.bench.truth.columns import Column, columns
from castmark.errors import InputError
from castmark_world import DEFAULT, SCOPES, Scope

SIDE = 256
PATCH = 4
WIDTHS = (80, 128)
"""At 32 x 32 and at 16 x 16."""
HEADS = 4
LAYERS = 2
BATCH = 16
CONFIG, WEIGHTS = "config.json", "model.safetensors"


class Reading(NamedTuple):
    """What one picture shows, by column; a column that does not apply to what is seen says nothing."""

    values: dict[str, str]
    """The likeliest value."""
    numbers: dict[str, float]
    """A trait in [-1, 1], or a hue in [0, 1)."""


class Block(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = convolution(width, width), convolution(width, width)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """The same shape."""
        return F.relu(x + self.second(F.relu(self.first(x))))


class Columns(nn.Module):
    """Maps "b width 16 16", which ``trunk`` makes, to the outputs "b n" of all columns one after another."""

    def __init__(self, read: Sequence[Column], trunk: nn.Module, width: int) -> None:
        super().__init__()
        self.trunk = trunk
        self.place = nn.Parameter(torch.zeros(width, SIDE // 16, SIDE // 16))
        self.looks = nn.Conv2d(width, len(read) * HEADS, 1)
        self.shows = nn.Conv2d(width, width, 1)
        self.column = nn.Parameter(0.1 * torch.randn(len(read), width))
        self.between = nn.ModuleList(
            nn.TransformerEncoderLayer(
                width, HEADS, 2 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
            )
            for _ in range(LAYERS)
        )
        self.norm = nn.LayerNorm(width)
        sizes = [column.outputs for column in read]
        self.weight = nn.Parameter(torch.randn(sum(sizes), width) / math.sqrt(width))
        self.bias = nn.Parameter(torch.zeros(sum(sizes)))
        of = torch.arange(len(read)).repeat_interleave(torch.tensor(sizes))
        self.of = nn.Buffer(of, persistent=False)

    def forward(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b n"]:
        """See the class; what the trunk takes."""
        return self.tell(self.trunk(images.contiguous(memory_format=torch.channels_last)))

    def tell(self, h: Float[Tensor, "b c 16 16"]) -> Float[Tensor, "b n"]:
        """What the trunk makes of pictures, to the outputs of all columns."""
        h = h + self.place
        looks = self.looks(h).flatten(2).unflatten(1, (-1, HEADS)).softmax(-1)  # b k heads cells
        shows = self.shows(h).flatten(2).unflatten(1, (HEADS, -1))  # b heads c cells
        x = torch.einsum("bkhp,bhcp->bkhc", looks, shows).flatten(2) + self.column
        for layer in self.between:
            x = layer(x)
        x = self.norm(x)
        return torch.einsum("bnc,nc->bn", x[:, self.of], self.weight) + self.bias


class Network(Columns):
    """Pictures "b 3 256 256" in [0, 1] to the outputs "b n" of every column."""

    def __init__(self, read: Sequence[Column]) -> None:
        near, far = WIDTHS
        trunk = nn.Sequential(
            nn.PixelUnshuffle(PATCH),
            convolution(3 * PATCH**2, near, 2),
            nn.ReLU(),
            Block(near),
            convolution(near, far, 2),
            nn.ReLU(),
            Block(far),
            Block(far),
        )
        super().__init__(read, trunk, far)

    def forward(self, images: Float[Tensor, "b 3 256 256"]) -> Float[Tensor, "b n"]:
        """See the class."""
        return super().forward(images.mul(2).sub(1))


def convolution(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """Three by three, with normalisation."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs))


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
            network = Network(columns(scope))
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
