"""The autoencoder: 256 px images to 16 x 16 x 16 latents and back, a plain diffusers `AutoencoderTiny`.

`AutoencoderTiny` (the TAESD form, Bohan 2023) with no blocks above 64 x 64 is *linear* between 64 x 64 and
the pixels on either side: convolutions without an activation between them. So while learning, those stages
are folded into one convolution each, which costs a tenth; what ships is the unfolded, ordinary model. The
decoder's end is folded exactly, borders and all (`castmark.bases.folding`); the encoder's start only inside
the image (`fold_head`), so that in a closing stretch the encoder learns unfolded.

On a CPU it learns on square crops about the subject, where the detail is; convolutions carry over to whole
images, and borders are learned at the end (`castmark.training.decoder`). On a GPU it learns on whole images.
Loss: L1 and squares on pixels and L1 on their gradients, weighted by the world's own masks (faces, held
items, the subject), with Gaussian noise on the latents, and each latent channel pulled to zero mean and unit
variance, so that a diffusion model can learn them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias, cast

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderTiny
from numpy.typing import NDArray
from torch import Tensor, nn

from castmark.bases.folding import TAIL, finish, fold_tail
from castmark.training.common import TrainSettings, forget_path, half_precision, hardware, write_card
from castmark.training.loop import Loop
from castmark.training.muon import groups
from castmark.training.samples import round_trip, to_tensor
from castmark.training.supply import Replay, Supply
from castmark_world import DEFAULT, Scene, Split, masks, render, sample_scene
from castmark_world.plan import PLANNED, plan

Pixels: TypeAlias = NDArray[np.uint8]

SIZE = 256
STRIDE = 16
CROP = 160
WIDTH = 64
LATENT_CHANNELS = 16
"""Of the picture."""
PLAN_CHANNELS = len(PLANNED) if DEFAULT.planned else 0
"""Beside them, where the scope's base draws a plan: the encoder tells it, the decoder passes it over."""
BATCH = 16
BATCHES_ON_GPU = 4
REPLAYED, TIMES_ON_GPU = 500, 8
"""Batches that a GPU learns from again while others are rendered, and how often from each."""
LATENT_NOISE = 0.05
PLAN_WEIGHT = 0.1
"""Of the squared error of the plan that the encoder tells."""
SQUARES = 2.0
"""Weight of squared against absolute differences. Absolute ones alone give up small things of high contrast,
such as eyes in a dark face; squares make those dear."""
LEARNING_RATE = 2e-3
UNFOLDED_SHARE = 0.06
WEIGHTS = {"subject": 1.0, "face": 5.0, "item": 2.0}
"""By part, of either subject; a prop counts as a subject does."""


def new_autoencoder() -> AutoencoderTiny:
    """The untrained model."""
    model = AutoencoderTiny(
        encoder_block_out_channels=(WIDTH,) * 5,
        decoder_block_out_channels=(WIDTH,) * 5,
        num_encoder_blocks=(0, 0, 1, 2, 3),
        num_decoder_blocks=(4, 4, 2, 0, 0),
        latent_channels=LATENT_CHANNELS + PLAN_CHANNELS,
    )
    with torch.no_grad():
        cast(nn.Conv2d, model.decoder.layers[0]).weight[:, LATENT_CHANNELS:] = 0
    return model


def grown(shipped: AutoencoderTiny) -> AutoencoderTiny:
    """A model that shipped without a plan, with one that is nothing; one that has it as it is."""
    channels = LATENT_CHANNELS + PLAN_CHANNELS
    if shipped.config["latent_channels"] == channels:
        return shipped
    model = cast(
        "AutoencoderTiny", AutoencoderTiny.from_config({**shipped.config, "latent_channels": channels})
    )
    taken(model, shipped)
    return model


def taken(model: nn.Module, shipped: nn.Module) -> None:
    """Give a model the weights of one that shipped, as far as shapes agree. Convolutions that read or write
    latents are filled up with noughts where that one knew no plan.
    """
    ours, found = model.state_dict(), dict[str, Tensor]()
    for name, theirs in shipped.state_dict().items():
        if name not in ours:
            continue
        mine = ours[name]
        if mine.shape == theirs.shape:
            found[name] = theirs
        elif theirs.dim() in (1, 4) and all(m - t in (0, PLAN_CHANNELS) for m, t in _sides(mine, theirs)):
            found[name] = torch.zeros_like(mine)
            found[name][tuple(slice(side) for side in theirs.shape)] = theirs
    model.load_state_dict(found, strict=False)


def _sides(one: Tensor, other: Tensor) -> Iterator[tuple[int, int]]:
    return zip(one.shape, other.shape, strict=True)


def fold_head(layers: nn.Sequential) -> tuple[Tensor, Tensor]:
    """Weights "w 3 9 9" and bias "w" of the encoder's first three convolutions as one of stride 4."""
    first, second, third = (cast(nn.Conv2d, layers[i]) for i in range(3))
    assert first.bias is not None
    twice = F.conv_transpose2d(second.weight, first.weight)
    weight = F.conv_transpose2d(third.weight, twice, stride=2)
    bias = third.weight.sum((2, 3)) @ (second.weight.sum((2, 3)) @ first.bias)
    return weight, bias


class Folded(nn.Module):
    """The same model, computed with its linear ends folded. Inputs and outputs are in [-1, 1]."""

    def __init__(self, model: AutoencoderTiny) -> None:
        super().__init__()
        self.model = model

    def encode(self, images: Tensor) -> Tensor:
        """Float "b 3 h w" to latents "b c h/16 w/16"."""
        layers = self.model.encoder.layers
        weight, bias = fold_head(layers)
        h = F.conv2d(images.add(1).div(2), weight, bias, stride=4, padding=4)
        for layer in layers[3:]:
            h = layer(h)
        return h

    def decode(self, latents: Tensor) -> Tensor:
        """Latents "b c h w" to Float "b 3 16h 16w"."""
        layers = list(self.model.decoder.layers)
        h = torch.tanh(latents / 3) * 3
        h = torch.cat([h[:, :LATENT_CHANNELS], torch.zeros_like(h[:, LATENT_CHANNELS:])], 1)
        for layer in layers[:-TAIL]:
            h = layer(h)
        return finish(h, *fold_tail(layers[-TAIL:]))


def weights_of(parts: Mapping[str, NDArray[np.bool_]]) -> NDArray[np.float32]:
    """How much each pixel of a scene with these parts (`castmark_world.masks`) counts, "256 256"."""
    weight = np.ones((SIZE, SIZE), np.float32)
    for name, mask in parts.items():
        weight += WEIGHTS.get(name.removeprefix("other "), WEIGHTS["subject"]) * mask
    return weight


def _crop(subject: NDArray[np.bool_], rng: np.random.Generator) -> tuple[slice, slice]:
    """A window of `CROP` pixels that holds a random pixel of the subject; with a plan, of whole cells."""
    rows, columns = np.nonzero(subject)
    pick = int(rng.integers(len(rows)))
    low = (int(rows[pick]) - CROP + 1, int(columns[pick]) - CROP + 1)
    top, left = (int(rng.integers(max(0, start), min(start + CROP - 1, SIZE - CROP) + 1)) for start in low)
    if PLAN_CHANNELS:
        top, left = (min(SIZE - CROP, STRIDE * round(start / STRIDE)) for start in (top, left))
    return slice(top, top + CROP), slice(left, left + CROP)


Batch: TypeAlias = tuple[Tensor, Tensor, Tensor]
"""Images UInt8 "b h w 3", how much their pixels count Float16 "b 1 h w", and their plans Float32
"b p h/16 w/16", of no maps where the scope has none."""


def batch_of(seed: int, whole: bool, number: int, split: Split = "train") -> Batch:
    """Crops of scenes or, on a GPU, where rendering is what takes time, all of them."""
    rng = np.random.default_rng([seed, number])
    images: list[Pixels] = []
    weights: list[NDArray[np.float16]] = []
    plans: list[NDArray[np.float32]] = []
    for _ in range(BATCH):
        scene = sample_scene(rng, split=split)
        parts = masks(scene, SIZE)
        window = (slice(None), slice(None)) if whole else _crop(parts["subject"], rng)
        images.append(render(scene, SIZE)[window])
        weights.append(weights_of(parts)[window].astype(np.float16))
        plans.append(plan_of(scene)[:, *map(_cells, window)])
    pixels, weight, planned = (torch.from_numpy(np.stack(each)) for each in (images, weights, plans))
    return pixels, weight[:, None], planned


def _cells(window: slice) -> slice:
    return window if window.start is None else slice(window.start // STRIDE, window.stop // STRIDE)


def plan_of(scene: Scene) -> NDArray[np.float32]:
    """The scene's plan, "p 16 16"; of no maps where there is none."""
    cells = SIZE // STRIDE
    return plan(scene) if PLAN_CHANNELS else np.zeros((0, cells, cells), np.float32)


def placed(batch: Batch, device: str) -> Batch:
    """The batch on a device."""
    images, weights, plans = batch
    return images.to(device), weights.to(device), plans.to(device)


def loss_of(images: Tensor, drawn: Tensor, weights: Tensor, latents: Tensor) -> Tensor:
    """Weighted L1 and squares on pixels, L1 on gradients, and the pull of latents to unit variance."""
    difference = images - drawn
    dx = (difference[..., 1:] - difference[..., :-1]).abs()
    dy = (difference[..., 1:, :] - difference[..., :-1, :]).abs()
    pixel = ((difference.abs() + SQUARES * difference.square()) * weights).mean()
    edges = (dx * weights[..., 1:]).mean() + (dy * weights[..., 1:, :]).mean()
    mean, std = latents.mean((0, 2, 3)), latents.std((0, 2, 3))
    return (pixel + 0.5 * edges) / weights.mean() + 0.02 * (mean.square() + (std - 1).square()).mean()


def train(settings: TrainSettings) -> None:
    """Train, or go on training, within the time budget; then write the model and its card to ``out``.

    It goes on from its checkpoint, or else from the weights in ``out``, if there are any.
    """
    torch.set_num_threads(settings.threads)
    torch.manual_seed(settings.seed)
    device = settings.device
    model = new_autoencoder()
    if (settings.out / "config.json").is_file():
        taken(model, AutoencoderTiny.from_pretrained(settings.out))
    folded = Folded(model)
    folded.to(device).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    loop = Loop(
        settings, "autoencoder", model, groups(model), peak=LEARNING_RATE, samples=partial(round_trip, model)
    )
    make = partial(batch_of, settings.seed, settings.on_gpu)
    with Supply(make, first=loop.step * BATCHES_ON_GPU, workers=settings.workers) as supply:
        times = TIMES_ON_GPU if settings.on_gpu else 1
        batches = Replay(supply, keep=REPLAYED, times=times, place=partial(placed, device=device))
        while loop.going:
            parts = [next(batches) for _ in range(BATCHES_ON_GPU if settings.on_gpu else 1)]
            images = to_tensor(torch.cat([part[0] for part in parts]))
            images = images.contiguous(memory_format=torch.channels_last)
            weights = torch.cat([part[1] for part in parts]).float()
            plans = torch.cat([part[2] for part in parts])
            unfolded = loop.fraction > 1 - UNFOLDED_SHARE
            with half_precision(device):
                latents = model.encoder(images) if unfolded else folded.encode(images)
                noisy = latents + LATENT_NOISE * torch.randn_like(latents)
                drawn = folded.decode(noisy)
            latents, told = latents.float().split([LATENT_CHANNELS, PLAN_CHANNELS], 1)
            loss = loss_of(images, drawn.float(), weights, latents)
            if PLAN_CHANNELS:
                loss = loss + PLAN_WEIGHT * F.mse_loss(told, plans)
            loop.update(loss, len(images))
    loop.finish()
    ship(model, settings, loop.step, loop.minutes)


def ship(model: AutoencoderTiny, settings: TrainSettings, step: int, minutes: float) -> None:
    """Write the model as safetensors, and its card with figures on held-out scenes."""
    model.eval()
    figures = evaluate(model)
    model.cpu().half().save_pretrained(settings.out)  # diffusers reads it as float32, however it is stored
    forget_path(settings.out / "config.json")
    write_card(
        Path(settings.out),
        {
            "model": "Castmark autoencoder",
            "class": "diffusers.AutoencoderTiny",
            "data": "castmark_world, split train, rendered in the loop at 256 px",
            "seed": settings.seed,
            "steps": step,
            "batch": BATCH * (BATCHES_ON_GPU if settings.on_gpu else 1),
            "minutes": round(minutes, 1),
            "hardware": hardware(settings.device, settings.threads),
            "figures": figures,
            "licence": "Apache-2.0",
        },
    )


def ship_part(model: AutoencoderTiny, settings: TrainSettings, facts: dict[str, Any]) -> None:
    """Write a model of which one part has learned on, and add facts to its card."""
    model.save_pretrained(settings.out)
    forget_path(settings.out / "config.json")
    card = settings.out / "card.json"
    write_card(settings.out, (json.loads(card.read_text()) if card.is_file() else {}) | facts)


def ran(settings: TrainSettings, loop: Loop, batch: int) -> dict[str, Any]:
    """What a card says of a run."""
    return {
        "steps": loop.step,
        "batch": batch,
        "minutes": round(loop.minutes, 1),
        "hardware": hardware(settings.device, settings.threads),
    }


@torch.no_grad()
def evaluate(model: AutoencoderTiny, n: int = 64) -> dict[str, float]:
    """PSNR in dB over ``n`` held-out scenes: the whole image, and inside the subject's mask."""
    rng = np.random.default_rng(77_001)
    scenes = [sample_scene(rng, split="test") for _ in range(n)]
    device = next(model.parameters()).device
    images = to_tensor(np.stack([render(s, SIZE) for s in scenes])).to(device)
    inside = (
        torch.from_numpy(np.stack([masks(s, SIZE)["subject"] for s in scenes]))[:, None].float().to(device)
    )
    drawn = model.decoder(model.encoder(images)).clamp(-1, 1)
    square = ((images - drawn) / 2).square()
    whole = -10 * torch.log10(square.mean((1, 2, 3)))
    subject = -10 * torch.log10((square * inside).sum((1, 2, 3)) / (3 * inside.sum((1, 2, 3))))
    return {
        "n": n,
        "psnr_db": round(float(whole.mean()), 2),
        "psnr_subject_db": round(float(subject.mean()), 2),
    }
