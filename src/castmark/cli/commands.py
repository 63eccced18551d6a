"""The command line: thin. Every command imports what it needs when it runs, so that ``--help`` is quick.

Results go to standard output, progress and errors to standard error; an error is one line. Exit codes:
0 done; 1 it failed, or a row of a batch did or was left out; 2 usage, or a part of the installation is
missing; 3 the check refused the image, or a row of a batch (and no row failed). ``castmark verify`` has its
own.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from castmark.cli.audit import audit_command
from castmark.cli.batch import batch_command, bridge_command, vary_command
from castmark.cli.doctor import doctor_command
from castmark.cli.identity import identity_app
from castmark.cli.opening import Opening, open_to_learn, opens_a_studio
from castmark.cli.options import (
    BaseName,
    Device,
    Dtype,
    LibraryFolder,
    Offload,
    Quantise,
    Quiet,
    ReferenceName,
    Steps,
    Threads,
    first_problem,
    library_folder,
)
from castmark.cli.policy import policy_app
from castmark.cli.replay import replay_command
from castmark.cli.subject import subject_app
from castmark.errors import CastmarkError, InputError, MissingExtra, RefusedError
from castmark.extras import require
from castmark_adapters.errors import AdapterError
from castmark_provenance.cli import keygen_command, verify_command
from castmark_provenance.cli_registry import registry_app
from castmark_provenance.cli_timestamp import timestamp_command
from castmark_provenance.cli_trust import trust_app
from castmark_provenance.errors import ProvenanceError

FAILED, USAGE, REFUSED = 1, 2, 3
TRAINERS = {
    "all": "castmark.training.everything:train",
    "autoencoder": "castmark.training.autoencoder:train",
    "decoder": "castmark.training.decoder:train",
    "plan": "castmark.training.planner:train",
    "teacher": "castmark.training.teacher:train",
    "student": "castmark.training.student:train",
    "polish": "castmark.training.polish:train",
    "prior": "castmark.training.prior:train",
    "recognition": "castmark.training.recognition:train",
    "judge": "castmark.training.judge:train_judge",
    "encoder": "castmark.training.subject_encoder:train",
    "reference": "castmark.training.reference:train",
    "reader": "castmark.training.truth_reader:train",
    "prompts": "castmark.training.prompt_model:train",
    "pack": "castmark.training.carried:pack",
    "unpack": "castmark.training.carried:unpack",
}
"""What ``castmark train`` trains, or does with a teacher that is not done: module and function, which takes a
`TrainSettings`."""

OF_TEACHER = ("student", "polish", "prior", "pack", "unpack")
"""What works in the teacher's work folder."""

app = typer.Typer(
    name="castmark",
    help="Draws one subject, recognisably the same, in every scene; checks every image; signs what passes.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # rich's help costs 0.15 s a start
    context_settings={"help_option_names": ["-h", "--help"]},
)
world_app = typer.Typer(
    name="world", help="The rendered world the embedded models learn from.", no_args_is_help=True
)
app.command("verify")(verify_command)
app.command("keygen")(keygen_command)
app.command("replay")(replay_command)
app.command("audit")(audit_command)
app.command("doctor")(doctor_command)
app.add_typer(trust_app)
app.add_typer(registry_app)
app.command("timestamp")(timestamp_command)
app.command("batch")(batch_command)
app.command("vary")(vary_command)
app.command("bridge")(bridge_command)
app.add_typer(policy_app)
app.add_typer(subject_app)
app.add_typer(identity_app)
app.add_typer(world_app)


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder to write.")] = Path("demo"),
    learn: Annotated[bool, typer.Option("--learn/--no-learn", help="Learn a LoRA for each subject.")] = True,
    seed: Annotated[
        int, typer.Option("--seed", min=0, help="Which subjects, and which pictures of them.")
    ] = 2,
    threads: Threads = None,
    quiet: Quiet = False,
) -> None:
    """A character and a product nobody trained on, drawn, checked, signed and verified."""
    _engine("castmark demo", "world")
    from castmark.cli.console import Reporter
    from castmark.demo import run_demo

    with Reporter(quiet=quiet) as reporter:
        done = run_demo(out, learn=learn, seed=seed, threads=threads, reporter=reporter)
    raise typer.Exit(0 if done else FAILED)


@app.command()
def learn(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A subject of the library.")],
    steps: Annotated[int | None, typer.Option("--steps", min=1, help="Training steps.")] = None,
    base: BaseName = None,
    reference: ReferenceName = None,
    device: Device = None,
    threads: Threads = None,
    dtype: Dtype = None,
    quantise: Quantise = "none",
    offload: Offload = "auto",
    library: LibraryFolder = None,
    quiet: Quiet = False,
) -> None:
    """Learn a LoRA from a subject's references; started again, it goes on where it stopped."""
    _engine("castmark learn")
    from castmark.cli.console import Reporter
    from castmark.studio.opening import learn_subject, open_reference
    from castmark_adapters import pack
    from castmark_adapters.library import work_folder

    folder = library_folder(library)
    subject = pack.get(folder, name)
    opened = open_to_learn(base, device, threads, dtype, offload, quantise)
    with Reporter(quiet=quiet) as reporter:
        learned = learn_subject(
            subject,
            opened,
            open_reference(base, opened, reference),
            steps=steps,
            work=work_folder(folder, name),
            on_event=reporter.learning(name),
        )
        pack.put(folder, learned)
        if learned.lora is None:
            reporter.say(f"{name}: no LoRA, because no preview was more like the references than without one")
        else:
            reporter.say(f"{name}: LoRA of rank {learned.lora.rank} after {learned.lora.steps} steps")


@app.command()
@opens_a_studio
def shoot(
    opening: Opening,
    prompt: Annotated[
        str, typer.Argument(metavar="PROMPT", help="What to draw; speak of the subject by name.")
    ],
    subject: Annotated[
        list[str] | None,
        typer.Option("--subject", help="A subject of the library; several stand from left to right."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0)] = 0,
    width: Annotated[int | None, typer.Option("--width", help="Pixels.")] = None,
    height: Annotated[int | None, typer.Option("--height", help="Pixels.")] = None,
    steps: Steps = None,
    background: Annotated[
        str | None,
        typer.Option("--background", help="'transparent' or '#rrggbb' behind the cut-out subject."),
    ] = None,
    format_: Annotated[
        Literal["png", "jpeg", "webp", "avif"], typer.Option("--format", help="Kind of image file.")
    ] = "png",
    layers: Annotated[bool, typer.Option("--layers", help="Also an OpenRaster file.")] = False,
    redraws: Annotated[
        int, typer.Option("--redraws", min=0, help="Draw a refused image again, with other seeds.")
    ] = 0,
    parameters: Annotated[
        bool, typer.Option("--parameters", help="Write the text block 'parameters' (it holds the prompt).")
    ] = False,
    name: Annotated[str | None, typer.Option("--name", help="Name of the file.")] = None,
    out: Annotated[Path, typer.Option("--out", help="Folder to write to.")] = Path(),
    library: LibraryFolder = None,
    quiet: Quiet = False,
) -> None:
    """Draw, check and sign one image."""
    _engine("castmark shoot")
    from pydantic import ValidationError

    from castmark.shot import Shot
    from castmark_adapters import pack

    cast = [pack.get(library_folder(library), each) for each in subject or ()]
    try:
        shot = Shot(
            prompt,
            cast,
            seed=seed,
            width=width,
            height=height,
            steps=steps,
            background=background,
            format=format_,
            layers=layers,
            name=name,
        )
    except ValidationError as error:
        raise InputError(first_problem(error)) from error
    studio = opening.studio(parameters=parameters)
    take = studio.shoot(shot, redraws=redraws, on_refusal=lambda r: typer.echo(r.explain(), err=True))
    path = take.save(out)
    if quiet:
        return
    for note in take.verdict.notes:
        typer.echo(note, err=True)
    typer.echo(path)


@app.command()
def sheet(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run folders.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="File to write. [default: RUN/sheet.html]")
    ] = None,
    title: Annotated[str | None, typer.Option("--title")] = None,
    trust: Annotated[list[Path] | None, typer.Option("--trust", help="Further trust anchors, PEM.")] = None,
    quiet: Quiet = False,
) -> None:
    """One self-contained HTML page of what was run: images, verdicts, identity, credentials."""
    require("castmark sheet", "engine")
    from castmark.runs.sheet import write_sheet

    path = write_sheet(runs, out or runs[0] / "sheet.html", title=title, trust=trust or ())
    if not quiet:
        typer.echo(path)


@app.command()
def train(
    model: Annotated[str, typer.Argument(metavar="MODEL", help=f"{', '.join(TRAINERS)}.")],
    minutes: Annotated[float, typer.Option("--minutes", min=0, help="Time budget of this run.")],
    out: Annotated[Path, typer.Option("--out", help="Folder to write the model to.")],
    work: Annotated[
        Path | None,
        typer.Option("--work", help="Checkpoints. [default: .training/MODEL; a student's is its teacher's]"),
    ] = None,
    threads: Annotated[int, typer.Option("--threads", min=1)] = 1,
    seed: Annotated[int, typer.Option("--seed", min=0)] = 0,
    device: Annotated[str, typer.Option("--device")] = "cpu",
    workers: Annotated[
        int | None,
        typer.Option("--workers", min=0, help="Processes that render for a GPU. [default: one a core]"),
    ] = None,
) -> None:
    """Train an embedded model on the rendered world; started again, it goes on from its checkpoint."""
    if model not in TRAINERS:
        raise InputError(f"no model {model!r} to train; models are: {', '.join(TRAINERS)}")
    require("castmark train", "engine", "world")
    from importlib import import_module

    from castmark.bases.speed import Hardware
    from castmark.training.common import TrainSettings

    Hardware.of(device)  # or it is said that there is none
    settings = TrainSettings(
        minutes=minutes,
        work=work or Path(".training") / ("teacher" if model in OF_TEACHER else model),
        out=out,
        threads=threads,
        seed=seed,
        device=device,
        workers=workers if workers is not None else (os.cpu_count() or 1) if device.startswith("cuda") else 0,
    )
    module, function = TRAINERS[model].split(":")
    getattr(import_module(module), function)(settings)


@world_app.command("sample")
def world_sample(
    out: Annotated[Path, typer.Option("--out", help="Folder to write.")],
    n: Annotated[int, typer.Option("--n", min=1, help="How many scenes.")] = 16,
    seed: Annotated[int, typer.Option("--seed", min=0)] = 0,
    split: Annotated[Literal["train", "calibration", "test"], typer.Option("--split")] = "train",
    kind: Annotated[Literal["character", "product", "mascot"] | None, typer.Option("--kind")] = None,
    scope: Annotated[
        Literal["first", "second", "full"] | None,
        typer.Option("--scope", help="How much of the world. [default: what the shipped models know]"),
    ] = None,
    size: Annotated[int, typer.Option("--size", min=16, max=2048, help="Pixels a side.")] = 256,
    quiet: Quiet = False,
) -> None:
    """Render scenes: pictures, and scenes.jsonl with captions and ground truth."""
    require("castmark world sample", "world")
    from castmark.world_sample import write_sample

    write_sample(out, n=n, seed=seed, split=split, kind=kind, scope=scope, size=size)
    if not quiet:
        typer.echo(f"{n} scenes in {out}")


@app.command()
def bench(
    suite: Annotated[str, typer.Argument(metavar="SUITE", help="The suite to run; 'list' prints them.")],
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the figures here, a page beside it.")
    ] = None,
    n: Annotated[int | None, typer.Option("--n", min=1, help="Scale: how many samples.")] = None,
    minutes: Annotated[
        float | None, typer.Option("--minutes", min=0, help="Time for fuzzing (provenance).")
    ] = None,
    threads: Threads = None,
    quiet: Quiet = False,
) -> None:
    """Measure, beside the targets. Exits 0 when it ran, whatever it found."""
    from castmark.bench import SUITES, run_suite

    if suite == "list":
        typer.echo("\n".join(f"{name}  {about}" for name, about in SUITES.items()))
        return
    _engine("castmark bench", "world")
    pictures = None if json_file is None else json_file.with_suffix("")
    result = run_suite(suite, n=n, threads=threads, minutes=minutes, pictures=pictures)
    if json_file is not None:
        result.write(json_file)
    if not quiet:
        typer.echo(result.table())


def _engine(what: str, *extras: str) -> None:
    """Make sure that ``what`` finds the engine (and ``extras``), and that its libraries keep quiet.

    Raises:
        MissingExtra: a part is not installed.
    """
    require(what, "engine", *extras)
    from castmark.cli.console import hush_libraries

    hush_libraries()


def main() -> None:
    """Entry point: runs a command; an error is one line on standard error and an exit code."""
    code = FAILED
    try:
        app()
        return
    except MissingExtra as error:
        message, code = str(error), USAGE
    except RefusedError as error:
        message, code = str(error), REFUSED
    except (CastmarkError, AdapterError, ProvenanceError) as error:
        message = str(error)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        message = f"{where}{error.strerror or error}; nothing was left half-written"
    print(f"castmark: {' '.join(message.split())}", file=sys.stderr)  # noqa: T201
    raise SystemExit(code)
