"""Fixed pseudo-random choices of the watermark's layout, the same in every version of every library.

They come from SHAKE-256 (FIPS 202) of a name. Nothing here is secret: whoever reads the mark can draw it, and
so a mark alone proves nothing.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

SCHEME = "castmark.watermark.1"


def words(name: str, count: int) -> NDArray[np.uint64]:
    """``count`` uniform 64-bit words."""
    raw = hashlib.shake_256(f"{SCHEME}/{name}".encode()).digest(8 * count)
    return np.frombuffer(raw, "<u8")


def signs(name: str, count: int) -> NDArray[np.int8]:
    """``count`` signs, 1 or -1."""
    return (1 - 2 * (words(name, count) & np.uint64(1)).astype(np.int8)).astype(np.int8)


def permutation(name: str, count: int) -> NDArray[np.intp]:
    """A permutation of ``range(count)``."""
    return np.argsort(words(name, count), kind="stable")
