"""Runs over several workers, on one machine or many: Ray Data with an actor pool (``castmark[ray]``).

Each worker opens a studio of its own and draws batches of shots; what it signed comes back as bytes, and the
process that holds the journal writes the file and then its row, as for any run. So a worker that dies has
written nothing: Ray gives its batch to another, and a row is done once, whichever of them drew it.

    run(job, out, RayRunner(partial(Studio.open, key="keys"), workers=8), subjects)
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from castmark.errors import InputError
from castmark.extras import require
from castmark.shot import Shot
from castmark.take import SignedImage, Take

if TYPE_CHECKING:
    from castmark.studio import Studio

CHUNK = 4096
"""Shots handed to Ray at once: what a job holds in memory does not grow with its length."""


class RayRunner:
    """Runs shots over Ray workers.

    Args:
        open_studio: opens a worker's studio; must pickle, and find base and key on every machine.
        workers: actors, each with a studio.
        batch_size: shots a batch.
        cpus: CPU cores a worker takes.
        gpus: GPUs a worker takes.

    Raises:
        MissingExtra: Ray is not installed.
        InputError: fewer than one worker.
    """

    def __init__(
        self,
        open_studio: Callable[[], Studio],
        *,
        workers: int,
        batch_size: int = 8,
        cpus: float = 1,
        gpus: float = 0,
    ) -> None:
        require("RayRunner", "ray")
        if workers < 1:
            raise InputError(f"{workers} workers: give at least 1")
        self._open = open_studio
        self._studio: Studio | None = None
        self._workers, self._batch_size, self._cpus, self._gpus = workers, batch_size, cpus, gpus

    @property
    def studio(self) -> Studio:
        """The studio of this process, which knows the keys; it draws nothing."""
        if self._studio is None:
            self._studio = self._open()
        return self._studio

    def key(self, shot: Shot) -> str:
        """The shot's key in a worker's studio."""
        return self.studio.key(shot)

    @property
    def environment(self) -> Mapping[str, str | int | float]:
        """The studio's, and how many workers there are."""
        return {**self.studio.environment, "ray_workers": self._workers, "batch_size": self._batch_size}

    def map(self, shots: Iterable[Shot], keep: Callable[[SignedImage], object]) -> Iterator[Take]:
        """One take per shot, in order; signed images are kept here, not by the workers."""
        waiting = iter(shots)
        while chunk := list(islice(waiting, CHUNK)):
            for row in self._dataset(chunk).iter_rows():
                take: Take = pickle.loads(row["take"])
                if isinstance(take, SignedImage):
                    keep(take)
                yield take

    def _dataset(self, shots: list[Shot]) -> Any:
        """The takes, pickled. Ray Data starts actors that died anew, and their batches, without end."""
        import ray.data

        context = ray.data.DataContext.get_current()
        context.execution_options.preserve_order = True
        context.enable_progress_bars = False
        items = [{"shot": pickle.dumps(shot)} for shot in shots]
        blocks = -(-len(items) // self._batch_size)
        return ray.data.from_items(items, override_num_blocks=blocks).map_batches(
            _Worker,
            fn_constructor_args=(self._open,),
            batch_size=self._batch_size,
            compute=ray.data.ActorPoolStrategy(size=self._workers),
            num_cpus=self._cpus,
            num_gpus=self._gpus,
        )


class _Worker:
    """One actor: a studio that draws the batches it is given."""

    def __init__(self, open_studio: Callable[[], Studio]) -> None:
        self._studio = open_studio()

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[bytes]]:
        shots: list[Shot] = [pickle.loads(shot) for shot in batch["shot"]]
        return {"take": [pickle.dumps(_portable(take)) for take in self._studio.shoot_all(shots)]}


def _portable(take: Take) -> Take:
    """A take that pickles: an error's cause may not, and its words are what counts."""
    try:
        pickle.dumps(take)
    except Exception:  # noqa: BLE001 - whatever a library's exception holds
        assert not isinstance(take, SignedImage)
        error = getattr(take, "error", None)
        assert error is not None
        from dataclasses import replace

        from castmark.errors import CastmarkError

        return replace(take, error=CastmarkError(str(error)))  # pyright: ignore[reportCallIssue]
    return take
