"""Ways from noise to picture, read from a base's scheduler: noising, and clean latents from the output.

One a kind of training: variance preserving (Stable Diffusion and its like), straight (flow matching: FLUX,
Z-Image) and around the circle (TrigFlow: SANA-Sprint).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any, cast

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from castmark_adapters.errors import HostError


class NoisePath(ABC):
    """x_t between a picture x0 and noise. Times are what the denoiser is told, in its own unit."""

    drawing: Shaped[Tensor, " drawing_steps"]
    """The times the base draws at, noisiest first."""

    @abstractmethod
    def signal(self, t: Shaped[Tensor, " b"]) -> Float[Tensor, "b 1 1 1"]:
        """Share of the picture in x_t, in [0, 1], for picture and noise of unit variance: sqrt(abar_t)."""

    @abstractmethod
    def noised(
        self, x0: Float[Tensor, "b c h w"], noise: Float[Tensor, "b c h w"], t: Shaped[Tensor, " b"]
    ) -> Float[Tensor, "b c h w"]:
        """x_t."""

    @abstractmethod
    def x0(
        self, output: Float[Tensor, "b c h w"], x_t: Float[Tensor, "b c h w"], t: Shaped[Tensor, " b"]
    ) -> Float[Tensor, "b c h w"]:
        """Clean latents from what the denoiser gave at x_t."""

    @abstractmethod
    def anywhere(self, count: int, generator: torch.Generator) -> Shaped[Tensor, " count"]:
        """Times from all of the path."""

    def sample_timesteps(self, count: int, generator: torch.Generator) -> Shaped[Tensor, " count"]:
        """Half from the times the base draws at, half from anywhere."""
        anywhere = self.anywhere(count, generator)
        own = self.drawing[torch.randint(len(self.drawing), (count,), generator=generator)]
        return torch.where(torch.rand(count, generator=generator) < 0.5, own, anywhere)


class Schedule(NoisePath):
    """x_t = sqrt(abar_t) x0 + sqrt(1 - abar_t) e (DDPM, arXiv 2006.11239, eq. 4). Times are integers.

    Args:
        scheduler: the pipeline's; it is read and not changed.
        drawing_steps: number of denoising steps the base draws with.

    Raises:
        HostError: the scheduler is not variance preserving, or predicts something unknown.
    """

    def __init__(self, scheduler: Any, drawing_steps: int) -> None:
        if not hasattr(scheduler, "alphas_cumprod"):
            raise HostError(
                f"{type(scheduler).__name__} is not variance preserving; give the base the scheduler it was "
                "published with"
            )
        self._of, self._steps = scheduler, drawing_steps
        own = self.stepper()
        self.alphas_cumprod: Float[Tensor, " t"] = own.alphas_cumprod
        self.drawing = cast("Tensor", own.timesteps).cpu().long()
        self.prediction: str = scheduler.config.prediction_type
        if self.prediction not in ("sample", "epsilon", "v_prediction"):
            raise HostError(
                f"prediction type {self.prediction!r} is not known; use sample, epsilon or v_prediction"
            )

    def __len__(self) -> int:
        return len(self.alphas_cumprod)

    def stepper(self) -> Any:
        """A scheduler like the base's, about to draw: its ``step`` goes from one of the times to the next."""
        own = type(self._of).from_config(self._of.config)
        own.set_timesteps(self._steps)
        return own

    def signal(self, t: Shaped[Tensor, " b"]) -> Float[Tensor, "b 1 1 1"]:
        """sqrt(abar_t)."""
        return self.alphas_cumprod[t].clamp(0, 1).sqrt()[:, None, None, None]

    def noised(
        self, x0: Float[Tensor, "b c h w"], noise: Float[Tensor, "b c h w"], t: Shaped[Tensor, " b"]
    ) -> Float[Tensor, "b c h w"]:
        """x_t."""
        a = self.signal(t).to(x0.device)
        return a * x0 + (1 - a**2).sqrt() * noise

    def x0(
        self, output: Float[Tensor, "b c h w"], x_t: Float[Tensor, "b c h w"], t: Shaped[Tensor, " b"]
    ) -> Float[Tensor, "b c h w"]:
        """Clean latents from what the UNet gave at x_t (v as in arXiv 2202.00512, appendix D)."""
        a = self.signal(t).to(x_t.device)
        s = (1 - a**2).sqrt()
        if self.prediction == "sample":
            return output
        if self.prediction == "v_prediction":
            return a * x_t - s * output
        return (x_t - s * output) / a.clamp(min=1e-3)

    def anywhere(self, count: int, generator: torch.Generator) -> Shaped[Tensor, " count"]:
        """Any of the timesteps it was trained at."""
        return torch.randint(len(self), (count,), generator=generator)


class StraightPath(NoisePath):
    """x_s = (1 - s) x0 + s e, with output v = e - x0 (flow matching, arXiv 2210.02747; rectified flow,
    arXiv 2209.03003). Times are s in (0, 1].

    Args:
        scheduler: a ``FlowMatchEulerDiscreteScheduler``; it is read and not changed.
        drawing_steps: number of denoising steps the base draws with.
        mu: the shift for the size of its pictures, where the scheduler shifts by size.

    Raises:
        HostError: another scheduler.
    """

    def __init__(self, scheduler: Any, drawing_steps: int, mu: float) -> None:
        if not hasattr(scheduler, "sigmas") or not hasattr(scheduler, "time_shift"):
            raise HostError(
                f"{type(scheduler).__name__} is not a flow-matching scheduler; give the base the scheduler "
                "it was published with"
            )
        own = type(scheduler).from_config(scheduler.config)
        shifted = {"mu": mu} if own.config.use_dynamic_shifting else {}
        sigmas = torch.linspace(1.0, 1 / drawing_steps, drawing_steps).tolist()
        own.set_timesteps(sigmas=sigmas, **shifted)
        self.drawing = cast("Tensor", own.sigmas)[:-1].cpu().float()

    def signal(self, t: Shaped[Tensor, " b"]) -> Float[Tensor, "b 1 1 1"]:
        """(1 - s) / sqrt((1 - s)^2 + s^2)."""
        return ((1 - t) / ((1 - t) ** 2 + t**2).sqrt())[:, None, None, None]

    def noised(
        self, x0: Float[Tensor, "b c h w"], noise: Float[Tensor, "b c h w"], t: Shaped[Tensor, " b"]
    ) -> Float[Tensor, "b c h w"]:
        """x_s."""
        s = t.to(x0)[:, None, None, None]
        return (1 - s) * x0 + s * noise

    def x0(
        self, output: Float[Tensor, "b c h w"], x_t: Float[Tensor, "b c h w"], t: Shaped[Tensor, " b"]
    ) -> Float[Tensor, "b c h w"]:
        """x_s - s v."""
        return x_t - t.to(x_t)[:, None, None, None] * output

    def anywhere(self, count: int, generator: torch.Generator) -> Shaped[Tensor, " count"]:
        """Uniform in (0, 1]."""
        return 1 - torch.rand(count, generator=generator)


class CirclePath(NoisePath):
    """x_t = cos(t) x0 + sin(t) e, with output F = cos(t) e - sin(t) x0 (TrigFlow: sCM, arXiv 2410.11081,
    sec. 3). Times are angles in (0, pi / 2].

    Args:
        drawing: the angles the base draws at, noisiest first.
    """

    def __init__(self, drawing: Float[Tensor, " drawing_steps"]) -> None:
        self.drawing = drawing

    def signal(self, t: Shaped[Tensor, " b"]) -> Float[Tensor, "b 1 1 1"]:
        """cos(t)."""
        return torch.cos(t).clamp(0, 1)[:, None, None, None]

    def noised(
        self, x0: Float[Tensor, "b c h w"], noise: Float[Tensor, "b c h w"], t: Shaped[Tensor, " b"]
    ) -> Float[Tensor, "b c h w"]:
        """x_t."""
        angle = t.to(x0)[:, None, None, None]
        return torch.cos(angle) * x0 + torch.sin(angle) * noise

    def x0(
        self, output: Float[Tensor, "b c h w"], x_t: Float[Tensor, "b c h w"], t: Shaped[Tensor, " b"]
    ) -> Float[Tensor, "b c h w"]:
        """cos(t) x_t - sin(t) F."""
        angle = t.to(x_t)[:, None, None, None]
        return torch.cos(angle) * x_t - torch.sin(angle) * output

    def anywhere(self, count: int, generator: torch.Generator) -> Shaped[Tensor, " count"]:
        """Uniform in (0, pi / 2]."""
        return (1 - torch.rand(count, generator=generator)) * (math.pi / 2)
