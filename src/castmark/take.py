"""What a shot becomes: a Draft (never saved), then a Take = SignedImage | Refusal | Failure.

``Draft`` has no way to a file. Only `castmark.studio.studio.Studio` makes a `SignedImage`, and only from a
draft whose verdict allows it and was given for exactly these pixels.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from castmark.shot import ResolvedShot, Shot
from castmark_provenance.claim import REQUIRED_RUNGS, Claim, pixel_digest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

    from castmark.outputs.openraster import Layer

UNKNOWN_WORDS = "words that the base does not know"
"""Name of the finding on them. It binds nothing, and only its number is published."""
UNREAD_WORDS = "words beyond what the base reads"
"""Name of the finding on the end of a prompt that was cut off; as of `UNKNOWN_WORDS`."""
SUFFIX = {"image/png": ".png", "image/jpeg": ".jpg", "image/webp": ".webp", "image/avif": ".avif"}


@dataclass(frozen=True, kw_only=True)
class Draft:
    """An image drawn and not yet judged: UInt8 pixels "h w 3", how they came, and seconds by stage."""

    resolved: ResolvedShot
    pixels: NDArray[np.uint8]
    settings: Mapping[str, str | int | float]
    """Everything that decides the pixels besides the shot: batch size, dtype, device, versions."""
    timings: Mapping[str, float] = field(default_factory=dict[str, float])
    layer: Image | None = None
    """Where the picture is transparent: RGBA, of which ``pixels`` is how it looks on white."""
    layers: tuple[Layer, ...] = ()
    """What the picture was put together from, topmost first."""
    watermark: int | None = None
    """Id of the invisible watermark in ``pixels``."""

    @property
    def pixel_digest(self) -> str:
        """sha256 over size and RGB bytes; a verdict is only good for the pixels it names."""
        height, width, _ = self.pixels.shape
        return pixel_digest(width, height, self.pixels.tobytes())


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One rung of the check: what was measured, its score, the threshold, and whether it allows the image.

    ``allowed`` is true only where the score is finite and on the safe side of the threshold.
    """

    rung: Literal["L0 integrity", "L1 prompt", "L2 image", "L3 subject", "L4 bias", "L5 campaign", "L6 audit"]
    name: str
    score: float
    threshold: float
    allowed: bool
    binding: bool = True
    """False where the finding is only reported (an identity score without a lock)."""
    detail: str = ""
    """What was found, for the user and the ledger. Never published: it may quote the prompt."""
    action: Literal["block", "redraw", "review", "warn"] = "redraw"
    """What follows where it forbids: no image at all, another seed, or a person who looks."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The complete record of one check, bound to one image by its pixel digest."""

    pixel_digest: str
    """Digest of the pixels judged; empty where the prompt was refused before anything was drawn."""
    policy: str
    """Name of the policy."""
    policy_digest: str
    checker: str
    """Fingerprint of the encoder: weights, config, tokenizer and preprocessing."""
    calibration: str
    """Digest of the calibration the thresholds come from."""
    domain: str
    """What the checker was calibrated on, in words; it claims nothing outside."""
    findings: tuple[Finding, ...]

    @property
    def allowed(self) -> bool:
        """True only with at least one finding on integrity, prompt and image, all of them allowing."""
        rungs = {f.rung for f in self.findings}
        complete = rungs >= REQUIRED_RUNGS
        return self.drawn and complete and all(f.allowed for f in self.findings if f.binding)

    @property
    def prompt_allowed(self) -> bool:
        """True only with a finding on the prompt, all binding ones allowing: only such a prompt is drawn."""
        prompt = [f for f in self.findings if f.rung == "L1 prompt"]
        return bool(prompt) and all(f.allowed for f in prompt if f.binding)

    @property
    def drawn(self) -> bool:
        """False where the prompt was refused: no pixels were ever made, and another seed cannot help."""
        return bool(self.pixel_digest)

    @property
    def redrawable(self) -> bool:
        """True where another seed may help and every finding that forbids the image lets it be tried."""
        forbidding = [f for f in self.findings if f.binding and not f.allowed]
        return self.drawn and not self.allowed and all(f.action == "redraw" for f in forbidding)

    @property
    def to_review(self) -> bool:
        """True where a person must decide: something asks for review, and nothing blocks."""
        actions = {f.action for f in self.findings if f.binding and not f.allowed}
        return "review" in actions and "block" not in actions

    @property
    def reasons(self) -> tuple[str, ...]:
        """One line per finding that forbids the image, with score and threshold."""
        lines = [
            f"{f.rung}: {f.name}{f' ({f.detail})' if f.detail else ''} scored {f.score:.3f}, "
            f"threshold {f.threshold:.3f}"
            for f in self.findings
            if f.binding and not f.allowed
        ]
        missing = REQUIRED_RUNGS - {f.rung for f in self.findings}
        if not self.drawn:
            return tuple(lines or ["L1 prompt: not checked"])
        lines += [f"{rung}: not checked" for rung in sorted(missing)]
        return tuple(lines)

    @property
    def unknown_words(self) -> tuple[str, ...]:
        """Words of the prompt that the base never learned, and so drew without."""
        found = (f.detail for f in self.findings if f.name == UNKNOWN_WORDS)
        return tuple(word for detail in found for word in detail.split(", "))

    @property
    def unread(self) -> str:
        """The end of the prompt that the base did not read, because it reads no further; empty if it did."""
        return next((f.detail for f in self.findings if f.name == UNREAD_WORDS), "")

    @property
    def notes(self) -> tuple[str, ...]:
        """What is told of an image besides its outcome, a line each: of words it was drawn without."""
        unknown = (f"unknown words: {', '.join(self.unknown_words)}",) if self.unknown_words else ()
        return (*unknown, f"not read, too long: {self.unread}") if self.unread else unknown

    @property
    def identity(self) -> float | None:
        """The identity score, if a subject was compared; of several subjects the lowest."""
        likeness = (f for f in self.findings if f.rung == "L3 subject" and f.name.startswith("identity"))
        return min((f.score for f in likeness), default=None)


@dataclass(frozen=True, kw_only=True)
class SignedImage:
    """A checked and signed image: final bytes, never re-encoded."""

    shot: Shot
    key: str
    data: bytes
    media_type: str
    claim: Claim
    verdict: Verdict
    salt: str
    """Salt of the prompt's hash in the manifest: with the prompt it proves what was asked; keep it."""
    timings: Mapping[str, float] = field(default_factory=dict[str, float])
    """Seconds by stage (draw, check, encode, sign), this image's share where a batch was drawn at once."""
    companions: Mapping[str, bytes] = field(default_factory=dict[str, bytes])
    """Further files of the same image by name: an OpenRaster file, which holds the signed image."""
    ok: Literal[True] = True

    @property
    def file_name(self) -> str:
        """The title of its claim: the shot's own name, or one made of its salted key, since by the bare one
        anybody could test a guess at the prompt.
        """
        return self.claim.title + SUFFIX[self.media_type]

    def save(self, folder: str | Path) -> Path:
        """Write the signed bytes as they are under ``folder`` and return the path.

        Temporary file, fsync, rename: a reader sees the whole image or none.

        Raises:
            OSError: the folder cannot be made or written (full disk, no permission); nothing is left.
        """
        target = Path(folder) / self.file_name
        try:
            for name, data in self.companions.items():
                write_atomically(Path(folder) / name, data)
            write_atomically(target, self.data)
        except BaseException:
            for name in self.companions:
                (Path(folder) / name).unlink(missing_ok=True)
            raise
        return target

    def explain(self) -> str:
        """One line for a person."""
        return f"{self.shot.name or self.key[:12]}: signed, {len(self.data)} bytes"


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """The check forbade the image. There are no pixels here, and none on the disk."""

    shot: Shot
    key: str
    verdict: Verdict
    timings: Mapping[str, float] = field(default_factory=dict[str, float])
    ok: Literal[False] = False

    def explain(self) -> str:
        """One line for a person: which rung, score and threshold."""
        return f"{self.shot.name or self.key[:12]}: refused ({'; '.join(self.verdict.reasons)})"


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Something broke before a signed image existed; the error says what and what to do."""

    shot: Shot
    key: str
    error: Exception
    timings: Mapping[str, float] = field(default_factory=dict[str, float])
    ok: Literal[False] = False

    def explain(self) -> str:
        """One line for a person."""
        return f"{self.shot.name or self.key[:12]}: failed ({self.error})"


Take: TypeAlias = SignedImage | Refusal | Failure


def _umask() -> int:
    """What new files are closed to, as the user has it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


UMASK = _umask()
"""Read once, before there are threads: reading it changes it for a moment."""


def write_atomically(target: Path, data: bytes) -> None:
    """Write ``data`` so that ``target`` is either the old file or the whole new one.

    Raises:
        OSError: nothing of the new bytes is left behind.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o666 & ~UMASK)
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    if os.name == "nt":  # a folder cannot be opened there, and need not be
        return
    directory = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
