"""A studio whose drawings are rendered, not denoised: what is left is check, signing, pipeline and journal.

For figures on memory, kills and verification, which a slow model would only make longer; the check is the
real one. Run as a program it works on a job until it is done or killed:

    python -m castmark.bench.rendered JOBS RUN KEYS

and prints each row's name as it is done, then its peak memory in KiB.
"""

from __future__ import annotations

import hashlib
import resource
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from castmark.safety import Checker, open_checker
from castmark.shot import ResolvedShot, Shot
from castmark.studio.studio import Studio
from castmark.studio.wardrobe import EngineWardrobe
from castmark.take import Draft
from castmark_adapters.learn import LearnSettings
from castmark_provenance.keys import PemKey
from castmark_world import render, sample_scene

SIDE = 256
SCENES = 64
"""Different pictures at most: they come again, with another claim and signature."""
PROMPT = "a mug"


@dataclass
class RenderedHost:
    """A host that wears nothing."""

    digest: str = hashlib.sha256(b"rendered").hexdigest()
    call_arguments: dict[str, Any] = field(default_factory=dict[str, Any])
    pipeline: Any = None
    model: Any = None
    slots: Any = None
    regions: Any = None


class RenderedBase:
    """Renders a scene of the world for every seed."""

    name, digest, licence = "rendered", hashlib.sha256(b"rendered").hexdigest(), "Apache-2.0"
    default_size, default_steps = (SIDE, SIDE), 1

    def __init__(self) -> None:
        self.host = RenderedHost()
        self.environment: dict[str, str | int | float] = {"device": "none"}
        self.revision, self.non_commercial, self.files = None, False, dict[str, str]()
        self.keeps_subjects = "nothing: it renders scenes"

    def open_reference(self, source: str | Path | None = None) -> None:
        """There is none."""

    def warm_up(self, batches: Sequence[int] = ()) -> dict[int, float]:
        """Nothing is cold."""
        return {}

    def learn_settings(self, steps: int | None = None) -> LearnSettings:
        """Those of any base; it learns nothing."""
        return LearnSettings()

    def native_size(self, width: int, height: int) -> tuple[int, int]:
        """Always its own size."""
        return SIDE, SIDE

    def resolve(self, shot: Shot) -> ResolvedShot:
        """Always its own size."""
        return ResolvedShot(
            shot=shot, text=shot.text, seed=shot.seed, width=SIDE, height=SIDE, steps=shot.steps or 1
        )

    def unknown_words(self, text: str) -> tuple[str, ...]:
        """Nothing is read."""
        return ()

    def draw(self, shots: Sequence[ResolvedShot]) -> list[Draft]:
        """One rendered scene a shot."""
        return [Draft(resolved=shot, pixels=_scene(shot.seed), settings=self.environment) for shot in shots]

    def draw_from(self, shots: Sequence[ResolvedShot], images: Sequence[Image.Image]) -> list[Draft]:
        """The scene of the shot; the image is not looked at."""
        return self.draw(shots)


def rendered_studio(keys: Path) -> Studio:
    """A studio on rendered drawings that checks and signs for real, with the key in a folder."""
    return Studio(
        base=RenderedBase(),
        checker=open_checker(),
        wardrobe=EngineWardrobe(),
        key=PemKey.load_folder(keys),
    )


def rendered_job(path: Path, rows: int, checker: Checker | None = None) -> Path:
    """A job of so many rows at ``path``, all of which the check allows."""
    seeds = _allowed(checker or open_checker(), min(rows, SCENES))
    lines = (f"shot-{row:05d},{PROMPT},{seeds[row % len(seeds)]}\n" for row in range(rows))
    path.write_text("name,prompt,seed\n" + "".join(lines))
    return path


def command(jobs: Path, run: Path, keys: Path) -> list[str | Path]:
    """This program on a job, as a process of its own: torch's threads do not survive a fork."""
    return [sys.executable, "-m", "castmark.bench.rendered", jobs, run, keys]


def started(jobs: Path, run: Path, keys: Path) -> subprocess.Popen[str]:
    """It at work, to be read from and killed."""
    told, quiet = subprocess.PIPE, subprocess.DEVNULL
    return subprocess.Popen(command(jobs, run, keys), stdout=told, stderr=quiet, text=True)


def _allowed(checker: Checker, count: int) -> list[int]:
    """Seeds of the first scenes that the check allows as drawings of `PROMPT`."""
    base, found, seed = RenderedBase(), list[int](), 0
    while len(found) < count:
        (verdict,) = checker.check(base.draw([base.resolve(Shot(PROMPT, seed=seed))]))
        found += [seed] * verdict.allowed
        seed += 1
    return found


def _scene(seed: int) -> np.ndarray:
    return render(sample_scene(np.random.default_rng(seed), split="test"), SIDE)


def _most_memory() -> int:
    """KiB that this process had at most: ``ru_maxrss`` is its parent's where that one had more."""
    status = Path("/proc/self/status")
    if not status.is_file():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1])


def main() -> None:
    """See the module."""
    jobs, run, keys = (Path(argument) for argument in sys.argv[1:4])

    def say(text: object) -> None:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()

    rendered_studio(keys).run(jobs, run, on_event=lambda event: say(event.row.name))
    say(_most_memory())


if __name__ == "__main__":
    main()
