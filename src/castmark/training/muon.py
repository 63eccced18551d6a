"""Muon (Jordan et al. 2024) for matrices and convolutions, AdamW for everything else, as one optimiser.

A matrix's momentum is replaced by its nearest orthogonal matrix (Newton-Schulz, in bfloat16 where that is
quick), so that every direction learns at the same pace; scaled as in Moonlight (arXiv 2502.16982), it takes
AdamW's learning rate.

Matrices of one shape are worked on together, and so is everything else: a small model has hundreds of
parameters, and a GPU would spend more time on starting each one's arithmetic than on doing it.
"""

# torch's operations on lists of tensors have no public names.
# pyright: reportPrivateUsage=false
from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from castmark.training.common import halves_quickly

MOMENTUM = 0.95
BETAS = (0.9, 0.98)
EPSILON = 1e-8
DECAY = 1e-3
ROUNDS = 5
THIN = 16
"""Layers into or out of so few channels, the first and last ones mostly, are AdamW's."""
COEFFICIENTS = (3.4445, -4.7750, 2.0315)


def orthogonal(matrices: Tensor) -> Tensor:
    """Roughly U V^T of each matrix's singular value decomposition U S V^T; Float "b m n" in and out."""
    a, b, c = COEFFICIENTS
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    if halves_quickly(str(matrices.device)):
        x = x.bfloat16()
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(ROUNDS):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x.mT if tall else x).float()


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
            moved: list[Tensor] = [p for p in group["params"] if p.grad is not None]
            if moved:
                updates = self._matrices(moved) if group["orthogonal"] else self._adam(moved)
                torch._foreach_mul_(moved, 1 - group["lr"] * DECAY)
                torch._foreach_add_(moved, updates, alpha=-group["lr"])

    def _matrices(self, parameters: list[Tensor]) -> list[Tensor]:
        gradients = [_gradient(p) for p in parameters]
        for parameter, gradient in zip(parameters, gradients, strict=True):
            if not self.state[parameter]:
                self.state[parameter]["momentum"] = torch.zeros_like(gradient)
        momenta = [self.state[p]["momentum"] for p in parameters]
        torch._foreach_lerp_(momenta, gradients, 1 - MOMENTUM)
        ahead = torch._foreach_lerp(gradients, momenta, MOMENTUM)
        alike: dict[tuple[int, int], list[int]] = defaultdict(list)
        for index, step in enumerate(ahead):
            alike[len(step), step[0].numel()].append(index)
        updates = list(ahead)
        for shape, indices in alike.items():
            flat = orthogonal(torch.stack([ahead[i].reshape(shape) for i in indices]))
            flat *= 0.2 * max(shape) ** 0.5
            for index, update in zip(indices, flat, strict=True):
                updates[index] = update.view(ahead[index].shape)
        return updates

    def _adam(self, parameters: list[Tensor]) -> list[Tensor]:
        gradients = [_gradient(p) for p in parameters]
        for parameter, gradient in zip(parameters, gradients, strict=True):
            if not self.state[parameter]:
                zeros = {name: torch.zeros_like(gradient) for name in ("mean", "square")}
                self.state[parameter] |= {"step": 0, **zeros}
            self.state[parameter]["step"] += 1
        means = [self.state[p]["mean"] for p in parameters]
        squares = [self.state[p]["square"] for p in parameters]
        torch._foreach_lerp_(means, gradients, 1 - BETAS[0])
        torch._foreach_mul_(squares, BETAS[1])
        torch._foreach_addcmul_(squares, gradients, gradients, value=1 - BETAS[1])
        steps = [self.state[p]["step"] for p in parameters]
        spread = torch._foreach_div(squares, [1 - BETAS[1] ** step for step in steps])
        torch._foreach_sqrt_(spread)
        torch._foreach_add_(spread, EPSILON)
        updates = torch._foreach_div(means, [1 - BETAS[0] ** step for step in steps])
        torch._foreach_div_(updates, spread)
        return list(updates)


def _gradient(parameter: Tensor) -> Tensor:
    assert parameter.grad is not None
    return parameter.grad
