"""Small stand-ins for the base, the checker and the wardrobe. Signing is never faked."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from castmark.errors import BaseError
from castmark.safety.policy import Fairness
from castmark.shot import ResolvedShot, Shot
from castmark.studio.studio import Studio
from castmark.take import Draft, Finding, Verdict
from castmark_adapters.host import Ingredient
from castmark_adapters.learn import LearnSettings
from castmark_adapters.subject import Subject
from castmark_provenance.keys import PemKey

SIDE = 32


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass
class FakeHost:
    digest: str = digest("fake base")
    worn: list[str] = field(default_factory=list)
    each: list[str] = field(default_factory=list)
    call_arguments: dict[str, Any] = field(default_factory=dict)
    pipeline: Any = None
    model: Any = None
    slots: Any = None
    regions: Any = None


@dataclass
class FakeBase:
    """Draws noise that depends only on text, seed, size and steps, and on what is worn."""

    name: str = "fake"
    digest: str = digest("fake base")
    licence: str | None = "CC0-1.0"
    default_size: tuple[int, int] = (SIDE, SIDE)
    default_steps: int = 2
    host: FakeHost = field(default_factory=FakeHost)
    batches: list[int] = field(default_factory=list)
    on_draw: Callable[[Sequence[ResolvedShot]], None] = lambda shots: None
    sizes: set[tuple[int, int]] | None = None
    revision: str | None = None
    non_commercial: bool = False
    files: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str | int | float]:
        return {"device": "cpu"}

    def resolve(self, shot: Shot) -> ResolvedShot:
        width, height = shot.width or SIDE, shot.height or SIDE
        if (width % 8 or height % 8) if self.sizes is None else (width, height) not in self.sizes:
            raise BaseError(f"fake draws multiples of 8 pixels, not {width}x{height}")
        steps = shot.steps or self.default_steps
        return ResolvedShot(
            shot=shot, text=shot.text, seed=shot.seed, width=width, height=height, steps=steps
        )

    def unknown_words(self, text: str) -> tuple[str, ...]:
        return tuple(word for word in text.split() if word.startswith("zz"))

    keeps_subjects = "learn the subject"

    def open_reference(self, source: object = None) -> None:
        return None

    def warm_up(self, batches: Sequence[int] = ()) -> dict[int, float]:
        return {}

    def learn_settings(self, steps: int | None = None) -> LearnSettings:
        return LearnSettings(steps=steps or 1)

    def native_size(self, width: int, height: int) -> tuple[int, int]:
        return self.default_size

    def draw_from(self, shots: Sequence[ResolvedShot], images: Sequence[Image.Image]) -> list[Draft]:
        drafts = self.draw(shots)
        return [
            replace(draft, pixels=(draft.pixels // 4 + np.asarray(image) // 4 * 3).astype(np.uint8))
            for draft, image in zip(drafts, images, strict=True)
        ]

    def draw(self, shots: Sequence[ResolvedShot]) -> list[Draft]:
        self.on_draw(shots)
        self.batches.append(len(shots))
        return [
            Draft(
                resolved=shot,
                pixels=pixels(
                    shot.text,
                    shot.seed,
                    shot.width,
                    shot.height,
                    shot.steps,
                    *(self.host.each[i : i + 1] or self.host.worn),
                ),
                settings={**self.environment, "batch": len(shots)},
            )
            for i, shot in enumerate(shots)
        ]


def pixels(text: str, seed: int, width: int, height: int, *more: object) -> np.ndarray:
    source = int(digest(repr((text, seed, more)))[:12], 16)
    return np.random.default_rng(source).integers(0, 256, (height, width, 3), dtype=np.uint8)


@dataclass
class FakeChecker:
    """Forbids prompts with "knife" and images whose seed is in ``bad_seeds``."""

    policy_digest: str = digest("policy")
    fingerprint: str = digest("checker")
    calibration_digest: str = digest("calibration")
    bad_seeds: frozenset[int] = frozenset()
    max_redraws: int = 3
    fairness: Fairness = Fairness(target={"gender": "uniform"})  # noqa: RUF009
    on_check: Callable[[Sequence[Draft]], None] = lambda drafts: None

    def check_prompt(self, text: str) -> Verdict:
        return self._verdict("", [self._finding("L1 prompt", "weapon", 9.0 if "knife" in text else 0.1)])

    def check(self, drafts: Sequence[Draft]) -> list[Verdict]:
        self.on_check(drafts)
        return [
            self._verdict(
                draft.pixel_digest,
                [
                    self._finding("L0 integrity", "finite", 0.0),
                    self._finding("L1 prompt", "weapon", 0.1),
                    self._finding(
                        "L2 image", "weapon", 7.5 if draft.resolved.seed in self.bad_seeds else 0.2
                    ),
                ],
            )
            for draft in drafts
        ]

    def _finding(self, rung: Any, name: str, score: float) -> Finding:
        return Finding(rung=rung, name=name, score=score, threshold=1.0, allowed=score <= 1.0)

    def _verdict(self, pixel_digest: str, findings: list[Finding]) -> Verdict:
        return Verdict(
            pixel_digest=pixel_digest,
            policy="test policy",
            policy_digest=self.policy_digest,
            checker=self.fingerprint,
            calibration=self.calibration_digest,
            domain="noise",
            findings=tuple(findings),
        )


@dataclass
class FakeAdapter:
    subject: Subject

    @property
    def ingredients(self) -> tuple[Ingredient, ...]:
        return tuple(
            Ingredient(title=f"{self.subject.name}: {r.name}", role="reference", sha256=r.sha256)
            for r in self.subject.references
        )

    @contextmanager
    def worn(self, host: FakeHost) -> Generator[None]:
        host.worn.append(self.subject.name)
        try:
            yield
        finally:
            host.worn.remove(self.subject.name)


@dataclass
class FakeMixed:
    """Every image of a batch under its own subject."""

    subjects: Sequence[Subject]

    @contextmanager
    def worn(self, host: FakeHost) -> Generator[None]:
        host.each = [subject.name for subject in self.subjects]
        try:
            yield
        finally:
            host.each = []


@dataclass
class FakeWardrobe:
    reference = None
    digest: str = digest("reference adapter")
    scored_by: str = "e" * 64
    score: float = 0.75
    locked: bool = False

    def adapters(self, subject: Subject) -> list[FakeAdapter]:
        return [FakeAdapter(subject)]

    def mixed(self, subjects: Sequence[Subject]) -> list[FakeMixed]:
        return [FakeMixed(subjects)]

    def identity(self, subject: Subject, drafts: Sequence[Draft]) -> list[Finding]:
        return [
            Finding(
                rung="L3 subject",
                name=f"identity of {subject.name}",
                score=self.score,
                threshold=0.5,
                allowed=self.score >= 0.5,
                binding=self.locked,
            )
            for _ in drafts
        ]


def fake_studio(key: PemKey, **parts: Any) -> Studio:
    """A studio on fakes that signs for real."""
    defaults = {"base": FakeBase(), "checker": FakeChecker(), "wardrobe": FakeWardrobe()}
    return Studio(key=key, **(defaults | parts))


def slow_studio(keys: Path, pids: Path) -> Studio:
    """A worker's studio, which takes its time and leaves its process id in a folder."""

    def on_draw(shots: Sequence[ResolvedShot]) -> None:
        (pids / str(os.getpid())).touch()
        time.sleep(0.5)

    return fake_studio(PemKey.load_folder(keys), base=FakeBase(on_draw=on_draw), batch_size=2)


def make_subject(folder: Path, name: str = "mira") -> Subject:
    """A subject of two small references."""
    import io

    from PIL import Image

    files: list[bytes] = []
    for index in range(2):
        buffer = io.BytesIO()
        Image.fromarray(pixels(name, index, 24, 24)).save(buffer, "PNG")
        files.append(buffer.getvalue())
    return Subject.from_images(name, files, kind="character", phrase="a woman with red hair")
