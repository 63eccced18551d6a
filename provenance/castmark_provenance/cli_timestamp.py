"""``castmark timestamp``: whom a key's signatures are time-stamped by."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from castmark_provenance.console import fail


class OnFailure(StrEnum):
    """What to do without an answer."""

    FAIL = "fail"
    SIGN_WITHOUT = "sign_without"


def timestamp_command(
    url: Annotated[
        str | None, typer.Argument(metavar="URL", help="RFC 3161 authority; without it, show the choice.")
    ] = None,
    on_failure: Annotated[
        OnFailure, typer.Option("--on-failure", help="Without a time-stamp: fail, or sign without.")
    ] = OnFailure.FAIL,
    deadline: Annotated[float, typer.Option("--deadline", help="Seconds to wait, at most.")] = 10.0,
    root: Annotated[
        Path | None, typer.Option("--root", metavar="PEM", help="The authority's root: it must be this one.")
    ] = None,
    off: Annotated[bool, typer.Option("--off", help="No time-stamps any more.")] = False,
    key: Annotated[
        Path | None, typer.Option("--key", help="Folder of the key. [default: keys/ in $CASTMARK_HOME]")
    ] = None,
) -> None:
    """Choose whether signatures are time-stamped, by whom, and what to do without an answer.

    A time-stamped image stays trusted after its certificate has ended, where the authority's root is trusted
    (castmark trust add). Only signing asks the authority; verification never does.
    """
    from castmark_provenance.errors import ProvenanceError
    from castmark_provenance.home import key_folder
    from castmark_provenance.timestamp import Timestamping, keep_choice, read_choice
    from castmark_provenance.trust import read_anchors

    folder = key or key_folder()
    try:
        if off or url is not None:
            anchors = read_anchors([root]) if root else ""
            choice = (
                None
                if off or url is None
                else Timestamping(url=url, on_failure=on_failure.value, deadline=deadline, anchors=anchors)
            )
            keep_choice(folder, choice)
        found = read_choice(folder)
    except ProvenanceError as error:
        fail(error, 1)
    if found is None:
        typer.echo("no time-stamps")
    else:
        known = "under its known root" if found.anchors else "under any root"
        typer.echo(f"{found.url}, {known}, within {found.deadline:g} s, on failure: {found.on_failure}")
