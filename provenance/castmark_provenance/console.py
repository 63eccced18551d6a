"""What every command of provenance needs to speak to a person."""

from __future__ import annotations

from typing import NoReturn

import typer


def fail(error: Exception, code: int) -> NoReturn:
    """Say what went wrong, and end with an exit code."""
    typer.echo(f"error: {error}", err=True)
    raise typer.Exit(code) from None


def printable(text: str) -> str:
    """Text safe for a terminal: a stranger's names and errors may hold control characters."""
    return "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text
    )
