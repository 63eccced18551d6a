"""Memory that is freed is kept for the next picture.

The C library gives every large block back to the system when it is freed, and the next picture's blocks come
as fresh pages, each of which costs a fault: up to a fifth of the time that a small model takes to draw. Kept,
memory stays at its peak, which bounded queues keep flat.
"""

from __future__ import annotations

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of mallopt(3), glibc
_LARGEST = 2**30


def keep_freed_memory() -> bool:
    """Tell glibc to keep what is freed, for the whole process; False where there is no glibc."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return False
    return all(mallopt(name, _LARGEST) == 1 for name in (_TRIM_THRESHOLD, _MMAP_THRESHOLD))
