"""The command line in this process."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from castmark.cli import commands


@dataclass(frozen=True)
class Ran:
    """What a command left: exit code, output, errors."""

    code: int
    out: str
    err: str


def run_castmark(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: object
) -> Ran:
    """Run ``castmark ARGUMENTS``."""
    monkeypatch.setattr("sys.argv", ["castmark", *map(str, arguments)])
    code: object = 0
    try:
        commands.main()
    except SystemExit as exit_:
        code = exit_.code or 0
    assert isinstance(code, int)
    return Ran(code, *capsys.readouterr())
