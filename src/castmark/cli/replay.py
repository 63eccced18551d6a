"""``castmark replay``: is this image what its manifest and ledger say would be drawn?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from castmark.cli.opening import Opening, opens_a_studio
from castmark.cli.options import LibraryFolder, library_folder

if TYPE_CHECKING:
    from castmark_adapters.subject import Subject


@opens_a_studio
def replay_command(
    opening: Opening,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A signed image.", show_default=False)],
    run: Annotated[
        Path | None,
        typer.Option("--run", help="Run folder with its ledger. [default: the folder above the file's own]"),
    ] = None,
    library: LibraryFolder = None,
) -> None:
    """Draw a signed image again; say whether the pixels are the same, and if not, what differs.

    Exits 0 for the same pixels, 1 for others.
    """
    from castmark.extras import require

    require("castmark replay", "engine")
    from castmark.runs.replay import replay
    from castmark.runs.runners import SUBJECTS
    from castmark_adapters import pack

    kept, others = (run or file.absolute().parent.parent) / SUBJECTS, library_folder(library)

    def subject(name: str) -> Subject:
        """The subject as the run kept it, or the library's."""
        return pack.get(kept if name in pack.listed(kept) else others, name)

    found = replay(file, opening.studio(), subject=subject, run=run)
    typer.echo(found.explain())
    raise typer.Exit(0 if found.same else 1)
