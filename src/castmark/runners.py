"""Runs: a job's shots through a runner into a run folder, journaled, resumable. No torch here.

A runner turns shots into takes, in order, streamed; where and on how many machines is its affair. `run` is
the same for all of them: plan, draw what is not done, write each image and then its row.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from castmark.batch import Job, plan
from castmark.errors import InputError
from castmark.ledger import Ledger, Row
from castmark.shot import MAX_SEED, Shot
from castmark.take import Take
from castmark_adapters import pack
from castmark_adapters.subject import Subject

if TYPE_CHECKING:
    from castmark.studio import Studio

SUBJECTS = "subjects"
REDRAW_STRIDE = 1_000_003
"""A shot that was refused is drawn again with its seed moved by this much, once per redraw."""


class Runner(Protocol):
    """Turns shots into takes."""

    def key(self, shot: Shot) -> str:
        """The shot's key under this runner's base, adapters, policy and code."""
        ...

    def map(self, shots: Iterable[Shot]) -> Iterator[Take]:
        """One take per shot, in the order of the shots, each as soon as it is there."""
        ...


class LocalRunner:
    """Runs shots through one studio, in this process."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio

    def key(self, shot: Shot) -> str:
        """The shot's key in the studio."""
        return self._studio.key(shot)

    def map(self, shots: Iterable[Shot]) -> Iterator[Take]:
        """`Studio.shoot_all`."""
        return self._studio.shoot_all(shots)


@dataclass(frozen=True, kw_only=True)
class RowDone:
    """Event: one image of a run was signed, refused or failed."""

    row: Row
    done: int
    """Images done in this run of the command, this one included."""
    total: int
    """Images this run of the command set out to draw, redraws included so far."""


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """What became of a run: every row of the job, and how many of them this run drew."""

    run: Path
    rows: tuple[Row, ...]
    drawn: int
    """Images drawn now; the others were done before."""
    seconds: float

    def count(self, status: str) -> int:
        """How many rows are in ``status`` ("signed", "refused", "failed", "pending")."""
        return sum(row.status == status for row in self.rows)

    @property
    def ok(self) -> bool:
        """True only if every row of the job has its signed image."""
        return self.count("signed") == len(self.rows)

    def explain(self) -> str:
        """One line for a person."""
        others = [f"{self.count(status)} {status}" for status in ("refused", "failed") if self.count(status)]
        told = ", ".join([f"{self.count('signed')} of {len(self.rows)} signed", *others])
        return f"{self.run}: {told}; {self.drawn} drawn now in {self.seconds:.1f} s"


def run(
    job: Job,
    out: str | Path,
    runner: Runner,
    subjects: Mapping[str, Subject] | Callable[[str], Subject],
    *,
    redraws: int = 0,
    on_event: Callable[[RowDone], object] | None = None,
) -> RunSummary:
    """Bring the run folder ``out`` to what ``job`` asks for, drawing only rows that are new, changed or lost.

    A refused image is drawn again with another seed up to ``redraws`` times; every refusal is kept in the
    journal. A row that fails does not stop the others. Run again, finished or killed, it goes on from there.

    Raises:
        InputError: an unknown subject, or two images of one name; nothing was drawn.
        LedgerError: the folder belongs to another job or process, or its journal cannot be used.
        OSError: an image could not be written (full disk, no permission); nothing of it is left, what was
            done before it stays done, and the same command goes on from there.
    """
    start = time.perf_counter()
    find = subjects if callable(subjects) else _lookup(subjects)
    shots = {planned.name: planned.shot for planned in plan(job, find)}
    drawn = 0
    with Ledger.open(out, job.source) as ledger:
        rows = ledger.plan(list(shots.values()), [runner.key(shot) for shot in shots.values()])
        _keep_subjects(Path(out) / SUBJECTS, (find(name) for name in job.subjects))
        redraw = {row.name: 0 for row in rows}
        redraw |= {
            row.name: row.redraws + 1 for row in ledger.rows() if row.redrawable and row.redraws < redraws
        }
        total = len(redraw)
        while redraw:
            again: dict[str, int] = {}
            takes = runner.map(_reseeded(shots[name], number) for name, number in redraw.items())
            for (name, number), take in zip(redraw.items(), takes, strict=True):
                row = ledger.record(name, take, redraws=number)
                drawn += 1
                if row.redrawable and number < redraws:
                    again[name] = number + 1
                    total += 1
                if on_event is not None:
                    on_event(RowDone(row=row, done=drawn, total=total))
            redraw = again
        found = tuple(ledger.rows())
    return RunSummary(run=Path(out), rows=found, drawn=drawn, seconds=time.perf_counter() - start)


def _reseeded(shot: Shot, redraw: int) -> Shot:
    """The shot itself, or the same with the seed of its n-th redraw."""
    if redraw == 0:
        return shot
    return shot.model_copy(update={"seed": (shot.seed + redraw * REDRAW_STRIDE) % (MAX_SEED + 1)})


def _keep_subjects(folder: Path, subjects: Iterable[Subject]) -> None:
    """Keep the subjects' packs beside the images: what the contact sheet shows, and what a replay needs."""
    for subject in subjects:
        if subject.name not in pack.listed(folder) or pack.get(folder, subject.name).digest != subject.digest:
            pack.put(folder, subject)


def _lookup(subjects: Mapping[str, Subject]) -> Callable[[str], Subject]:
    def find(name: str) -> Subject:
        try:
            return subjects[name]
        except KeyError:
            known = ", ".join(sorted(subjects)) or "none"
            raise InputError(f"unknown subject {name!r}; known here: {known}") from None

    return find
