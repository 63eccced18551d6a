"""JobRow: one row of a job file, whatever its format, and the images it asks for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from castmark.jobs.template import COLUMN, fill, placeholders
from castmark.shot import MAX_SEED, MAX_SIDE, MAX_TEXT

MAX_COUNT = 10_000
MAX_SUBJECTS = 3
"""Subjects of one picture, as many as a `Shot` takes."""
NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")
RESERVED = re.compile(r"^(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)
"""Names that Windows takes for devices: a run folder should be movable."""
_RANGE = re.compile(r"^(\d{1,19})(?:-(\d{1,19}))?$")


def _split(value: object) -> object:
    """Subjects in one CSV cell: ``mira;mug``."""
    return tuple(part.strip() for part in value.split(";")) if isinstance(value, str) else value


def _seeds(value: object) -> object:
    """Seeds in one CSV cell: ``1-8;12``."""
    if not isinstance(value, str):
        return value
    found: list[int] = []
    for part in re.split(r"[;,\s]+", value.strip()):
        match = _RANGE.match(part)
        if match is None:
            raise ValueError(f"{part!r} is neither a seed nor a range of seeds such as 1-8")
        first, last = int(match[1]), int(match[2] or match[1])
        if not first <= last < first + MAX_COUNT:
            raise ValueError(f"{part!r} is not a range of at most {MAX_COUNT} seeds, lowest first")
        found.extend(range(first, last + 1))
    return tuple(found)


Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]
SubjectName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]


class JobRow(BaseModel):
    """One row of a job file. What is left out the studio resolves from its base.

    Every other column of a row is kept in ``columns`` for its template and its name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    name: str = Field(
        default="row-{row}",
        min_length=1,
        max_length=200,
        description="Name of the image in the run folder, or a pattern: {row}, {index}, {seed}, {subject} "
        "and the row's own columns. A row's several images are numbered unless the pattern tells them apart.",
    )
    prompt: str | None = Field(
        default=None, min_length=1, max_length=MAX_TEXT, description="What to draw. Either this or template."
    )
    template: str | None = Field(
        default=None,
        min_length=1,
        max_length=MAX_TEXT,
        description="What to draw, with {subject} and columns of your own: '{product} on {surface}'. "
        "{{ and }} are plain braces.",
    )
    subject: Annotated[tuple[SubjectName, ...], BeforeValidator(_split)] = Field(
        default=(),
        max_length=MAX_SUBJECTS,
        description="Subjects by name, at most three; several in one cell are parted by ';'.",
    )
    seed: int = Field(default=0, ge=0, le=MAX_SEED - MAX_COUNT, description="Seed of the row's first image.")
    count: int = Field(default=1, ge=1, le=MAX_COUNT, description="Images, with seeds seed, seed + 1, ...")
    seeds: Annotated[tuple[Seed, ...], BeforeValidator(_seeds)] | None = Field(
        default=None,
        min_length=1,
        max_length=MAX_COUNT,
        description="Seeds, an image each, as a list or as '1-8;12'. Instead of seed and count.",
    )
    width: int | None = Field(default=None, gt=0, le=MAX_SIDE, description="Pixels.")
    height: int | None = Field(default=None, gt=0, le=MAX_SIDE, description="Pixels.")
    size: str | None = Field(
        default=None,
        pattern=r"^[1-9]\d{0,4}x[1-9]\d{0,4}$",
        description="'1024x768', instead of width and height.",
    )
    aspect: str | None = Field(
        default=None,
        pattern=r"^[1-9]\d?:[1-9]\d?$",
        description="'16:9'; with a width or height the other follows, else the base's longer side is kept.",
    )
    steps: int | None = Field(default=None, gt=0, le=100, description="Denoising steps.")
    background: str | None = Field(
        default=None,
        pattern=r"^(transparent|#[0-9a-fA-F]{6})$",
        description="'transparent' (PNG, WebP) or a colour '#rrggbb' behind the subject, which is cut out.",
    )
    format: Literal["png", "jpeg", "webp", "avif"] = Field(default="png", description="Kind of image file.")
    layers: bool = Field(
        default=False, description="Also an OpenRaster file with the subject on its own layer."
    )
    start: str | None = Field(
        default=None, description="A signed image to start from, as a path beside the job file."
    )
    strength: float = Field(
        default=0.5, gt=0, le=1, description="How far a drawing may leave its start image: 1 is all the way."
    )
    columns: dict[str, str] = Field(default_factory=dict, exclude=True)

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, fields: Any) -> Any:
        """Columns that are not ours go to ``columns``; those that begin with '_' are notes, left out."""
        if not isinstance(fields, Mapping):
            return fields
        given = cast("Mapping[str, Any]", fields)
        extra = [name for name in given if name not in cls.model_fields]
        if not extra and not isinstance(given.get("columns"), str):
            return given
        kept = {name: value for name, value in given.items() if name in cls.model_fields}
        own: dict[str, str] = {}
        for name in extra:
            if name.startswith("_"):
                continue
            value = given[name]
            if not COLUMN.match(name):
                raise ValueError(f"column {name!r}: name it with small letters, digits and '_'")
            if not isinstance(value, str | int | float) or isinstance(value, bool):
                raise ValueError(f"column {name!r}: a template is filled with text or numbers")
            own[name] = str(value)
        return kept | {"columns": own}

    @model_validator(mode="after")
    def _agrees(self) -> JobRow:
        given = self.model_fields_set
        if (self.prompt is None) == (self.template is None):
            raise ValueError("give either 'prompt' or 'template'")
        if len(set(self.subject)) != len(self.subject):
            raise ValueError("'subject' names one subject twice; a prompt could not tell them apart")
        if self.seeds is not None and given & {"seed", "count"}:
            raise ValueError("give either 'seeds' or 'seed' and 'count'")
        if self.seeds is not None and len(set(self.seeds)) != len(self.seeds):
            raise ValueError("'seeds' names one seed twice; each gives the same image again")
        if self.size is not None and (self.width, self.height) != (None, None):
            raise ValueError("give either 'size' or 'width' and 'height'")
        if self.aspect is not None and (self.size or (self.width and self.height)):
            raise ValueError("'aspect' leaves nothing open beside both sides; drop one")
        if (size := max(side or 0 for side in self.output_size()[:2])) > MAX_SIDE:
            raise ValueError(f"a side of {size} pixels; the longest there is has {MAX_SIDE}")
        if self.background == "transparent" and self.format not in ("png", "webp"):
            raise ValueError(f"a {self.format} cannot be transparent; use format png or webp")
        if self.layers and self.format != "png":
            raise ValueError("'layers' go with format png, which their archive holds")
        if "strength" in given and self.start is None:
            raise ValueError("'strength' needs a 'start' image")
        in_name, in_template = placeholders(self.name), placeholders(self.template or "")
        if wrong := sorted(in_template & {*COLUMNS} - {"subject"}):
            raise ValueError(
                f"'template' cannot hold {{{wrong[0]}}}: it is one text for all images of the row; "
                "it takes {subject} and columns of your own"
            )
        if wrong := sorted(in_name & {*COLUMNS} - {"subject", "seed"}):
            raise ValueError(
                f"'name' cannot hold {{{wrong[0]}}}; it takes {{row}}, {{index}}, {{seed}}, {{subject}} "
                "and columns of your own"
            )
        used = in_name | in_template
        if unused := [name for name in self.columns if name not in used]:
            raise ValueError(
                f"unknown column {unused[0]!r} that no template names; columns are {', '.join(COLUMNS)} "
                "(one that begins with '_' is a note)"
            )
        return self

    @property
    def text(self) -> str:
        """The prompt, or the template filled.

        Raises:
            ValueError: a placeholder without a value, or more text than a prompt may have.
        """
        if self.prompt is not None:
            return self.prompt
        assert self.template is not None
        text = fill(self.template, {"subject": " and ".join(self.subject), **self.columns})
        if len(text) > MAX_TEXT:
            raise ValueError(f"the template becomes {len(text)} characters; {MAX_TEXT} at most")
        return text

    def images(self, row: int) -> Iterator[tuple[str, int]]:
        """Name and seed of every image; ``row`` is the row's place in the job, from 1.

        Raises:
            ValueError: a name that cannot name a file in the run folder.
        """
        seeds = self.seeds or range(self.seed, self.seed + self.count)
        digits = max(2, len(str(len(seeds))))
        used = placeholders(self.name)
        distinct = bool(used & {"index", "seed"})
        for index, seed in enumerate(seeds, start=1):
            name = self.name
            if used:
                values = {name: _slug(value) for name, value in self.columns.items()}
                values |= {"subject": "-".join(self.subject), "seed": str(seed), "row": f"{row:04d}"}
                values |= {"index": f"{index:0{digits}d}"}
                for column, value in self.columns.items():
                    if column in used and value.strip() and not values[column]:
                        raise ValueError(
                            f"{{{column}}}: {value[:60]!r} has nothing that can stand in a file name "
                            "(letters a to z, digits, '.', '_' and '-'); use {row} or {index} instead"
                        )
                name = fill(name, values)
            if len(seeds) > 1 and not distinct:
                name = f"{name}-{index:0{digits}d}"
            if not NAME.match(name) or RESERVED.match(name) or name.endswith("."):
                raise ValueError(
                    f"{name[:60]!r} cannot name a file in the run folder; use at most 100 letters, digits, "
                    "'.', '_' and '-'"
                )
            yield name, seed

    def output_size(self) -> tuple[int | None, int | None, tuple[int, int] | None]:
        """Width and height in pixels, where asked for, and the aspect where one of them is open."""
        if self.size is not None:
            width, height = (int(side) for side in self.size.split("x"))
            return width, height, None
        if self.aspect is None:
            return self.width, self.height, None
        across, down = (int(side) for side in self.aspect.split(":"))
        if self.width is not None:
            return self.width, max(1, round(self.width * down / across)), None
        if self.height is not None:
            return max(1, round(self.height * across / down)), self.height, None
        return None, None, (across, down)


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be drawn as it stands: where it is, what is in it, what is wrong."""

    where: str
    fields: dict[str, Any]
    problem: str


def first_problem(error: ValidationError) -> tuple[str, str]:
    """The column of the first problem that was found ("row" where it is of several), and what it is."""
    problem = error.errors(include_url=False)[0]
    return str(problem["loc"][0]) if problem["loc"] else "row", problem["msg"]


COLUMNS = tuple(name for name in JobRow.model_fields if name != "columns")
"""Every column with a meaning of its own."""


def _slug(value: str) -> str:
    """A column's value as part of a file name."""
    return re.sub(r"[^A-Za-z0-9._]+", "-", value).strip("-._")
