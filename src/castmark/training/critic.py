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

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from castmark.bases.attribute_network import Block, Columns, convolution
from castmark.bench.truth import Column, columns
from castmark.training.attributes import learning_of
from castmark.training.autoencoder import LATENT_CHANNELS
from castmark.training.common import TrainSettings, batch_size, half_precision, load_checkpoint, seeded
from castmark.training.denoiser import NoisePath
from castmark.training.labels import losses
from castmark.training.latents import LATENTS, LatentPool
from castmark.training.loop import Loop
from castmark.training.parallel import Rank
from castmark_world import DEFAULT

WIDTH = 96
BATCH = 24
LEARNING_RATE = 2e-3
LEARNT_UNTIL = 450
"""Timestep up to which it learns: beyond, little is left to read."""
ASKED_FROM, ASKED_UNTIL = 50, 400
NUMBERS_WEIGHT = 1.5


class Critic(Columns):
    """Noisy latents "b 16 16 16" to the outputs "b n" of every column."""

    def __init__(self) -> None:
        blocks = (Block(WIDTH) for _ in range(3))
        trunk = nn.Sequential(convolution(LATENT_CHANNELS, WIDTH), nn.ReLU(), *blocks)
        super().__init__([column.outputs for column in columns(DEFAULT)], trunk, WIDTH)

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

    def look(self, noisy: Tensor) -> tuple[list[Tensor], Tensor]:
        """Features "b `WIDTH` 16 16" after every block, and the outputs "b n"."""
        h, found = noisy.contiguous(memory_format=torch.channels_last), list[Tensor]()
        for layer in cast("nn.Sequential", self.trunk):
            h = layer(h)
            if isinstance(layer, Block):
                found.append(h)
        return found, self.tell(h)

    def wrong(
        self, answers: Tensor, path: NoisePath, labels: Tensor, asked: Tensor, generator: torch.Generator
    ) -> Tensor:
        """How wrong a student's answers "b 16 16 16" are, by what is read of them under new noise: "b".

        Args:
            labels: the truth by column, Float "b k"; NaN where it does not apply.
            asked: Bool "b k".
        """
        return misread(self(asked_in(answers, path, generator)), labels, asked, columns(DEFAULT))


def misread(outputs: Tensor, labels: Tensor, asked: Tensor, read: Sequence[Column]) -> Tensor:
    """By picture, "b": mean cross-entropy and weighted Huber loss over what is asked and applies."""
    found, known = losses(outputs, labels, read)
    weights = found.new_tensor([1.0 if column.values else NUMBERS_WEIGHT for column in read])
    counted = asked & known
    return (found * weights * counted).sum(1) / counted.sum(1).clamp(min=1)


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
    pool = LatentPool(settings.work / LATENTS, np.random.default_rng(seeds), device)
    while loop.going:
        batch = pool.batch(size, referenced=0)
        with half_precision(device):
            noisy = noised(batch.clean, path, (0, LEARNT_UNTIL), generator)
            every = torch.ones_like(batch.asked)
            loss = misread(critic(noisy), batch.labels, every, columns(DEFAULT)).mean()
        loop.update(loss, size)
    loop.finish()


def noised(clean: Tensor, path: NoisePath, between: tuple[int, int], generator: torch.Generator) -> Tensor:
    """Latents under noise of random timesteps of a range: of the picture alone, for a plan that says what is
    asked while the picture does not would please nobody else.
    """
    clean = clean[:, :LATENT_CHANNELS]
    timesteps = torch.randint(*between, (len(clean),), generator=generator, device=clean.device)
    alpha, sigma = path.at(timesteps)
    return alpha * clean + sigma * torch.randn(clean.shape, generator=generator, device=clean.device)


def asked_in(answers: Tensor, path: NoisePath, generator: torch.Generator) -> Tensor:
    """A student's answers, or renders beside them, under the noise in which the critic is asked."""
    return noised(answers, path, (ASKED_FROM, ASKED_UNTIL), generator)


def steered(loss: Tensor, answers: Tensor, beside: Sequence[tuple[float, Tensor]], others: Tensor) -> Tensor:
    """A loss of answers, with losses of other answers beside it: each one's gradient in those, picture by
    picture, is given a share of the first one's in its own.
    """
    (mine,) = torch.autograd.grad(loss, answers, retain_graph=True)
    strength = mine.norm() * (len(answers) / len(others)) ** 0.5
    for share, each in beside:
        (pull,) = torch.autograd.grad(each, others, retain_graph=True)
        loss = loss + (share * strength / pull.norm().clamp(min=1e-12) * pull * others).sum()
    return loss
