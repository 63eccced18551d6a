"""What tests do with a base: draw, wear, learn for a moment."""

from __future__ import annotations

import torch

from castmark.bases.base import Base
from castmark.shot import Shot
from castmark.take import Draft
from castmark_adapters.learn import LearnSettings
from castmark_adapters.lora import LoraWeights, attention_targets

SHORT = LearnSettings(steps=3, batch=2, rank=2, views=1, others=2, drawing_steps=2)


def drawn(base: Base, *seeds: int, text: str = "a red mug") -> list[Draft]:
    return base.draw([base.resolve(Shot(text, seed=seed)) for seed in seeds])


def changed(base: Base, scale: float = 0.5, seed: int = 0) -> LoraWeights:
    """A LoRA that visibly changes what this base draws."""
    generator = torch.Generator().manual_seed(seed)
    layers: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
    for name in attention_targets(base.host.model):
        linear = base.host.model.denoiser.get_submodule(name)
        down = torch.randn(2, linear.in_features, generator=generator) * scale
        layers[name] = (down, torch.randn(linear.out_features, 2, generator=generator) * scale)
    return LoraWeights(2, layers, base.host.model.lora_prefix)
