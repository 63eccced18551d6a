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
_LEAST = 1e-18
_STEPS = 20
_EXACT = 1e-6
"""Of the power."""


def sizes(helped: Values, weights: Values) -> NDArray[np.float32]:
    """Sizes "n", positive, of mean square 1, for chips that the picture helps by ``helped``.

    Both in units of an even mark's chip; ``weights`` are the reader's, of any scale.
    """
    helped = np.clip(helped, -_LOUDEST, _LOUDEST).astype(np.float64)
    tilts = _TILTS * (weights / weights.mean())
    drawn = _of_unit_power(tilts, helped)
    bound = (
        np.log(np.mean(np.exp(-tilts * (helped + drawn)), axis=1))
        + np.mean((tilts * _NOISE) ** 2, axis=1) / 2
    )
    best = drawn[bound.argmin()]
    return (best / np.sqrt(np.mean(best * best))).astype(np.float32)


def _of_unit_power(tilts: Values, helped: Values) -> Values:
    """The sizes w, of mean square 1, at which the derivative t exp(-t (h + w)) is the same share of w.

    That share is found for every tilt at once, by Newton's method on the logarithm of the power, which is
    concave in it: the method closes in from below wherever it starts.
    """
    offsets = 2 * np.log(tilts) - tilts * helped
    share = np.zeros((len(tilts), 1))
    u = _omega(share + offsets)
    for _ in range(_STEPS):
        square = (u / tilts) ** 2
        power = square.mean(axis=1, keepdims=True)
        if np.abs(power - 1).max() < _EXACT:
            break
        slope = 2 * np.mean(square / (1 + u), axis=1, keepdims=True)  # omega' is omega / (1 + omega)
        share -= np.log(power) * power / slope
        u = _omega(share + offsets)
    return u / tilts


def _omega(value: Values) -> Values:
    """The u > 0 with u + log u = ``value`` (Wright's omega function), by Newton's method."""
    u = np.where(
        value > 1, np.maximum(value - np.log(np.maximum(value, 1)), 0.5), np.exp(np.minimum(value, 1) - 0.5)
    )
    u = np.maximum(u, _LEAST)
    for _ in range(5):
        u = np.maximum(u * (1 + value - np.log(u)) / (1 + u), _LEAST)
    return u
