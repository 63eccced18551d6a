"""The critic reads off noisy latents what a scene shows, so that a student learns to draw what is asked for.

A student that only regresses on its teacher's pictures gives most of its capacity to what covers most of
them; an arm that is up instead of down is a few cells. The critic tells it so: its loss, of the student's
answer noised anew, has a gradient (reward backpropagation as in DRaFT, arXiv 2309.17400; a classifier of
noisy pictures as in Dhariwal & Nichol 2021, arXiv 2105.05233). The noise washes out what no eye would see, so
that the student cannot please by tricks. It is asked only of what a caption says, or references show.

The critic never ships and has no part in the truth reader's or the judge's weights or seeds: those who
measure and check know nothing of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from castmark.bench.truth import Column, columns
from castmark.bench.truth.reader import Block, Columns, convolution
from castmark.training.autoencoder import LATENT_CHANNELS
from castmark.training.common import TrainSettings, batch_size, half_precision, load_checkpoint, seeded
from castmark.training.denoiser import NoisePath
from castmark.training.latents import LatentPool
from castmark.training.loop import Loop
from castmark.training.parallel import Rank
from castmark.training.truth_reader import learning_of
from castmark_world import DEFAULT

WIDTH = 96
BATCH = 24
LEARNING_RATE = 2e-3
LEARNT_UNTIL = 450
"""Timestep up to which it learns: beyond, little is left to read."""
ASKED_FROM, ASKED_UNTIL = 50, 400
NUMBERS_WEIGHT, HUBER = 1.5, 0.2
SHARE = 1.0
"""The critic's gradient in a student's answers, as a share of the regression's."""


class Critic(Columns):
    """Noisy latents "b 16 16 16" to the outputs "b n" of every column."""

    def __init__(self) -> None:
        blocks = (Block(WIDTH) for _ in range(3))
        trunk = nn.Sequential(convolution(LATENT_CHANNELS, WIDTH), nn.ReLU(), *blocks)
        super().__init__(columns(DEFAULT), trunk, WIDTH)

    @classmethod
    def load(cls, settings: TrainSettings) -> Critic:
        """The critic that ``work`` holds, frozen.

        Raises:
            FileNotFoundError: there is none.
        """
        state = load_checkpoint(settings.work / "critic.pt")
        if state is None:
            raise FileNotFoundError(f"{settings.work}: no critic.pt; run `castmark train polish` first")
        critic = cls()
        critic.load_state_dict(state["model"])
        return critic.to(settings.device).eval().requires_grad_(False)

    def wrong(
        self, answers: Tensor, path: NoisePath, labels: Tensor, asked: Tensor, generator: torch.Generator
    ) -> Tensor:
        """How wrong a student's answers "b 16 16 16" are, by what is read of them under new noise: "b".

        Args:
            labels: the truth by column, Float "b k"; NaN where it does not apply.
            asked: Bool "b k".
        """
        noisy = noised(answers, path, (ASKED_FROM, ASKED_UNTIL), generator)
        return misread(self(noisy), labels, asked, columns(DEFAULT))


def misread(outputs: Tensor, labels: Tensor, asked: Tensor, read: Sequence[Column]) -> Tensor:
    """By picture, "b": mean cross-entropy and weighted Huber loss over what is asked and applies."""
    known = asked & ~labels.isnan()
    truth = labels.nan_to_num(0.0)
    losses: list[Tensor] = []
    parts = outputs.float().split([column.outputs for column in read], 1)
    for column, part, label in zip(read, parts, truth.unbind(1), strict=True):
        if column.values:
            losses.append(F.cross_entropy(part, label.long(), reduction="none"))
            continue
        turn = 2 * math.pi * label
        wanted = torch.stack([turn.cos(), turn.sin()], 1) if column.circle else label[:, None]
        found = F.smooth_l1_loss(part, wanted, beta=HUBER, reduction="none").mean(1)
        losses.append(NUMBERS_WEIGHT * found)
    return (torch.stack(losses, 1) * known).sum(1) / known.sum(1).clamp(min=1)


def learn_critic(settings: TrainSettings, minutes: float, rank: Rank) -> None:
    """Train the critic on the shards in ``work``/latents, into ``work``/critic.pt; or go on training it."""
    torch.set_num_threads(1)
    torch.manual_seed(settings.seed)
    device, size = settings.device, batch_size(settings, BATCH)
    critic, path = Critic().to(device).to(memory_format=torch.channels_last), NoisePath(device)
    learning = learning_of(critic)
    loop = Loop(replace(settings, minutes=minutes), "critic", critic, learning, peak=LEARNING_RATE, rank=rank)
    seeds = [settings.seed, 7, rank.index, loop.step]
    generator = seeded(np.random.default_rng(seeds), device)
    pool = LatentPool(settings.work / "latents", np.random.default_rng(seeds), device)
    while loop.going:
        batch = pool.batch(size, referenced=0)
        with half_precision(device):
            noisy = noised(batch.clean, path, (0, LEARNT_UNTIL), generator)
            every = torch.ones_like(batch.asked)
            loss = misread(critic(noisy), batch.labels, every, columns(DEFAULT)).mean()
        loop.update(loss, size)
    loop.finish()


def noised(clean: Tensor, path: NoisePath, between: tuple[int, int], generator: torch.Generator) -> Tensor:
    """Latents under noise of random timesteps of a range."""
    timesteps = torch.randint(*between, (len(clean),), generator=generator, device=clean.device)
    alpha, sigma = path.at(timesteps)
    return alpha * clean + sigma * torch.randn(clean.shape, generator=generator, device=clean.device)


def criticised(loss: Tensor, criticism: Tensor, answers: Tensor) -> Tensor:
    """A loss of answers with a criticism of them, whose gradient there is `SHARE` of the loss's."""
    mine, theirs = (
        torch.autograd.grad(each, answers, retain_graph=True)[0].norm() for each in (loss, criticism)
    )
    return loss + (SHARE * mine / theirs.clamp(min=1e-12)).detach() * criticism
