"""``registry``: look at the registry of signed manifests, and carry it to where copies are verified.

castmark registry list [--json]
castmark registry export FILE
castmark registry import FILE
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from castmark_provenance.console import fail, printable

registry_app = typer.Typer(
    name="registry",
    no_args_is_help=True,
    rich_markup_mode=None,
    help="List, export and import the registry that stripped copies are looked up in.",
)
Portable = Annotated[Path, typer.Argument(metavar="FILE", show_default=False)]


@registry_app.command("list")
def list_command(
    json: Annotated[bool, typer.Option("--json", help="A JSON object for each entry, a line each.")] = False,
) -> None:
    """List the registered manifests, oldest first."""
    from castmark_provenance.durable.binding import shown
    from castmark_provenance.durable.errors import RegistryError
    from castmark_provenance.durable.registry import Registry

    try:
        with Registry.open(create=False) as registry:
            for entry in registry.entries():
                mark = None if entry.watermark is None else shown(entry.watermark)
                if json:
                    typer.echo(_json_line(entry, mark))
                else:
                    day = f"{entry.registered:%Y-%m-%d %H:%M}"
                    size = f"{entry.width}x{entry.height}"
                    digest = entry.manifest_sha256[:12]
                    typer.echo(f"{day}  {mark or '-':<10}  {size:>9}  {digest}  {printable(entry.title)}")
    except RegistryError as error:
        fail(error, 1)


@registry_app.command("export")
def export_command(file: Portable) -> None:
    """Write the whole registry to FILE, for `castmark registry import` elsewhere."""
    from castmark_provenance.durable.errors import RegistryError
    from castmark_provenance.durable.portable import export_to
    from castmark_provenance.durable.registry import Registry

    try:
        with Registry.open(create=False) as registry:
            count = export_to(registry, file)
    except RegistryError as error:
        fail(error, 1)
    typer.echo(f"exported {count} manifests to {file}")


@registry_app.command("import")
def import_command(file: Portable) -> None:
    """Add the manifests of an exported FILE. Every digest is checked first; a damaged file adds nothing."""
    from castmark_provenance.durable.errors import RegistryError
    from castmark_provenance.durable.portable import import_from
    from castmark_provenance.durable.registry import Registry

    try:
        with Registry.open() as registry:
            held, new = import_from(registry, file)
    except RegistryError as error:
        fail(error, 1)
    typer.echo(f"imported {new} new manifests of {held}")


def _json_line(entry: object, mark: str | None) -> str:
    import json

    from castmark_provenance.durable.registry import Entry

    assert isinstance(entry, Entry)
    body = entry.model_dump(mode="json", exclude={"manifest", "fingerprint", "watermark"})
    body |= {
        "watermark": mark,
        "fingerprint": entry.fingerprint.hex(),
        "manifest_sha256": entry.manifest_sha256,
    }
    return json.dumps(body)
