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
        with torch.no_grad():
            kernels, bias = fold_tail(layers[-TAIL:])
        self.register_buffer("bias", bias)
        self.register_buffer("kernels", kernels)

    @torch.inference_mode()
    def forward(self, latents: Float[Tensor, "b c h w"]) -> Float[Tensor, "b 3 16*h 16*w"]:
        """Latents to pixels in [-1, 1], as the decoder gives them (not clamped)."""
        clamped = torch.tanh(latents / 3) * 3
        h = self.body(clamped.contiguous(memory_format=torch.channels_last))
        return finish(h, cast(Tensor, self.kernels), cast(Tensor, self.bias))


def finish(
    h: Float[Tensor, "b c h w"], kernels: Float[Tensor, "3 3 48 c 3 3"], bias: Float[Tensor, " 48"]
) -> Float[Tensor, "b 3 4*h 4*w"]:
    """What the tail that was folded makes of its input, as pixels in [-1, 1]."""
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


def fold_tail(tail: list[nn.Module]) -> tuple[Float[Tensor, "3 3 48 c 3 3"], Float[Tensor, " 48"]]:
    """Kernels of the folded tail by place, [top, middle, bottom][left, middle, right], and its bias.

    Read off a canvas of 3 x 3 cells, on which an impulse in every cell and channel is answered by 12 x 12
    pixels: its nine cells are of the nine kinds. Gradients go back to the tail's weights.
    """
    width = cast(nn.Conv2d, tail[1]).in_channels
    final = cast(nn.Conv2d, tail[-1])
    device = final.weight.device
    h: Tensor = torch.eye(9 * width, device=device).view(9 * width, 3, 3, width).permute(0, 3, 1, 2)
    for layer in tail[:-1]:
        h = layer(h)
    # Row and column of the impulse, its channel; colour, cell's row, pixel's row, cell's and pixel's column.
    answer = F.conv2d(h, final.weight, padding=1).view(3, 3, width, 3, 3, SCALE, 3, SCALE)
    nothing = answer.new_zeros(3 * SCALE * SCALE, width)

    def weight(i: int, j: int, y: int, x: int) -> Tensor:
        """Of the cell at (y, x) for the one at (i, j): Float "48 c"."""
        if not (0 <= y < 3 and 0 <= x < 3):
            return nothing
        return answer[y, x, :, :, i, :, j].permute(1, 2, 3, 0).reshape(-1, width)

    places = [(i, j) for i in range(3) for j in range(3)]
    rows = [torch.stack([weight(i, j, i + y - 1, j + x - 1) for y, x in places], -1) for i, j in places]
    kernels = torch.stack(rows).view(3, 3, -1, width, 3, 3)
    bias = kernels.new_zeros(3) if final.bias is None else final.bias
    return kernels, bias.repeat_interleave(SCALE * SCALE)
