"""What flow transformers share: how far the path is shifted for the size of a picture."""

from __future__ import annotations

from typing import Any


def static_mu(scheduler: Any, tokens: int) -> float:
    """The shift of FLUX.1 and Z-Image for a picture of so many tokens, as diffusers' ``calculate_shift``."""
    config = scheduler.config
    few, many = config.get("base_image_seq_len", 256), config.get("max_image_seq_len", 4096)
    low, high = config.get("base_shift", 0.5), config.get("max_shift", 1.15)
    return float(low + (tokens - few) * (high - low) / (many - few))
