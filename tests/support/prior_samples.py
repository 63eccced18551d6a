"""A prior of a small world of mugs and women, nurses, chefs or neither."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from castmark.bases.prior import Column, Prior, Reading, Telling
from castmark.bases.rows import Rows, packed

WIDTH = 32
COLUMNS = (
    Column("kind", ("mug", "woman"), named=True, decides=True),
    Column("camera", ("full", "half"), named=True, decides=True),
    Column(
        "job", ("none", "nurse", "chef"), named=True, subject=True, decides=True, quiet=True, dresses=True
    ),
    Column("hat", ("none", "cap", "nurse's", "chef's"), named=True, subject=True, decides=True, quiet=True),
    Column("hat color", ("red", "white"), named=True, subject=True),
    Column("legs", ("jeans", "skirt"), named=True, subject=True, decides=True, whole=True),
    Column("glaze", ("matt", "shiny"), named=True, subject=True, decides=True),
    Column("gown", ("no", "yes"), named=True, subject=True, decides=True),
    Column("holds", ("none", "pen"), named=True, decides=True, quiet=True, acts=True),
    Column("eyes", subject=True, even=True),
    Column("hue", circle=True, subject=True, even=True),
    Column("x"),
    Column("side", ("left", "right"), named=True, decides=True, heard=True),
)
NAMED = [column for column in COLUMNS if column.named]
KIND, CAMERA, JOB, HAT, COLOR, LEGS, GLAZE, GOWN, HOLDS, EYES, HUE, X, SIDE = range(len(COLUMNS))
NAN = float("nan")
COUNT = 1200


def world() -> NDArray[np.float32]:
    """A third mugs; the women as often nurses, chefs or neither, with their hats, some of the last in
    a gown; a few hold a pen. Mugs have a glaze.
    """
    rng = np.random.default_rng(0)
    rows = np.full((COUNT, len(COLUMNS)), NAN, np.float32)
    for row in rows:
        row[[KIND, CAMERA, X]] = rng.random() < 2 / 3, rng.random() < 0.4, rng.uniform(-1, 1)
        row[SIDE] = row[X] > 0
        if not row[KIND]:
            row[GLAZE] = rng.integers(2)
            continue
        row[JOB] = rng.integers(3)
        row[HAT] = row[JOB] + 1 if row[JOB] else rng.integers(2)
        row[COLOR] = NAN if row[HAT] == 0 else 1 if row[JOB] else rng.integers(2)
        row[[LEGS, HOLDS, EYES, HUE]] = rng.integers(2), rng.random() < 0.3, 0, 0.5
        row[GOWN] = not row[JOB] and rng.random() < 0.3
        if row[GOWN]:
            row[LEGS] = NAN
    return rows


def spoken() -> NDArray[np.uint8]:
    """Nine of ten captions speak of jobs, hats and pens, where there are some."""
    there = np.nan_to_num(world()[:, [JOB, HAT, HOLDS]]) > 0
    return (there & (np.random.default_rng(1).random(there.shape) < 0.9)).astype(np.uint8)


def rows() -> Rows:
    return Rows(COLUMNS, packed(world(), COLUMNS), spoken())


class Words(Reading):
    """Stands in for what is learned: reads numbers off the first token, 0 for nothing said."""

    def forward(self, text: torch.Tensor) -> torch.Tensor:
        """Scores "b named 5"."""
        return torch.nn.functional.one_hot(text[:, 0, : len(NAMED)].long(), 5).float()


def decided(
    prior: Prior,
    text: torch.Tensor,
    seeds: list[int],
    *,
    shown: bool = False,
    known: torch.Tensor | None = None,
) -> torch.Tensor:
    """What is told beside texts, as a base with a prior tells it."""
    whole, said = prior.whole(text, seeds, known=known)
    return prior.besides(whole, said, shown=shown and known is None)


def prior_of(text_encoder: str = "0" * 64, kind: type[Reading] = Reading) -> Prior:
    torch.manual_seed(0)
    return Prior(Telling(COLUMNS, WIDTH), kind(NAMED, WIDTH), rows(), text_encoder).eval()
