"""A studio whose drawings are rendered, not denoised: what is left is pipeline, journal and signing.

For figures on memory, kills and verification, which a slow model would only make longer. Run as a program it
works on a job until it is done or killed:

    python -m castmark.bench.stand_in JOBS RUN KEYS

and prints each row's name as it is done, then its peak memory in KiB.
"""

from __future__ import annotations

import hashlib
import resource
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from castmark.safety.policy import Fairness
from castmark.shot import ResolvedShot, Shot
from castmark.studio.studio import Studio
from castmark.studio.wardrobe import EngineWardrobe
from castmark.take import Draft, Finding, Verdict
from castmark_provenance.keys import PemKey
from castmark_world import render, sample_scene

SIDE = 256
SCENES = 64
"""Different pictures: they come again, with another claim and signature."""
ALLOWED = ("L0 integrity", "L1 prompt", "L2 image")


@dataclass
class StandInHost:
    """A host that wears nothing."""

    digest: str = hashlib.sha256(b"stand-in").hexdigest()
    call_arguments: dict[str, Any] = field(default_factory=dict[str, Any])
    pipeline: Any = None


class StandInBase:
    """Renders a scene of the world for every seed."""

    name, digest, licence = "stand-in", hashlib.sha256(b"stand-in").hexdigest(), "Apache-2.0"
    default_size, default_steps = (SIDE, SIDE), 1

    def __init__(self) -> None:
        self.host = StandInHost()
        self.environment: dict[str, str | int | float] = {"device": "none"}
        self._pictures: dict[int, np.ndarray] = {}

    def resolve(self, shot: Shot) -> ResolvedShot:
        """Always its own size."""
        return ResolvedShot(
            shot=shot, text=shot.text, seed=shot.seed, width=SIDE, height=SIDE, steps=shot.steps or 1
        )

    def draw(self, shots: Sequence[ResolvedShot]) -> list[Draft]:
        """One rendered scene a shot."""
        return [Draft(resolved=s, pixels=self._picture(s.seed), settings=self.environment) for s in shots]

    def _picture(self, seed: int) -> np.ndarray:
        which = seed % SCENES
        if which not in self._pictures:
            self._pictures[which] = render(sample_scene(np.random.default_rng(which), split="test"), SIDE)
        return self._pictures[which].copy()


class StandInChecker:
    """Lets everything pass, with a complete verdict: for measuring, never for use."""

    policy_digest = fingerprint = hashlib.sha256(b"stand-in checker").hexdigest()
    max_redraws = 0
    fairness = Fairness()

    def check_prompt(self, text: str) -> Verdict:
        """Allowed."""
        return self._verdict("", ALLOWED[1:2])

    def check(self, drafts: Sequence[Draft]) -> list[Verdict]:
        """Allowed, each bound to its pixels."""
        return [self._verdict(draft.pixel_digest, ALLOWED) for draft in drafts]

    def _verdict(self, digest: str, rungs: Sequence[Any]) -> Verdict:
        return Verdict(
            pixel_digest=digest,
            policy="stand-in",
            policy_digest=self.policy_digest,
            checker=self.fingerprint,
            calibration=self.fingerprint,
            domain="nothing: this checker only measures speed",
            findings=tuple(
                Finding(rung=rung, name="stand-in", score=0.0, threshold=1.0, allowed=True) for rung in rungs
            ),
        )


def stand_in_studio(keys: Path) -> Studio:
    """A studio of stand-ins that signs for real with the key in a folder."""
    return Studio(
        base=StandInBase(), checker=StandInChecker(), wardrobe=EngineWardrobe(), key=PemKey.load_folder(keys)
    )


def main() -> None:
    """See the module."""
    jobs, run, keys = (Path(argument) for argument in sys.argv[1:4])

    def say(text: object) -> None:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()

    stand_in_studio(keys).run(jobs, run, on_event=lambda event: say(event.row.name))
    say(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


if __name__ == "__main__":
    main()
