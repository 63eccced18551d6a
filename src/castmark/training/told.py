"""What a base's prior is told of a scene while it learns: its columns (`castmark.bases.prior`).

They are the truth's own (`castmark.training.labels`), and where everything stands: what no caption says and
nobody reads back from a picture, and what yet decides every pixel of it.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from castmark.bases.prior import Column, Prior, table
from castmark.bench.truth import columns
from castmark.training.labels import labels_of, of_subject
from castmark_world import DEFAULT, Scene, sample_scene
from castmark_world.places import chances

BACKGROUND = 17
"""Numbers of a background's own variation; few places use more."""
STANDING = ("x", "scale", "mirrored", "tilt")
DECIDING = frozenset(("kind", "camera", "occupation", "age", "gender", "top", "top_pattern", "pattern"))
"""What others go with: outfits with occupations, beards with people, sizes of a pattern with a pattern."""
ROWS = 4096
ROWS_SEED = 83_000


def standing(scene: Scene) -> NDArray[np.float32]:
    """Where the subject stands and how its place varies, each in about [-1, 1]: Float32 "21"."""
    numbers = (3 * (scene.x - 0.5), 8 * (scene.scale - 0.975), 2.0 * scene.mirrored - 1, scene.tilt / 6)
    return np.array([*numbers, *(2 * chances(scene.place_seed, BACKGROUND) - 1)], np.float32)


@cache
def told_columns() -> tuple[Column, ...]:
    """The columns of the truth, then those of `standing`."""
    found = [
        Column(
            column.name,
            column.values,
            circle=column.circle,
            named=column.named,
            subject=bool(own),
            decides=column.field in DECIDING,
            even=not column.named and not column.values,
        )
        for column, own in zip(columns(DEFAULT), of_subject(), strict=True)
    ]
    found += [Column(name) for name in STANDING]
    return (*found, *(Column(f"background {number}", even=True) for number in range(BACKGROUND)))


def told_of(scene: Scene) -> NDArray[np.float32]:
    """Everything that there is to tell of a scene, Float32 "k"; NaN where a column does not apply."""
    return np.concatenate([labels_of(scene), standing(scene)])


def untrained_prior(width: int) -> Prior:
    """A prior of the scope's columns, with its table."""
    prior = Prior(told_columns(), width, ROWS)
    prior.rows.copy_(world_rows())
    return prior


@cache
def world_rows() -> Tensor:
    """The table of a prior, UInt8 "`ROWS` k": scenes as often as the world has them."""
    rng = np.random.default_rng(ROWS_SEED)
    scenes = [sample_scene(rng, scope=DEFAULT.alone) for _ in range(ROWS)]
    return table(torch.from_numpy(np.stack([told_of(scene) for scene in scenes])), told_columns())
