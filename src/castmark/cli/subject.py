"""``castmark subject``: the library of subjects. No torch here."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from castmark.cli.options import LibraryFolder, Quiet, first_problem, library_folder
from castmark.errors import InputError
from castmark.extras import installed

if TYPE_CHECKING:
    from castmark_adapters.subject import Subject

subject_app = typer.Typer(name="subject", help="The library of subjects.", no_args_is_help=True)
Kind = Literal["character", "product", "mascot", "person"]


Name = Annotated[str, typer.Argument(metavar="NAME", help="A subject of the library.")]


@subject_app.command("add", hidden=True)
@subject_app.command("new")
def subject_new(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="In small letters; prompts speak of the subject by it.")
    ],
    references: Annotated[list[Path], typer.Argument(metavar="REF...", help="1 to 6 reference images.")],
    kind: Annotated[Kind, typer.Option("--kind", help="What the subject is.")] = "character",
    phrase: Annotated[str | None, typer.Option("--phrase", help='"a woman with short black hair"')] = None,
    masks: Annotated[
        list[Path] | None,
        typer.Option("--mask", help="White where the subject is; one for each reference, in their order."),
    ] = None,
    licence: Annotated[str | None, typer.Option("--licence", help="Licence of the references.")] = None,
    consent_by: Annotated[
        str | None, typer.Option("--consent-by", help="Who consented (a real person).")
    ] = None,
    consent_date: Annotated[str | None, typer.Option("--consent-date", help="When: YYYY-MM-DD.")] = None,
    consent_scope: Annotated[str | None, typer.Option("--consent-scope", help="For what.")] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="In the place of a subject of this name, learned LoRA and all.")
    ] = False,
    library: LibraryFolder = None,
    quiet: Quiet = False,
) -> None:
    """Make a subject from reference images. A real person's consent is asked for."""
    from pydantic import ValidationError

    from castmark_adapters import pack
    from castmark_adapters.subject import Consent, Subject

    if not replace and name in pack.listed(library_folder(library)):
        raise InputError(
            f"there is a subject {name!r} in {library_folder(library)} already; choose another name, or give "
            "--replace to lose its references and what was learned of it"
        )
    consent = None
    if kind == "person":
        given = (consent_by, consent_date, consent_scope)
        asked = ("Who gave consent", "When (YYYY-MM-DD)", "For what use")
        if None in given and not sys.stdin.isatty():
            raise InputError(
                f"subject {name!r} is a real person: state the consent with --consent-by, --consent-date and "
                "--consent-scope"
            )
        by, date, scope = (g if g is not None else typer.prompt(a) for g, a in zip(given, asked, strict=True))
        try:
            consent = Consent(given_by=by, date=date, scope=scope)
        except ValidationError as error:
            raise InputError(f"consent for {name!r}: {first_problem(error)}") from error
    subject = Subject.from_images(
        name, references, kind, masks=masks or (), phrase=phrase, licence=licence, consent=consent
    )
    folder = pack.put(library_folder(library), subject)
    _mention_strangers(subject)
    if not quiet:
        typer.echo(f"{subject.name}: {len(subject.references)} references, {subject.phrase!r}, in {folder}")


def _mention_strangers(subject: Subject) -> None:
    """Say which references look like another subject, where the engine is there to look."""
    if len(subject.references) < 2 or not installed("engine"):
        return
    from castmark.cli import console
    from castmark.studio.opening import open_scorer

    console.hush_libraries()
    if strangers := open_scorer().strangers(subject):
        typer.echo(
            f"castmark: {subject.name}: {', '.join(strangers)} may show another subject than the other "
            "references (by the embedded subject encoder); look at them",
            err=True,
        )


@subject_app.command("list")
def subject_list(library: LibraryFolder = None) -> None:
    """Names, kinds and phrases of the subjects in the library."""
    from castmark_adapters import pack

    folder = library_folder(library)
    for name in pack.listed(folder):
        subject = pack.get(folder, name)
        learned = "LoRA learned" if subject.lora else "no LoRA"
        typer.echo(
            f"{name}  {subject.kind}  {len(subject.references)} references  {learned}  {subject.phrase!r}"
        )


@subject_app.command("show")
def subject_show(name: Name, library: LibraryFolder = None) -> None:
    """A subject's card, as JSON."""
    from castmark_adapters import pack

    typer.echo(pack.get(library_folder(library), name).model_dump_json(indent=2))


@subject_app.command("rename")
def subject_rename(
    name: Name,
    new: Annotated[str, typer.Argument(metavar="NEW", help="Its new name.")],
    library: LibraryFolder = None,
) -> None:
    """Give a subject another name."""
    from castmark_adapters.library import rename

    rename(library_folder(library), name, new)


@subject_app.command("export")
def subject_export(
    name: Name,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="NAME is made in it.")],
    library: LibraryFolder = None,
    quiet: Quiet = False,
) -> None:
    """Copy a subject's pack out: a plain folder, checked, to hand on."""
    from castmark_adapters.library import export

    path = export(library_folder(library), name, folder)
    if not quiet:
        typer.echo(path)


@subject_app.command("import")
def subject_import(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A subject pack.")],
    name: Annotated[str | None, typer.Option("--name", help="Another name for it here.")] = None,
    library: LibraryFolder = None,
    quiet: Quiet = False,
) -> None:
    """Copy a pack into the library; one that is damaged, or holds a pickle, is refused."""
    from castmark_adapters.library import bring

    subject = bring(library_folder(library), folder, name)
    if not quiet:
        learned = f"; its LoRA is for base {subject.lora.base[:12]}" if subject.lora else ""
        typer.echo(f"{subject.name}: {len(subject.references)} references, {subject.phrase!r}{learned}")


@subject_app.command("remove")
def subject_remove(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    library: LibraryFolder = None,
) -> None:
    """Delete a subject: its references, and what was learned from them."""
    from castmark_adapters.library import remove

    if not yes:
        typer.confirm(f"Delete {name} from {library_folder(library)} for good?", abort=True)
    remove(library_folder(library), name)
