"""Suite ``base``: does the embedded base draw what the words say, sharply, and how fast.

The truth reader (`castmark.bench.truth`) reads held-out pictures: real renders, whose reading is its ceiling;
the autoencoder's round trip of these; and what the base draws of words that name most of it. An attribute
counts where the render shows it. Nothing is said of a teacher: none ships. Distance is Frechet's (Heusel et
al. 2017, arXiv 1706.08500) between the judge's features of drawn pictures and of renders, beside that of
renders with other renders.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from castmark.bases import open_base
from castmark.bases.base import Base
from castmark.bench.base_reading import Asked
from castmark.bench.base_words import words
from castmark.bench.harness import Figure, median
from castmark.bench.truth import TruthReader
from castmark.bench.truth.marks import each, joint, mean_figure, only
from castmark.safety.encoder import Encoder
from castmark.safety.pictures import to_tensor
from castmark.shot import Shot
from castmark_world import Scene, render, sample_scene

if TYPE_CHECKING:
    from diffusers import AutoencoderTiny

PROMPTS = 1000
STEPS = (1, 4)
BATCH = 8
TIMED = 20
SEED = 52_000
CEILING_TARGET, PSNR_TARGET = 0.98, 32.0


def run(*, n: int | None = None, threads: int | None = None) -> list[Figure]:
    """Draw ``n`` held-out prompts (at least two) at every number of steps; read them; time single images."""
    torch.set_num_threads(threads or torch.get_num_threads())
    base, eye = open_base(None), Encoder.open()
    rng = np.random.default_rng(SEED)
    scenes = [sample_scene(rng, split="test") for _ in range(max(2, n or PROMPTS))]
    others = [sample_scene(rng, split="test") for _ in scenes]
    side = base.default_size[0]
    real = [render(scene, side) for scene in scenes]
    trip, psnr = _round_trip(base, real)
    read = Asked(scenes, TruthReader.open())
    ceiling = read.marks(real)
    named = only(ceiling, lambda column: column.named)
    figures = [
        mean_figure("named attributes read rightly, mean: renders", named, target=CEILING_TARGET),
        joint("named attributes read rightly, all: renders", named),
        mean_figure("traits read rightly, mean: renders", only(ceiling, lambda column: not column.named)),
        *each("renders", ceiling),
        *read.said("renders", ceiling, ceiling),
        *read.open("renders", real),
        *read.round_trip(read.marks(trip), ceiling),
        _spread("PSNR of the autoencoder's round trip", psnr, "dB", target=PSNR_TARGET),
    ]
    features = _features(eye, real)
    floor = frechet(features, _features(eye, [render(scene, side) for scene in others]))
    sharp = sharpness(real)
    figures.append(_plain("distance: renders", floor, len(real)))
    for steps in STEPS:
        drawn = _draw(base, scenes, steps)
        name = name_of(steps)
        figures += read.said(name, read.marks(drawn), ceiling)
        figures += read.open(name, drawn)
        figures.append(_plain(f"distance: {name}", frechet(features, _features(eye, drawn)), len(drawn)))
        figures.append(_plain(f"sharpness against renders: {name}", sharpness(drawn) / sharp, len(drawn)))
    for steps in STEPS:
        times: list[float] = []
        for index in range(TIMED):
            shot = base.resolve(Shot(words(scenes[index % len(scenes)]), seed=index, steps=steps))
            start = time.perf_counter()
            base.draw([shot])
            times.append(1000 * (time.perf_counter() - start))
        figures.append(median(f"one {side} px image, {name_of(steps)}", times, "ms"))
    return figures


def name_of(steps: int) -> str:
    """ "1 step", "4 steps"."""
    return f"{steps} step{'s' if steps > 1 else ''}"


@torch.inference_mode()
def _round_trip(
    base: Base, images: Sequence[NDArray[np.uint8]]
) -> tuple[list[NDArray[np.uint8]], list[float]]:
    """Pictures through the base's autoencoder, and the PSNR of each in dB."""
    autoencoder = cast("AutoencoderTiny", base.host.pipeline.vae)
    back: list[NDArray[np.uint8]] = []
    psnr: list[float] = []
    for start in range(0, len(images), BATCH):
        part = to_tensor(list(images[start : start + BATCH]))
        (latents,) = autoencoder.encode(part * 2 - 1, return_dict=False)
        (decoded,) = autoencoder.decode(latents, return_dict=False)
        drawn = decoded.clamp(-1, 1) / 2 + 0.5
        psnr += (-10 * torch.log10((drawn - part).square().mean((1, 2, 3)))).tolist()
        back += list((drawn.permute(0, 2, 3, 1) * 255).round().byte().numpy())
    return back, psnr


def _draw(base: Base, scenes: Sequence[Scene], steps: int) -> list[NDArray[np.uint8]]:
    shots = [base.resolve(Shot(words(scene), seed=seed, steps=steps)) for seed, scene in enumerate(scenes)]
    return [
        draft.pixels
        for start in range(0, len(shots), BATCH)
        for draft in base.draw(shots[start : start + BATCH])
    ]


@torch.no_grad()
def _features(eye: Encoder, images: Sequence[NDArray[np.uint8]]) -> Tensor:
    """Unit features of whole pictures, "n d"."""
    parts = [
        eye.images(to_tensor(list(images[start : start + BATCH])))[:, 0]
        for start in range(0, len(images), BATCH)
    ]
    return torch.cat(parts).float()


def frechet(one: Tensor, other: Tensor) -> float:
    """Frechet distance of two sets of features "n d", as Gaussians with a little shrinkage."""
    means, roots = [], []
    for features in (one.double(), other.double()):
        means.append(features.mean(0))
        roots.append(torch.cov(features.T) + 1e-6 * torch.eye(features.shape[1], dtype=torch.float64))
    values = torch.linalg.eigvals(roots[0] @ roots[1]).real.clamp(min=0)
    trace = torch.trace(roots[0]) + torch.trace(roots[1]) - 2 * values.sqrt().sum()
    return float((means[0] - means[1]).square().sum() + trace)


def sharpness(images: Sequence[NDArray[np.uint8]]) -> float:
    """Mean absolute difference of neighbouring pixels, over pictures; noise counts as sharpness too."""
    return float(
        np.mean(
            [
                np.abs(np.diff(i.astype(np.int16), axis=0)).mean()
                + np.abs(np.diff(i.astype(np.int16), axis=1)).mean()
                for i in images
            ]
        )
    )


def _plain(name: str, value: float, n: int) -> Figure:
    return Figure(name=name, value=value, low=value, high=value, n=n)


def _spread(name: str, values: Sequence[float], unit: str, *, target: float) -> Figure:
    """The mean of what is more the better, with its normal 95% interval."""
    reach = 1.96 * float(np.std(values)) / len(values) ** 0.5
    middle = float(np.mean(values))
    return Figure(
        name=name,
        value=middle,
        low=middle - reach,
        high=middle + reach,
        n=len(values),
        target=target,
        better="higher",
        unit=unit,
    )
