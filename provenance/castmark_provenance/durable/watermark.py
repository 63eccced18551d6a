"""An invisible watermark: a 40-bit id drawn into pixels, read back from copies without the original.

    marked = embed(pixels, identifier)
    mark = read(marked)            # None, or Mark(identifier=..., ...)

It survives JPEG, scaling and cropping, one after the other: see ``castmark bench durable`` for how often. It
is no secret and no signature: anybody can draw a mark, and who tries can remove one. It says where to look.

**Drawing.** The mark (`carrier`) is added to luma, `FLAT` grey levels strong on flat areas and stronger where
texture hides it, within `PSNR`. What the picture itself has on a chip's harmonic is known when drawing: chips
that it opposes are drawn stronger than chips that it helps (`informed`).

**Reading.** Luma is cut to the mark's band and evened out, aligned (`sync`), each harmonic weighted by what
else is expected there (`carrier.weights`), and decoded (`code`). An id is
given only if its 24-bit check holds. An unmarked picture gets past that with probability at most
`FALSE_POSITIVE_BOUND`: the reader tries so many words and no more, and over a random choice of the
scrambler each passes the check with probability 2**-24, whatever the picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from castmark_provenance.durable import carrier, code, informed, sync
from castmark_provenance.durable.errors import WatermarkError
from castmark_provenance.durable.plane import (
    LUMA,
    Pixels,
    Plane,
    evenness,
    high_pass,
    resized,
    side,
    texture,
    working,
)

ALGORITHM = "org.castmark.watermark.1"
ID_BITS = code.ID_BITS
MIN_SIDE = 128
"""Pixels, height and width: below, the mark's waves are finer than the pixels."""
PSNR = 40.1
"""dB, of RGB, at least (rounding included)."""
FLAT = 0.6
"""RMS of the mark on flat areas, in grey levels of 255."""
HIDING = 0.3
"""Grey levels of mark more for each grey level of local roughness (`plane.texture`)."""
STRONGEST = 6.0
CANDIDATES = 8
FALSE_POSITIVE_BOUND = ((CANDIDATES + 1) * sync.NEAR + 1) / 2**code.CHECK_BITS
"""Probability at most that an unmarked picture yields an id: 2.7e-6."""

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


def require_room(width: int, height: int) -> None:
    """Make sure that a picture of this size can hold a watermark.

    Raises:
        WatermarkError: a side is smaller than `MIN_SIDE`.
    """
    if min(height, width) < MIN_SIDE:
        raise WatermarkError(
            f"{width}x{height} px are too few for a watermark; ask for at least {MIN_SIDE}x{MIN_SIDE}, "
            "or sign without one"
        )


def embed(pixels: Pixels, identifier: int) -> Pixels:
    """UInt8 pixels "h w 3" with ``identifier`` (below 2**40) drawn into them, always the same way.

    Raises:
        WatermarkError: the pixels are not UInt8 "h w 3", smaller than `MIN_SIDE`, or the id does not fit.
    """
    _require_rgb(pixels)
    height, width = pixels.shape[:2]
    require_room(width, height)
    try:
        wanted = carrier.modulate(identifier)
    except ValueError as error:
        raise WatermarkError(str(error)) from error
    luma = working(pixels)
    limit = float(np.sqrt(max(255**2 * 10 ** (-PSNR / 10) - 1 / 12, 0) / np.mean(_DIRECTION**2)))
    strength = np.minimum(FLAT + HIDING * texture(luma, 4), STRONGEST).astype(np.float32)
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
    found = _looked_for(pixels)
    if found is None:
        return None
    plane, expected, ratio = found
    # Most copies are whole: look there first, and over all scales only if there is nothing.
    return _first(sync.uncropped(plane, expected), ratio) or _first(
        sync.search(plane, expected, CANDIDATES), ratio
    )


def carries(pixels: Pixels, identifier: int) -> bool:
    """Whether `read` finds ``identifier`` in the very pixels that `embed` returned, where it lies is known.

    Raises:
        WatermarkError: the pixels are not UInt8 "h w 3".
    """
    _require_rgb(pixels)
    found = _looked_for(pixels)
    if found is None:
        return False
    plane, expected, ratio = found
    mark = _first([sync.whole(plane, expected)], ratio) or read(pixels)
    return mark is not None and mark.identifier == identifier


def _looked_for(pixels: Pixels) -> tuple[Plane, tuple[float, float], tuple[float, float]] | None:
    """The evened detail, the tile of an uncropped picture in it, and its size over the picture's; None for a
    strip, in which no mark fits, and whose length would cost time and memory."""
    luma = working(pixels)
    if min(luma.shape) < MIN_SIDE // 4:
        return None
    detail = high_pass(luma)
    ratio = (luma.shape[0] / pixels.shape[0], luma.shape[1] / pixels.shape[1])
    tile = side(pixels) / carrier.TILES
    return detail * evenness(detail), (tile * ratio[0], tile * ratio[1]), ratio


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
    """``wanted`` with each chip's size set by what the picture has there, at the same power."""
    detail = high_pass(luma)
    weight = evenness(detail)
    height, width = luma.shape
    length = float(np.sqrt(height * width)) / carrier.TILES
    tile = (length, length)
    mark = carrier.synthesise(wanted, height, width, tile) * strength
    answer = _harmonics(high_pass(mark) * weight, tile)
    unit = float(np.abs(np.mean(answer * wanted.conj())))
    host = _harmonics(detail * weight, tile) / max(unit, 1e-9)
    seen = carrier.weights(np.sqrt(np.abs(host) ** 2 + 1).astype(np.complex64))
    data = carrier.DATA
    signs = np.sign(np.stack([wanted.real[data], wanted.imag[data]]))
    helped = np.sqrt(2) * signs * np.stack([host.real[data], host.imag[data]])
    drawn = signs * informed.sizes(helped.ravel(), np.tile(seen[data], 2)).reshape(2, -1)
    shaped = wanted.copy()
    shaped[data] = (drawn[0] + 1j * drawn[1]) / np.sqrt(2)
    return shaped


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
