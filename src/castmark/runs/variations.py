"""Going on from takes that are there: variations of one, and chosen drafts carried into a better setting.

Both make a job whose rows start from signed images of a run; what draws them is what draws any job.

    castmark batch ideas.csv --out drafts --steps 1        many quick drafts
    castmark sheet drafts                                  choose
    castmark bridge drafts mug-03 mug-17 --out final --steps 4 --strength 0.6      or with another --base
    castmark vary final mug-17 --out more --n 4 --strength 0.3
    castmark vary final mug-17 --out ab --n 3 --replace "oak=marble"
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from castmark.errors import InputError
from castmark.jobs import Job, JobRow
from castmark.jobs.row import first_problem
from castmark.runs.ledger import Ledger
from castmark.runs.ledger_row import Row

if TYPE_CHECKING:
    from castmark_adapters.subject import Subject

STRENGTH = 0.5
LONGEST = 100
"""Characters of a name that an image of a job may have."""
LETTERS = "bcdefghijklmnopqrstuvwxyz"
"""Of an A/B set's images besides A, one for each text replaced."""


def variations(
    run: str | Path,
    name: str,
    *,
    n: int = 4,
    strength: float | None = STRENGTH,
    replace: Mapping[str, str] | None = None,
    steps: int | None = None,
) -> Job:
    """A job of variations of the image called ``name`` in a run folder.

    Without ``replace``: ``n`` images that start from it, each with a seed of its own. With it: A/B sets,
    ``n`` seeds (the image's own first) each drawn as it was (A) and with each text replaced in its prompt
    (B, C, ...); they start from the image only where ``strength`` is given, else from what it started from.

    Raises:
        InputError: no such signed image, a text to replace that its prompt does not hold, or more texts to
            replace than there are letters.
        LedgerError: no run there.
    """
    (row,) = _signed(run, [name])
    start = str(_file(run, row))
    if not replace:
        strength = STRENGTH if strength is None else strength
        seeds = [row.seed + 1 + i for i in range(n)]
        return _job(
            f"variations of {name}",
            [
                _row(
                    row,
                    name=_named(name, f"-v{i:02d}"),
                    seed=seed,
                    steps=steps,
                    start=start,
                    strength=strength,
                )
                for i, seed in enumerate(seeds, start=1)
            ],
        )
    if len(replace) > len(LETTERS):
        raise InputError(
            f"{name}: {len(replace)} texts to replace; an A/B set takes {len(LETTERS)}, so make several"
        )
    prompts = {"a": row.prompt}
    for letter, (old, new) in zip(LETTERS, replace.items(), strict=False):
        changed = re.sub(rf"(?<!\w){re.escape(old)}(?!\w)", lambda _, new=new: new, row.prompt)
        if changed == row.prompt:
            raise InputError(f"{name}: its prompt holds no {old!r} to replace; it is {row.prompt!r}")
        prompts[letter] = changed
    begin = {} if strength is None else {"start": start, "strength": strength}
    return _job(
        f"A/B set of {name}",
        [
            _row(
                row,
                name=_named(name, f"-{i:02d}{letter}"),
                seed=row.seed + i - 1,
                prompt=prompt,
                steps=steps,
                **begin,
            )
            for i in range(1, n + 1)
            for letter, prompt in prompts.items()
        ],
    )


def bridge(
    run: str | Path,
    names: Sequence[str],
    *,
    steps: int | None = None,
    strength: float = STRENGTH,
    another_base: bool = False,
) -> Job:
    """A job that draws chosen images of a run again, each from itself, with its own seed and prompt.

    On ``another_base`` the drafts' own steps mean nothing: without ``steps`` it takes its own.

    Raises:
        InputError: no such signed image.
        LedgerError: no run there.
    """
    begun = [
        _row(row, steps=steps, start=str(_file(run, row)), strength=strength) for row in _signed(run, names)
    ]
    if another_base and steps is None:
        begun = [row.model_copy(update={"steps": None}) for row in begun]
    return _job(f"bridge from {Path(run).name}", begun)


def recast(subjects: Iterable[Subject], library: Path, base: str) -> list[Subject]:
    """Subjects for another base: where a run's own has a LoRA of another, the library's with one of this.

    Where there is none, the run's own goes on, and drawing says that it has to be learned.
    """
    from castmark_adapters import pack

    found: list[Subject] = []
    for subject in subjects:
        if subject.lora is not None and subject.lora.base != base and subject.name in pack.listed(library):
            learned = pack.get(library, subject.name)
            subject = learned if learned.lora is not None and learned.lora.base == base else subject
        found.append(subject)
    return found


def _signed(run: str | Path, names: Sequence[str]) -> list[Row]:
    if not names:
        raise InputError("no image was chosen; name at least one")
    with Ledger.read(run) as ledger:
        found = {row.name: row for row in ledger.each("status = 'signed'") if row.name in set(names)}
    for name in names:
        if name not in found:
            raise InputError(f"{run}: no signed image called {name!r}; see: castmark sheet {run}")
    return [found[name] for name in dict.fromkeys(names)]


def _named(name: str, which: str) -> str:
    """A variation's name: that of its image, shortened where a job would not take it."""
    return name[: LONGEST - len(which)] + which


def _file(run: str | Path, row: Row) -> Path:
    return Path(run).resolve() / "images" / (row.file or row.name)


def _row(row: Row, **changes: object) -> JobRow:
    """The row's own shot as a job row, with changes.

    Raises:
        InputError: with these it is none.
    """
    shot = json.loads(row.shot)
    kept = {k: shot[k] for k in ("width", "height", "background", "format", "layers") if shot.get(k)}
    if aspect := shot.get("aspect"):
        kept["aspect"] = f"{aspect[0]}:{aspect[1]}"
    kept |= {"name": row.name, "prompt": row.prompt, "subject": row.subjects, "seed": row.seed}
    if shot.get("steps"):
        kept["steps"] = shot["steps"]
    if start := shot.get("start"):
        kept |= {"start": start["path"], "strength": start["strength"]}
    try:
        return JobRow.model_validate(kept | {k: v for k, v in changes.items() if v is not None})
    except ValidationError as error:
        column, problem = first_problem(error)
        raise InputError(f"{row.name}: no variation: {column}: {problem}") from error


def _job(source: str, rows: Sequence[JobRow]) -> Job:
    return Job(source=source, rows=tuple(rows))
