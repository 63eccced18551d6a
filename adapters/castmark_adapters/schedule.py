"""The base's own variance-preserving path, read from its scheduler: noising, and clean latents from its
output.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor

from castmark_adapters.errors import HostError


class Schedule:
    """x_t = sqrt(abar_t) x0 + sqrt(1 - abar_t) e (DDPM, arXiv 2006.11239, eq. 4).

    Args:
        scheduler: the pipeline's; it is read and not changed.
        drawing_steps: number of denoising steps the base draws with.

    Raises:
        HostError: the scheduler is not variance preserving, or predicts something unknown.
    """

    def __init__(self, scheduler: Any, drawing_steps: int) -> None:
        if not hasattr(scheduler, "alphas_cumprod"):
            raise HostError(
                f"{type(scheduler).__name__} is not variance preserving; a LoRA cannot be learned on it yet"
            )
        own = type(scheduler).from_config(scheduler.config)
        own.set_timesteps(drawing_steps)
        self.alphas_cumprod: Float[Tensor, " t"] = own.alphas_cumprod
        self.drawing: Int[Tensor, " drawing_steps"] = cast("Tensor", own.timesteps).cpu().long()
        self.prediction: str = scheduler.config.prediction_type
        if self.prediction not in ("sample", "epsilon", "v_prediction"):
            raise HostError(
                f"prediction type {self.prediction!r} is not known; use sample, epsilon or v_prediction"
            )

    def __len__(self) -> int:
        return len(self.alphas_cumprod)

    def signal(self, t: Int[Tensor, " b"]) -> Float[Tensor, "b 1 1 1"]:
        """sqrt(abar_t)."""
        return self.alphas_cumprod[t].clamp(0, 1).sqrt()[:, None, None, None]

    def noised(
        self, x0: Float[Tensor, "b c h w"], noise: Float[Tensor, "b c h w"], t: Int[Tensor, " b"]
    ) -> Float[Tensor, "b c h w"]:
        """x_t."""
        a = self.signal(t)
        return a * x0 + (1 - a**2).sqrt() * noise

    def x0(
        self, output: Float[Tensor, "b c h w"], x_t: Float[Tensor, "b c h w"], t: Int[Tensor, " b"]
    ) -> Float[Tensor, "b c h w"]:
        """Clean latents from what the UNet gave at x_t (v as in arXiv 2202.00512, appendix D)."""
        a = self.signal(t)
        s = (1 - a**2).sqrt()
        if self.prediction == "sample":
            return output
        if self.prediction == "v_prediction":
            return a * x_t - s * output
        return (x_t - s * output) / a.clamp(min=1e-3)

    def sample_timesteps(self, count: int, generator: torch.Generator) -> Int[Tensor, " count"]:
        """Half from the timesteps the base draws with, half from anywhere."""
        anywhere = torch.randint(len(self), (count,), generator=generator)
        own = self.drawing[torch.randint(len(self.drawing), (count,), generator=generator)]
        return torch.where(torch.rand(count, generator=generator) < 0.5, own, anywhere)
