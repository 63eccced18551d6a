"""What a base's prior is told of a scene while it learns, and its table (`castmark.bases.prior`).

The columns are the truth's own (`castmark.training.labels`), and where everything stands: what no caption
says and nobody reads back from a picture, and what yet decides every pixel of it.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from castmark.bases.prior import Column
from castmark.bases.rows import Rows, packed
from castmark.bench.truth import columns
from castmark.bench.truth.columns import ACTED
from castmark.training.labels import BELOW, NOTHING, labels_of, of_subject, said
from castmark_world import DEFAULT, Scene, caption, sample_scene
from castmark_world.grammar import side
from castmark_world.places import chances
from castmark_world.vocabulary import CATALOGUE

BACKGROUND = 17
"""Numbers of a background's own variation; few places use more."""
STANDING = ("x", "scale", "mirrored", "tilt")
SIDES = ("left", "middle", "right")
"""Where captions say that somebody stands: read by the prior, which is told `x` for it."""
DECIDING = frozenset({
    "kind", "camera", "pose", "item", "place", "occupation", "age", "gender", "hair_style", "facial_hair",
    "top", "top_pattern", "bottom", "headwear", "glasses", "accessory", "category", "pattern",
})  # fmt: skip
"""What others go with: outfits with occupations, colours with what has them, sizes of a pattern with it."""
ROWS = 8192
ROWS_SEED = 83_000


def standing(scene: Scene) -> NDArray[np.float32]:
    """Where the subject stands and how its place varies, each in about [-1, 1]: Float32 "21"."""
    numbers = (3 * (scene.x - 0.5), 8 * (scene.scale - 0.975), 2.0 * scene.mirrored - 1, scene.tilt / 6)
    return np.array([*numbers, *(2 * chances(scene.place_seed, BACKGROUND) - 1)], np.float32)


def side_of(x: float) -> int:
    """Which of `SIDES` captions call a place, 0 left to 1 right."""
    return SIDES.index(side(x))


def places_in(standings: NDArray[np.float32]) -> NDArray[np.float32]:
    """Places of subjects, 0 left to 1 right, in what `standing` made of them: "... 21" to "..."."""
    return (standings[..., 0] / 3 + 0.5).astype(np.float32)


@cache
def told_columns() -> tuple[Column, ...]:
    """The columns of the truth, then those of `standing`, then the side, which is only read."""
    found = [
        Column(
            column.name,
            column.values,
            circle=column.circle,
            named=column.named,
            subject=bool(own),
            decides=column.field in DECIDING,
            even=not column.named and not column.values,
            quiet=column.named and bool(set(NOTHING) & set(column.values)),
            whole=column.field in BELOW,
            acts=column.field in ACTED,
            dresses=column.field == "occupation",
        )
        for column, own in zip(columns(DEFAULT), of_subject(), strict=True)
    ]
    found += [Column(name) for name in STANDING]
    found += [Column(f"background {number}", even=True) for number in range(BACKGROUND)]
    return (*found, Column("side", SIDES, named=True, decides=True, heard=True))


def row_of(scene: Scene) -> NDArray[np.float32]:
    """A row of the table, Float32 "k": a scene by column, NaN where one does not apply; of the whole figure
    all is there, also where the camera is near."""
    labels, whole = labels_of(scene), labels_of(replace(scene, camera="full"))
    found = np.where(of_subject(), whole, labels)
    return np.concatenate([found, standing(scene), [side_of(scene.x)]]).astype(np.float32)


@cache
def world_rows() -> Rows:
    """The table of a prior: scenes as often as the world has them, each with a caption. Nobody holds what is
    unsafe: that is for words to ask for.
    """
    rng, made = np.random.default_rng(ROWS_SEED), told_columns()
    quiet = [column.quiet for column in made[: len(columns(DEFAULT))]]
    rows: list[NDArray[np.float32]] = []
    spoken: list[NDArray[np.bool_]] = []
    while len(rows) < ROWS:
        scene = sample_scene(rng, scope=DEFAULT.alone)
        if scene.item is None or CATALOGUE[scene.item].category is None:
            rows.append(row_of(scene))
            spoken.append(said(scene, caption, int(rng.integers(2**62)))[quiet])
    return Rows(made, packed(np.stack(rows), made), np.stack(spoken).astype(np.uint8))
