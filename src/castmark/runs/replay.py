"""Replay: draw a signed image again from its manifest and ledger, and say whether the pixels are the same.

    >>> replay("runs/week-12/images/hero.png", Studio.open(), subject=library.get)  # doctest: +SKIP

The promise is: same key and same environment, same pixels. Where they differ, the answer names every recorded
digest, setting or version that is not the same now; where nothing recorded differs, it says that too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from castmark import __version__
from castmark.errors import InputError
from castmark.runs.ledger import FILE, Ledger
from castmark.runs.ledger_row import Row, shot_from_json
from castmark.shot import Shot
from castmark.take import Failure, Refusal, SignedImage
from castmark_provenance.claim import Claim, salted
from castmark_provenance.durable.layer import Redrawing
from castmark_provenance.verify import verify

if TYPE_CHECKING:
    from castmark.studio.studio import Studio
    from castmark_adapters.subject import Subject

INTACT = ("trusted", "untrusted", "unmet")
"""States of the verifier in which a file is as it was signed."""
BATCH = ("batch", "batch_index")
"""How many were drawn at once and which of them: told where the pixels differ, and only there."""


@dataclass(frozen=True, kw_only=True)
class Replay:
    """What came of drawing an image again. ``differences`` are recorded facts that are not the same now."""

    path: Path
    same: bool
    recorded: str
    """Digest of the pixels that were checked and signed."""
    drawn: str
    differences: tuple[str, ...]
    note: str = ""

    def explain(self) -> str:
        """The answer for a person, a line each."""
        if self.same:
            first = f"{self.path}: drawn again, the very same pixels"
        elif self.differences:
            first = f"{self.path}: drawn again, other pixels; what was recorded and is not the same now:"
        else:
            first = f"{self.path}: drawn again, other pixels, and nothing that was recorded differs"
        return "\n".join(
            [first, *(f"  {each}" for each in self.differences), *([f"  {self.note}"] * bool(self.note))]
        )


def replay(
    path: str | Path, studio: Studio, *, subject: Callable[[str], Subject], run: str | Path | None = None
) -> Replay:
    """Draw the image at ``path`` again with ``studio``.

    ``run`` is the run folder whose ledger has the image's prompt and salt (default: the folder above the
    file's own, where a batch puts it). Without a ledger it goes for an image whose prompt was disclosed and
    that shows no subject. ``subject`` finds a subject by name.

    Raises:
        InputError: not an intact image of Castmark's, or nothing says what was asked for.
        CastmarkError, AdapterError: it cannot be drawn now.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    report = verify(data)
    if report.state.value not in INTACT or report.claim is None:
        raise InputError(f"{path}: {report.verdict}; only an intact image signed by Castmark can be replayed")
    claim = report.claim
    row = _row(path, hashlib.sha256(data).hexdigest(), claim, run)
    shot = _shot(path, claim, row, subject)
    mark = Redrawing.of(claim.settings.get("watermark"))
    drawn, again = _draw(studio, shot, 1, mark)
    batch = claim.settings.get("batch", 1)
    note = ""
    if drawn != claim.safety.pixel_sha256 and isinstance(batch, int) and 1 < batch <= studio.batch_size:
        drawn, again = _draw(studio, shot, batch, mark)  # how many are drawn at once can decide the last bit
    if again is None:
        note = "the check refuses it now; its pixels were compared all the same"
    same = drawn == claim.safety.pixel_sha256
    differences = tuple(_differences(claim, again, studio, BATCH if same else ()))
    return Replay(
        path=path,
        same=same,
        recorded=claim.safety.pixel_sha256,
        drawn=drawn,
        differences=differences,
        note=note,
    )


def _row(path: Path, sha256: str, claim: Claim, run: str | Path | None) -> Row | None:
    """The ledger's row of exactly this file; None where there is no ledger to look in."""
    folder = Path(run) if run is not None else path.absolute().parent.parent
    if run is None and not (folder / FILE).is_file():
        return None
    with Ledger.read(folder) as ledger:
        row = next(ledger.each("status = 'signed' AND sha256 = :sha256", {"sha256": sha256}), None)
    if row is None:
        raise InputError(f"{path}: the ledger of {folder} has no such image; give its run with --run")
    salt, key = row.salt or "", row.key or ""
    if (salted(salt, row.prompt), salted(salt, key)) != (claim.prompt.salted_sha256, claim.shot_key):
        raise InputError(
            f"{path}: the ledger of {folder} tells of another prompt than the manifest; do not trust it"
        )
    return row


def _shot(path: Path, claim: Claim, row: Row | None, subject: Callable[[str], Subject]) -> Shot:
    """The shot as it was drawn: the ledger's, with the seed and steps that the manifest states."""
    if row is not None:
        asked = shot_from_json(row.shot, subject)
        return asked.model_copy(update={"seed": claim.seed, "steps": claim.steps})
    if claim.prompt.text is None:
        raise InputError(
            f"{path}: its prompt is not in the manifest, and no ledger is beside it; give its run with --run"
        )
    if claim.ingredients:
        raise InputError(
            f"{path}: it was made from other images, which its ledger names; give its run with --run"
        )
    return Shot(claim.prompt.text, seed=claim.seed, steps=claim.steps, width=claim.width, height=claim.height)


def _draw(studio: Studio, shot: Shot, batch: int, mark: Redrawing) -> tuple[str, Claim | None]:
    """Digest of the pixels drawn, and the claim about them (None where the check refuses them now).

    They carry the watermark that was recorded, whatever this studio would draw, and are not registered.
    """
    take = next(iter(list(studio.shoot_all([shot] * batch, durable=mark))))
    if isinstance(take, Failure):
        raise take.error
    if isinstance(take, Refusal):
        if not take.verdict.drawn:
            raise InputError(
                f"the prompt is refused now, so nothing was drawn: {'; '.join(take.verdict.reasons)}"
            )
        return take.verdict.pixel_digest, None
    assert isinstance(take, SignedImage)
    return take.claim.safety.pixel_sha256, take.claim


def _differences(old: Claim, new: Claim | None, studio: Studio, apart: Sequence[str] = ()) -> Iterator[str]:
    """Every recorded digest, setting and version that is not the same now, some settings ``apart``."""

    def compare(name: str, before: object, after: object) -> Iterator[str]:
        if before != after:
            yield f"{name}: {_short(before)} then, {_short(after)} now"

    yield from compare("base", old.base.sha256, studio.base.digest)
    yield from compare(f"version of {old.generator}", old.generator_version, __version__)
    yield from compare("policy", old.safety.policy_sha256, studio.checker.policy_digest)
    yield from compare("checker", old.safety.checker_sha256, studio.checker.fingerprint)
    if new is None:
        settings = {k: v for k, v in studio.environment.items() if k in old.settings}
    else:
        settings = dict(new.settings)
        for name in ("seed", "steps", "width", "height"):
            yield from compare(name, getattr(old, name), getattr(new, name))
        yield from compare("calibration", old.safety.calibration_sha256, new.safety.calibration_sha256)
        before = {(i.role, i.title): i.sha256 for i in old.ingredients}
        after = {(i.role, i.title): i.sha256 for i in new.ingredients}
        for role, title in sorted({*before, *after}):
            yield from compare(f"{role} {title}", before.get((role, title)), after.get((role, title)))
    for name in sorted(({*old.settings, *settings} if new is not None else {*settings}) - {*apart}):
        yield from compare(name, old.settings.get(name), settings.get(name))


def _short(value: object) -> str:
    if value is None:
        return "none"
    text = str(value)
    return text[:16] if len(text) == 64 else text
