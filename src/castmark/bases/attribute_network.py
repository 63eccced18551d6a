"""A network that reads attributes in pictures, a column each.

Convolutions down to a map of 16 x 16; on it every column has queries of its own, each of which looks where
its thing is (attention pooling, as of Set Transformer, arXiv 1810.00825, section 3.2), and two transformer
layers between the columns, for what one says about another: how long a leg is depends on how near it stands.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

SIDE = 256
PATCH = 4
WIDTHS = (80, 128)
"""At 32 x 32 and at 16 x 16."""
HEADS = 4
LAYERS = 2


class Block(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = convolution(width, width), convolution(width, width)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """The same shape."""
        return F.relu(x + self.second(F.relu(self.first(x))))


class Columns(nn.Module):
    """Maps "b width 16 16", which ``trunk`` makes, to the outputs "b n" of all columns one after another.

    Args:
        sizes: outputs of every column.
    """

    def __init__(self, sizes: Sequence[int], trunk: nn.Module, width: int) -> None:
        super().__init__()
        self.trunk = trunk
        self.place = nn.Parameter(torch.zeros(width, SIDE // 16, SIDE // 16))
        self.looks = nn.Conv2d(width, len(sizes) * HEADS, 1)
        self.shows = nn.Conv2d(width, width, 1)
        self.column = nn.Parameter(0.1 * torch.randn(len(sizes), width))
        self.between = nn.ModuleList(
            nn.TransformerEncoderLayer(
                width, HEADS, 2 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
            )
            for _ in range(LAYERS)
        )
        self.norm = nn.LayerNorm(width)
        self.weight = nn.Parameter(torch.randn(sum(sizes), width) / math.sqrt(width))
        self.bias = nn.Parameter(torch.zeros(sum(sizes)))
        of = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
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

    def __init__(self, sizes: Sequence[int]) -> None:
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
        super().__init__(sizes, trunk, far)

    def forward(self, images: Float[Tensor, "b 3 256 256"]) -> Float[Tensor, "b n"]:
        """See the class."""
        return super().forward(images.mul(2).sub(1))


def convolution(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """Three by three, with normalisation."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs))
