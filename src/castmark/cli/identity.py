"""``castmark identity``: how alike a picture is to a subject, and what such a score means."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from castmark.cli.options import IDENTITY_ENCODER, Device, LibraryFolder, Quiet, library_folder
from castmark.extras import require

identity_app = typer.Typer(
    name="identity", help="The identity score: is it the same subject?", no_args_is_help=True
)
EncoderName = Annotated[str | None, typer.Option("--encoder", help=f"Encoder: {IDENTITY_ENCODER}")]


@identity_app.command("score")
def identity_score(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A subject of the library.")],
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="Pictures to compare with it.")],
    encoder: EncoderName = None,
    device: Device = None,
    library: LibraryFolder = None,
) -> None:
    """Score pictures against a subject's references, beside the calibrated threshold."""
    require("castmark identity score", "engine")
    import numpy as np

    from castmark.studio.opening import open_scorer
    from castmark_adapters import pack
    from castmark_adapters.subject import Subject

    subject = pack.get(library_folder(library), name)
    scorer = open_scorer(encoder, device)
    for path in images:
        (picture,) = Subject.from_images("picture", [path]).images()
        score = scorer.score(np.asarray(picture), subject)
        same = "the same subject" if score >= scorer.threshold else "not recognised"
        typer.echo(f"{path}  {score:.3f}  {same} (threshold {scorer.threshold:.3f})")


@identity_app.command("calibrate")
def identity_calibrate(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Holds a folder of images for each subject.")],
    false_accepts: Annotated[
        float, typer.Option("--false-accepts", help="Share of other subjects that may pass.")
    ] = 0.05,
    encoder: EncoderName = None,
    device: Device = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="File to write. [default: in calibrations/ in $CASTMARK_HOME]"),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0)] = 0,
    quiet: Quiet = False,
) -> None:
    """Find the score from which a picture counts as the same subject, on your own images; refused where they
    are too few."""
    require("castmark identity calibrate", "engine")
    from castmark.safety.identity_encoder import open_identity_encoder
    from castmark.safety.own_subjects import calibrate_own, own_calibration
    from castmark.take import write_atomically

    eye = open_identity_encoder(encoder, device)
    found = calibrate_own(folder, eye, false_accepts=false_accepts, seed=seed)
    target = out or own_calibration(eye.digest)
    write_atomically(target, (found.model_dump_json(indent=2) + "\n").encode())
    if not quiet:
        same = found.figures["accepted, same subject"]
        typer.echo(
            f"{target}: threshold {found.threshold:.3f} of {found.subjects} subjects; accepts {same:.0%} of "
            f"their own new pictures"
        )
