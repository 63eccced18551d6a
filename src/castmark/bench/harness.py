"""What every suite shares: figures with intervals and targets, where they were taken, JSON and a page."""

from __future__ import annotations

import json
import platform
import statistics
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from jinja2 import Environment, PackageLoader, StrictUndefined
from pydantic import BaseModel, ConfigDict

from castmark import __version__
from castmark.machine.facts import cores, cpu_name
from castmark.safety.bias.gaps import wilson
from castmark.take import write_atomically


class Figure(BaseModel):
    """One number: its value, an interval, how many samples, and whether it meets its target.

    ``target`` None: nothing is asked of it, and ``holds`` is None.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    value: float
    low: float
    high: float
    n: int
    target: float | None = None
    better: Literal["lower", "higher"] = "lower"
    unit: str = ""

    @property
    def holds(self) -> bool | None:
        """Whether the value meets the target."""
        if self.target is None:
            return None
        return self.value <= self.target if self.better == "lower" else self.value >= self.target

    def record(self) -> dict[str, object]:
        """The figure as the JSON file has it."""
        return {**self.model_dump(), "holds": self.holds}


class SuiteResult(BaseModel):
    """Every figure of a suite, and where they were taken."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    suite: str
    commit: str
    machine: str
    figures: tuple[Figure, ...]

    def write(self, file: Path) -> None:
        """Write the JSON to ``file`` and the page beside it.

        Raises:
            OSError: they cannot be written.
        """
        body = self.model_dump(exclude={"figures"}) | {
            "figures": [figure.record() for figure in self.figures]
        }
        write_atomically(file, (json.dumps(body, indent=2) + "\n").encode())
        write_atomically(file.with_suffix(".html"), self.page().encode())

    def page(self) -> str:
        """The figures as one self-contained HTML page."""
        environment = Environment(
            loader=PackageLoader("castmark"), autoescape=True, undefined=StrictUndefined
        )
        return environment.get_template("bench.html.j2").render(result=self, version=__version__)

    @property
    def charts(self) -> list[tuple[str, str, list[tuple[str, float]]]]:
        """Title, unit and bars of every group of three or more figures "title: label" or "title of label"."""
        groups: dict[tuple[str, str], list[tuple[str, float]]] = {}
        for figure in self.figures:
            title, found, label = figure.name.rpartition(": ")
            if not found:
                title, found, label = figure.name.rpartition(" of ")
            if found:
                groups.setdefault((title, figure.unit), []).append((label, figure.value))
        return [(title, unit, bars) for (title, unit), bars in groups.items() if len(bars) >= 3]

    def table(self) -> str:
        """The figures for a terminal, a line each."""
        width = max(len(figure.name) for figure in self.figures)
        lines = [f"{self.suite} on {self.machine}, {self.commit}"]
        for figure in self.figures:
            line = f"{figure.name:<{width}}  {figure.value:>10.3g} {figure.unit}"
            line += f"  [{figure.low:.3g}, {figure.high:.3g}]  n={figure.n}"
            if figure.target is not None:
                sign = "at most" if figure.better == "lower" else "at least"
                line += f"  {sign} {figure.target:.3g}: {'holds' if figure.holds else 'does not hold'}"
            lines.append(line)
        return "\n".join(lines)


def collect(suite: str, run: Callable[[], Sequence[Figure]]) -> SuiteResult:
    """Run a suite's function and record where."""
    figures = tuple(run())
    return SuiteResult(suite=suite, commit=commit(), machine=machine(), figures=figures)


def median(
    name: str,
    samples: Sequence[float],
    unit: str,
    *,
    target: float | None = None,
    better: Literal["lower", "higher"] = "lower",
) -> Figure:
    """The median of samples, with its 95% interval from order statistics (no assumption on their shape); of
    fewer than six samples their whole range, which holds the median less surely (75% of three)."""
    ordered = sorted(samples)
    n = len(ordered)
    reach = 0.98 * n**0.5  # 1.96 * sqrt(n / 4), in ranks around the middle
    low = ordered[max(0, int(n / 2 - reach))]
    high = ordered[min(n - 1, int(n / 2 + reach))]
    return Figure(
        name=name,
        value=statistics.median(ordered),
        low=low,
        high=high,
        n=n,
        target=target,
        better=better,
        unit=unit,
    )


def share(
    name: str,
    right: int,
    count: int,
    *,
    target: float | None = None,
    better: Literal["lower", "higher"] = "higher",
) -> Figure:
    """A share with Wilson's 95% interval; of none it is 0."""
    low, high = wilson(right, max(count, 1))
    value = right / max(count, 1)
    return Figure(name=name, value=value, low=low, high=high, n=count, target=target, better=better)


def machine() -> str:
    """The machine in words."""
    return f"{cpu_name()}, {cores()} CPUs, {platform.system()}, Python {platform.python_version()}"


def commit() -> str:
    """The commit of the checkout this code runs from, or the installed version."""
    try:
        found = subprocess.run(
            ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=40"],
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return f"castmark {__version__}"
    return found.stdout.strip()
