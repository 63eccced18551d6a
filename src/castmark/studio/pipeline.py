"""The pipeline: shots in, takes out, in order, with drawing and finishing overlapped and memory flat.

    shots -> batches -> [draw] -> [check] -> [workers: encode, sign, write] -> takes
                 |_______________^ prepare

One thread draws, so that a base and what it wears are never shared. Another checks what was drawn before and
prepares what is drawn next (the check of the prompts), so that drawing waits for neither; workers finish, in
code that lets go of the interpreter's lock (zlib, the C2PA library, the disk). Every queue is bounded: at
most `WINDOW` batches of shots are read ahead, and at most `AHEAD` batches are between the first stage and the
last. Shots that may be drawn together are, also where others stand between them; takes come in the order of
the shots all the same.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Generator, Hashable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event
from typing import Any, Generic, TypeVar, cast

AHEAD = 4
"""Batches in flight: one finishing, one checked, one drawn, one waiting for the drawing thread."""
WINDOW = 8
"""Batches' worth of shots looked at to find those that belong together."""

S = TypeVar("S")
P = TypeVar("P")
T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Later(Generic[T]):
    """One result of a batch that another thread still works on."""

    batch: Future[Mapping[int, T | Future[T]]]
    index: int

    def result(self) -> T:
        """Wait for it.

        Raises:
            Exception: what went wrong there.
        """
        found = self.batch.result()[self.index]
        return cast("T", found.result() if isinstance(found, Future) else found)


Slot = T | Future[T] | Later[T]


@dataclass(frozen=True)
class Broken:
    """What went wrong with a shot, kept until its turn."""

    error: Exception


class Pipeline(Generic[S, P, T]):
    """Threads that draw and finish, kept between streams.

    Args:
        together: shots of which this is equal may be drawn as one batch.
        prepare: what can be done for a batch before its turn to be drawn.
        draw: a prepared batch's results, or futures of them where workers go on (`finish`).
        done: called on the drawing thread at the end of a stream.
        batch_size: shots a batch, at most. Smaller batches have a power of two, so that there are few shapes.
        workers: threads that finish.
    """

    def __init__(
        self,
        *,
        together: Callable[[S], Hashable],
        prepare: Callable[[Sequence[S]], P],
        draw: Callable[[P], list[Slot[T]]],
        done: Callable[[], None],
        batch_size: int,
        workers: int,
    ) -> None:
        self._together, self._prepare, self._draw, self._done = together, prepare, draw, done
        self._batch_size, self.workers = batch_size, workers
        self._drawer = ThreadPoolExecutor(1, "castmark-draw")
        self._checker = ThreadPoolExecutor(1, "castmark-check")
        self._workers = ThreadPoolExecutor(workers, "castmark-finish")

    def check(
        self, work: Callable[[], Mapping[int, T | Future[T]]], indices: Iterable[int]
    ) -> list[Later[T]]:
        """Let the checking thread go on with a batch; its results, by index."""
        batch = self._checker.submit(work)
        return [Later(batch, index) for index in indices]

    def finish(self, work: Callable[[], T]) -> Future[T]:
        """Let a worker do the rest of one shot."""
        return self._workers.submit(work)

    def settle(self) -> None:
        """Wait until nothing is being drawn, and call ``done``: what a base wears is off then."""
        self.on_drawing_thread(self._done)

    @contextmanager
    def held(self) -> Generator[None]:
        """While this lasts nothing is drawn: whoever asks for it in here waits for ever. What was begun is
        drawn before, and ``done`` is called.
        """
        begun, ended = Event(), Event()

        def hold() -> None:
            begun.set()
            ended.wait()

        self._drawer.submit(hold)
        try:
            begun.wait()
            self._done()
            yield
        finally:
            ended.set()

    def on_drawing_thread(self, work: Callable[[], R]) -> R:
        """Wait until nothing is being drawn, and do this there.

        Raises:
            Exception: what it raised.
        """
        return self._drawer.submit(work).result()

    def stream(self, shots: Iterable[S]) -> Generator[T]:
        """A result per shot, in order. An error, also of ``shots``, is raised in its turn, after the results
        before it. Closed early or ended by an error, it draws and finishes nothing more once it has returned.
        """
        source = enumerate(shots)
        waiting: OrderedDict[Hashable, deque[tuple[int, S]]] = OrderedDict()
        flying: deque[tuple[list[int], Future[P], Future[list[Slot[T]]]]] = deque()
        results: dict[int, T | Broken] = {}
        read = drawn = given = 0
        more = True
        ended: Exception | None = None
        try:
            while True:
                while more and read - drawn < WINDOW * self._batch_size and read - given < 2 * self._in_hand:
                    try:
                        item = next(source, None)
                    except Exception as error:  # noqa: BLE001 - raised once what was read is given
                        ended, item = error, None
                    if item is None:
                        more = False
                        break
                    waiting.setdefault(self._together(item[1]), deque()).append(item)
                    read += 1
                while waiting and len(flying) < AHEAD:
                    batch = self._next_batch(waiting)
                    drawn += len(batch)
                    prepared = self._checker.submit(self._prepare, [shot for _, shot in batch])
                    future = self._drawer.submit(self._drawn, prepared)
                    flying.append(([index for index, _ in batch], prepared, future))
                if not flying:
                    if ended is not None:
                        raise ended
                    return
                indices, _, future = flying[0]
                results |= _results(indices, future)
                flying.popleft()
                while given in results:
                    result = results.pop(given)
                    if isinstance(result, Broken):
                        raise result.error
                    yield result
                    given += 1
        finally:
            for _, prepared, future in flying:
                future.cancel()
                prepared.cancel()
            self.settle()
            for _, prepared, future in flying:
                _stop(prepared)
                if _stop(future):
                    _stop_all(future.result())

    def _drawn(self, prepared: Future[P]) -> list[Slot[T]]:
        """The results of a batch; on the drawing thread."""
        return self._draw(prepared.result())

    @property
    def _in_hand(self) -> int:
        """Shots that may be read and not given out: bounds the results that wait for an earlier one."""
        return (WINDOW + AHEAD) * self._batch_size

    def _next_batch(self, waiting: OrderedDict[Hashable, deque[tuple[int, S]]]) -> list[tuple[int, S]]:
        """The shots to draw next: the one that waits longest, and those that go with it."""
        key = min(waiting, key=lambda group: waiting[group][0][0])
        group = waiting[key]
        size = min(self._batch_size, len(group))
        if size < self._batch_size:
            size = 1 << (size.bit_length() - 1)
        batch = [group.popleft() for _ in range(size)]
        if not group:
            del waiting[key]
        return batch


def _results(indices: Sequence[int], future: Future[list[Slot[T]]]) -> dict[int, T | Broken]:
    """What came of a batch's shots, waited for."""
    found: dict[int, T | Broken] = {}
    try:
        slots = future.result()
    except Exception as error:  # noqa: BLE001 - raised in its turn
        return dict.fromkeys(indices, Broken(error))
    for index, slot in zip(indices, slots, strict=True):
        try:
            found[index] = cast("T", slot.result() if isinstance(slot, Future | Later) else slot)
        except Exception as error:  # noqa: BLE001 - raised in its turn
            found[index] = Broken(error)
    return found


def _stop(future: Future[Any]) -> bool:
    """Cancel it, or wait for its end; whether there is a result."""
    if future.cancel():
        return False
    wait([future])
    return future.exception() is None


def _stop_all(slots: Sequence[Slot[Any]]) -> None:
    """Stop what other threads still do for a batch that was drawn."""
    batches = {slot.batch for slot in slots if isinstance(slot, Later)}
    checked = [slot for batch in batches if _stop(batch) for slot in batch.result().values()]
    for slot in (*slots, *checked):
        if isinstance(slot, Future):
            _stop(slot)
