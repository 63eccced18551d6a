"""Finds the mark in a picture of unknown scale and offset.

For each scale of a ladder, the pilots' correlation at every offset is one inverse Fourier transform of the
harmonics times the pilots' conjugates. The best few are refined: height and width of the tile apart (rounded
sizes stretch a picture a little), and the offset to a fraction of a pixel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from castmark_provenance.durable.carrier import (
    COLUMNS,
    HARMONICS,
    HIGHEST,
    PILOT_VALUES,
    PILOTS,
    ROWS,
    Plane,
    Spectrum,
    harmonics,
    rows_of,
    weighed,
)

SMALLEST, LARGEST = 0.94, 1.5
"""Tile sizes looked for, as shares of an uncropped picture's: 1.5 is a crop to 44% of the area."""
_RUNG = 0.012
_FINE = np.linspace(-0.009, 0.009, 7)
NEAR = 5
"""Alignments tried near a promising one: where pilots are faint, the best place may be the wrong one."""
_COARSE_OFFSETS, _FINE_OFFSETS = 32, 48
_NUDGE = np.linspace(-0.012, 0.012, 7)


@dataclass(frozen=True)
class Alignment:
    """One place where the mark may lie."""

    pilots: float
    """Normalised correlation with the pilots: standard normal at a random place of an unmarked picture."""
    tile: tuple[float, float]
    """Height and width of the tile, in pixels of the plane."""
    offset: tuple[float, float]
    """Where the picture's corner lies in the tile, in [0, 1) of its height and width."""
    spectrum: Spectrum
    """The weighed harmonics, turned so that the tile begins at the corner."""


def whole(plane: Plane, tile: tuple[float, float]) -> Alignment:
    """The alignment that an uncropped picture has."""
    (half,) = rows_of(plane, np.array([tile[0]]))
    return _aligned(harmonics(half, tile[1]), tile, np.zeros((1, 2)))


def uncropped(plane: Plane, tile: tuple[float, float]) -> list[Alignment]:
    """The alignment that an uncropped picture has, and those near it."""
    return [whole(plane, tile), *_refine(plane, tile)]


def search(plane: Plane, tile: tuple[float, float], keep: int) -> list[Alignment]:
    """Alignments around the ``keep`` most promising ones over the whole ladder of scales."""
    ladder: NDArray[np.float64] = np.exp(np.arange(np.log(SMALLEST), np.log(LARGEST), _RUNG))
    halves = rows_of(plane, tile[0] * ladder)
    spectra = np.stack([harmonics(half, tile[1] * s) for half, s in zip(halves, ladder, strict=True)])
    best = _offsets(weighed(spectra), _COARSE_OFFSETS).max(axis=(1, 2))
    scales = [float(ladder[rung]) for rung in np.argsort(best)[::-1][:keep]]
    return [found for scale in scales for found in _refine(plane, (tile[0] * scale, tile[1] * scale))]


def _refine(plane: Plane, tile: tuple[float, float]) -> list[Alignment]:
    """The best alignments near ``tile``, each with another height or width."""
    heights, widths = tile[0] * (1 + _FINE), tile[1] * (1 + _FINE)
    halves = rows_of(plane, heights)
    spectra = np.stack([harmonics(halves, width) for width in widths], axis=1)
    scores = _offsets(weighed(spectra), _FINE_OFFSETS)
    found: list[Alignment] = []
    for best in np.argsort(scores.max(axis=(2, 3)), axis=None)[::-1][:NEAR]:
        tall, wide = np.unravel_index(best, scores.shape[:2])
        at = np.array(np.unravel_index(scores[tall, wide].argmax(), scores.shape[2:])) / _FINE_OFFSETS
        steps = np.stack(np.meshgrid(_NUDGE, _NUDGE, indexing="ij"), axis=-1).reshape(-1, 2)
        size = (float(heights[tall]), float(widths[wide]))
        found.append(_aligned(spectra[tall, wide], size, at + steps))
    return found


def _aligned(spectrum: Spectrum, tile: tuple[float, float], turns: NDArray[np.float64]) -> Alignment:
    """The alignment at the best, by the pilots, of ``turns`` "n 2" of a tile's height and width."""
    spectrum = weighed(spectrum)
    pilots = spectrum[PILOTS] * PILOT_VALUES.conj()
    lined = (pilots * _turned(turns[:, :1], turns[:, 1:], PILOTS)).real.sum(axis=1)
    turn = turns[lined.argmax()]
    return Alignment(
        pilots=float(lined.max() / _spread(spectrum)),
        tile=tile,
        offset=(float(-turn[0] % 1), float(-turn[1] % 1)),
        spectrum=(spectrum * _turned(turn[0], turn[1], np.arange(HARMONICS))).astype(np.complex64),
    )


def _turned(down: NDArray[np.float64], right: NDArray[np.float64], which: NDArray[np.intp]) -> Spectrum:
    return np.exp(2j * np.pi * (down * ROWS[which] + right * COLUMNS[which])).astype(np.complex64)


def _offsets(spectra: Spectrum, grid: int) -> NDArray[np.float32]:
    """Pilot correlation "... grid grid" at every offset, in standard deviations."""
    table = np.zeros((*spectra.shape[:-1], grid, grid // 2 + 1), np.complex64)
    products = spectra[..., PILOTS] * PILOT_VALUES.conj()
    rows, columns = ROWS[PILOTS], COLUMNS[PILOTS]
    # irfft2 adds the conjugate of every column but the first, where both of a pair are set here.
    table[..., rows % grid, columns] = products / 2
    first = columns == 0
    table[..., -rows[first] % grid, 0] = products[..., first].conj() / 2
    full = np.fft.irfft2(table, s=(grid, grid)) * grid**2
    return (full / _spread(spectra)[..., None, None]).astype(np.float32)


def _spread(spectra: Spectrum) -> NDArray[np.float32]:
    """Standard deviation of the pilots' correlation where there is no mark."""
    return np.sqrt(np.sum(np.abs(spectra[..., PILOTS]) ** 2, axis=-1) / 2) + np.float32(1e-9)


assert HIGHEST < _COARSE_OFFSETS // 2
