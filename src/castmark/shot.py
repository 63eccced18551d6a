"""Shot: one image wanted, and its canonical key.

>>> Shot("a red mug on a table", seed=7).seed
7
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from castmark_adapters.subject import Subject

MAX_SEED = 2**63 - 1


class Shot(BaseModel):
    """One image wanted. What is None is resolved by the studio from its base.

    Sizes are in pixels, ``steps`` counts denoising steps, ``seed`` is in [0, 2^63).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    prompt: str = Field(min_length=1, max_length=2000)
    subjects: tuple[Subject, ...] = Field(default=(), max_length=1)
    seed: int = Field(default=0, ge=0, le=MAX_SEED)
    width: int | None = Field(default=None, gt=0)
    height: int | None = Field(default=None, gt=0)
    steps: int | None = Field(default=None, gt=0, le=100)
    name: str | None = Field(default=None, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,119}$")

    def __init__(self, prompt: str, subjects: Sequence[Subject] = (), **fields: Any) -> None:
        super().__init__(prompt=prompt, subjects=tuple(subjects), **fields)  # pyright: ignore[reportCallIssue]

    @property
    def text(self) -> str:
        """What the base reads: the prompt with every subject's name said as its class phrase."""
        text = self.prompt
        for subject in self.subjects:
            text = subject.say(text)
        return text

    def key(self, context: Mapping[str, str]) -> str:
        """sha256 over the shot and the digests it will be drawn with (base, adapters, policy, code).

        Drives resume, file names, the ledger and replay: same key and environment, same pixels.
        """
        body = self.model_dump(mode="json", exclude={"name", "subjects"})
        body["subjects"] = [subject.digest for subject in self.subjects]
        canonical = json.dumps(
            {"shot": body, "context": dict(context)}, sort_keys=True, separators=(",", ":")
        )
        return hashlib.sha256(canonical.encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class ResolvedShot:
    """A shot with nothing left open: what a base draws."""

    shot: Shot
    text: str
    seed: int
    width: int
    height: int
    steps: int
