"""A job as a plan: every image it asks for, named, before anything is drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from castmark.errors import InputError
from castmark.jobs.row import BadRow, JobRow, first_problem
from castmark.shot import Shot
from castmark.studio.start import StartImage
from castmark_adapters.subject import Subject

MAX_IMAGES = 1_000_000
"""Images of one job: more is a slip of ``count``."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """A job: its rows, which can be read any number of times, and the digest of the file they came from."""

    source: str
    """Name of the job file; a run folder belongs to one."""
    rows: Iterable[JobRow]
    sha256: str | None = None
    folder: Path | None = None
    """Where start images are looked for; None: the working directory."""
    bad: tuple[BadRow, ...] = ()
    """Rows of the file that were left out because they are not valid."""

    @property
    def subjects(self) -> tuple[str, ...]:
        """Names of the subjects the rows speak of, in order of first use."""
        return tuple(dict.fromkeys(name for row in self.rows for name in row.subject))


@dataclass(frozen=True, kw_only=True)
class PlannedShot:
    """One image of a run: its name in the run folder, and the shot to draw."""

    name: str
    shot: Shot


def plan(job: Job, subject: Callable[[str], Subject]) -> Iterator[PlannedShot]:
    """Every image of a job, in order, with ``count`` and ``seeds`` expanded, streamed.

    ``subject`` finds a subject by name and raises where it is unknown.

    Raises:
        InputError: no rows, two images of one name, or a row that is no shot.
    """
    taken: dict[str, int] = {}
    cast_list: dict[str, Subject] = {}
    number = 0
    for number, row in enumerate(job.rows, start=1):
        where = f"{job.source}: row {number}"
        for name in row.subject:
            if name not in cast_list:
                cast_list[name] = subject(name)
        for name, seed in _images(where, row, number, taken):
            yield PlannedShot(name=name, shot=_shot(where, job, row, name, seed, cast_list))
    if number == 0:
        raise InputError(f"{job.source}: the job has no rows; add at least one")


def check(source: str, rows: Iterable[tuple[str, JobRow]]) -> int:
    """Look at the names and templates of every row, each with its place in words; the number of images.

    Raises:
        InputError: two images of one name, a template without its column, or a name that is none.
    """
    taken: dict[str, int] = {}
    for number, (where, row) in enumerate(rows, start=1):
        for _ in _images(f"{source}: {where}", row, number, taken):
            pass
        try:
            _ = row.text
        except ValueError as error:
            raise InputError(f"{source}: {where}: {error}") from error
        if len(taken) > MAX_IMAGES:
            raise InputError(
                f"{source}: {where}: more than {MAX_IMAGES} images; split the job or lower its counts"
            )
    return len(taken)


def _images(where: str, row: JobRow, number: int, taken: dict[str, int]) -> Iterator[tuple[str, int]]:
    """The row's images. File systems may not tell ``Beach`` from ``beach``, so neither do we."""
    try:
        for name, seed in row.images(number):
            if (earlier := taken.setdefault(name.casefold(), number)) != number:
                raise InputError(
                    f"{where}, column 'name': {name!r} is already the name of an image of row {earlier}; "
                    "rename one"
                )
            yield name, seed
    except ValueError as error:
        raise InputError(f"{where}, column 'name': {error}") from error


def _shot(where: str, job: Job, row: JobRow, name: str, seed: int, cast_list: dict[str, Subject]) -> Shot:
    width, height, aspect = row.output_size()
    try:
        start = None
        if row.start is not None:
            start = StartImage.of((job.folder or Path()) / row.start, row.strength)
        return Shot(
            row.text,
            subjects=[cast_list[subject] for subject in row.subject],
            seed=seed,
            width=width,
            height=height,
            aspect=aspect,
            steps=row.steps,
            background=row.background,
            format=row.format,
            layers=row.layers,
            start=start,
            name=name,
        )
    except ValidationError as error:
        column, problem = first_problem(error)
        raise InputError(f"{where}, column {column!r}: {problem}") from error
    except InputError as error:
        raise InputError(f"{where}, column 'start': {error}") from error
    except ValueError as error:
        raise InputError(f"{where}: {error}") from error
