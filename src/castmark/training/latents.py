"""Latents of rendered scenes with their captions' tokens, kept in shards, so that a denoiser need not encode.

Each shard holds ``SHARD`` scenes: latents Float16 "n 12 16 16" and token ids Int16 "n 3 48" (three captions a
scene). Shards are seeded by their number: made again, they are the same.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from castmark.training.autoencoder import SIZE, Folded, to_tensor
from castmark.training.common import Clock
from castmark.training.tokenizer import CONTEXT
from castmark_world import caption, render, sample_scene

if TYPE_CHECKING:
    from diffusers import AutoencoderTiny
    from transformers import PreTrainedTokenizerFast

SHARD = 1024
CAPTIONS = 3


def make_shards(
    folder: Path, autoencoder: AutoencoderTiny, tokenizer: PreTrainedTokenizerFast, count: int, minutes: float
) -> int:
    """Make shards up to ``count`` or until the time is spent; those already there stay. Returns how many."""
    folder.mkdir(parents=True, exist_ok=True)
    folded = Folded(autoencoder.eval())
    clock = Clock(minutes)
    for index in range(count):
        path = folder / f"shard-{index:04d}.npz"
        if path.exists():
            continue
        if clock.fraction >= 1:
            return index
        rng = np.random.default_rng([7, index])
        scenes = [sample_scene(rng) for _ in range(SHARD)]
        texts = [caption(scene, rng) for scene in scenes for _ in range(CAPTIONS)]
        ids = tokenizer(texts, padding="max_length", truncation=True, max_length=CONTEXT, return_tensors="np")
        latents: list[NDArray[np.float16]] = []
        for start in range(0, SHARD, 32):
            images = to_tensor(np.stack([render(s, SIZE) for s in scenes[start : start + 32]]))
            with torch.no_grad():
                encoded = folded.encode(images.contiguous(memory_format=torch.channels_last))
            latents.append(encoded.numpy().astype(np.float16))
        temporary = path.with_suffix(".part.npz")
        tokens = np.asarray(ids["input_ids"]).astype(np.int16).reshape(SHARD, CAPTIONS, CONTEXT)
        np.savez(temporary, latents=np.concatenate(latents), tokens=tokens)
        temporary.replace(path)
    return count


class LatentPool:
    """All shards made so far, in memory; picks up new ones as they appear."""

    def __init__(self, folder: Path, rng: np.random.Generator) -> None:
        self.folder, self.rng = folder, rng
        self.latents: list[NDArray[np.float16]] = []
        self.tokens: list[NDArray[np.int16]] = []
        self.refresh()

    def refresh(self) -> None:
        """Load the shards that appeared since the last look."""
        paths = sorted(p for p in self.folder.glob("shard-*.npz") if ".part" not in p.name)
        for path in paths[len(self.latents) :]:
            with np.load(path) as shard:
                self.latents.append(shard["latents"])
                self.tokens.append(shard["tokens"])

    def __len__(self) -> int:
        return len(self.latents) * SHARD

    def batch(self, size: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Float latents "b 12 16 16" and Long token ids "b 48" of random scenes."""
        where = self.rng.integers(len(self), size=size)
        which = self.rng.integers(CAPTIONS, size=size)
        latents = np.stack([self.latents[i // SHARD][i % SHARD] for i in where])
        tokens = np.stack([self.tokens[i // SHARD][i % SHARD, k] for i, k in zip(where, which, strict=True)])
        return torch.from_numpy(latents).float(), torch.from_numpy(tokens).long()
