"""Pictures made worse: what a small and soft diffusion model, a copy or a screen does to them."""

from __future__ import annotations

import io

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

VIEW = 96
"""Pixels a side for which blurs are given; in larger pictures they are as much larger."""


def degrade(pixels: Tensor, rng: np.random.Generator, *, gain: float = 0.15, shift: float = 0.05) -> Tensor:
    """Each sixth of the batch suffers something of its own, or nothing. [0, 1] "b 3 h w" in and out.

    ``gain`` and ``shift``: how far brightness, and each colour, are off at most.
    """
    order = torch.from_numpy(rng.permutation(len(pixels)))
    out = pixels.clone()
    for part in order.chunk(6):
        out[part] = _damage(out[part], rng)
    gains = torch.from_numpy(rng.uniform(1 - gain, 1 + gain, (len(out), 1, 1, 1))).float()
    shifts = torch.from_numpy(rng.uniform(-shift, shift, (len(out), 3, 1, 1))).float()
    return out.mul_(gains).add_(shifts).clamp_(0, 1)


def _damage(x: Tensor, rng: np.random.Generator) -> Tensor:
    full = x.shape[-1]
    for _ in range(int(rng.integers(0, 3))):
        kind = int(rng.integers(5))
        if kind == 0:
            side = int(rng.integers(full * 3 // 8, full * 7 // 8))
            small = F.interpolate(x, size=(side, side), mode="bilinear", antialias=True)
            x = F.interpolate(small, size=x.shape[-2:], mode="bilinear")
        elif kind == 1:
            x = _blur(x, float(rng.uniform(0.4, 1.3)) * full / VIEW)
        elif kind == 2:
            x = (x + torch.from_numpy(rng.normal(0, rng.uniform(0.01, 0.08), x.shape)).float()).clamp(0, 1)
        elif kind == 3:
            x = _warp(x, rng)
        else:
            x = torch.stack([_jpeg(image, int(rng.integers(15, 80))) for image in x])
    return x


def _blur(x: Tensor, sigma: float) -> Tensor:
    """Gaussian, of what lies inside the picture; two products of matrices, a fraction of a convolution."""
    at = torch.arange(x.shape[-1], dtype=x.dtype)
    kernel = torch.softmax(-((at[:, None] - at) ** 2) / (2 * sigma**2), 1)
    return kernel @ (x @ kernel.T)


def _warp(x: Tensor, rng: np.random.Generator) -> Tensor:
    """A smooth displacement of up to 3%: what a small diffusion model does to straight lines."""
    coarse = torch.from_numpy(rng.normal(0, rng.uniform(0.005, 0.03), (len(x), 2, 6, 6))).float()
    shift = F.interpolate(coarse, size=x.shape[-2:], mode="bicubic").permute(0, 2, 3, 1)
    grid = F.affine_grid(torch.eye(2, 3).repeat(len(x), 1, 1), list(x.shape), align_corners=False)
    return F.grid_sample(x, grid + shift, padding_mode="border", align_corners=False)


def _jpeg(image: Tensor, quality: int) -> Tensor:
    buffer = io.BytesIO()
    array = (image * 255).byte().permute(1, 2, 0).numpy()
    Image.fromarray(array).save(buffer, "JPEG", quality=quality)
    return torch.from_numpy(np.array(Image.open(buffer))).permute(2, 0, 1).float().div_(255)
