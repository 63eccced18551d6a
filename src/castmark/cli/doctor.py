"""``castmark doctor``: what is here, what is missing, and what to do next."""

from __future__ import annotations

from typing import Annotated

import typer

from castmark.cli.options import Device, JudgeName, Policy


def doctor_command(
    base: Annotated[
        list[str] | None, typer.Option("--base", help="A folder or hub id to look at, besides the embedded.")
    ] = None,
    policy: Policy = None,
    judge: JudgeName = None,
    device: Device = None,
) -> None:
    """What is installed, which bases fit, which judge is calibrated, which key signs; a step for each gap."""
    from castmark.doctor import examine

    for line in examine(base or (), device, judge, policy):
        typer.echo(line.text())
