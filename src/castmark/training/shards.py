"""Makes the shards that a denoiser learns from: scenes drawn, described and encoded.

Scenes come in sets: one subject seen in `VIEWS` scenes, so that any view may be drawn with the others as its
references. Each shard holds `SETS` sets: latents Float16 "n v c 16 16" (16 of the picture, and its plan where
the scope has one: `castmark_world.plan`), how much each latent cell weighs
Float16 "n v 16 16", token ids Int16 "n v 3 48" (three captions a view; the last one names the subject by kind
alone), what the subject encoder sees in each view, Float16 "n v 65 128", the truth by column (see
`castmark.training.labels`) Float32 "n v k", which columns each caption says, Bool "n v 3 k", and where
everything stands (`castmark.training.told`), Float32 "n v 21". Shards are seeded by their number: made again,
they are the same.

Two thirds of the work are encoding. A core does both (`make_shards`); where there is a GPU, cores only draw
(`draw_shards`), and one process beside them encodes what they drew (`encode_shards`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from castmark.training.autoencoder import LATENT_CHANNELS, SIZE, STRIDE, Folded, plan_of
from castmark.training.common import half_precision
from castmark.training.labels import labels_of, said
from castmark.training.latents import CAPTIONS, VIEWS, write_shard
from castmark.training.reference_pool import plain_caption, reference_picture
from castmark.training.samples import to_tensor
from castmark.training.subject_views import normalised
from castmark.training.tokenizer import token_ids
from castmark.training.told import standing
from castmark_world import caption, masks, render, sample_subject, stage

if TYPE_CHECKING:
    from diffusers import AutoencoderTiny
    from transformers import PreTrainedTokenizerFast

    from castmark_adapters.encoder import SubjectEncoder

SETS, AT_ONCE = 64, 8
SUBJECT_WEIGHT, DETAIL_WEIGHT = 4.0, 4.0
"""How much more than its surroundings a cell of the subject weighs, and on top of that one of its face and of
what it holds."""
DETAILS = frozenset(("face", "item", "other face", "other item"))
PICTURES = ("drawn", "looks")
"""What is encoded."""
NOT_KEPT = (*PICTURES, "plan")
"""What becomes part of something else: a scene's plan of its latents."""
MOST_WAITING = 48
"""Drawn shards, of 50 MiB, that may wait to be encoded."""
PAUSE = 0.05
Arrays = dict[str, NDArray[Any]]


def make_shards(
    folder: Path,
    autoencoder: AutoencoderTiny,
    tokenizer: PreTrainedTokenizerFast,
    encoder: SubjectEncoder,
    numbers: Iterable[int],
) -> None:
    """Make the shards of these numbers; those already there stay."""
    folder.mkdir(parents=True, exist_ok=True)
    encoded = Encoding(autoencoder, encoder)
    for number in numbers:
        path = shard_path(folder, number)
        if not path.exists():
            write_shard(path, **_joined(map(encoded, _drawn(number, tokenizer, _side(encoder)))))


def draw_shards(
    folder: Path,
    waiting: Path,
    tokenizer: PreTrainedTokenizerFast,
    encoder: SubjectEncoder,
    numbers: Iterable[int],
) -> None:
    """Draw the shards of these numbers into ``waiting``, where they are not in ``folder``, and wait where
    too many of them do. Nothing is encoded: only the size of what the encoder sees matters.
    """
    waiting.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        if shard_path(folder, number).exists():
            continue
        while len(list(waiting.glob("*.npz"))) >= MOST_WAITING:
            time.sleep(PAUSE)
        write_shard(shard_path(waiting, number), **_joined(_drawn(number, tokenizer, _side(encoder))))


def encode_shards(
    folder: Path,
    waiting: Path,
    autoencoder: AutoencoderTiny,
    encoder: SubjectEncoder,
    device: str,
    going: Callable[[], bool] = lambda: True,
) -> None:
    """Encode what waits into ``folder``, for as long as it is ``going``."""
    folder.mkdir(parents=True, exist_ok=True)
    encoded = Encoding(autoencoder, encoder, device)
    while going():
        for path in sorted(waiting.glob("*.npz")):
            with np.load(path) as shard:
                drawn = {name: shard[name] for name in shard.files}
            write_shard(folder / path.name, **encoded(drawn))
            path.unlink()
        time.sleep(PAUSE)


def shard_path(folder: Path, number: int) -> Path:
    """Where a shard lies."""
    return folder / f"shard-{number:04d}.npz"


class Encoding:
    """Sets as they are drawn to sets as shards hold them."""

    def __init__(self, autoencoder: AutoencoderTiny, encoder: SubjectEncoder, device: str = "cpu") -> None:
        self._folded = Folded(cast("Any", autoencoder).to(device).eval())
        self._encoder = encoder.model.to(device)  # pyright: ignore[reportArgumentType]
        self._device = device

    @torch.no_grad()
    def __call__(self, drawn: Mapping[str, NDArray[Any]]) -> Arrays:
        """A few sets."""
        pictures, looks = (drawn[name].reshape(-1, *drawn[name].shape[2:]) for name in PICTURES)
        with half_precision(self._device):
            images = to_tensor(torch.from_numpy(pictures).to(self._device))
            images = images.contiguous(memory_format=torch.channels_last)
            latents = self._folded.encode(images).float()[:, :LATENT_CHANNELS]
        plans = torch.from_numpy(drawn["plan"]).flatten(0, 1).to(latents)
        read = normalised(looks, self._device)
        states = self._encoder(read, output_hidden_states=True).hidden_states[-2]
        found = {"latents": torch.cat([latents, plans], 1), "seen": states}
        shape = drawn["drawn"].shape[:2]
        kept = {name: values for name, values in drawn.items() if name not in NOT_KEPT}
        made = {name: values.cpu().numpy().astype(np.float16) for name, values in found.items()}
        return kept | {name: values.reshape(*shape, *values.shape[1:]) for name, values in made.items()}


def _side(encoder: SubjectEncoder) -> int:
    """Of the pictures that the subject encoder sees."""
    return cast("int", encoder.model.config.image_size)


def _drawn(number: int, tokenizer: PreTrainedTokenizerFast, small: int) -> Iterator[Arrays]:
    """The sets of a shard, a few at a time, with the pictures that are to be encoded."""
    rng = np.random.default_rng([8, number])
    for start in range(0, SETS, AT_ONCE):
        yield _sets(min(AT_ONCE, SETS - start), tokenizer, small, rng)


def _sets(how_many: int, tokenizer: PreTrainedTokenizerFast, small: int, rng: np.random.Generator) -> Arrays:
    subjects = [sample_subject(rng) for _ in range(how_many)]
    scenes = [stage(subject, rng) for subject in subjects for _ in range(VIEWS)]
    drawn = [render(scene, SIZE) for scene in scenes]
    looks = [reference_picture(s, p, rng, small) for s, p in zip(scenes, drawn, strict=True)]
    speak = (*(caption,) * (CAPTIONS - 1), plain_caption)
    voices = [(say, int(rng.integers(2**62))) for _ in scenes for say in speak]
    tellings = list(zip([scene for scene in scenes for _ in speak], voices, strict=True))
    texts = [say(scene, np.random.default_rng(seed)) for scene, (say, seed) in tellings]
    told = np.stack([said(scene, say, seed) for scene, (say, seed) in tellings])
    found: Arrays = {
        "drawn": np.stack(drawn),
        "looks": np.stack(looks),
        "plan": np.stack([plan_of(scene) for scene in scenes]),
        "weight": np.stack([_weight(masks(scene, SIZE)) for scene in scenes]),
        "tokens": token_ids(tokenizer, texts).numpy().astype(np.int16).reshape(len(scenes), CAPTIONS, -1),
        "labels": np.stack([labels_of(scene) for scene in scenes]),
        "standing": np.stack([standing(scene) for scene in scenes]),
        "said": told.reshape(len(scenes), CAPTIONS, -1),
    }
    return {name: values.reshape(how_many, VIEWS, *values.shape[1:]) for name, values in found.items()}


def _weight(parts: Mapping[str, NDArray[np.bool_]]) -> NDArray[np.float16]:
    """Weight of each latent cell."""
    side = SIZE // STRIDE
    pixels = 1 + SUBJECT_WEIGHT * parts["subject"]
    for part in DETAILS & parts.keys():
        pixels += DETAIL_WEIGHT * parts[part]
    return pixels.reshape(side, STRIDE, side, STRIDE).mean((1, 3)).astype(np.float16)


def _joined(parts: Iterable[Arrays]) -> Arrays:
    """Arrays of all parts, one after another."""
    held = list(parts)
    return {name: np.concatenate([part[name] for part in held]) for name in held[0]}
