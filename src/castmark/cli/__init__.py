"""The command line, one file a group of commands."""

from castmark.cli.commands import app, main

__all__ = ["app", "main"]
