"""Results of a function of many items at once, remembered by item; the longest unused goes first.

A job says the same thing with many seeds: what a prompt means and whether it may be drawn is worked out once.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Sequence
from threading import Lock
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Remembered(Generic[K, V]):
    """What ``work`` found, by item. Several threads may ask.

    Args:
        work: the results of new items, in their order; what it raises is raised, and nothing is remembered.
        kept: how many results, at most.
    """

    def __init__(self, work: Callable[[Sequence[K]], list[V]], kept: int) -> None:
        self._work, self._kept = work, kept
        self._known: OrderedDict[K, V] = OrderedDict()
        self._lock = Lock()

    def of(self, item: K) -> V:
        """The result of one item."""
        return self.all_of([item])[0]

    def new(self, items: Iterable[K]) -> list[K]:
        """Those of the items, once each, of which nothing is remembered."""
        with self._lock:
            return [item for item in dict.fromkeys(items) if item not in self._known]

    def all_of(self, items: Sequence[K]) -> list[V]:
        """The result of each item; new ones are worked on together."""
        with self._lock:
            found = {item: self._known[item] for item in items if item in self._known}
        new = [item for item in dict.fromkeys(items) if item not in found]
        if new:
            found |= dict(zip(new, self._work(new), strict=True))
        with self._lock:
            for item in dict.fromkeys(items):
                self._known[item] = found[item]
                self._known.move_to_end(item)
            while len(self._known) > self._kept:
                self._known.popitem(last=False)
        return [found[item] for item in items]
