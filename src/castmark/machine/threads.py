"""How many threads draw, and how many finish, on this machine as it is now.

Two OpenMP threads on a busy pair of cores are several times slower than one, and on an idle pair up to twice
as fast, so the counts are tried at the start (a convolution of the size a small UNet has, some tens of
milliseconds). What was chosen is recorded with every image, because the last bit of a drawing depends on it.
"""

from __future__ import annotations

import os
import statistics
import time

from castmark.machine.facts import cores

ROUNDS = 5
MARGIN = 0.9
"""More threads must take at most this share of the time of fewer: they leave less to the workers."""
MAX_WORKERS = 8


def worker_count() -> int:
    """Threads that encode, sign and write: one a core but the first, so that one core always draws."""
    return max(1, min(MAX_WORKERS, cores() - 1))


def calm_numpy() -> None:
    """One thread for numpy's BLAS: what it multiplies here is small, and its second thread, spinning for the
    next product, takes from drawing what it gives. Torch's own threads are not touched."""
    from threadpoolctl import threadpool_limits

    threadpool_limits(1, user_api="blas")


def choose_threads() -> int:
    """Torch threads for drawing: ``OMP_NUM_THREADS`` where it is set, else what is measured to be fastest.

    Leaves torch at that count.
    """
    import torch

    stated = os.environ.get("OMP_NUM_THREADS", "")
    if stated.isdigit() and int(stated) > 0:
        return int(stated)
    most = max(1, cores() - 1)  # a core is left to the check and the workers, which run meanwhile
    counts = sorted({1, *(n for n in (2, 4, 8, most) if n <= most)})
    picture, kernel = torch.randn(1, 128, 32, 32), torch.randn(128, 128, 3, 3)
    best, seconds = 1, float("inf")
    for count in counts:
        torch.set_num_threads(count)
        taken: list[float] = []
        for _ in range(ROUNDS):
            start = time.perf_counter()
            torch.nn.functional.conv2d(picture, kernel, padding=1)
            taken.append(time.perf_counter() - start)
        if (median := statistics.median(taken)) < MARGIN * seconds:
            best, seconds = count, median
    torch.set_num_threads(best)
    return best
