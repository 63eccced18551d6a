"""Tells a student's answers from renders, by what a frozen critic sees in them; the student learns to pass.

Heads on the critic's features, which are never moved by this (projected GAN, Sauer et al. 2021, arXiv
2111.01007; heads on frozen features of noisy latents as in LADD, arXiv 2403.12015): a network that must learn
to see first would have nothing to say within an hour. They learn by the hinge loss, on renders of the same
world and the answers of the same step, under the same noise.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from castmark.training.critic import WIDTH
from castmark.training.parallel import Rank

INNER = 64
BLOCKS = 3
LEARNING_RATE = 1e-3
BETAS = (0.0, 0.95)
WARM_UP = 150
"""Steps in which it learns and nobody listens."""


class Adversary(nn.Module):
    """Features "b c 16 16" of every block to how much each cell looks like a render's: "b n"."""

    def __init__(self, device: str = "cpu") -> None:
        super().__init__()
        self.heads = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(WIDTH, INNER, 1),
                nn.LeakyReLU(0.2),
                nn.Conv2d(INNER, INNER, 3, padding=1),
                nn.LeakyReLU(0.2),
                nn.Conv2d(INNER, 1, 1),
            )
            for _ in range(BLOCKS)
        )
        self.to(device).to(memory_format=torch.channels_last)
        self._optimiser = torch.optim.Adam(self.parameters(), LEARNING_RATE, BETAS)
        self.steps = 0

    @property
    def ready(self) -> bool:
        """Whether it has learned enough to be listened to."""
        return self.steps >= WARM_UP

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """See the class."""
        told = [head(each).flatten(1) for head, each in zip(self.heads, features, strict=True)]
        return torch.cat(told, 1).float()

    def doubt(self, features: Sequence[Tensor]) -> Tensor:
        """The student's loss of its answers' features."""
        self.requires_grad_(False)
        found = -self(features).mean()
        self.requires_grad_(True)
        return found

    def learn(self, renders: Sequence[Tensor], answers: Sequence[Tensor], rank: Rank) -> float:
        """One step of its own; its hinge loss, 2 where it tells nothing and 0 where it tells all."""
        real, drawn = self(renders), self([each.detach() for each in answers])
        loss = F.relu(1 - real).mean() + F.relu(1 + drawn).mean()
        self._optimiser.zero_grad()
        loss.backward()
        told = rank.average(self.parameters(), float(loss.detach()))
        self._optimiser.step()
        self.steps += 1
        return told
