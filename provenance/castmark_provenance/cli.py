"""The command line of provenance: ``verify`` and ``keygen``, mounted by ``castmark`` and usable alone.

    python -m castmark_provenance verify FILE_OR_FOLDER... [--json] [--trust PEM] [--require CHECK]
    python -m castmark_provenance keygen

``verify`` exits with the worst of its files, worst first: 1 tampered or invalid; 7 unreadable; 3 intact,
signer not trusted; 4 no manifest; 5 recovered (reserved); 6 trusted, a requirement unmet; 0 all trusted. 2 is
wrong usage: an unknown requirement, an unusable file of trust anchors.

Only typer is imported before a command runs, so that ``--help`` answers at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from castmark_provenance.report import Report

SCHEMA = "castmark.verify/1"
USAGE = 2

app = typer.Typer(
    name="castmark-provenance", no_args_is_help=True, add_completion=False, rich_markup_mode=None
)


@app.command("verify")
def verify_command(
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="PATH...", help="Images, or folders of images.", show_default=False),
    ],
    json: Annotated[bool, typer.Option("--json", help="Print the whole reports as JSON.")] = False,
    trust: Annotated[
        list[Path] | None,
        typer.Option("--trust", metavar="PEM", help="Also trust the roots in this file.", show_default=False),
    ] = None,
    require: Annotated[
        list[str] | None,
        typer.Option(
            "--require",
            metavar="CHECK",
            help="Demand a check: ai_disclosure, ingredients, safety_record, pixels, time, watermark.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Say where images come from, and whether anything in them was changed since. Works offline.

    Exit code, the worst of the files: 0 trusted; 1 tampered or invalid; 3 intact, signer not trusted; 4 no
    manifest; 6 trusted, a requirement unmet; 7 unreadable. 2 is wrong usage.
    """
    from castmark_provenance.errors import ProvenanceError
    from castmark_provenance.report import worst
    from castmark_provenance.trust import local_anchors, read_anchors
    from castmark_provenance.verify import verify_all

    try:
        anchors = local_anchors() + read_anchors(trust or [])
        reports = list(verify_all(paths, trust=anchors, require=require or []))
    except ProvenanceError as error:
        _fail(error, USAGE)
    code = worst([report.state for report in reports]).exit_code
    if json:
        _print_json(reports, code)
    else:
        _print_table(reports)
    raise typer.Exit(code)


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
    force: Annotated[
        bool, typer.Option("--force", help="Replace an existing key: it is moved aside, its root kept.")
    ] = False,
) -> None:
    """Make a local signing key: root, intermediate and signing certificate with their private keys."""
    from castmark_provenance.authority import keygen
    from castmark_provenance.errors import ProvenanceError
    from castmark_provenance.keys import PemKey

    try:
        folder = keygen(out, organisation=organisation, country=country, name=name, days=days, force=force)
        key = PemKey.load_folder(folder)
    except ProvenanceError as error:
        _fail(error, 1)
    typer.echo(f"made a signing key in {folder}, good until {key.not_after:%Y-%m-%d}")
    typer.echo(f"to have others trust its images, send them {folder / 'root.pem'} (verify --trust)")
    typer.echo("keep the .key files to yourself: whoever has them signs in your name")


def main() -> None:
    """Entry point of ``python -m castmark_provenance``."""
    app()


def _fail(error: Exception, code: int) -> NoReturn:
    typer.echo(f"error: {error}", err=True)
    raise typer.Exit(code) from None


def _print_json(reports: list[Report], code: int) -> None:
    import json

    files = [report.model_dump(mode="json") for report in reports]
    typer.echo(json.dumps({"schema": SCHEMA, "exit_code": code, "files": files}, indent=2))


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


def printable(text: str) -> str:
    """Text safe for a terminal: a stranger's names and errors may hold control characters."""
    return "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text
    )
