"""How strongly to draw each chip, given what the picture itself has on that chip's harmonic.

A word is read wrongly when, over the chips in which it differs from another, the weighted sum of what is
read comes out negative. Chernoff's bound on that is the mean of exp(-t v (h + w)) over the chips: h is what
the picture adds to a chip (positive: it helps), v the reader's weight, w the size to draw. Its minimum over w
at a given power has a closed form (Wright's omega function). Chips that the picture opposes are drawn
stronger, hopeless ones are left to the code, and those that it helps are drawn weakly. This is the aim of
Miller, Doerr and Cox 2004, "Applying informed coding and embedding", without their search.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Values: TypeAlias = NDArray[np.floating[Any]]

_TILTS = np.array([0.5, 0.8, 1.2, 1.8, 2.6, 4.0])[:, None]
_NOISE = 1.0
"""Of cropping and re-encoding, in the same units: a crop takes part of what the picture had along."""
_LOUDEST = 6.0
_HALVINGS = 24


def sizes(helped: Values, weights: Values) -> NDArray[np.float32]:
    """Sizes "n", positive, of mean square 1, for chips that the picture helps by ``helped``.

    Both in units of an even mark's chip; ``weights`` are the reader's, of any scale.
    """
    helped = np.clip(helped, -_LOUDEST, _LOUDEST).astype(np.float64)
    tilts = _TILTS * (weights / weights.mean())
    low, high = np.full((len(_TILTS), 1), -40.0), np.full((len(_TILTS), 1), 80.0)
    for _ in range(_HALVINGS):  # the Lagrange multiplier of the power, for every tilt at once
        middle = (low + high) / 2
        loud = np.mean(_drawn(middle, tilts, helped) ** 2, axis=1, keepdims=True) > 1
        low, high = np.where(loud, low, middle), np.where(loud, middle, high)
    drawn = _drawn(low, tilts, helped)
    bound = (
        np.log(np.mean(np.exp(-tilts * (helped + drawn)), axis=1))
        + np.mean((tilts * _NOISE) ** 2, axis=1) / 2
    )
    best = drawn[bound.argmin()]
    return (best / np.sqrt(np.mean(best * best))).astype(np.float32)


def _drawn(multiplier: Values, tilts: Values, helped: Values) -> Values:
    """The sizes w at which the derivative t exp(-t (h + w)) is the multiplier's share of w."""
    return _omega(multiplier + 2 * np.log(tilts) - tilts * helped) / tilts


def _omega(value: Values) -> Values:
    """The u > 0 with u + log u = ``value`` (Wright's omega function), by Newton's method."""
    u = np.where(
        value > 1, np.maximum(value - np.log(np.maximum(value, 1)), 0.5), np.exp(np.minimum(value, 1) - 0.5)
    )
    for _ in range(5):
        u = np.maximum(u * (1 + value - np.log(u)) / (1 + u), 1e-18)
    return u
