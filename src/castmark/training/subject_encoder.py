"""Trains the subject encoder: a CLIP vision tower that knows a subject again, whatever it does and wherever
it is.

Contrastive over identities (InfoNCE, arXiv 2002.05709 eq. 1, with look-alikes in the batch as hard
negatives), and every trait of the world as an auxiliary target, read from the class token and from the mean
of the penultimate tokens, which are what the reference adapter reads.

The folder it writes is a plain ``CLIPVisionModelWithProjection`` and loads as diffusers' ``image_encoder``.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from castmark.training.common import (
    Clock,
    TrainSettings,
    hardware,
    load_checkpoint,
    save_checkpoint,
    write_card,
)
from castmark.training.discriminant import sharpen
from castmark.training.identity import calibrate
from castmark.training.subject_views import (
    IGNORED,
    Views,
    classes,
    normalised,
    sample_views,
    traits,
    weathered,
)

PAIRS = 8
PEAK_RATE = 1e-3
WARM_UP = 150
WEIGHT_DECAY = 0.05
CONFIG: dict[str, Any] = {
    "hidden_size": 128,
    "intermediate_size": 512,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "image_size": 128,
    "patch_size": 16,
    "projection_dim": 128,
}


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
    """Train for ``settings.minutes``, on from the last checkpoint in ``settings.work``; then write the
    encoder.

    The last projection is replaced by discriminants of ``closing_pairs`` (`castmark.training.discriminant`),
    and the identity score calibrated, which takes a minute more. Returns ``settings.out``/image_encoder, with
    ``config.json``, ``model.safetensors`` (fp16) and ``card.json``; ``identity.json`` lies beside it.
    """
    torch.set_num_threads(settings.threads)
    torch.manual_seed(settings.seed)
    learner = Learner().to(settings.device)
    optimizer = torch.optim.AdamW(
        learner.parameters(), PEAK_RATE, betas=(0.9, 0.98), weight_decay=WEIGHT_DECAY
    )
    checkpoint = settings.work / "subject_encoder.pt"
    state = load_checkpoint(checkpoint)
    step, seconds = 0, 0.0
    if state is not None:
        learner.load_state_dict(state["learner"])
        optimizer.load_state_dict(state["optimizer"])
        step, seconds = state["step"], state["seconds"]
    else:
        first = sample_views(np.random.default_rng(settings.seed), 2 * PAIRS, CONFIG["image_size"])
        seed_eyes(learner.encoder, normalised(first.pixels).to(settings.device))
    clock = Clock(settings.minutes)
    start = step
    means = [0.0, 0.0]

    def keep() -> None:
        spent = seconds + clock.spent
        saved = {
            "learner": learner.state_dict(),
            "optimizer": optimizer.state_dict(),
            "step": step,
            "seconds": spent,
        }
        save_checkpoint(checkpoint, saved)

    learner.train()
    while clock.fraction < 1:
        # Every step has its own seed, so that a resumed run sees what an unbroken one would have seen.
        rng = np.random.default_rng((settings.seed, step))
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        loss = _step(
            learner, optimizer, sample_views(rng, PAIRS, CONFIG["image_size"]), generator, _rate(step, clock)
        )
        step += 1
        means = [0.95 * m + 0.05 * v if step > start + 1 else v for m, v in zip(means, loss, strict=True)]
        if step % 50 == 0:
            report(f"step {step}  {clock.spent / 60:.1f} min  contrast {means[0]:.3f}  traits {means[1]:.3f}")
        if clock.checkpoint_due():
            keep()
    keep()
    folder = settings.out / "image_encoder"
    learner.encoder.eval().half().save_pretrained(folder)
    card = {
        "model": "subject encoder (CLIPVisionModelWithProjection)",
        "data": "castmark_world, split train: two views per subject, a look-alike of each in the batch",
        "seed": settings.seed,
        "steps": step,
        "views": step * PAIRS * 4,
        "minutes": round((seconds + clock.spent) / 60, 1),
        "hardware": hardware(settings.device, settings.threads),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "closing": f"linear discriminants of {closing_pairs} subjects and a look-alike of each",
        "losses": {"contrast": round(means[0], 4), "traits": round(means[1], 4)},
        "licence": "Apache-2.0",
    }
    sharpen(folder, closing_pairs)
    write_card(folder, card)
    calibrate(settings.out, calibration_subjects, report=report)
    return folder


def _rate(step: int, clock: Clock) -> float:
    """Warm-up, then a cosine over this run's time budget down to 2% of the peak."""
    cosine = 0.51 + 0.49 * math.cos(math.pi * clock.fraction)
    return PEAK_RATE * min(1.0, (step + 1) / WARM_UP) * cosine


def _step(
    learner: Learner, optimizer: torch.optim.Optimizer, views: Views, generator: torch.Generator, rate: float
) -> tuple[float, float]:
    """One optimisation step; the two losses."""
    device = learner.log_scale.device
    x = weathered(normalised(views.pixels), generator).to(device)
    chosen = torch.from_numpy(views.classes).repeat_interleave(2, 0).to(device)
    numbers = torch.from_numpy(views.numbers).repeat_interleave(2, 0).to(device)
    contrast, trait = learner(x, chosen, numbers)
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.zero_grad(set_to_none=True)
    (contrast + trait).backward()
    nn.utils.clip_grad_norm_(learner.parameters(), 1.0)
    optimizer.step()
    return contrast.item(), trait.item()
