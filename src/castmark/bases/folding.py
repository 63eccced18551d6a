"""The decoder's linear end as one convolution: the same pictures for a third of the arithmetic.

diffusers' ``AutoencoderTiny`` (the TAESD form) may end in (enlarge, convolve, enlarge, convolve, convolve)
with no activation between them. That is one linear map from a cell of features to 4 x 4 pixels, which sees
the cell's neighbours and no further: a 3 x 3 convolution and a shuffle. Each convolution pads with zeros, so
cells on the border have kernels of their own; there are nine, for top, middle and bottom by left, middle and
right. All are read off the layers' answers to impulses, and hold up to the last bits of float32.
"""

from __future__ import annotations

import copy
from typing import Any, cast

import torch
import torch.nn.functional as F
from diffusers import AutoencoderTiny
from jaxtyping import Float
from torch import Tensor, nn

TAIL = 5
SCALE = 4
"""Pixels a cell's side."""
_END = (nn.Upsample, nn.Conv2d, nn.Upsample, nn.Conv2d, nn.Conv2d)


def folds(autoencoder: object) -> bool:
    """Whether the decoder ends in such a linear stretch."""
    if not isinstance(autoencoder, AutoencoderTiny):
        return False
    tail = list(autoencoder.decoder.layers)[-TAIL:]
    kinds = all(isinstance(layer, kind) for layer, kind in zip(tail, _END, strict=True))
    return kinds and all(cast(Any, layer).scale_factor == 2 for layer in (tail[0], tail[2]))


class FoldedDecoder(nn.Module):
    """What ``autoencoder.decode`` does, with its end folded. The autoencoder is left as it is."""

    def __init__(self, autoencoder: AutoencoderTiny) -> None:
        super().__init__()
        layers = list(autoencoder.decoder.layers)
        body = nn.Sequential(*copy.deepcopy(layers[:-TAIL]))
        # Channels last is the faster layout for convolutions on a CPU.
        self.body = cast(nn.Sequential, cast(Any, body).to(memory_format=torch.channels_last))
        bias = cast(nn.Conv2d, layers[-1]).bias
        kernels = border_kernels(layers[-TAIL:])
        bias = kernels.new_zeros(3) if bias is None else bias.detach()
        self.register_buffer("bias", bias.repeat_interleave(SCALE * SCALE))
        self.register_buffer("kernels", kernels)

    @torch.inference_mode()
    def forward(self, latents: Float[Tensor, "b c h w"]) -> Float[Tensor, "b 3 16*h 16*w"]:
        """Latents to pixels in [-1, 1], as the decoder gives them (not clamped)."""
        clamped = torch.tanh(latents / 3) * 3
        h = self.body(clamped.contiguous(memory_format=torch.channels_last))
        kernels, bias = cast(Tensor, self.kernels), cast(Tensor, self.bias)
        cells = F.conv2d(h, kernels[1, 1].contiguous(memory_format=torch.channels_last), bias, padding=1)
        framed = F.pad(h, (1, 1, 1, 1))
        whole, first, last = slice(1, -1), slice(0, 1), slice(-1, None)
        spans = (slice(0, 3), slice(None), slice(-3, None))
        for i, rows in enumerate((first, whole, last)):
            for j, columns in enumerate((first, whole, last)):
                if (i, j) != (1, 1):
                    seen = framed[..., _inner(spans[i], i), _inner(spans[j], j)]
                    cells[..., rows, columns] = F.conv2d(seen, kernels[i, j], bias)
        return F.pixel_shuffle(cells, SCALE).mul(2).sub(1)


def _inner(span: slice, which: int) -> slice:
    """Along a side, the corners' cells are left out: they have kernels of their own."""
    return slice(1, -1) if which == 1 else span


@torch.no_grad()
def border_kernels(tail: list[nn.Module]) -> Float[Tensor, "3 3 48 c 3 3"]:
    """Kernels of the folded tail by place: [top, middle, bottom][left, middle, right].

    Read off a canvas of 3 x 3 cells, on which an impulse in every cell and channel is answered by 12 x 12
    pixels: its nine cells are of the nine kinds.
    """
    width = cast(nn.Conv2d, tail[1]).in_channels
    device = next(tail[1].parameters()).device
    final = cast(nn.Conv2d, tail[-1])
    kernels = torch.zeros(3, 3, 3 * SCALE * SCALE, width, 3, 3, device=device)
    for y in range(3):
        for x in range(3):
            h: Tensor = torch.zeros(width, width, 3, 3, device=device)
            h[torch.arange(width), torch.arange(width), y, x] = 1.0
            for layer in tail[:-1]:
                h = layer(h)
            answer = F.conv2d(h, final.weight, padding=1).view(width, 3, 3, SCALE, 3, SCALE)
            for i in range(max(0, y - 1), min(3, y + 2)):
                for j in range(max(0, x - 1), min(3, x + 2)):
                    cell = answer[:, :, i, :, j].permute(1, 2, 3, 0).reshape(-1, width)
                    kernels[i, j, :, :, y - i + 1, x - j + 1] = cell
    return kernels
