"""Trains the subject encoder: a CLIP vision tower that knows a subject again, whatever it does and wherever
it is.

Contrastive over identities (InfoNCE, arXiv 2002.05709 eq. 1, with look-alikes in the batch as hard
negatives), and every trait of the world as an auxiliary target, read from the class token and from the mean
of the penultimate tokens, which are what the reference adapter reads.

The folder it writes is a plain ``CLIPVisionModelWithProjection`` and loads as diffusers' ``image_encoder``.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from castmark.training.common import TrainSettings, batch_size, half_precision, hardware, seeded, write_card
from castmark.training.discriminant import sharpen
from castmark.training.identity import calibrate
from castmark.training.loop import Loop
from castmark.training.muon import groups
from castmark.training.subject_views import (
    IGNORED,
    Views,
    classes,
    normalised,
    sample_views,
    traits,
    weathered,
)
from castmark.training.supply import Replay, Supply
from castmark_adapters.encoder import SubjectEncoder

PAIRS = 8
REPLAYED, TIMES_ON_GPU = 200, 8
"""Batches that a GPU learns from again while others are rendered, and how often from each."""
PEAK_RATE = 1e-3
WARM_UP = 150
CONFIG: dict[str, Any] = {
    "hidden_size": 128,
    "intermediate_size": 512,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "image_size": 128,
    "patch_size": 16,
    "projection_dim": 128,
}


def untrained_encoder() -> SubjectEncoder:
    """An encoder of the form that is trained here, which has learned nothing yet."""
    with torch.random.fork_rng(devices=[]):
        return SubjectEncoder(CLIPVisionModelWithProjection(CLIPVisionConfig(**CONFIG)), "0" * 64)


@torch.no_grad()
def seed_eyes(encoder: CLIPVisionModelWithProjection, views: Float[Tensor, "n 3 h w"]) -> None:
    """Start from what is known: patches as their whitened principal components, places as sines and cosines.

    A small transformer spends much of a short training on finding these two.
    """
    embeddings: Any = encoder.vision_model.embeddings
    convolution: nn.Conv2d = embeddings.patch_embedding
    width, _, patch, _ = convolution.weight.shape
    patches = F.unfold(views, patch, stride=patch).transpose(1, 2).flatten(0, 1)
    variance, axes = torch.linalg.eigh(torch.cov((patches - patches.mean(0)).T))
    strongest = axes[:, -width:] / (variance[-width:] + 0.02 * variance[-1]).sqrt()
    convolution.weight.copy_(strongest.T.reshape(convolution.weight.shape) * 0.5)
    side = views.shape[-1] // patch
    frequencies = torch.arange(width // 4) * (torch.pi / 2) / (width // 4) + 0.1
    angles = torch.arange(side)[:, None] * frequencies
    waves = torch.cat([angles.sin(), angles.cos()], 1)
    rows, columns = waves[:, None].expand(-1, side, -1), waves[None].expand(side, -1, -1)
    places = torch.cat([rows, columns], 2).reshape(side * side, width)
    embeddings.position_embedding.weight[1:].copy_(places * 0.25)


class TraitHeads(nn.Module):
    """Linear readings of every trait."""

    def __init__(self, width: int) -> None:
        super().__init__()
        columns = traits()
        self.sizes = [classes(name) for name in columns.categorical]
        self.classes = nn.Linear(width, sum(self.sizes))
        self.numbers = nn.Linear(width, len(columns.continuous))

    def loss(
        self,
        x: Float[Tensor, "n width"],
        chosen: Int[Tensor, "n categorical"],
        numbers: Float[Tensor, "n continuous"],
    ) -> Tensor:
        """Mean cross-entropy a class trait plus mean squared error a number, where the subject has them."""
        total = x.new_zeros(())
        for logits, target in zip(self.classes(x).split(self.sizes, dim=1), chosen.unbind(1), strict=True):
            total = total + F.cross_entropy(logits, target, ignore_index=IGNORED, reduction="sum")
        loss = total / (chosen != IGNORED).sum()
        known = ~numbers.isnan()
        return loss + 2 * F.mse_loss(self.numbers(x)[known], numbers[known])


class Learner(nn.Module):
    """The encoder and what is thrown away after training: the trait heads and the temperature."""

    def __init__(self, config: dict[str, Any] = CONFIG) -> None:
        super().__init__()
        self.encoder = CLIPVisionModelWithProjection(CLIPVisionConfig(**config))
        width = config["hidden_size"]
        self.heads = nn.ModuleList([TraitHeads(width), TraitHeads(width)])
        self.log_scale = nn.Parameter(torch.tensor(math.log(10.0)))

    def forward(
        self,
        x: Float[Tensor, "n 3 h w"],
        chosen: Int[Tensor, "n categorical"],
        numbers: Float[Tensor, "n continuous"],
    ) -> tuple[Tensor, Tensor]:
        """Contrastive loss (views 2i and 2i + 1 belong together) and trait loss."""
        out = self.encoder(x, output_hidden_states=True)
        z = F.normalize(out.image_embeds, dim=-1)
        logits = self.log_scale.exp().clamp(max=100) * z @ z.T
        logits.fill_diagonal_(float("-inf"))
        contrast = F.cross_entropy(logits, torch.arange(len(z), device=z.device) ^ 1)
        last, penultimate = (cast("TraitHeads", head) for head in self.heads)
        trait = last.loss(out.last_hidden_state[:, 0], chosen, numbers)
        trait = trait + penultimate.loss(out.hidden_states[-2][:, 1:].mean(1), chosen, numbers)
        return contrast, trait


def train(
    settings: TrainSettings,
    report: Callable[[str], None] = print,
    *,
    closing_pairs: int = 400,
    calibration_subjects: int = 150,
) -> Path:
    """Train for ``settings.minutes``, on from the last checkpoint in ``settings.work``, or else from the
    weights in ``settings.out``; then write the encoder, and close it (`close`).

    Returns ``settings.out``/image_encoder, with ``config.json``, ``model.safetensors`` (fp16) and
    ``card.json``; ``identity.json`` lies beside it.
    """
    learn(settings, report)
    return close(settings, report, closing_pairs=closing_pairs, calibration_subjects=calibration_subjects)


def learn(settings: TrainSettings, report: Callable[[str], None] = print) -> None:
    """Train within the time budget; write the encoder and its card."""
    torch.set_num_threads(settings.threads)
    torch.manual_seed(settings.seed)
    learner = Learner().to(settings.device)
    loop = Loop(
        settings,
        "subject_encoder",
        learner,
        groups(learner),
        peak=PEAK_RATE,
        warm_up=WARM_UP,
        report=report,
    )
    folder = settings.out / "image_encoder"
    if not loop.resumed and (folder / "config.json").is_file():
        shipped = CLIPVisionModelWithProjection.from_pretrained(folder)
        learner.encoder.load_state_dict(shipped.float().state_dict())
    elif not loop.resumed:
        first = sample_views(np.random.default_rng(settings.seed), 2 * PAIRS, CONFIG["image_size"])
        seed_eyes(learner.encoder, normalised(first.pixels).to(settings.device))
    learner.train()
    generator = seeded(np.random.default_rng((settings.seed, loop.step)), settings.device)
    pairs = batch_size(settings, PAIRS)
    make = partial(_views, settings.seed, pairs)
    with Supply(make, first=loop.step, workers=settings.workers) as supply:
        batches = Replay(supply, keep=REPLAYED, times=TIMES_ON_GPU if settings.on_gpu else 1)
        while loop.going:
            views = next(batches)
            with half_precision(settings.device):
                loss = _loss(learner, views, generator)
            loop.update(loss, 4 * pairs)
    loop.finish()
    learner.encoder.cpu().eval().half().save_pretrained(folder)
    card = {
        "model": "subject encoder (CLIPVisionModelWithProjection)",
        "data": "castmark_world, split train: two views per subject, a look-alike of each in the batch",
        "seed": settings.seed,
        "steps": loop.step,
        "batch": 4 * pairs,
        "minutes": round(loop.minutes, 1),
        "hardware": hardware(settings.device, settings.threads),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "licence": "Apache-2.0",
    }
    write_card(folder, card)


def close(
    settings: TrainSettings,
    report: Callable[[str], None] = print,
    *,
    closing_pairs: int = 400,
    calibration_subjects: int = 150,
) -> Path:
    """Replace the last projection by discriminants of ``closing_pairs`` (`castmark.training.discriminant`)
    and calibrate the identity score, which takes a minute. What the reference adapter reads stays.
    """
    folder = settings.out / "image_encoder"
    sharpen(folder, closing_pairs)
    card = json.loads((folder / "card.json").read_text())
    closing = f"linear discriminants of {closing_pairs} subjects and a look-alike of each"
    write_card(folder, card | {"closing": closing})
    calibrate(settings.out, calibration_subjects, report=report)
    return folder


def _views(seed: int, pairs: int, number: int) -> Views:
    return sample_views(np.random.default_rng((seed, number)), pairs, CONFIG["image_size"])


def _loss(learner: Learner, views: Views, generator: torch.Generator) -> Tensor:
    """Contrastive and trait loss of one batch, weathered."""
    device = learner.log_scale.device
    x = weathered(normalised(views.pixels, device), generator)
    chosen = torch.from_numpy(views.classes).repeat_interleave(2, 0).to(device)
    numbers = torch.from_numpy(views.numbers).repeat_interleave(2, 0).to(device)
    contrast, trait = learner(x, chosen, numbers)
    return contrast + trait
