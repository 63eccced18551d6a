"""``castmark policy``: which policies there are, and thresholds for them. No torch until it calibrates."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from castmark.cli.options import Device, Quiet
from castmark.errors import InputError
from castmark.extras import require

policy_app = typer.Typer(name="policy", help="Safety policies and their thresholds.", no_args_is_help=True)


@policy_app.command("list")
def policy_list() -> None:
    """The policies that ship."""
    require("castmark policy list", "engine")
    from castmark.safety import Policy, shipped_policies

    for name in shipped_policies():
        typer.echo(f"{name}  {Policy.load(name).description}")


@policy_app.command("calibrate")
def policy_calibrate(
    policies: Annotated[
        list[str] | None, typer.Argument(metavar="[POLICY...]", help="Shipped names or files. [default: all]")
    ] = None,
    judge: Annotated[
        str | None,
        typer.Option("--judge", help="open_clip folder, or NAME:WEIGHTS. [default: the embedded one]"),
    ] = None,
    base: Annotated[
        str, typer.Option("--base", help="A base whose drawings count too, or 'none'.")
    ] = "embedded",
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder to write. [default: calibrations/ in $CASTMARK_HOME]")
    ] = None,
    safe: Annotated[
        Path | None, typer.Option("--safe", help="Your own images: a folder of safe ones.")
    ] = None,
    unsafe: Annotated[
        Path | None, typer.Option("--unsafe", help="... and one with a folder for each category.")
    ] = None,
    prompts: Annotated[
        Path | None,
        typer.Option("--prompts", help="Prompts under [safe] and [CATEGORY]. [default: the shipped lists]"),
    ] = None,
    prompts_only: Annotated[
        bool, typer.Option("--prompts-only", help="Keep what the record there is says of pictures.")
    ] = False,
    device: Device = None,
    threads: Annotated[int | None, typer.Option("--threads", min=1, help="CPU threads.")] = None,
    quiet: Quiet = False,
) -> None:
    """Find the thresholds of policies for a judge, on rendered pictures and a base's own drawings, or on your
    own images."""
    require("castmark policy calibrate", "engine", "world")
    from castmark.safety.calibrate import calibrate_and_save

    def say(text: str) -> None:
        if not quiet:
            typer.echo(text, err=True)

    written = calibrate_and_save(
        policies or (),
        judge=judge,
        base=base,
        safe=safe,
        unsafe=unsafe,
        prompts=prompts,
        out=out,
        device=device or "cpu",
        threads=threads,
        prompts_only=prompts_only,
        say=say,
    )
    for path, record in written:
        if not quiet:
            typer.echo(path)
            for line in record.summary():
                typer.echo(f"  {line}")


@policy_app.command("report")
def policy_report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder.")],
    policy: Annotated[
        str | None, typer.Option("--policy", help="Its policy, where that is a file of your own.")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the report here.")] = None,
    quiet: Quiet = False,
) -> None:
    """What a run's records say of its fairness: parity of people left open, refusals by group, quotas."""
    require("castmark policy report", "engine")
    from castmark.safety import Policy
    from castmark.safety.bias.campaign import report_of_run
    from castmark.take import write_atomically

    report = report_of_run(run, None if policy is None else Policy.load(policy))
    if report is None:
        raise InputError(f"{run}: no image was judged, so there is nothing to report")
    if json_file is not None:
        write_atomically(json_file, (report.model_dump_json(indent=2) + "\n").encode())
    if not quiet:
        typer.echo("\n".join(report.statements) or "no shares are declared in the policy")
