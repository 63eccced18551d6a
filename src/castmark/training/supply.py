"""What a model learns from, made ahead while it learns: by a thread, or by processes that feed a GPU.

    with Supply(partial(batch_of, seed), first=step, workers=8) as supply:
        for batch in Replay(supply, keep=100, times=3):
            ...

Items are numbered, and each follows from its number: how many make them changes nothing but the speed.
"""

from __future__ import annotations

import os
import pickle
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from multiprocessing import get_context
from typing import Any, Generic, Self, TypeVar

import numpy as np

T = TypeVar("T")
DEPTH = 3
"""Items ahead a worker."""
NICENESS = 8
"""Workers yield to the process that drives the GPU."""


class Supply(Generic[T]):
    """Items ``make(first)``, ``make(first + 1)``, ... in their order.

    Args:
        make: makes the item of a number; with workers it is pickled, and so are its items.
        first: the number of the first item.
        workers: processes that make them; 0 is a thread of this process.
        niceness: how far the processes yield to others, as in ``nice``.
    """

    def __init__(
        self, make: Callable[[int], T], *, first: int = 0, workers: int = 0, niceness: int = NICENESS
    ) -> None:
        self._number, self._packed = first, workers > 0
        self._make = partial(_packed, make) if workers else make
        if workers:
            self._pool: ProcessPoolExecutor | ThreadPoolExecutor = ProcessPoolExecutor(
                workers, mp_context=get_context("spawn"), initializer=_start, initargs=(niceness,)
            )
        else:
            self._pool = ThreadPoolExecutor(1)
        self._ahead: deque[Future[Any]] = deque()
        for _ in range(DEPTH * max(1, workers)):
            self._order()

    def _order(self) -> None:
        self._ahead.append(self._pool.submit(self._make, self._number))
        self._number += 1

    @property
    def ready(self) -> bool:
        """Whether the next item is there already."""
        return self._ahead[0].done()

    def __next__(self) -> T:
        """The next item, once it is there.

        Raises:
            BaseException: whatever ``make`` raised.
        """
        item = self._ahead.popleft().result()
        self._order()
        return pickle.loads(item) if self._packed else item

    def __iter__(self) -> Iterator[T]:
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)


def _packed(make: Callable[[int], object], number: int) -> bytes:
    """An item by value: left to itself torch sends a tensor as a file descriptor, of which there are few."""
    return pickle.dumps(make(number), protocol=pickle.HIGHEST_PROTOCOL)


def _start(niceness: int) -> None:
    import torch

    torch.set_num_threads(1)
    os.nice(niceness)


class Replay(Generic[T]):
    """Items of a supply, and while the next one is not there, earlier ones again.

    For a GPU, which learns faster than the cores can render.

    Args:
        supply: where they come from.
        keep: how many are kept to be given again.
        times: how often an item is given, on average, at most; 1: each once.
        place: what is done to an item once, when it comes, such as moving it to the GPU.
    """

    def __init__(
        self,
        supply: Supply[T],
        *,
        keep: int,
        times: int,
        place: Callable[[T], T] = lambda item: item,
        seed: int = 0,
    ) -> None:
        self._supply, self._times, self._place = supply, times, place
        self._held: deque[T] = deque(maxlen=keep if times > 1 else 1)
        self._rng = np.random.default_rng(seed)
        self._given = 0
        self.fresh = 0
        """Items that came; those given again do not count."""

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        self._given += 1
        if self._given <= self._times * self.fresh and not self._supply.ready:
            return self._held[int(self._rng.integers(len(self._held)))]
        self._held.append(self._place(next(self._supply)))
        self.fresh += 1
        return self._held[-1]
