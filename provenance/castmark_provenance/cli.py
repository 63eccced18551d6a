"""The command line of provenance: ``verify``, ``keygen`` and ``trust``, mounted by ``castmark``.

    python -m castmark_provenance verify PATH... [--json | --crjson] [--trust PEM] [--require CHECK]
                                                 [--at TIME] [--jobs N]
    python -m castmark_provenance keygen [--renew]
    python -m castmark_provenance trust add | list | remove | import
    python -m castmark_provenance registry list | export | import
    python -m castmark_provenance timestamp [URL] [--on-failure fail | sign_without]

``verify`` exits with the worst of its files, worst first: 1 tampered or invalid; 7 unreadable; 3 intact,
signer not trusted; 4 no manifest; 5 recovered, not trusted; 6 trusted, a requirement unmet; 0 trusted. 2 is
wrong usage: an unknown requirement, an unusable file of trust anchors.

Only typer is imported before a command runs, so that ``--help`` answers at once.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from castmark_provenance.cli_registry import registry_app
from castmark_provenance.cli_timestamp import timestamp_command
from castmark_provenance.cli_trust import trust_app
from castmark_provenance.console import fail, printable

if TYPE_CHECKING:
    from castmark_provenance.report import Report
    from castmark_provenance.verify import CrJson

USAGE = 2

app = typer.Typer(
    name="castmark-provenance", no_args_is_help=True, add_completion=False, rich_markup_mode=None
)
app.add_typer(trust_app)
app.add_typer(registry_app)
app.command("timestamp")(timestamp_command)


@app.command("verify")
def verify_command(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="PATH...",
            help="Images, folders, patterns, or - for standard input.",
            show_default=False,
        ),
    ],
    json: Annotated[bool, typer.Option("--json", help="Print the whole reports as JSON.")] = False,
    crjson: Annotated[
        bool, typer.Option("--crjson", help="Print the manifests as C2PA's crJSON, a line for each file.")
    ] = False,
    trust: Annotated[
        list[Path] | None,
        typer.Option("--trust", metavar="PEM", help="Also trust the roots in this file.", show_default=False),
    ] = None,
    require: Annotated[
        list[str] | None,
        typer.Option(
            "--require",
            metavar="CHECK",
            help="Demand a check: ai_disclosure, ingredients, safety_record, pixels, time, watermark, "
            "fingerprint.",
            show_default=False,
        ),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(
            "--at",
            metavar="TIME",
            help="Judge certificates as of this moment (ISO 8601).",
            show_default=False,
        ),
    ] = None,
    jobs: Annotated[int, typer.Option("--jobs", min=0, help="Files at once; 0 is one for each CPU.")] = 0,
) -> None:
    """Say where images come from, and whether anything in them was changed since. Works offline.

    Exit code, the worst of the files: 0 trusted; 1 tampered or invalid; 3 intact, signer not trusted; 4 no
    manifest; 5 recovered, not trusted; 6 trusted, a requirement unmet; 7 unreadable. 2 is wrong usage.
    """
    from castmark_provenance.errors import ProvenanceError
    from castmark_provenance.report import Answer, worst
    from castmark_provenance.trust import local_anchors, read_anchors
    from castmark_provenance.verify import verify_all, verify_all_with_crjson

    if json and crjson:
        fail(ValueError("--json and --crjson: choose one"), USAGE)
    if crjson and Path("-") in paths:
        fail(ValueError("--crjson cannot read standard input; give a file"), USAGE)
    try:
        anchors = local_anchors() + read_anchors(trust or [])
        workers = jobs or os.cpu_count() or 1
        moment, needed = _moment(at), require or []
        if crjson:
            found = verify_all_with_crjson(paths, trust=anchors, require=needed, at=moment, jobs=workers)
            reports = list(_printed_as_crjson(found))
        else:
            reports = list(verify_all(paths, trust=anchors, require=needed, at=moment, jobs=workers))
    except (ProvenanceError, ValueError) as error:
        fail(error, USAGE)
    code = worst([report.state for report in reports]).exit_code
    if json:
        typer.echo(Answer(exit_code=code, files=tuple(reports)).model_dump_json(indent=2, by_alias=True))
    elif not crjson:
        _print_table(reports)
    raise typer.Exit(code)


def _moment(at: str | None) -> datetime | None:
    """A moment as written, taken as UTC where no time zone is given."""
    if at is None:
        return None
    try:
        moment = datetime.fromisoformat(at)
    except ValueError:
        raise ValueError(f"--at {at}: give a moment such as 2026-11-21T12:00:00Z") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


@app.command("keygen")
def keygen_command(
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Folder to make (default: the local key's own)."),
    ] = None,
    organisation: Annotated[
        str, typer.Option("--organisation", help="Organisation named in the certificates.")
    ] = "Castmark local",
    country: Annotated[str, typer.Option("--country", help="ISO 3166 code of two letters.")] = "XX",
    name: Annotated[str, typer.Option("--name", help="Name of the signer.")] = "Castmark local signer",
    days: Annotated[int, typer.Option("--days", help="Validity of the signing certificate, 1 to 366.")] = 365,
    encrypt: Annotated[
        bool,
        typer.Option(
            "--encrypt", help="Encrypt private keys; the passphrase is CASTMARK_KEY_PASSPHRASE, or asked for."
        ),
    ] = False,
    renew: Annotated[
        bool, typer.Option("--renew", help="A new signing certificate under the same root.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Replace an existing key: it is moved aside, its root kept.")
    ] = False,
) -> None:
    """Make a local signing key: root, intermediate and signing certificate with their private keys."""
    from castmark_provenance import authority
    from castmark_provenance.errors import ProvenanceError
    from castmark_provenance.keys import PemKey, environment_passphrase

    secret = environment_passphrase()
    if encrypt and secret is None:
        secret = str(typer.prompt("passphrase", hide_input=True, confirmation_prompt=True)).encode()
    try:
        if renew:
            folder = authority.renew(out, days=days, passphrase=secret)
        else:
            folder = authority.keygen(
                out,
                organisation=organisation,
                country=country,
                name=name,
                days=days,
                passphrase=secret if encrypt else None,
                force=force,
            )
        key = PemKey.load_folder(folder, passphrase=secret)
    except ProvenanceError as error:
        fail(error, 1)
    typer.echo(f"made a signing key in {folder}, good until {key.not_after:%Y-%m-%d}")
    typer.echo(f"to have others trust its images, send them {folder / 'root.pem'} (verify --trust)")
    typer.echo("keep the .key files to yourself: whoever has them signs in your name")


def main() -> None:
    """Entry point of ``python -m castmark_provenance``."""
    app()


def _printed_as_crjson(found: Iterable[tuple[Report, CrJson | None]]) -> Iterator[Report]:
    """A line of JSON for each file: its path, our state, and the crJSON (null where there is no manifest)."""
    from json import dumps

    for report, view in found:
        typer.echo(dumps({"path": report.path, "state": report.state.value, "crjson": view}))
        yield report


def _print_table(reports: list[Report]) -> None:
    """One table of files with their verdicts; every check too when there is one file only."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 200  # a pipe has no width: keep one line per file where it can be
    table = Table(box=box.SIMPLE, show_edge=False, pad_edge=False)
    for heading in ("file", "state", "finding"):
        table.add_column(heading, overflow="fold")
    for report in reports:
        state, _, finding = report.verdict.partition(": ")
        table.add_row(*(Text(printable(cell)) for cell in (report.path or "-", state, finding)))
    console.print(table)
    if len(reports) == 1 and reports[0].checks:
        checks = Table(box=box.SIMPLE, show_edge=False, pad_edge=False)
        for heading in ("check", "outcome", "detail"):
            checks.add_column(heading, overflow="fold")
        for check in reports[0].checks:
            checks.add_row(*(Text(printable(cell)) for cell in (check.name, check.outcome, check.detail)))
        console.print(checks)
    for remedy in dict.fromkeys(report.remedy for report in reports if report.remedy):
        concerned = [report for report in reports if report.remedy == remedy]
        states = ", ".join(sorted({report.state.value for report in concerned}))
        console.print(Text(printable(f"{states} ({len(concerned)}): {remedy}")))
    if len(reports) > 1:
        tally = {report.state.value: 0 for report in reports}
        for report in reports:
            tally[report.state.value] += 1
        summary = ", ".join(f"{count} {state}" for state, count in sorted(tally.items()))
        console.print(Text(f"{len(reports)} files: {summary}"))
