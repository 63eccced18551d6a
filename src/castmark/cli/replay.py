"""``castmark replay``: is this image what its manifest and ledger say would be drawn?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from castmark.cli.options import (
    BaseName,
    Device,
    Exact,
    KeyFolder,
    LibraryFolder,
    Policy,
    Threads,
    library_folder,
)


def replay_command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A signed image.", show_default=False)],
    run: Annotated[
        Path | None,
        typer.Option("--run", help="Run folder with its ledger. [default: the folder above the file's own]"),
    ] = None,
    base: BaseName = None,
    policy: Policy = None,
    key: KeyFolder = None,
    device: Device = None,
    threads: Threads = None,
    library: LibraryFolder = None,
    exact: Exact = False,
) -> None:
    """Draw a signed image again; say whether the pixels are the same, and if not, what differs.

    Exits 0 for the same pixels, 1 for others.
    """
    from castmark.cli.console import hush_libraries
    from castmark.extras import require

    require("castmark replay", "engine")
    hush_libraries()
    from castmark.runs.replay import replay
    from castmark.studio.studio import Studio
    from castmark_adapters import pack

    folder = library_folder(library)
    studio = Studio.open(base, policy, key, device=device, threads=threads, exact=exact)
    found = replay(file, studio, subject=lambda name: pack.get(folder, name), run=run)
    typer.echo(found.explain())
    raise typer.Exit(0 if found.same else 1)
