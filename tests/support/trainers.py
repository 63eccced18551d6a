"""Stand-ins for the trainers, for processes that are started anew: each writes when it ran, and on what."""

from __future__ import annotations

import json
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from castmark.training.common import TrainSettings


def _note(settings: TrainSettings, name: str, seconds: float) -> None:
    start = time.time()
    time.sleep(seconds)
    log = settings.work.parent / "log"
    log.mkdir(parents=True, exist_ok=True)
    facts = {"start": start, "end": time.time(), "minutes": settings.minutes, "workers": settings.workers}
    (log / f"{name}.json").write_text(json.dumps(facts | {"out": str(settings.out)}))


def autoencoder(settings: TrainSettings) -> None:
    """One of the first two."""
    _note(settings, "autoencoder", 0.2)


def encoder(settings: TrainSettings) -> None:
    """One of the first two."""
    _note(settings, "encoder", 0.4)


def closing(settings: TrainSettings) -> None:
    """What is left of the encoder."""
    _note(settings, "closing", 0.1)


def judge(settings: TrainSettings) -> None:
    """One of those beside."""
    _note(settings, "judge", 1.0)


def reader(settings: TrainSettings) -> None:
    """One of those beside."""
    _note(settings, "reader", 0.2)


def broken(settings: TrainSettings) -> None:
    """One that fails."""
    raise MemoryError("out of memory")


def taught(settings: TrainSettings) -> None:
    """Waits for shards, as the teacher does."""
    shards = settings.work.parent / "log" / "shards.json"
    while not shards.exists():
        time.sleep(0.05)
    _note(settings, "teacher", 0.3)


@contextmanager
def sharding(settings: TrainSettings) -> Generator[None]:
    """Shards are there at once."""
    _note(settings, "shards", 0.0)
    yield


def student(settings: TrainSettings) -> None:
    """The last but one."""
    _note(settings, "student", 0.1)


def polish(settings: TrainSettings) -> None:
    """The last."""
    _note(settings, "polish", 0.1)


def document(folder: Path) -> None:
    """Notes that it was measured."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "measured").touch()
