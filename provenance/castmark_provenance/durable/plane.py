"""Grey planes of pictures: luma, working size, local statistics.

Everything is looked at with a side (the square root of the area) of `WORK` pixels, where the mark's finest
wave is about four pixels long, whatever size the picture came in.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels: TypeAlias = NDArray[np.uint8]
Plane: TypeAlias = NDArray[np.floating[Any]]

WORK = 256
LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""ITU-R BT.601, as JPEG has it."""
_HIGH_PASS = 6
_LOCAL = 4
_FLOOR = 0.6


def side(pixels: Pixels) -> float:
    """Square root of the area, in pixels."""
    return float(np.sqrt(pixels.shape[0] * pixels.shape[1]))


def working(pixels: Pixels) -> Plane:
    """Luma 0 to 255 of UInt8 pixels "h w 3", at working size."""
    height, width = pixels.shape[:2]
    ratio = WORK / side(pixels)
    size = (max(1, round(width * ratio)), max(1, round(height * ratio)))
    grey = Image.fromarray(pixels).convert("L")
    if size == (width, height):
        return np.asarray(grey, np.float32)
    return np.asarray(grey.convert("F").resize(size, Image.Resampling.BICUBIC), np.float32)


def resized(plane: Plane, height: int, width: int) -> Plane:
    """The plane, bilinear, at another size."""
    if plane.shape == (height, width):
        return plane
    return np.asarray(Image.fromarray(plane).resize((width, height), Image.Resampling.BILINEAR), np.float32)


def mean(plane: Plane, radius: int) -> Plane:
    """Mean over squares of side 2 radius + 1, edges repeated."""
    return _running(_running(plane, radius, 1), radius, 0)


def high_pass(plane: Plane) -> Plane:
    """The plane without what is coarser than the mark."""
    return plane - mean(mean(plane, _HIGH_PASS), _HIGH_PASS)


def evenness(detail: Plane) -> Plane:
    """What to multiply detail by so that it has about the same power everywhere: a matched filter gives
    each place the weight of its own noise."""
    return 1 / (np.sqrt(mean(detail * detail, _LOCAL)) + np.float32(_FLOOR))


def texture(plane: Plane, radius: int) -> Plane:
    """How rough the plane is: the geometric mean of the distance from the local mean, over squares of side
    2 radius + 1. An edge beside a flat area is not rough by it, as it would be by the standard deviation."""
    away = np.abs(plane - mean(plane, radius))
    return np.expm1(mean(np.log1p(away), radius))


def _running(plane: Plane, radius: int, axis: int) -> Plane:
    """Running mean along an axis: sums of 1, 2, 4, 8 ... neighbours, put together as the width's binary
    digits say, which is several times as fast as differences of a running total."""
    pads = [(radius, radius) if at == axis else (0, 0) for at in (0, 1)]
    part = np.pad(plane.astype(np.float32, copy=False), pads, mode="edge")
    width, length, start, size = 2 * radius + 1, plane.shape[axis], 0, 1
    total: Plane | None = None
    while width:
        if width & 1:
            here = _cut(part, axis, start, start + length)
            total = here.copy() if total is None else np.add(total, here, out=total)
            start += size
        width >>= 1
        if width:
            part = _cut(part, axis, 0, -size) + _cut(part, axis, size, None)
            size *= 2
    assert total is not None  # a width is odd
    total *= np.float32(1 / (2 * radius + 1))
    return total


def _cut(plane: Plane, axis: int, start: int, stop: int | None) -> Plane:
    return plane[:, start:stop] if axis else plane[start:stop]
