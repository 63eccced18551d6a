"""Suite ``base``: does the embedded base draw what the words say, sharply, and how fast.

The embedded judge reads held-out pictures zero-shot, real renders and drawn ones of the same words; its
accuracy on the renders is the ceiling. Distance is Frechet's (Heusel et al. 2017, arXiv 1706.08500) between
the judge's features of drawn pictures and of renders, beside that of renders with other renders.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from castmark.bases import open_base
from castmark.bases.base import Base
from castmark.bench.harness import Figure, median
from castmark.safety.encoder import Encoder
from castmark.safety.gate import to_tensor
from castmark.shot import Shot
from castmark.training.judge_report import MEASURED, prompt_of
from castmark.training.judge_texts import ATTRIBUTES, labels_of
from castmark_world import Scene, render, sample_scene
from castmark_world.captions import PLACE_WORDS, article
from castmark_world.params import CharacterSpec

PROMPTS = 200
STEPS = (1, 4, 8)
BATCH = 8
TIMED = 20
SEED = 52_000


def run(*, n: int | None = None, threads: int | None = None) -> list[Figure]:
    """Draw ``n`` held-out prompts at every number of steps, read them, and time single images."""
    torch.set_num_threads(threads or torch.get_num_threads())
    base, eye = open_base(None), Encoder.open()
    rng = np.random.default_rng(SEED)
    scenes = [sample_scene(rng, split="test") for _ in range(n or PROMPTS)]
    others = [sample_scene(rng, split="test") for _ in scenes]
    side = base.default_size[0]
    real = [render(scene, side) for scene in scenes]
    features = _features(eye, real)
    floor = frechet(features, _features(eye, [render(scene, side) for scene in others]))
    figures = [*_accuracies("renders", eye, features, scenes), _plain("distance: renders", floor, len(real))]
    sharp = sharpness(real)
    for steps in STEPS:
        drawn = _draw(base, scenes, steps)
        name = name_of(steps)
        seen = _features(eye, drawn)
        figures += _accuracies(name, eye, seen, scenes)
        figures.append(_plain(f"distance: {name}", frechet(features, seen), len(drawn)))
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


def words(scene: Scene) -> str:
    """A prompt that names everything that is read."""
    subject = scene.subject
    place = PLACE_WORDS[scene.place][0]
    if not isinstance(subject, CharacterSpec):
        return f"{article(subject.color)} {subject.noun} {place}"
    hair = "" if subject.hair_style == "bald" else f" with {subject.hair_color} hair"
    held = f" holding {article(scene.item)}" if scene.item else ""
    return f"{article(subject.person)}{hair} in {article(subject.top_color)} {subject.top}{held} {place}"


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


def _accuracies(what: str, eye: Encoder, features: Tensor, scenes: Sequence[Scene]) -> list[Figure]:
    """Zero-shot accuracy of each attribute, with Wilson's 95% interval."""
    labels = [labels_of(scene) for scene in scenes]
    figures: list[Figure] = []
    for name in MEASURED:
        values = ATTRIBUTES[name]
        texts = eye.texts([prompt_of(name, value) for value in values])
        asked = [i for i, row in enumerate(labels) if name in row]
        guesses = (features[asked] @ texts.T).argmax(-1).tolist()
        right = sum(values[guess] == labels[i][name] for guess, i in zip(guesses, asked, strict=True))
        low, high = wilson(right, len(asked))
        figures.append(
            Figure(
                name=f"{name.replace('_', ' ')} read rightly: {what}",
                value=right / len(asked),
                low=low,
                high=high,
                n=len(asked),
                better="higher",
            )
        )
    return figures


def wilson(right: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's score interval of a share."""
    share, spread = right / n, z * z / n
    middle = (share + spread / 2) / (1 + spread)
    reach = z * math.sqrt(share * (1 - share) / n + spread / (4 * n)) / (1 + spread)
    return middle - reach, middle + reach


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
