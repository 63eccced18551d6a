"""What the subject encoder learns from: several views of one subject, its look-alikes, and its exact traits.

A batch holds pairs of identities: a subject and a look-alike (the same named attributes, other hidden
traits), each seen in two different scenes. Every trait, named or hidden, is also a target of its own.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from castmark_world import (
    DEFAULT,
    Split,
    Subject,
    cut_out,
    look_alike,
    render,
    sample_subject,
    stage,
)
from castmark_world.outfits import worn
from castmark_world.sampling import SPECS
from castmark_world.truth import applies

MEAN = (0.48145466, 0.4578275, 0.40821073)
"""CLIP's pixel mean and deviation, which the image processor diffusers makes applies."""
STD = (0.26862954, 0.26130258, 0.27577711)

VOCABULARY: dict[str, tuple[object, ...]] = {
    name: tuple(dict.fromkeys((*odds.values, *worn(name))))
    for attributes in DEFAULT.attributes.values()
    for name, odds in (*attributes.named.items(), *attributes.choices.items())
}
IGNORED = -100


@dataclass(frozen=True)
class Traits:
    """Columns of the targets: names of the categorical and of the continuous traits of both kinds."""

    categorical: tuple[str, ...]
    continuous: tuple[str, ...]


@cache
def traits() -> Traits:
    """The traits of every kind of the default scope, as ``character.person`` and so on; a hue counts as its
    cos and sin.
    """
    categorical: list[str] = []
    continuous: list[str] = []
    for kind, attributes in DEFAULT.attributes.items():
        # Columns stand in the order of the spec's fields.
        for field in dataclasses.fields(SPECS[kind]):
            name = f"{kind}.{field.name}"
            if field.name in attributes.hues:
                continuous += [f"{name}.cos", f"{name}.sin"]
            elif field.name in attributes.numbers:
                continuous.append(name)
            elif field.name in attributes.named or field.name in attributes.choices:
                categorical.append(name)
    return Traits(tuple(categorical), tuple(continuous))


def classes(name: str) -> int:
    """Number of classes of a categorical trait."""
    return len(VOCABULARY[name.partition(".")[2]])


def targets(subject: Subject) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """A subject's classes (`IGNORED` where it has no such trait) and numbers (NaN where it has none)."""
    columns = traits()
    chosen = np.full(len(columns.categorical), IGNORED, np.int64)
    numbers = np.full(len(columns.continuous), np.nan, np.float32)
    for i, name in enumerate(columns.categorical):
        kind, _, field = name.partition(".")
        if kind == subject.kind and applies(subject, field):
            chosen[i] = VOCABULARY[field].index(getattr(subject, field))
    for i, name in enumerate(columns.continuous):
        kind, field, *part = name.split(".")
        if kind == subject.kind:
            value = float(getattr(subject, field))
            angle = 2 * np.pi * value
            numbers[i] = value if not part else np.cos(angle) if part == ["cos"] else np.sin(angle)
    return chosen, numbers


def view(subject: Subject, rng: np.random.Generator, size: int) -> NDArray[np.uint8]:
    """One picture of a subject: mostly in a random scene, at times cut out on a flat colour; UInt8 "size size
    3".
    """
    scene = stage(subject, rng, scope=DEFAULT.alone)
    if rng.random() > 0.15:
        return render(scene, size)
    cut = cut_out(scene, size).astype(np.float32)
    alpha = cut[:, :, 3:] / 255
    ground = np.full(3, 255.0) if rng.random() < 0.5 else rng.uniform(0, 255, 3)
    return (cut[:, :, :3] * alpha + ground * (1 - alpha)).astype(np.uint8)


def near_look_alike(subject: Subject, rng: np.random.Generator) -> Subject:
    """A look-alike; half of the time only its emblem and about half of its hidden traits are other."""
    other = look_alike(subject, rng)
    if rng.random() < 0.5:
        return other
    hidden = DEFAULT.attributes[subject.kind].hidden
    same = {
        f.name: getattr(subject, f.name)
        for f in dataclasses.fields(subject)
        if f.name in hidden and not f.name.startswith("emblem") and rng.random() < 0.5
    }
    return dataclasses.replace(other, **same)


@dataclass(frozen=True)
class Views:
    """A batch: identity i owns views 2i and 2i + 1; identities 2j and 2j + 1 are look-alikes."""

    pixels: NDArray[np.uint8]
    """UInt8 "2n size size 3"."""
    classes: NDArray[np.int64]
    """Int "n categorical"."""
    numbers: NDArray[np.float32]
    """Float "n continuous"."""


def sample_views(rng: np.random.Generator, pairs: int, size: int, split: Split = "train") -> Views:
    """``pairs`` subjects and a look-alike of each, two views of every one."""
    pixels: list[NDArray[np.uint8]] = []
    chosen: list[NDArray[np.int64]] = []
    numbers: list[NDArray[np.float32]] = []
    for _ in range(pairs):
        subject = sample_subject(rng, None, split)
        for identity in (subject, near_look_alike(subject, rng)):
            pixels += [view(identity, rng, size), view(identity, rng, size)]
            row = targets(identity)
            chosen.append(row[0])
            numbers.append(row[1])
    return Views(np.stack(pixels), np.stack(chosen), np.stack(numbers))


def normalised(
    pixels: NDArray[np.uint8], device: torch.device | str = "cpu"
) -> Float[Tensor, "n 3 size size"]:
    """Pixels as CLIP's image processor gives them, without any resizing, on a device."""
    x = torch.from_numpy(pixels).to(device).permute(0, 3, 1, 2).float() / 255
    mean, std = (torch.tensor(values, device=device)[:, None, None] for values in (MEAN, STD))
    return (x - mean) / std


def weathered(x: Float[Tensor, "n 3 h w"], generator: torch.Generator) -> Float[Tensor, "n 3 h w"]:
    """The pictures slightly re-lit and noised, and half of them softened, as drafts of a small base are; on
    the generator's device.
    """
    n, device = len(x), generator.device

    def uniform(count: int, low: float, high: float) -> Float[Tensor, "n 1 1 1"]:
        return torch.rand(count, 1, 1, 1, generator=generator, device=device) * (high - low) + low

    x = x * uniform(n, 0.93, 1.07) + uniform(n, -0.07, 0.07)
    soft = torch.randperm(n, generator=generator, device=device)[: n // 2]
    small = F.avg_pool2d(x[soft], 2)
    x[soft] = x[soft].lerp(F.interpolate(small, scale_factor=2.0, mode="bilinear"), uniform(len(soft), 0, 1))
    noise = torch.randn(
        x.shape[1:], generator=generator, device=device
    )  # one field for all, each at its own strength
    return x + noise * uniform(n, -0.1, 0.1)
