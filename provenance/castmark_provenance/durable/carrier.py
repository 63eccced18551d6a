"""Where the chips sit: harmonics of a tile that is repeated over the picture.

The mark is periodic with a tile `TILES` of which go into the picture's side (the square root of its area), so
it grows with the picture and a crop leaves it whole. Within the tile it is a sum of 176 complex harmonics in
an annulus of the frequency plane, each carrying two real chips: 128 carry data, 48 are pilots known to the
reader, which find scale and offset (spread spectrum: Cox, Kilian, Leighton, Shamoon 1997; a periodic mark as
its own template: Kutter 1998).

Spectra are complex "176", in units in which a mark of all-unit harmonics has an RMS of 1 grey level.
"""

from __future__ import annotations

import functools
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from castmark_provenance.durable import code
from castmark_provenance.durable.noise import permutation, signs

Plane: TypeAlias = NDArray[np.floating[Any]]
Spectrum: TypeAlias = NDArray[np.complexfloating[Any, Any]]

TILES = 6.0
LOWEST, HIGHEST = 3, 11
"""The annulus, in cycles a tile: above what pictures are full of, below what half size and JPEG remove."""

WAVES_KEPT = 64
"""Pictures of one size ask for the same few again and again."""


def _annulus() -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns (cycles a tile) of one of each conjugate pair of harmonics."""
    reach = range(-HIGHEST, HIGHEST + 1)
    pairs = [
        (row, column)
        for column in range(HIGHEST + 1)
        for row in reach
        if (column > 0 or row > 0) and LOWEST**2 <= row * row + column * column <= HIGHEST**2
    ]
    rows, columns = zip(*pairs, strict=True)
    return np.array(rows), np.array(columns)


ROWS, COLUMNS = _annulus()
HARMONICS = len(ROWS)
STEEPEST = 3.0
"""Fall of a picture's power with frequency that is reckoned with: its exponent."""
_LOUD = 2.0
_RADIUS = np.hypot(ROWS, COLUMNS)
_LOG_RADIUS = np.log(_RADIUS / np.exp(np.log(_RADIUS).mean())).astype(np.float32)
_ORDER = permutation("roles", HARMONICS)
DATA = np.sort(_ORDER[: code.CHIPS // 2])
PILOTS = np.sort(_ORDER[code.CHIPS // 2 :])
_PILOT_SIGNS = signs("pilots", 2 * len(PILOTS)).astype(np.float32)
PILOT_VALUES: Spectrum = (_PILOT_SIGNS[0::2] + 1j * _PILOT_SIGNS[1::2]).astype(np.complex64) / np.sqrt(2)


def modulate(identifier: int) -> Spectrum:
    """The spectrum of an id: every harmonic of size 1."""
    chips = code.encode(identifier).astype(np.float32)
    spectrum = np.zeros(HARMONICS, np.complex64)
    spectrum[PILOTS] = PILOT_VALUES
    spectrum[DATA] = (chips[0::2] + 1j * chips[1::2]) / np.sqrt(2)
    return spectrum


def weights(spectra: Spectrum) -> NDArray[np.float32]:
    """The reader's weight of each harmonic "... 176": the inverse of the power expected at its radius.

    A picture's own power falls with frequency, more or less steeply; the fall is fitted to log power over log
    radius. Where the mark outweighs the picture it is none, and the weights are even.
    """
    power = np.log(np.abs(spectra) ** 2 + np.float32(1e-12))
    slope = np.clip(power @ _LOG_RADIUS / (_LOG_RADIUS @ _LOG_RADIUS), -STEEPEST, 0)
    return np.exp(-slope[..., None] * _LOG_RADIUS).astype(np.float32)


def weighed(spectra: Spectrum) -> Spectrum:
    """Spectra "... 176" with their weights, and loud harmonics (a picture's own stripes and tiles) cut to
    twice what is usual at their radius."""
    weight = weights(spectra)
    even = np.abs(spectra) * np.sqrt(weight)
    limit = _LOUD * np.median(even, axis=-1, keepdims=True) + np.float32(1e-9)
    return spectra * weight / np.maximum(even / limit, 1)


def demodulate(spectra: Spectrum) -> NDArray[np.float32]:
    """Soft chips "candidates 256" of aligned spectra "candidates 176"."""
    data = spectra[:, DATA]
    return np.stack([data.real, data.imag], axis=2).reshape(len(spectra), -1).astype(np.float32)


def synthesise(spectrum: Spectrum, height: int, width: int, tile: tuple[float, float]) -> Plane:
    """The mark "h w" whose tile is (height, width) pixels large, from the top left corner on."""
    grid = np.zeros((2 * HIGHEST + 1, HIGHEST + 1), np.complex64)
    grid[ROWS + HIGHEST, COLUMNS] = spectrum
    partial = waves(height, tile[0], -HIGHEST, 1).T @ grid
    across = waves(width, tile[1], 0, 1)
    mark = partial.real @ across.real - partial.imag @ across.imag
    return mark * np.float32(np.sqrt(2 / HARMONICS))


def rows_of(plane: Plane, heights: NDArray[np.float64]) -> Spectrum:
    """Half a transform: "tiles 23 w" along the columns of the plane, for each height of the tile."""
    basis = np.concatenate([waves(len(plane), height, -HIGHEST, -1) for height in heights])
    half = basis.real @ plane + 1j * (basis.imag @ plane)
    return half.reshape(len(heights), 2 * HIGHEST + 1, plane.shape[1])


def harmonics(half: Spectrum, width: float) -> Spectrum:
    """The other half: the 176 harmonics for tiles of ``width``, leading axes kept."""
    basis = waves(half.shape[-1], width, 0, -1)
    return (half @ basis.T)[..., ROWS + HIGHEST, COLUMNS]


@functools.lru_cache(maxsize=WAVES_KEPT)
def waves(length: int, period: float, first: int, direction: int) -> Spectrum:
    """exp(direction 2 pi i k x / period) at pixel centres, for k from ``first`` to `HIGHEST`: "k length"."""
    cycles = np.outer(np.arange(first, HIGHEST + 1), (np.arange(length) + 0.5) / period)
    found = np.exp(direction * 2j * np.pi * cycles).astype(np.complex64)
    found.flags.writeable = False  # kept, and handed to everybody who asks
    return found
