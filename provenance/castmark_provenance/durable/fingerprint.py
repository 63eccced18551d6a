"""A perceptual fingerprint: 256 bits of what a picture looks like, close for copies, far for other pictures.

The 256 lowest frequencies (after the mean) of the discrete cosine transform of the 64 x 64 pixel luma, each
against their median: pHash (Zauner 2010, section 3.2.1) with four times its bits. JPEG, scaling and the
watermark move a few bits. A crop moves a third of them, as every frequency changes; where a watermark was
read, it says how the copy was cropped, and the copy is first put back into its frame (`in_frame`).

Measured distances, and so `COPY` and `FRAMED`, are in the suite ``castmark bench durable``.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from castmark_provenance.durable.carrier import TILES
from castmark_provenance.durable.plane import Pixels, Plane
from castmark_provenance.durable.watermark import Mark

ALGORITHM = "org.castmark.phash256.1"
BYTES = 32
COPY = 32
"""Bits: at most this far, one picture is taken for a copy of another when nothing else says so."""
FRAMED = 92
"""Bits: at most this far, a copy put back into its frame is taken for the picture its watermark names."""

_SIZE, _LOW = 64, 17
_SLACK = 0.1  # of a tile: how exactly a watermark tells where a crop began


def fingerprint(pixels: Pixels) -> bytes:
    """The 32 bytes of UInt8 pixels "h w 3"."""
    return _of(np.asarray(Image.fromarray(pixels).convert("L"), np.float32))


def distance(one: bytes, other: bytes) -> int:
    """Differing bits, 0 to 256; about 128 for unrelated pictures."""
    return (int.from_bytes(one) ^ int.from_bytes(other)).bit_count()


def distances(one: bytes, others: bytes) -> NDArray[np.int64]:
    """Differing bits to each of ``others``, fingerprints one after the other."""
    table = np.frombuffer(others, np.uint64).reshape(-1, BYTES // 8)
    return np.bitwise_count(table ^ np.frombuffer(one, np.uint64)).sum(axis=1, dtype=np.int64)


def in_frame(pixels: Pixels, mark: Mark, size: tuple[int, int]) -> list[bytes]:
    """Fingerprints of a scaled and cropped copy put back into its frame, the rest filled from its edges.

    ``mark`` is the watermark read in ``pixels``; ``size`` the marked picture's (height, width). The offset is
    known up to whole tiles: one fingerprint for each place that fits, none if the copy fits nowhere.
    """
    tile = float(np.sqrt(size[0] * size[1])) / TILES
    grey = np.asarray(Image.fromarray(pixels).convert("L"), np.float32)
    frame = [size[axis] * mark.tile[axis] / tile for axis in (0, 1)]
    starts = [_starts(mark.offset[axis], mark.tile[axis], frame[axis], pixels.shape[axis]) for axis in (0, 1)]
    return [
        _of(_placed(grey, (top, left), (round(frame[0]), round(frame[1]))))
        for top in starts[0]
        for left in starts[1]
    ]


def _starts(offset: float, tile: float, frame: float, length: int) -> list[int]:
    slack = _SLACK * tile
    places = np.arange(offset - tile, frame - length + slack, tile)
    return [max(0, round(float(place))) for place in places if place >= -slack]


def _placed(grey: Plane, start: tuple[int, int], frame: tuple[int, int]) -> Plane:
    pads = [(start[axis], max(0, frame[axis] - start[axis] - grey.shape[axis])) for axis in (0, 1)]
    return np.pad(grey, pads, mode="edge")


def _of(grey: Plane) -> bytes:
    small = np.asarray(Image.fromarray(grey).resize((_SIZE, _SIZE), Image.Resampling.BOX))
    basis = _cosines()
    table = basis @ small @ basis.T
    low = np.append(table[: _LOW - 1, : _LOW - 1].ravel()[1:], table[_LOW - 1, 0])
    return np.packbits(low > np.median(low)).tobytes()


@functools.cache
def _cosines() -> Plane:
    """The first rows of the DCT-II of length 64."""
    angles = np.outer(np.arange(_LOW), np.arange(_SIZE) + 0.5) * np.pi / _SIZE
    return (np.sqrt(2 / _SIZE) * np.cos(angles)).astype(np.float32)
