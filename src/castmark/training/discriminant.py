"""A closing step for the subject encoder, in closed form: linear discriminants instead of its last
projection.

What varies between two views of one subject is scaled down, what varies between subjects kept, and the mean
taken away (linear discriminant analysis, Fisher 1936, with within-class whitening as in speaker recognition).
Both fold into layers that a ``CLIPVisionModelWithProjection`` has: the bias of its last norm and its
projection. The tokens the reference adapter reads come before them and do not change.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from castmark.training.common import seeded
from castmark.training.subject_views import normalised, sample_views, weathered
from castmark_adapters.encoder import SubjectEncoder

PAIRS_AT_ONCE = 8
SHRINKAGE = 0.05
"""Share of the mean variance added to every within-subject variance: few views, many dimensions."""


@torch.no_grad()
def sharpen(folder: Path, pairs: int = 400, seed: int = 11) -> None:
    """Fold the discriminants of ``pairs`` training subjects and their look-alikes into an encoder folder."""
    encoder = SubjectEncoder.load(folder)
    model: Any = encoder.model
    pooled: list[Tensor] = []
    for step in range(-(-pairs // PAIRS_AT_ONCE)):
        rng = np.random.default_rng((seed, step))
        views = sample_views(rng, PAIRS_AT_ONCE, model.config.image_size)
        generator = seeded(rng)
        pooled.append(model.vision_model(weathered(normalised(views.pixels), generator)).pooler_output)
    mean, matrix = discriminants(torch.cat(pooled).double(), model.visual_projection.weight.shape[0])
    model.vision_model.post_layernorm.bias.sub_(mean.float())
    model.visual_projection.weight.copy_(matrix.float())
    model.half().save_pretrained(folder)


def discriminants(
    views: Float[Tensor, "n d"], count: int
) -> tuple[Float[Tensor, " d"], Float[Tensor, "count d"]]:
    """Mean, and ``count`` discriminants; rows 2i and 2i + 1 are views of one identity.

    Each is scaled by how much of its variance is identity, so that weak ones count for little in a cosine.
    """
    mean = views.mean(0)
    first, second = (views - mean).view(-1, 2, views.shape[1]).unbind(1)
    apart = first - second
    within = apart.T @ apart / (2 * len(apart))
    within = within + SHRINKAGE * within.diagonal().mean() * torch.eye(len(within), dtype=within.dtype)
    between = (first.T @ second + second.T @ first) / (2 * len(first))
    scales, axes = torch.linalg.eigh(within)
    whiten = axes / scales.sqrt() @ axes.T
    strengths, directions = torch.linalg.eigh(whiten @ between @ whiten)
    strengths, directions = strengths[-count:].clamp(min=0), directions[:, -count:]
    kept = (strengths / (strengths + 1)).sqrt()
    return mean, (whiten @ directions * kept).T
