"""An invisible watermark: a 40-bit id drawn into pixels, read back from copies without the original.

    marked = embed(pixels, identifier)
    mark = read(marked)            # None, or Mark(identifier=..., ...)

It survives JPEG, scaling and cropping, one after the other: see ``castmark bench durable`` for how often. It
is no secret and no signature: anybody can draw a mark, and who tries can remove one. It says where to look.

**Drawing.** The mark (`carrier`) is added to luma, `FLAT` grey levels strong on flat areas and stronger where
local contrast hides it, within `PSNR`. What the picture itself has on a chip's harmonic is known when
drawing: it is partly taken back, and chips that it already helps are drawn weaker (improved spread spectrum:
Malvar and Florencio 2003, eq. 18).

**Reading.** Luma is cut to the mark's band and evened out, aligned (`sync`) and decoded (`code`). An id is
given only if its 24-bit check holds. An unmarked picture gets past that with probability at most
`FALSE_POSITIVE_BOUND`: the reader tries so many words and no more, and over a random choice of the
scrambler each passes the check with probability 2**-24, whatever the picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from castmark_provenance.durable import carrier, code, sync
from castmark_provenance.durable.errors import WatermarkError
from castmark_provenance.durable.plane import (
    LUMA,
    Pixels,
    Plane,
    deviation,
    evenness,
    high_pass,
    resized,
    side,
    working,
)

ALGORITHM = "org.castmark.watermark.1"
ID_BITS = code.ID_BITS
MIN_SIDE = 128
"""Pixels, height and width: below, the mark's waves are finer than the pixels."""
PSNR = 40.1
"""dB, of RGB, at least (rounding included)."""
FLAT = 1.3
"""RMS of the mark on flat areas, in grey levels of 255."""
HIDING = 0.15
"""Grey levels of mark more for each grey level of local standard deviation."""
STRONGEST = 6.0
CANDIDATES = 8
FALSE_POSITIVE_BOUND = (CANDIDATES + 1) / 2**code.CHECK_BITS
"""Probability at most that an unmarked picture yields an id: 5.4e-7."""

# Malvar and Florencio's noise-to-mark ratio: what is expected of re-encoding and cropping.
_NOISE = 0.3
_WEAKEST, _LOUDEST = 0.05, 4.0
# Grey is drawn along the direction that changes luma at the least cost in RGB error.
_DIRECTION = LUMA / (LUMA @ LUMA)


@dataclass(frozen=True)
class Mark:
    """A watermark that was read.

    ``tile`` and ``offset`` (row, column; pixels of the picture read) say how the picture was scaled and
    cropped: the marked picture's corner lay ``offset`` up and left of this one's, or whole tiles further.
    """

    identifier: int
    agreement: float
    """Normalised correlation of the chips with the id's, 0 to 1."""
    pilots: float
    """Correlation with the pilots, in standard deviations."""
    tile: tuple[float, float]
    offset: tuple[float, float]


def embed(pixels: Pixels, identifier: int) -> Pixels:
    """UInt8 pixels "h w 3" with ``identifier`` (below 2**40) drawn into them, always the same way.

    Raises:
        WatermarkError: the pixels are not UInt8 "h w 3", smaller than `MIN_SIDE`, or the id does not fit.
    """
    _require_rgb(pixels)
    height, width = pixels.shape[:2]
    if min(height, width) < MIN_SIDE:
        raise WatermarkError(
            f"{width}x{height} pixels are too few for a watermark; draw at least {MIN_SIDE}x{MIN_SIDE}, "
            "or sign without one"
        )
    try:
        wanted = carrier.modulate(identifier)
    except ValueError as error:
        raise WatermarkError(str(error)) from error
    luma = working(pixels)
    limit = float(np.sqrt(max(255**2 * 10 ** (-PSNR / 10) - 1 / 12, 0) / np.mean(_DIRECTION**2)))
    strength = np.minimum(FLAT + HIDING * deviation(luma, 4), STRONGEST).astype(np.float32)
    strength *= min(1.0, limit / _rms(strength))
    spectrum = _informed(wanted, luma, strength)
    tile = side(pixels) / carrier.TILES
    mark = carrier.synthesise(spectrum, height, width, (tile, tile)) * resized(strength, height, width)
    mark *= min(1.0, limit / _rms(mark))
    marked = pixels + mark[:, :, None] * _DIRECTION
    return np.clip(np.rint(marked), 0, 255).astype(np.uint8)


def read(pixels: Pixels) -> Mark | None:
    """The watermark in UInt8 pixels "h w 3" of any size, or None.

    Raises:
        WatermarkError: the pixels are not UInt8 "h w 3".
    """
    _require_rgb(pixels)
    if min(pixels.shape[:2]) < MIN_SIDE // 4:
        return None
    luma = working(pixels)
    detail = high_pass(luma)
    plane = detail * evenness(detail)
    ratio = (luma.shape[0] / pixels.shape[0], luma.shape[1] / pixels.shape[1])
    tile = side(pixels) / carrier.TILES
    expected = (tile * ratio[0], tile * ratio[1])
    # Most copies are whole: look there first, and over all scales only if there is nothing.
    return _first(sync.uncropped(plane, expected), ratio) or _first(
        sync.search(plane, expected, CANDIDATES), ratio
    )


def _first(alignments: list[sync.Alignment], ratio: tuple[float, float]) -> Mark | None:
    """The mark whose chips agree best, of those whose check holds."""
    words = code.decode(carrier.demodulate(np.stack([a.spectrum for a in alignments])))
    marks = [
        Mark(
            identifier=identifier,
            agreement=agreement,
            pilots=alignment.pilots,
            tile=(alignment.tile[0] / ratio[0], alignment.tile[1] / ratio[1]),
            offset=(
                alignment.offset[0] * alignment.tile[0] / ratio[0],
                alignment.offset[1] * alignment.tile[1] / ratio[1],
            ),
        )
        for alignment, (identifier, agreement) in zip(alignments, words, strict=True)
        if identifier is not None
    ]
    return max(marks, key=lambda mark: mark.agreement, default=None)


def _informed(wanted: carrier.Spectrum, luma: Plane, strength: Plane) -> carrier.Spectrum:
    """``wanted`` with each real chip's size set by what the picture has there, at the same power."""
    detail = high_pass(luma)
    weight = evenness(detail)
    height, width = luma.shape
    length = float(np.sqrt(height * width)) / carrier.TILES
    tile = (length, length)
    mark = carrier.synthesise(wanted, height, width, tile) * strength
    answer = _harmonics(high_pass(mark) * weight, tile)
    unit = float(np.abs(np.mean(answer * wanted.conj())))
    host = _harmonics(detail * weight, tile) / max(unit, 1e-9)
    sizes = [
        _sizes(np.sqrt(2) * np.sign(part) * other)
        for part, other in ((wanted.real, host.real), (wanted.imag, host.imag))
    ]
    shaped = sizes[0] * wanted.real + 1j * sizes[1] * wanted.imag
    return (shaped / np.sqrt(np.mean(np.abs(shaped) ** 2))).astype(np.complex64)


def _sizes(helped: Plane) -> Plane:
    """How strongly to draw chips that the picture helps by ``helped`` (1: as much as an even mark would)."""
    helped = np.clip(helped, -_LOUDEST, _LOUDEST)
    power = max(float(np.mean(np.minimum(helped**2, 9))), 1e-6)
    total = 1 + _NOISE / power + 1 / power
    taken_back = (total - np.sqrt(total * total - 4 / power)) / 2
    base = 1.0
    for _ in range(20):  # raise the even part until the power is what an even mark has
        sizes = np.maximum(_WEAKEST, base - taken_back * helped)
        base += 0.4 * (1 - float(np.mean(sizes**2)))
    return np.maximum(_WEAKEST, base - taken_back * helped)


def _harmonics(plane: Plane, tile: tuple[float, float]) -> carrier.Spectrum:
    (half,) = carrier.rows_of(plane, np.array([tile[0]]))
    return carrier.harmonics(half, tile[1])


def _require_rgb(pixels: Pixels) -> None:
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or 0 in pixels.shape:
        raise WatermarkError(
            f"pixels of type {pixels.dtype} and shape {pixels.shape}; give 8-bit RGB, height x width x 3"
        )


def _rms(plane: Plane) -> float:
    return float(np.sqrt(np.mean(plane * plane)))
