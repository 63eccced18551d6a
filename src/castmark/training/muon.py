"""Muon (Jordan et al. 2024) for matrices and convolutions, AdamW for everything else, as one optimiser.

A matrix's momentum is replaced by its nearest orthogonal matrix (Newton-Schulz in bfloat16), so that every
direction learns at the same pace; scaled as in Moonlight (arXiv 2502.16982), it takes AdamW's learning rate.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

MOMENTUM = 0.95
BETAS = (0.9, 0.98)
EPSILON = 1e-8
DECAY = 1e-3
ROUNDS = 5
THIN = 16
"""Layers into or out of so few channels, the first and last ones mostly, are AdamW's."""
COEFFICIENTS = (3.4445, -4.7750, 2.0315)


def orthogonal(matrix: Tensor) -> Tensor:
    """Roughly U V^T of the matrix's singular value decomposition U S V^T; Float "m n" in and out."""
    a, b, c = COEFFICIENTS
    tall = matrix.shape[0] > matrix.shape[1]
    x = (matrix.T if tall else matrix).bfloat16()
    x = x / (x.norm() + 1e-7)
    for _ in range(ROUNDS):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x.T if tall else x).float()


def groups(model: nn.Module, scale: float = 1.0) -> list[dict[str, Any]]:
    """The model's parameters for `Muon`: matrices apart from embeddings, thin layers, biases and norms.

    ``scale`` is of the learning rate.
    """
    parts: dict[bool, list[nn.Parameter]] = {True: [], False: []}
    for name, parameter in model.named_parameters():
        shape = parameter.shape
        parts[len(shape) > 1 and min(shape[:2]) > THIN and "embedding" not in name].append(parameter)
    return [{"params": held, "orthogonal": flag, "scale": scale} for flag, held in parts.items()]


class Muon(torch.optim.Optimizer):
    """Takes groups as `groups` makes them."""

    def __init__(self, groups: Iterable[dict[str, Any]], lr: float) -> None:
        super().__init__(groups, {"lr": lr, "orthogonal": False})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """One update from the gradients."""
        for group in self.param_groups:
            update = self._matrix if group["orthogonal"] else self._adam
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.mul_(1 - group["lr"] * DECAY)
                    parameter.add_(update(parameter), alpha=-group["lr"])

    def _matrix(self, parameter: Tensor) -> Tensor:
        state = self.state[parameter]
        gradient = parameter.grad
        assert gradient is not None
        if not state:
            state["momentum"] = torch.zeros_like(gradient)
        momentum = state["momentum"].lerp_(gradient, 1 - MOMENTUM)
        ahead = gradient.lerp(momentum, MOMENTUM)
        flat = ahead.reshape(len(ahead), -1)
        scale = 0.2 * max(flat.shape) ** 0.5
        return scale * orthogonal(flat).view(ahead.shape)

    def _adam(self, parameter: Tensor) -> Tensor:
        state = self.state[parameter]
        gradient = parameter.grad
        assert gradient is not None
        if not state:
            state |= {"step": 0, "mean": torch.zeros_like(gradient), "square": torch.zeros_like(gradient)}
        state["step"] += 1
        state["mean"].lerp_(gradient, 1 - BETAS[0])
        state["square"].mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
        mean = state["mean"] / (1 - BETAS[0] ** state["step"])
        square = state["square"] / (1 - BETAS[1] ** state["step"])
        return mean / (square.sqrt() + EPSILON)
