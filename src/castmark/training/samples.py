"""Pictures for sample sheets: held-out scenes, always the same, and what the autoencoder makes of them."""

from __future__ import annotations

import numpy as np
import torch
from diffusers import AutoencoderTiny
from numpy.typing import NDArray
from torch import Tensor

from castmark.training.progress import Rows
from castmark_world import Scene, render, sample_scene

SIDE = 256
COUNT = 8
SEED = 81_000
Pictures = list[NDArray[np.uint8]]


def held_out() -> list[Scene]:
    """Scenes of the test split."""
    rng = np.random.default_rng(SEED)
    return [sample_scene(rng, split="test") for _ in range(COUNT)]


@torch.no_grad()
def round_trip(model: AutoencoderTiny) -> Rows:
    """Renders, and what the autoencoder makes of them."""
    renders = [render(scene, SIDE) for scene in held_out()]
    device = next(model.parameters()).device
    drawn = model.decoder(model.encoder(to_tensor(np.stack(renders)).to(device)))
    return {"renders": renders, "after the autoencoder": pictures(drawn)}


def to_tensor(images: NDArray[np.uint8] | Tensor) -> Tensor:
    """UInt8 "b h w 3" to Float "b 3 h w" in [-1, 1]."""
    return torch.as_tensor(images).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)


def pictures(images: Tensor) -> Pictures:
    """Images "b 3 h w" in [-1, 1] as UInt8 "h w 3"."""
    values = images.float().mul(127.5).add(127.5).round().clamp(0, 255).byte().permute(0, 2, 3, 1)
    return list(values.cpu().contiguous().numpy())
