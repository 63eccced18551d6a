"""Benchmarks: one file per suite, figures beside their targets, JSON and an HTML page out.

    castmark bench pipeline --n 16 --json figures.json

A suite is a function ``run(n, threads) -> list[Figure]``; to add one, write its module, name it in `SUITES`.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from castmark.errors import InputError

if TYPE_CHECKING:
    from castmark.bench.harness import SuiteResult

SUITES: dict[str, str] = {
    "base": "does the base draw what the words say, sharply, and how fast, at 1 and 4 steps",
    "provenance": "is what is signed trusted, is every change caught, and how fast are signing and verifying",
    "identity": "is it the same subject, in the scene asked for: words, reference adapter, LoRA, both",
    "durable": "do the watermark and the fingerprint outlive copies, and lead back to the manifest",
    "pipeline": "images a second, and where the time of one image goes: draw, check, encode, sign",
    "gpu": "real bases on a GPU, random weights: against stock diffusers, checked and signed, LoRA swaps",
    "safety": "what the gate catches, whom it wrongs, what shakes it, and what it costs",
}
"""Suites and what they measure; each is the module of its name here."""
WITH_PICTURES = ("identity",)
"""Suites that write picture sheets beside their figures."""


WITH_A_CLOCK = ("provenance",)
"""Suites that do something for so many minutes."""


def run_suite(
    name: str,
    *,
    n: int | None = None,
    threads: int | None = None,
    minutes: float | None = None,
    pictures: Path | None = None,
) -> SuiteResult:
    """Run a suite. ``n`` scales it (None: the suite's own size); ``minutes`` is for suites that have a clock,
    ``pictures`` a folder for those that leave some (`WITH_PICTURES`).

    Raises:
        InputError: there is no such suite, or it has no clock.
    """
    if name not in SUITES:
        raise InputError(f"no bench suite {name!r}; suites are: {', '.join(SUITES)}")
    from castmark.bench.harness import collect

    module = import_module(f"castmark.bench.{name}")
    if minutes is not None and name not in WITH_A_CLOCK:
        raise InputError(f"bench {name} has no clock; --minutes is for: {', '.join(WITH_A_CLOCK)}")
    more: dict[str, object] = {} if minutes is None else {"minutes": minutes}
    if pictures is not None and name in WITH_PICTURES:
        more["pictures"] = pictures
    return collect(name, lambda: module.run(n=n, threads=threads, **more))
