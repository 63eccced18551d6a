"""Runs: a job's shots through a runner into a run folder, journaled, resumable. No torch here.

A runner turns shots into takes, in order, streamed; where and on how many machines is its affair. `run` is
the same for all of them: plan, draw what is not done, write each image and then its row.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from castmark.errors import InputError
from castmark.jobs.corrections import corrected, is_corrections, with_quota, write_errors
from castmark.jobs.plan import Job, plan
from castmark.machine.energy import EnergyMeter
from castmark.runs.ledger import Ledger
from castmark.runs.ledger_row import Row, shot_from_json
from castmark.runs.report import summarise, write_summary
from castmark.shot import Shot, bound_redraws
from castmark.take import SignedImage, Take
from castmark_adapters import pack
from castmark_adapters.subject import Subject

if TYPE_CHECKING:
    from castmark.studio.studio import Studio

SUBJECTS = "subjects"


class Runner(Protocol):
    """Turns shots into takes."""

    def key(self, shot: Shot) -> str:
        """The shot's key under this runner's base, adapters, policy and code."""
        ...

    @property
    def environment(self) -> Mapping[str, str | int | float]:
        """Where it draws: base, device, threads, batch size."""
        ...

    @property
    def max_redraws(self) -> int:
        """How often a refused shot may be drawn again."""
        ...

    def map(self, shots: Iterable[Shot], keep: Callable[[SignedImage], object]) -> Generator[Take]:
        """One take per shot, in the order of the shots, streamed.

        ``keep`` is called with every signed image before its take is given out, on whatever thread made it;
        what it raises ends the run. Closed or ended, it calls ``keep`` no more.
        """
        ...


class LocalRunner:
    """Runs shots through one studio, in this process."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio

    def key(self, shot: Shot) -> str:
        """The shot's key in the studio."""
        return self._studio.key(shot)

    @property
    def environment(self) -> Mapping[str, str | int | float]:
        """The studio's."""
        return self._studio.environment

    @property
    def max_redraws(self) -> int:
        """The studio's."""
        return self._studio.max_redraws

    def map(self, shots: Iterable[Shot], keep: Callable[[SignedImage], object]) -> Generator[Take]:
        """`Studio.shoot_all`."""
        return self._studio.shoot_all(shots, keep=keep)


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
    """What became of a run, and how many of its images this run drew."""

    run: Path
    counts: Mapping[str, int]
    """The job's rows by status."""
    drawn: int
    """Images drawn now, refused and failed ones included; the others were done before."""
    seconds: float
    left_out: int = 0
    """Rows of the job file that are not valid and were not corrected; ``counts`` knows nothing of them."""
    errors: Path | None = None
    """The file of rows that have no image, to be corrected and fed back."""

    @property
    def rows(self) -> tuple[Row, ...]:
        """Every row of the job, read from the journal."""
        with Ledger.read(self.run) as ledger:
            return tuple(ledger.rows())

    @property
    def total(self) -> int:
        """Rows of the job."""
        return sum(self.counts.values())

    def count(self, status: str) -> int:
        """How many rows are in ``status`` ("signed", "refused", "failed", "pending")."""
        return self.counts.get(status, 0)

    @property
    def ok(self) -> bool:
        """True only if every row of the job has its signed image."""
        return self.count("signed") == self.total and not self.left_out

    def explain(self) -> str:
        """One line for a person."""
        others = [f"{self.count(status)} {status}" for status in ("refused", "failed") if self.count(status)]
        others += [f"{self.left_out} left out as not valid"] if self.left_out else []
        told = ", ".join([f"{self.count('signed')} of {self.total} signed", *others])
        told = f"{_near(self.run)}: {told}; {self.drawn} drawn now in {self.seconds:.1f} s"
        if self.errors is None:
            return told
        return f"{told}; correct {_near(self.errors)} and run it to the same folder"


def _near(path: Path) -> Path:
    """As a person would write it from here."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def run(
    job: Job,
    out: str | Path,
    runner: Runner,
    subjects: Mapping[str, Subject] | Callable[[str], Subject],
    *,
    redraws: int = 0,
    retries: int = 0,
    price_per_hour: float | None = None,
    quotas: Callable[[Sequence[Shot]], Iterable[Shot]] | None = None,
    on_event: Callable[[RowDone], object] | None = None,
) -> RunSummary:
    """Bring the run folder ``out`` to what ``job`` asks for, drawing only rows that are new, changed or lost.

    A refused image is drawn again with another seed up to ``redraws`` times, a failed one as it is up to
    ``retries`` times; every refusal is kept in the journal. A row that fails does not stop the others. Run
    again, finished or killed, it goes on from there. Rows left without an image are written to ``errors.csv``
    (or ``.jsonl``) in ``out``: corrected, that file is a job for the same folder, which replaces those rows.
    ``summary.json`` says what the run came to (`castmark.runs.report`). ``quotas`` sees all of the job's
    shots at once and says what their prompts leave open (`castmark.safety.bias.quotas`).

    Raises:
        InputError: an unknown subject, two images of one name, or more redraws than the policy allows;
            nothing was drawn.
        LedgerError: the folder belongs to another job or process, or its journal cannot be used.
        OSError: an image could not be written (full disk, no permission); nothing of it is left, what was
            done before it stays done, and the same command goes on from there.
    """
    bound_redraws(redraws, runner.max_redraws)
    out = Path(out).absolute()  # wherever the process goes meanwhile
    start = time.perf_counter()
    meter = EnergyMeter()
    find = subjects if callable(subjects) else _lookup(subjects)
    cast_list = {name: find(name) for name in job.subjects}

    def subject(name: str) -> Subject:
        """The job's own, or the run's: rows that an errors file corrected may have others."""
        if name not in cast_list:
            cast_list[name] = pack.get(out / SUBJECTS, name)
        return cast_list[name]

    amend = is_corrections(job.source)
    drawn = 0
    with Ledger.open(out, job.source, amend=amend) as ledger:
        planned = (image.shot for image in plan(job, subject))
        planned = (with_quota(ledger, shot) for shot in planned) if amend else planned
        planned = planned if quotas is None else quotas(list(planned))
        ledger.plan(
            ((shot, runner.key(shot)) for shot in planned),
            amend=amend,
            corrected=((shot, runner.key(shot)) for shot in _corrected(ledger, job, subject)),
        )
        left_out = [bad for bad in job.bad if not corrected(ledger, bad)]
        _keep_subjects(out / SUBJECTS, cast_list.values())
        tried: dict[str, int] = {}
        total = 0
        try:
            while todo := ledger.todo(redraws=redraws, retries=retries):
                total += ledger.count(*todo)
                shots = _shots(ledger.each(*todo), subject, tried)
                with closing(runner.map(shots, ledger.keep)) as takes:
                    for take in takes:
                        assert take.shot.name is not None
                        row = ledger.record(take.shot.name, take, redraws=tried.pop(take.shot.name))
                        drawn += 1
                        meter.sample()
                        if on_event is not None:
                            on_event(RowDone(row=row, done=drawn, total=total))
        finally:
            if total:
                _spend(ledger, time.perf_counter() - start, drawn, meter.joules())
        counts = ledger.counts()
        figures = summarise(ledger, price_per_hour=price_per_hour, environment=runner.environment)
        write_summary(out, figures)
        errors = write_errors(ledger, out, job, left_out)
    return RunSummary(
        run=out,
        counts=counts,
        drawn=drawn,
        seconds=time.perf_counter() - start,
        left_out=len(left_out),
        errors=errors,
    )


def _spend(ledger: Ledger, seconds: float, drawn: int, joules: float | None) -> None:
    """Note what was taken; ``metered`` counts the drawings of which the joules are known."""
    metered = None if joules is None else drawn
    ledger.spend(seconds=seconds, drawn=drawn, joules=joules, metered=metered)


def _corrected(ledger: Ledger, job: Job, subject: Callable[[str], Subject]) -> Iterator[Shot]:
    """The shots of rows that an errors file put in the place of rows of the job that are not valid."""
    for bad in job.bad:
        for row in corrected(ledger, bad):
            if row.position is None:
                yield shot_from_json(row.shot, subject)


def _shots(rows: Iterable[Row], subject: Callable[[str], Subject], tried: dict[str, int]) -> Iterator[Shot]:
    """The shots of rows to draw; ``tried`` is told the number of each one's redraw."""
    for row in rows:
        tried[row.name] = row.redraws + (row.status == "refused")
        yield shot_from_json(row.shot, subject).reseeded(tried[row.name])


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
