"""Latents of rendered scenes with their captions' tokens, kept in shards, so that a denoiser need not encode.

Scenes come in sets: one subject seen in `VIEWS` scenes, so that any view may be drawn with the others as its
references. Each shard holds `SETS` sets: latents Float16 "n v 16 16 16", how much each latent cell weighs
Float16 "n v 16 16", token ids Int16 "n v 3 48" (three captions a view; the last one names the subject by kind
alone), what the subject encoder sees in each view, Float16 "n v 65 128", the truth by column (see
`castmark.training.labels`) Float32 "n v k", and which columns each caption says, Bool "n v 3 k". Shards are
seeded by their number: made again, they are the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from castmark.errors import InputError
from castmark.training.autoencoder import SIZE, STRIDE, Folded
from castmark.training.common import half_precision
from castmark.training.labels import labels_of, of_subject, said
from castmark.training.reference_pool import plain_caption, reference_picture
from castmark.training.samples import to_tensor
from castmark.training.subject_views import normalised
from castmark.training.tokenizer import token_ids
from castmark_world import caption, masks, render, sample_subject, stage

if TYPE_CHECKING:
    from diffusers import AutoencoderTiny
    from transformers import PreTrainedTokenizerFast

    from castmark_adapters.encoder import SubjectEncoder

SETS = 64
VIEWS = 4
CAPTIONS = 3
REFERENCES = VIEWS - 1
NAMES = ("latents", "weight", "tokens", "seen", "labels", "said")
SUBJECT_WEIGHT, DETAIL_WEIGHT = 4.0, 4.0
"""How much more than its surroundings a cell of the subject weighs, and on top of that one of its face and of
what it holds."""
DETAILS = frozenset(("face", "item", "other face", "other item"))


def make_shards(
    folder: Path,
    autoencoder: AutoencoderTiny,
    tokenizer: PreTrainedTokenizerFast,
    encoder: SubjectEncoder,
    numbers: Iterable[int],
) -> None:
    """Make the shards of these numbers; those already there stay."""
    folder.mkdir(parents=True, exist_ok=True)
    folded = Folded(autoencoder.eval())
    for index in numbers:
        path = folder / f"shard-{index:04d}.npz"
        if path.exists():
            continue
        rng = np.random.default_rng([8, index])
        parts: dict[str, list[NDArray[Any]]] = {name: [] for name in NAMES}
        for start in range(0, SETS, 8):
            made = _sets(min(8, SETS - start), folded, tokenizer, encoder, rng)
            for name, held in parts.items():
                held.append(made[name])
        write_shard(path, **{name: np.concatenate(held) for name, held in parts.items()})


@torch.no_grad()
def _sets(
    count: int,
    folded: Folded,
    tokenizer: PreTrainedTokenizerFast,
    encoder: SubjectEncoder,
    rng: np.random.Generator,
) -> dict[str, NDArray[Any]]:
    """A few sets, as a shard holds them."""
    subjects = [sample_subject(rng) for _ in range(count)]
    scenes = [stage(subject, rng) for subject in subjects for _ in range(VIEWS)]
    drawn = [render(scene, SIZE) for scene in scenes]
    small = cast("int", encoder.model.config.image_size)
    seen = np.stack([reference_picture(s, p, rng, small) for s, p in zip(scenes, drawn, strict=True)])
    with half_precision("cpu"):
        images = to_tensor(np.stack(drawn)).contiguous(memory_format=torch.channels_last)
        latents = folded.encode(images).float()
    states = encoder.model(normalised(seen), output_hidden_states=True).hidden_states[-2]
    speak = (*(caption,) * (CAPTIONS - 1), plain_caption)
    voices = [(say, int(rng.integers(2**62))) for _ in scenes for say in speak]
    tellings = list(zip([scene for scene in scenes for _ in speak], voices, strict=True))
    texts = [say(scene, np.random.default_rng(seed)) for scene, (say, seed) in tellings]
    told = np.stack([said(scene, say, seed) for scene, (say, seed) in tellings])
    found: dict[str, NDArray[Any]] = {
        "latents": latents.numpy().astype(np.float16),
        "weight": np.stack([_weight(masks(scene, SIZE)) for scene in scenes]),
        "tokens": token_ids(tokenizer, texts).numpy().astype(np.int16).reshape(len(scenes), CAPTIONS, -1),
        "seen": states.numpy().astype(np.float16),
        "labels": np.stack([labels_of(scene) for scene in scenes]),
        "said": told.reshape(len(scenes), CAPTIONS, -1),
    }
    return {name: values.reshape(count, VIEWS, *values.shape[1:]) for name, values in found.items()}


def _weight(parts: Mapping[str, NDArray[np.bool_]]) -> NDArray[np.float16]:
    """Weight of each latent cell."""
    side = SIZE // STRIDE
    pixels = 1 + SUBJECT_WEIGHT * parts["subject"]
    for part in DETAILS & parts.keys():
        pixels += DETAIL_WEIGHT * parts[part]
    return pixels.reshape(side, STRIDE, side, STRIDE).mean((1, 3)).astype(np.float16)


def write_shard(path: Path, **arrays: NDArray[Any]) -> None:
    """Write arrays as one ``.npz``, whole or not at all."""
    temporary = path.with_suffix(".part")
    with temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
    temporary.replace(path)


@dataclass(frozen=True)
class Batch:
    """Views to draw, and references of the first few of them."""

    clean: Tensor
    """Latents Float "b 16 16 16"."""
    weight: Tensor
    """Of each cell, Float "b 1 16 16"."""
    ids: Tensor
    """Token ids of a caption each, Long "b 48"."""
    seen: Tensor
    """What the subject encoder sees in other views of the same subject, Float "r `REFERENCES` 65 128"; r of
    the b views have references."""
    labels: Tensor
    """The truth by column, Float "b k"."""
    asked: Tensor
    """What the caption says or the references show, Bool "b k"."""


class ShardPool:
    """The shards of a folder, in the memory of the device that learns; new ones can be taken up as it learns.

    Args:
        folder: of ``.npz`` files, each with these arrays.
        names: of the arrays; rows of one belong to rows of the others.
    """

    def __init__(self, folder: Path, names: Sequence[str], device: str = "cpu") -> None:
        self._folder, self._names, self._device = folder, names, device
        self._read: set[str] = set()
        self.held: dict[str, Tensor] = {}
        self.refresh()

    def refresh(self) -> None:
        """Take up shards that came since.

        Raises:
            InputError: one was made by an earlier version, which kept other things.
        """
        parts: dict[str, list[Tensor]] = {name: [] for name in self._names}
        for path in sorted(self._folder.glob("*.npz")):
            if path.name in self._read:
                continue
            self._read.add(path.name)
            with np.load(path) as shard:
                if missing := set(self._names) - set(shard.files):
                    raise InputError(
                        f"{path}: holds no {', '.join(sorted(missing))}; an earlier version made it: "
                        f"delete {self._folder}, and it is made anew"
                    )
                for name, held in parts.items():
                    held.append(torch.from_numpy(shard[name]).to(self._device))
        if not next(iter(parts.values())):
            return
        for name, held in parts.items():
            earlier = [self.held.pop(name)] if name in self.held else list[Tensor]()
            self.held[name] = torch.cat([*earlier, *held])

    def __len__(self) -> int:
        return len(next(iter(self.held.values()))) if self.held else 0


class LatentPool(ShardPool):
    """Views to learn from, out of the shards of a folder; what is drawn follows from ``rng``."""

    def __init__(self, folder: Path, rng: np.random.Generator, device: str = "cpu") -> None:
        super().__init__(folder, NAMES, device)
        self.rng = rng
        self._of_subject = torch.from_numpy(of_subject()).to(device)

    def batch(self, size: int, referenced: int) -> Batch:
        """Random views of random subjects; the first ``referenced`` of them with references.

        One to three of a subject's other views are its references, repeated to fill `REFERENCES` places: a
        reference that is there twice counts twice in attention, which only shifts weight among them.
        """
        where = self.rng.integers(len(self), size=size)
        views = self.rng.permuted(np.tile(np.arange(VIEWS), (size, 1)), axis=1)
        target, others = views[:, 0], views[:referenced, 1:]
        counts = self.rng.integers(1, REFERENCES + 1, size=(referenced, 1))
        others = np.take_along_axis(others, np.arange(REFERENCES)[None] % counts, axis=1)
        which = self.rng.integers(CAPTIONS, size=size)
        rows, view, caption, shown = self._take(where, target, which, others)
        asked = self.held["said"][rows, view, caption].clone()
        asked[:referenced] |= self._of_subject
        return Batch(
            self.held["latents"][rows, view].float(),
            self.held["weight"][rows, view].float()[:, None],
            self.held["tokens"][rows, view, caption].long(),
            self.held["seen"][rows[:referenced, None], shown].float(),
            self.held["labels"][rows, view],
            asked,
        )

    def _take(self, *indices: NDArray[np.int64]) -> list[Tensor]:
        return [torch.from_numpy(index).to(self._device) for index in indices]
