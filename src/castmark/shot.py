"""Shot: one image wanted, and its canonical key.

>>> Shot("a red mug on a table", seed=7).seed
7
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from castmark.errors import InputError
from castmark.studio.start import StartImage
from castmark_adapters.subject import Subject, say

Box = tuple[float, float, float, float]
_THIRDS = {"left": (0.0, 1 / 3), "center": (1 / 3, 2 / 3), "right": (2 / 3, 1.0)}
MAX_SEED = 2**63 - 1
MAX_STEPS = 100
MAX_SIDE = 8192
"""Pixels of a picture's side."""
MAX_TEXT = 2000
"""Characters of a prompt."""
REDRAW_STRIDE = 1_000_003
"""A shot that was refused is drawn again with its seed moved by this much, once per redraw."""


class Shot(BaseModel):
    """One image wanted. What is None is resolved by the studio from its base.

    Sizes are in pixels, ``steps`` counts denoising steps, ``seed`` is in [0, 2^63). A size that the base does
    not draw is reached by upscaling and cropping (`castmark.outputs`). ``aspect`` is width to height, two
    numbers from 1 to 99, for a size that is otherwise left open. ``background`` is "transparent" or a colour
    "#rrggbb" put behind the subject, which is cut out.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    prompt: str = Field(min_length=1, max_length=MAX_TEXT)
    subjects: tuple[Subject, ...] = Field(default=(), max_length=3)
    places: tuple[Literal["left", "center", "right"] | Box, ...] = ()
    """Where each subject is, in a picture of several: words, or left, top, right and bottom in shares of its
    sides. Without it they stand from left to right."""
    seed: int = Field(default=0, ge=0, le=MAX_SEED)
    width: int | None = Field(default=None, gt=0, le=MAX_SIDE)
    height: int | None = Field(default=None, gt=0, le=MAX_SIDE)
    aspect: tuple[int, int] | None = None
    steps: int | None = Field(default=None, gt=0, le=MAX_STEPS)
    background: str | None = Field(default=None, pattern=r"^(transparent|#[0-9a-fA-F]{6})$")
    format: Literal["png", "jpeg", "webp", "avif"] = "png"
    layers: bool = False
    start: StartImage | None = None
    quota: tuple[str, ...] = ()
    """What a declared quota put into the prompt ("gender: feminine"); see `castmark.safety.bias.quotas`."""
    name: str | None = Field(default=None, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,119}$")

    def __init__(self, prompt: str, subjects: Sequence[Subject] = (), **fields: Any) -> None:
        super().__init__(prompt=prompt, subjects=tuple(subjects), **fields)  # pyright: ignore[reportCallIssue]

    @field_validator("seed", "steps", mode="before")
    @classmethod
    def _counted(cls, value: object) -> object:
        if isinstance(value, bool):
            raise ValueError(f"{value} is no number")
        return value

    @model_validator(mode="after")
    def _agrees(self) -> Shot:
        if not self.prompt.strip():
            raise ValueError("the prompt is blank: say what to draw")
        if self.background == "transparent" and self.format not in ("png", "webp"):
            raise ValueError(f"a {self.format} cannot be transparent; use format png or webp")
        if self.layers and self.format != "png":
            raise ValueError("layers go with format png, which their archive holds")
        if self.places and len(self.places) != len(self.subjects):
            raise ValueError(
                f"{len(self.places)} places for {len(self.subjects)} subjects: give one for each"
            )
        if len({subject.name for subject in self.subjects}) < len(self.subjects):
            raise ValueError("two subjects of one name: a prompt could not tell them apart")
        for place in self.places:
            if not isinstance(place, str) and not (
                0 <= place[0] < place[2] <= 1 and 0 <= place[1] < place[3] <= 1
            ):
                raise ValueError(f"place {place}: give left, top, right, bottom between 0 and 1")
        if self.aspect is not None and not all(1 <= side <= 99 for side in self.aspect):
            raise ValueError(f"aspect {self.aspect}: give two numbers from 1 to 99")
        return self

    @property
    def text(self) -> str:
        """What the base reads: the prompt with every subject's name said as its class phrase."""
        return say(self.prompt, self.subjects)

    @property
    def boxes(self) -> tuple[Box, ...]:
        """Where each of several subjects is: left, top, right, bottom in shares of the sides."""
        count = len(self.subjects)
        halves = count == 2 and "center" not in self.places
        columns = {"left": (0.0, 0.5), "right": (0.5, 1.0)} if halves else _THIRDS
        named = self.places or (("left", "right") if count == 2 else ("left", "center", "right"))[:count]
        return tuple(
            (columns[place][0], 0.0, columns[place][1], 1.0) if isinstance(place, str) else place
            for place in named
        )

    @property
    def region_texts(self) -> tuple[str, ...]:
        """What is read for each of several subjects: its class phrase and the prompt without their names."""
        scene = self.prompt
        for subject in self.subjects:
            name = rf"(?:(?:,|&|\b(?:and|with|beside|next to))\s*)?(?<!\w){re.escape(subject.name)}(?!\w)"
            scene = re.sub(name, "", scene, flags=re.IGNORECASE)
        scene = " ".join(scene.split()).strip(" ,")
        return tuple(f"{subject.phrase} {scene}".strip() for subject in self.subjects)

    def reseeded(self, redraw: int) -> Shot:
        """The shot itself, or the same with the seed of its n-th redraw."""
        if redraw == 0:
            return self
        return self.model_copy(update={"seed": (self.seed + redraw * REDRAW_STRIDE) % (MAX_SEED + 1)})

    def key(self, context: Mapping[str, str]) -> str:
        """sha256 over the shot and the digests it will be drawn with (base, adapters, policy, code).

        Drives resume, the ledger and replay: same key and environment, same pixels.
        """
        body = self.model_dump(mode="json", exclude={"name": True, "subjects": True, "start": {"path"}})
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


def bound_steps(steps: int | None) -> None:
    """Refuse a number of denoising steps that no shot may ask for; None leaves it to the base.

    Raises:
        InputError: it is not a whole number from 1 to `MAX_STEPS`.
    """
    if steps is not None and (type(steps) is not int or not 1 <= steps <= MAX_STEPS):
        raise InputError(f"{steps} denoising steps: give a whole number from 1 to {MAX_STEPS}")


def bound_redraws(redraws: int, allowed: int) -> None:
    """Refuse more redraws of a refused image than a policy leaves.

    Raises:
        InputError: more.
    """
    if redraws > allowed:
        raise InputError(
            f"{redraws} redraws of a refused image: the policy allows {allowed} (every adaptive step "
            "counts as one), because trying until the check errs wears out its bound; ask for fewer"
        )
