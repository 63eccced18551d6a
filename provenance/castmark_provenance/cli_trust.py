"""``castmark trust``: whose signatures count, beside the local key's own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from castmark_provenance.console import fail, printable

if TYPE_CHECKING:
    from castmark_provenance.anchors import Anchor

trust_app = typer.Typer(
    name="trust", help="Trust anchors: whose signatures count.", no_args_is_help=True, rich_markup_mode=None
)
File = Annotated[Path, typer.Argument(metavar="PEM", help="PEM file of certificates.", show_default=False)]


@trust_app.command("add")
def add_command(file: File) -> None:
    """Trust what is signed under the roots in a PEM file."""
    from castmark_provenance import anchors
    from castmark_provenance.errors import TrustError

    try:
        added = anchors.add(file)
    except TrustError as error:
        fail(error, 1)
    _print(added)


@trust_app.command("list")
def list_command() -> None:
    """Print every anchor: fingerprint, end, name, file."""
    from castmark_provenance import anchors
    from castmark_provenance.errors import TrustError

    try:
        found = anchors.listed()
    except TrustError as error:
        fail(error, 1)
    if not found:
        typer.echo(
            "no trust anchors: make a key (castmark keygen) or add one (castmark trust add PEM)", err=True
        )
    _print(found)


@trust_app.command("remove")
def remove_command(
    which: Annotated[
        str,
        typer.Argument(metavar="WHICH", help="A list's name, or 8 or more digits of a fingerprint."),
    ],
) -> None:
    """Stop trusting an anchor, or a whole imported list."""
    from castmark_provenance import anchors
    from castmark_provenance.errors import TrustError

    try:
        gone = anchors.remove(which)
    except TrustError as error:
        fail(error, 1)
    _print(gone)


@trust_app.command("import")
def import_command(
    file: File,
    name: Annotated[str, typer.Option("--name", help="What to call the list.")] = "c2pa",
) -> None:
    """Trust a whole list, such as the official C2PA trust list; imported again, it is replaced."""
    from castmark_provenance import anchors
    from castmark_provenance.errors import TrustError

    try:
        found = anchors.import_list(file, name)
    except TrustError as error:
        fail(error, 1)
    expired = sum(anchor.expired for anchor in found)
    typer.echo(f"list {name}: {len(found)} anchors{f', {expired} of them expired' if expired else ''}")


def _print(anchors: list[Anchor]) -> None:
    for anchor in anchors:
        owner = f"{anchor.name} ({anchor.organisation})" if anchor.organisation else anchor.name
        ended = "ended" if anchor.expired else "until"
        typer.echo(
            printable(
                f"{anchor.sha256[:16]}  {ended} {anchor.not_after:%Y-%m-%d}  {owner}  {anchor.file.name}"
            )
        )
