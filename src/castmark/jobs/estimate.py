"""What a job will come to, before it is run: images, where they go, time and cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from castmark.jobs.plan import Job, plan
from castmark_adapters.subject import Subject

SHOWN = 8


@dataclass
class Estimate:
    """A dry run: nothing is loaded, nothing is drawn. Seconds and cost are None where nothing is known."""

    images: int = 0
    first: list[str] = field(default_factory=list[str])
    subjects: Counter[str] = field(default_factory=Counter[str])
    sizes: Counter[str] = field(default_factory=Counter[str])
    formats: Counter[str] = field(default_factory=Counter[str])
    bad: int = 0
    seconds: float | None = None
    cost: float | None = None

    def explain(self) -> str:
        """The plan for a person, a line each."""
        parts = [f"{n} x {name}" for name, n in self.subjects.most_common(SHOWN)]
        lines = [
            f"{self.images} images" + (f", {self.bad} rows left out" if self.bad else ""),
            f"subjects: {', '.join(parts) or 'none'}",
            f"sizes: {', '.join(f'{n} x {name}' for name, n in self.sizes.most_common(SHOWN))}",
            f"files: {', '.join(f'{n} x {name}' for name, n in self.formats.items())}",
            f"first names: {', '.join(self.first)}",
        ]
        if self.seconds is None:
            return "\n".join([*lines, "time: not known; no run on this machine has been measured yet"])
        cost = "" if self.cost is None else f", cost {self.cost:.4f} at the stated price"
        return "\n".join([*lines, f"time: about {_span(self.seconds)}{cost}"])


def estimate(
    job: Job,
    subject: Callable[[str], Subject],
    *,
    seconds_per_image: float | None = None,
    price_per_hour: float | None = None,
) -> Estimate:
    """Look at every image of a job.

    Raises:
        InputError: as `castmark.jobs.plan.plan`.
    """
    found = Estimate(bad=len(job.bad))
    for image in plan(job, subject):
        found.images += 1
        if len(found.first) < SHOWN:
            found.first.append(image.name)
        shot = image.shot
        found.subjects.update(s.name for s in shot.subjects)
        size = f"{shot.width or '?'}x{shot.height or '?'}" if shot.width or shot.height else "the base's size"
        found.sizes[f"{shot.aspect[0]}:{shot.aspect[1]}" if shot.aspect else size] += 1
        found.formats[shot.format] += 1
    if seconds_per_image is not None:
        found.seconds = found.images * seconds_per_image
        if price_per_hour is not None:
            found.cost = found.seconds / 3600 * price_per_hour
    return found


def _span(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
