"""A row of a run's journal, and what is kept in it as JSON: shots and verdicts."""

from __future__ import annotations

import dataclasses
import json
import math
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from castmark.shot import Shot
from castmark.take import Finding, Verdict
from castmark_adapters.subject import Subject

Status = Literal["pending", "signed", "refused", "failed"]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One image of a run as the journal has it.

    ``asked`` is the key of the shot the job asks for; ``key`` that of the shot drawn, which differs from it
    only in the seed of a redraw.
    """

    name: str
    position: int | None
    """Place in the job; None where the job no longer has it."""
    asked: str
    replaces: str | None
    """Key of the job's own row, where an errors file put this one in its place; empty where that row is not
    valid and so has none."""
    status: Status
    prompt: str
    subject: str | None
    """Names of the subjects, parted by ';'."""
    seed: int
    shot: str
    """The shot asked for as JSON, its subjects by name."""
    redraws: int
    attempts: int
    """Failures in this run of the command."""
    redrawable: bool
    """True where another seed may help: the image was refused, and not for its prompt."""
    key: str | None
    salt: str | None
    file: str | None
    """The signed image; of a row that is to be drawn again, the one it had before."""
    sha256: str | None
    width: int | None
    height: int | None
    steps: int | None
    evaluations: int | None
    """Denoiser evaluations, those of adaptive steps that were not enough included."""
    identity: float | None
    verdict: Verdict | None
    reason: str | None
    timings: Mapping[str, float]
    """Seconds by stage."""
    updated: str

    @property
    def seconds(self) -> float:
        """Time this image took to draw, check, encode, sign and write."""
        return sum(self.timings.values())

    @property
    def subjects(self) -> tuple[str, ...]:
        """Names of its subjects."""
        return tuple(self.subject.split(";")) if self.subject else ()


def shot_to_json(shot: Shot) -> str:
    """JSON of a shot, its subjects by name."""
    body = shot.model_dump(mode="json", exclude={"subjects"}, exclude_defaults=True)
    return json.dumps(body | {"subjects": [subject.name for subject in shot.subjects]}, ensure_ascii=False)


def shot_from_json(text: str, subject: Callable[[str], Subject]) -> Shot:
    """The shot that `shot_to_json` wrote; ``subject`` finds a subject by name."""
    fields = json.loads(text)
    names = fields.pop("subjects")
    return Shot(fields.pop("prompt"), subjects=[subject(name) for name in names], **fields)


def verdict_to_json(verdict: Verdict) -> str:
    """JSON of a verdict; scores that are not finite become strings, so that any reader can read it."""
    return json.dumps(_spelt(dataclasses.asdict(verdict)), allow_nan=False)


def verdict_from_json(text: str) -> Verdict:
    """The verdict that `verdict_to_json` wrote."""
    fields = json.loads(text)
    findings = tuple(
        Finding(**(f | {"score": float(f["score"]), "threshold": float(f["threshold"])}))
        for f in fields.pop("findings")
    )
    return Verdict(**fields, findings=findings)


def _spelt(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _spelt(v) for k, v in value.items()}  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, list | tuple):
        return [_spelt(v) for v in value]  # pyright: ignore[reportUnknownVariableType]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def finite(value: float | None) -> float | None:
    """The score, None where it is no number."""
    return value if value is not None and math.isfinite(value) else None


def row_from(record: sqlite3.Row) -> Row:
    """The row that sqlite gave."""
    fields = dict(record)
    verdict = fields.pop("verdict")
    fields |= {"timings": json.loads(fields["timings"]), "redrawable": bool(fields["redrawable"])}
    return Row(**fields, verdict=None if verdict is None else verdict_from_json(verdict))
