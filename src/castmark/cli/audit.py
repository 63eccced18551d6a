"""``castmark audit``: is a base fair where prompts leave people open, and the check to what it draws?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from castmark.cli.options import Device, JudgeName, Policy, Quiet, Threads
from castmark.errors import InputError
from castmark.extras import require


def audit_command(
    base: Annotated[
        list[str] | None,
        typer.Option("--base", help="A base; give more to compare, a teacher and its student. [embedded]"),
    ] = None,
    prompts: Annotated[
        Path | None,
        typer.Option("--prompts", help="A prompt a line, occupations for instance. [what the world knows]"),
    ] = None,
    n: Annotated[int, typer.Option("--n", min=1, help="Pictures a prompt and way of drawing.")] = 250,
    seed: Annotated[int, typer.Option("--seed", min=0)] = 70_000,
    quotas: Annotated[
        bool, typer.Option("--quotas/--no-quotas", help="Draw all of it again with the policy's quotas.")
    ] = True,
    policy: Policy = None,
    judge: JudgeName = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the report here, a page beside it.")
    ] = None,
    device: Device = None,
    threads: Threads = None,
    quiet: Quiet = False,
) -> None:
    """Draw neutral prompts many times, read who was drawn, and compare with the declared shares."""
    require("castmark audit", "engine", "world")
    from castmark.cli.console import hush_libraries

    hush_libraries()
    from castmark.safety import open_checker
    from castmark.safety.bias.audit import NEUTRAL, audit
    from castmark.studio.opening import open_drawing_base

    texts = NEUTRAL if prompts is None else _lines(prompts)
    gate = open_checker(policy, device, judge)
    names = base or ["embedded"]
    report = audit(
        gate,
        {name: open_drawing_base(name, device, threads) for name in names},
        prompts=texts,
        n=n,
        seed=seed,
        quotas=quotas,
        say=(lambda text: None) if quiet else (lambda text: typer.echo(text, err=True)),
    )
    if json_file is not None:
        report.write(json_file)
    if not quiet:
        typer.echo("\n".join(report.statements))


def _lines(file: Path) -> tuple[str, ...]:
    try:
        found = tuple(line.strip() for line in file.read_text(encoding="utf-8").splitlines() if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: prompts cannot be read ({error}); give a text file") from error
    if not found:
        raise InputError(f"{file}: holds no prompts; write one a line")
    return found
