"""Many machines: shots through studios in the workers of a Ray cluster (``pip install 'castmark[ray]'``).

    with RayRunner(partial(Studio.open, key="/shared/keys"), workers=2) as runner:
        run(job, "runs/week-12", runner, subjects)

The job, the run folder and its journal are those of one machine, and only the driver writes them: workers
send signed images back as bytes. A worker that dies is started again and its shots are drawn again; what it
had sent was written, what it had not leaves no trace, so every row is done once. The base and the signing key
must be at hand, under the same paths, on every machine.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from itertools import islice
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from castmark.errors import CastmarkError
from castmark.extras import require
from castmark.shot import Shot
from castmark.studio.keying import Keying
from castmark.take import Failure, SignedImage, Take

if TYPE_CHECKING:
    from castmark.studio.studio import Studio

PENDING = 2
"""Batches that a worker may hold: one that it draws and one that waits."""
RESTARTS = 3
"""Times that a worker may die and be started again, and that a batch may be tried again."""


class RayRunner:
    """A `castmark.runs.runners.Runner` over actors of a Ray cluster; use it as a context manager.

    Args:
        open_studio: opens a worker's studio; it is called in the worker, so it must pickle.
        workers: actors, each with a studio of its own.
        address: of the cluster; None for one of this machine's own, which ends with the runner.
        cpus: CPU cores an actor takes.
        gpus: GPUs an actor takes.
    """

    def __init__(
        self,
        open_studio: Callable[[], Studio],
        *,
        workers: int,
        address: str | None = None,
        cpus: float = 1,
        gpus: float = 0,
    ) -> None:
        require("RayRunner", "ray")
        self._ray: Any = import_module("ray")
        self._errors: Any = import_module("ray.exceptions")
        if not self._ray.is_initialized():
            # A cluster of this machine's own listens on the loopback address alone.
            local = {"num_cpus": max(1, round(workers * cpus)), "_node_ip_address": "127.0.0.1"}
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
            os.environ.setdefault("RAY_worker_niceness", "0")  # Ray's 15 starves on a machine that is in use
            self._ray.init(
                address=address,
                include_dashboard=False if address is None else None,
                log_to_driver=False,
                **(local if address is None else {}),
            )
            self._ours = True
        else:
            self._ours = False
        actor = self._ray.remote(
            num_cpus=cpus, num_gpus=gpus, max_restarts=RESTARTS, max_task_retries=RESTARTS
        )(_Worker)
        self._workers: list[Any] = []
        try:
            self._workers += [actor.remote(open_studio) for _ in range(workers)]
            keying, environment, self._batch, self._max_redraws = self._answer(
                self._workers[0].facts.remote()
            )
        except BaseException:
            self.close()
            raise
        self._keying: Keying = keying
        self._environment: dict[str, str | int | float] = {**environment, "ray_workers": workers}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the workers, and the cluster if it is the runner's own."""
        for worker in self._workers:
            self._ray.kill(worker)
        if self._ours:
            self._ray.shutdown()

    def key(self, shot: Shot) -> str:
        """The shot's key in the workers' studios."""
        return self._keying.key(shot)

    @property
    def environment(self) -> Mapping[str, str | int | float]:
        """The first worker's, and how many there are."""
        return self._environment

    @property
    def max_redraws(self) -> int:
        """The first worker's."""
        return self._max_redraws

    def map(self, shots: Iterable[Shot], keep: Callable[[SignedImage], object]) -> Generator[Take]:
        """One take per shot, in order; ``keep`` is called here, on the driver."""
        source = iter(shots)
        flying: deque[tuple[int, Any]] = deque()
        load = [0] * len(self._workers)
        while True:
            while min(load) < PENDING and (batch := list(islice(source, self._batch))):
                index = load.index(min(load))
                load[index] += 1
                flying.append((index, self._workers[index].shoot.remote(batch)))
            if not flying:
                return
            index, future = flying.popleft()
            takes: list[Take] = self._answer(future)
            load[index] -= 1
            for take in takes:
                if isinstance(take, SignedImage):
                    keep(take)
                yield take

    def _answer(self, future: Any) -> Any:
        """What a worker answered.

        Raises:
            CastmarkError: it died more often than it may, or its studio could not be opened.
        """
        try:
            return self._ray.get(future)
        except self._errors.RayError as error:
            reason = str(error).strip().splitlines()[-1:] or [type(error).__name__]
            raise CastmarkError(
                f"a Ray worker did not answer ({reason[0]}); what was done is kept, "
                "so look at the worker's log and run the same command again"
            ) from error


class _Worker:
    """An actor: one studio."""

    def __init__(self, open_studio: Callable[[], Studio]) -> None:
        self._studio = open_studio()

    def facts(self) -> tuple[Keying, dict[str, str | int | float], int, int]:
        """Keying, environment, batch size, redraws that the policy allows."""
        studio = self._studio
        return studio.keying, dict(studio.environment), studio.batch_size, studio.max_redraws

    def shoot(self, shots: Sequence[Shot]) -> list[Take]:
        """A take a shot. Errors are sent as their message: not every one of them pickles."""
        return [
            replace(take, error=CastmarkError(str(take.error))) if isinstance(take, Failure) else take
            for take in self._studio.shoot_all(shots)
        ]
