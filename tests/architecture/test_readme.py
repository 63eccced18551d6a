"""Every command the README shows exists, with the options it shows."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main

from castmark.cli.commands import app

README = Path(__file__).parents[2] / "README.md"


def shown() -> Iterator[str]:
    """Every ``castmark ...`` in the README's code blocks."""
    for block in re.findall(r"^```[a-z]*\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            found = re.match(r"\s*(?:\$ )?(castmark .*)", line)
            if found:
                yield found[1].split("  #")[0].split(" #")[0].strip()


def options(command: Any) -> set[str]:
    return {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}


def test_every_command_shown_exists_with_its_options() -> None:
    lines = list(shown())
    assert len(lines) >= 5
    for line in lines:
        words = shlex.split(line.replace("[", " ").replace("]", " ").replace("|", " "))[1:]
        command: Any = typer.main.get_command(app)
        while words and hasattr(command, "commands"):
            assert words[0] in command.commands, f"README: {line!r}: no command {words[0]!r}"
            command = command.commands[words.pop(0)]
        for word in words:
            if word.startswith("--"):
                assert word.split("=")[0] in options(command), f"README: {line!r}: no option {word!r}"


def test_every_command_is_shown() -> None:
    text = "\n".join(shown())
    for name in typer.main.get_command(app).commands:
        assert f"castmark {name}" in text, f"README shows no `castmark {name}`"
