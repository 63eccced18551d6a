"""What a run came to: ``summary.json`` beside its journal.

Counts, time by stage, images a second, denoiser evaluations, identity, what every rung of the check found,
energy where the machine tells, and cost from a price that the user states. Times add up over every run of the
command into the same folder.
"""

from __future__ import annotations

import json
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from castmark import __version__
from castmark.runs.ledger import Ledger
from castmark.runs.ledger_row import Row, finite
from castmark.take import write_atomically
from castmark_provenance.home import home_folder

FILE = "summary.json"
RATES = "rates.json"
STAGES = ("draw", "finish", "mark", "check", "encode", "sign", "write")


def summarise(
    ledger: Ledger, *, price_per_hour: float | None, environment: Mapping[str, str | int | float]
) -> dict[str, Any]:
    """The figures of a run. ``price_per_hour`` is the machine's, in any currency."""
    stages: dict[str, float] = defaultdict(float)
    identity: list[float] = []
    evaluations = 0
    for row in ledger.each("status = 'signed'"):
        for stage, seconds in row.timings.items():
            stages[stage] += seconds
        evaluations += row.evaluations or 0
        if (score := finite(row.identity)) is not None:
            identity.append(score)
    spent = ledger.spent()
    counts = ledger.counts()
    signed = counts.get("signed", 0)
    wall, drawn = spent.get("seconds", 0.0), int(spent.get("drawn", 0))
    joules = spent.get("joules")
    cost = None if price_per_hour is None else wall / 3600 * price_per_hour
    # A run that was killed did not say what it took: the images it drew would be free.
    told = drawn >= sum(counts.get(status, 0) for status in ("signed", "refused", "failed"))
    shared = signed if told else 0
    metered = int(spent.get("metered", 0)) == drawn
    return {
        "job": ledger.source,
        "castmark": __version__,
        "images": {"asked": sum(counts.values()), **{s: counts.get(s, 0) for s in _STATUSES}},
        "drawings": drawn,
        "seconds": round(wall, 3),
        "images_per_second": round(signed / wall, 3) if wall and told else None,
        "seconds_by_stage": {stage: round(stages[stage], 3) for stage in STAGES if stage in stages},
        "denoiser_evaluations": evaluations,
        "identity": _spread(identity),
        "findings": _findings(ledger.each("verdict IS NOT NULL")),
        "refusals": dict(_refusals(ledger)),
        "joules": joules,
        "joules_per_image": round(joules / shared, 3) if joules is not None and metered and shared else None,
        "price_per_hour": price_per_hour,
        "cost": None if cost is None else round(cost, 6),
        "cost_per_image": None if cost is None or not shared else round(cost / shared, 6),
        "environment": dict(environment),
    }


_STATUSES = ("signed", "refused", "failed", "pending")


def write_summary(run: Path, summary: Mapping[str, Any]) -> Path:
    """Write ``summary.json`` into the run folder.

    Raises:
        OSError: it cannot be written.
    """
    path = run / FILE
    text = json.dumps(summary, indent=2, ensure_ascii=False, allow_nan=False)
    write_atomically(path, (text + "\n").encode())
    return path


def read_summary(run: Path) -> dict[str, Any] | None:
    """The figures of a run folder, None where there are none yet."""
    try:
        return json.loads((run / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def remember_rate(base: str, summary: Mapping[str, Any]) -> None:
    """Keep the seconds an image of this base takes here, for the estimates of ``--dry-run``.

    Raises:
        OSError: the home folder cannot be written.
    """
    if summary["images_per_second"]:
        rates = _rates() | {base: 1 / summary["images_per_second"]}
        write_atomically(home_folder() / RATES, (json.dumps(rates, indent=2) + "\n").encode())


def known_rate(base: str) -> float | None:
    """Seconds an image of this base took here in the latest run, None where there was none."""
    return _rates().get(base)


def _rates() -> dict[str, float]:
    try:
        found = json.loads((home_folder() / RATES).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(name): float(seconds) for name, seconds in found.items()}


def _spread(values: list[float]) -> dict[str, float] | None:
    if not values:
        return None
    spread = {"mean": statistics.fmean(values), "lowest": min(values), "median": statistics.median(values)}
    return {name: round(value, 4) for name, value in spread.items()} | {"n": len(values)}


def _findings(rows: Iterable[Row]) -> dict[str, dict[str, float | None]]:
    """Of every finding of every verdict: how often it was made, the mean of its scores that are numbers, how
    often it forbade."""
    made: Counter[str] = Counter()
    forbade: Counter[str] = Counter()
    scored: Counter[str] = Counter()
    totals: dict[str, float] = defaultdict(float)
    for row in rows:
        for finding in row.verdict.findings if row.verdict else ():
            name = f"{finding.rung}: {finding.name}"
            made[name] += 1
            forbade[name] += not finding.allowed
            if (score := finite(finding.score)) is not None:
                scored[name] += 1
                totals[name] += score
    return {
        name: {
            "n": n,
            "mean_score": round(totals[name] / scored[name], 4) if scored[name] else None,
            "not_allowed": forbade[name],
        }
        for name, n in made.items()
    }


def _refusals(ledger: Ledger) -> Counter[str]:
    """How often each binding finding refused an image, redraws included."""
    found: Counter[str] = Counter()
    for verdict in ledger.every_refusal():
        found.update(f"{f.rung}: {f.name}" for f in verdict.findings if f.binding and not f.allowed)
    return found
