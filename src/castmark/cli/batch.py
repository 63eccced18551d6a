"""Commands that draw many images: batch, vary, bridge."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from castmark.cli.opening import Opening, opens_a_studio
from castmark.cli.options import LibraryFolder, Quiet, Steps, library_folder
from castmark.errors import InputError
from castmark.extras import require

if TYPE_CHECKING:
    from castmark.jobs import Job
    from castmark.runs.runners import RunSummary
    from castmark.studio.studio import Studio
    from castmark_adapters.subject import Subject

FAILED, REFUSED = 1, 3
OutFolder = Annotated[Path, typer.Option("--out", help="Run folder; run again to resume.")]
Redraws = Annotated[int, typer.Option("--redraws", min=0, help="Draw a refused image again, at most.")]
Retries = Annotated[int, typer.Option("--retries", min=0, help="Try a failed image again, at most.")]
Price = Annotated[
    float | None, typer.Option("--price-per-hour", min=0, help="Of this machine; the report says the cost.")
]
BatchSize = Annotated[int | None, typer.Option("--batch-size", min=1, max=64, help="Images drawn at once.")]
Adaptive = Annotated[
    str | None,
    typer.Option(
        "--adaptive", help="Steps to try first, such as '1' or '1,2'; more only where it is needed."
    ),
]
RayWorkers = Annotated[
    int | None,
    typer.Option("--ray", min=1, help="Draw in so many workers of the Ray cluster at $RAY_ADDRESS, or here."),
]
Parameters = Annotated[
    bool, typer.Option("--parameters", help="Write the text block 'parameters' (it holds the prompt).")
]
Strength = Annotated[
    float | None, typer.Option("--strength", min=0.01, max=1, help="How far to leave the start image.")
]


@opens_a_studio
def batch_command(
    opening: Opening,
    jobs: Annotated[
        Path | None, typer.Argument(metavar="JOBS", help="Job file: .csv, .jsonl, .yaml.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Run folder; run again to resume.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan; draw nothing.")] = False,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON Schema of a row.")] = False,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave out rows that are not valid.")] = False,
    redraws: Redraws = 0,
    retries: Retries = 1,
    quota_seed: Annotated[
        int | None,
        typer.Option(
            "--quota-seed", min=0, help="Give people left open the policy's shares, dealt by this seed."
        ),
    ] = None,
    steps: Steps = None,
    adaptive: Adaptive = None,
    batch_size: BatchSize = None,
    price_per_hour: Price = None,
    parameters: Parameters = False,
    library: LibraryFolder = None,
    warm_up: Annotated[
        bool, typer.Option("--warm-up", help="Draw once in every batch size first, and say what it took.")
    ] = False,
    ray: RayWorkers = None,
    quiet: Quiet = False,
) -> None:
    """Draw every row of a job file.

    Exits 0 only if every row has its signed image, 3 if some were refused, 1 if some failed or were left out.
    """
    if schema:
        from castmark.jobs.schema import published

        typer.echo(published(), nl=False)
        return
    if jobs is None or (out is None and not dry_run):
        raise typer.BadParameter("give a job file, and --out RUN or --dry-run")
    from castmark.jobs import read_job
    from castmark.jobs.estimate import estimate
    from castmark_adapters import pack

    folder = library_folder(library)
    job = read_job(jobs, skip_bad=skip_bad, subjects=pack.listed(folder))
    known = {name: pack.get(folder, name) for name in job.subjects}
    if dry_run:
        from castmark.runs.report import known_rate

        rate = known_rate(opening.base or "embedded")
        found = estimate(job, known.__getitem__, seconds_per_image=rate, price_per_hour=price_per_hour)
        typer.echo(found.explain())
        for bad in job.bad:
            typer.echo(f"left out: {bad.where}: {bad.problem}", err=True)
        return
    assert out is not None
    try:
        rungs = [int(part) for part in adaptive.split(",")] if adaptive else []
    except ValueError:
        raise InputError(f"--adaptive {adaptive!r}: give steps such as '1' or '1,2'") from None
    open_studio = partial(
        opening.studio, steps=steps, adaptive=rungs, batch_size=batch_size, parameters=parameters
    )
    if ray is not None:
        if quota_seed is not None or warm_up:
            raise InputError("--ray goes with neither --quota-seed nor --warm-up; leave them out")
        _run_on_ray(open_studio, ray, job, out, known, redraws, retries, price_per_hour, quiet)
    studio = open_studio()
    if warm_up:
        _warm(studio, quiet)
    _run(
        studio,
        job,
        out,
        known.values(),
        redraws,
        retries,
        price_per_hour,
        quiet,
        rate_of=opening.base or "embedded",
        quota_seed=quota_seed,
    )


@opens_a_studio
def vary_command(
    opening: Opening,
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="An image of it.")],
    out: OutFolder,
    n: Annotated[int, typer.Option("--n", min=1, max=1000, help="Variations, or seeds of an A/B set.")] = 4,
    strength: Strength = None,
    replace: Annotated[
        list[str] | None, typer.Option("--replace", help="'OLD=NEW' in the prompt; makes an A/B set.")
    ] = None,
    steps: Steps = None,
    redraws: Redraws = 0,
    quiet: Quiet = False,
) -> None:
    """Variations of one image of a run: from its pixels, or with words of its prompt replaced."""
    from castmark.runs.variations import variations

    pairs: dict[str, str] = {}
    for pair in replace or ():
        old, equals, new = pair.partition("=")
        if not equals or not old.strip():
            raise InputError(f"--replace {pair!r}: write OLD=NEW")
        pairs[old.strip()] = new.strip()
    job = variations(run, name, n=n, strength=strength, replace=pairs, steps=steps)
    _run(opening.studio(), job, out, _cast(run, job), redraws, 1, None, quiet)


@opens_a_studio
def bridge_command(
    opening: Opening,
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder of the drafts.")],
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Images chosen from it.")],
    out: OutFolder,
    strength: Strength = None,
    steps: Steps = None,
    redraws: Redraws = 0,
    library: LibraryFolder = None,
    quiet: Quiet = False,
) -> None:
    """Draw chosen drafts again from themselves: more steps, or a heavier base, through pixels."""
    from castmark.runs.variations import STRENGTH, bridge, recast

    job = bridge(
        run, names, steps=steps, strength=strength or STRENGTH, another_base=opening.base is not None
    )
    studio = opening.studio()
    subjects = recast(_cast(run, job), library_folder(library), studio.base.digest)
    _run(studio, job, out, subjects, redraws, 1, None, quiet)


def _warm(studio: Studio, quiet: bool) -> None:
    """Draw once in every batch size; say how long it took."""
    taken = studio.warm_up()
    if not quiet:
        parts = ", ".join(f"batches of {count} {seconds:.1f} s" for count, seconds in taken.items())
        typer.echo(f"warm-up: {sum(taken.values()):.1f} s ({parts})", err=True)


def _cast(run: Path, job: Job) -> list[Subject]:
    """The subjects of a job made from a run: their packs lie beside its images."""
    from castmark_adapters import pack

    return [pack.get(run / "subjects", name) for name in job.subjects]


def _run(
    studio: Studio,
    job: Job,
    out: Path,
    subjects: Iterable[Subject],
    redraws: int,
    retries: int,
    price_per_hour: float | None,
    quiet: bool,
    *,
    rate_of: str | None = None,
    quota_seed: int | None = None,
) -> None:
    from castmark.cli.console import Reporter
    from castmark.runs.report import read_summary, remember_rate

    with Reporter(quiet=quiet) as reporter:
        summary: RunSummary = studio.run(
            job,
            out,
            subjects,
            redraws=redraws,
            retries=retries,
            price_per_hour=price_per_hour,
            quota_seed=quota_seed,
            on_event=reporter.row_done,
        )
    if rate_of is not None and summary.drawn and (figures := read_summary(out)) is not None:
        remember_rate(rate_of, figures)
    _end(summary, quiet)


def _run_on_ray(
    open_studio: Callable[[], Studio],
    workers: int,
    job: Job,
    out: Path,
    subjects: Mapping[str, Subject],
    redraws: int,
    retries: int,
    price_per_hour: float | None,
    quiet: bool,
) -> NoReturn:
    from castmark.cli.console import Reporter
    from castmark.runs.ray_runner import RayRunner
    from castmark.runs.runners import run

    require("castmark batch --ray", "ray")
    address = os.environ.get("RAY_ADDRESS")
    with (
        RayRunner(open_studio, workers=workers, address=address) as runner,
        Reporter(quiet=quiet) as reporter,
    ):
        summary = run(
            job,
            out,
            runner,
            subjects,
            redraws=redraws,
            retries=retries,
            price_per_hour=price_per_hour,
            on_event=reporter.row_done,
        )
    _end(summary, quiet)


def _end(summary: RunSummary, quiet: bool) -> NoReturn:
    if not quiet:
        typer.echo(summary.explain())
    failed = summary.count("failed") or summary.left_out
    raise typer.Exit(0 if summary.ok else FAILED if failed else REFUSED)
