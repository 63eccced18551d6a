"""Latents of rendered scenes with their captions' tokens, kept in shards, so that a denoiser need not encode.

Each shard holds ``SHARD`` scenes: latents Float16 "n 16 16 16", the subject's share of each latent cell
Float16 "n 16 16", and token ids Int16 "n 3 48" (three captions a scene). Shards are seeded by their number:
made again, they are the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from castmark.training.autoencoder import SIZE, STRIDE, Folded, to_tensor
from castmark.training.common import half_precision
from castmark.training.tokenizer import CONTEXT, token_ids
from castmark_world import caption, masks, render, sample_scene

if TYPE_CHECKING:
    from diffusers import AutoencoderTiny
    from transformers import PreTrainedTokenizerFast

SHARD = 1024
CAPTIONS = 3


def make_shards(
    folder: Path, autoencoder: AutoencoderTiny, tokenizer: PreTrainedTokenizerFast, numbers: Iterable[int]
) -> None:
    """Make the shards of these numbers; those already there stay."""
    folder.mkdir(parents=True, exist_ok=True)
    folded = Folded(autoencoder.eval())
    for index in numbers:
        path = folder / f"shard-{index:04d}.npz"
        if path.exists():
            continue
        rng = np.random.default_rng([7, index])
        scenes = [sample_scene(rng) for _ in range(SHARD)]
        texts = [caption(scene, rng) for scene in scenes for _ in range(CAPTIONS)]
        latents: list[NDArray[np.float16]] = []
        for start in range(0, SHARD, 32):
            images = to_tensor(np.stack([render(s, SIZE) for s in scenes[start : start + 32]]))
            with torch.no_grad(), half_precision("cpu"):
                encoded = folded.encode(images.contiguous(memory_format=torch.channels_last))
            latents.append(encoded.float().numpy().astype(np.float16))
        subject = np.stack([_share(masks(scene, SIZE)["subject"]) for scene in scenes])
        tokens = token_ids(tokenizer, texts).numpy().astype(np.int16).reshape(SHARD, CAPTIONS, CONTEXT)
        write_shard(path, latents=np.concatenate(latents), subject=subject, tokens=tokens)


def _share(mask: NDArray[np.bool_]) -> NDArray[np.float16]:
    """Share of each latent cell that the mask covers."""
    side = SIZE // STRIDE
    return mask.reshape(side, STRIDE, side, STRIDE).mean((1, 3)).astype(np.float16)


def write_shard(path: Path, **arrays: NDArray[Any]) -> None:
    """Write arrays as one ``.npz``, whole or not at all."""
    temporary = path.with_suffix(".part")
    with temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
    temporary.replace(path)


def read_shards(folder: Path, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    """The named arrays of every shard in the folder, one after the other."""
    parts: dict[str, list[NDArray[Any]]] = {name: [] for name in names}
    for path in sorted(folder.glob("*.npz")):
        with np.load(path) as shard:
            for name, held in parts.items():
                held.append(shard[name])
    return {name: np.concatenate(held) for name, held in parts.items()}


class LatentPool:
    """The shards of a folder, in memory."""

    def __init__(self, folder: Path, rng: np.random.Generator) -> None:
        self.rng = rng
        held = read_shards(folder, ("latents", "subject", "tokens"))
        self.latents, self.subject, self.tokens = held.values()

    def __len__(self) -> int:
        return len(self.latents)

    def batch(self, size: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Latents "b 16 16 16", subject shares "b 1 16 16" and Long token ids "b 48" of random scenes."""
        where = self.rng.integers(len(self), size=size)
        which = self.rng.integers(CAPTIONS, size=size)
        return (
            torch.from_numpy(self.latents[where]).float(),
            torch.from_numpy(self.subject[where]).float()[:, None],
            torch.from_numpy(self.tokens[where, which]).long(),
        )
