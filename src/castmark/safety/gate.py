"""The gate: every prompt and every picture, judged under one policy. It fails closed.

A picture passes only with a complete verdict: pixels that are a picture (L0), a prompt (L1) and an image (L2)
whose every score is finite and at or below its threshold. Whatever breaks on the way (no judge, no
calibration, a NaN, an exception) is a `CheckError`, never a verdict that passes.

    gate = Gate.open("general-audience")
    gate.check_prompt("a woman holding a book").prompt_allowed
    verdicts = gate.check(drafts)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from castmark.errors import CheckError
from castmark.safety.calibration import Calibration, Threshold, find_calibration
from castmark.safety.concepts import Concepts
from castmark.safety.encoder import Encoder
from castmark.safety.integrity import integrity_findings
from castmark.safety.policy import DEFAULT_POLICY, Category, Policy
from castmark.safety.prompt import WordList, chunks
from castmark.take import Draft, Finding, Verdict

T = TypeVar("T")


class Checker(Protocol):
    """Judges prompts and drafts under one policy."""

    @property
    def policy_digest(self) -> str:
        """sha256 of the policy."""
        ...

    @property
    def fingerprint(self) -> str:
        """sha256 of the judge."""
        ...

    def check_prompt(self, text: str) -> Verdict:
        """A verdict with L1 findings only (it names no pixels); see ``Verdict.prompt_allowed``."""
        ...

    def check(self, drafts: Sequence[Draft]) -> list[Verdict]:
        """One verdict per draft, bound to its pixels.

        Raises:
            CheckError: the check could not be completed. Never a pass.
        """
        ...


class Gate:
    """The checker: a policy, a judge, and the thresholds that belong to the two."""

    def __init__(self, policy: Policy, encoder: Encoder, calibration: Calibration) -> None:
        """
        Raises:
            NotCalibrated: the calibration is not for this policy and judge, or may no longer be used.
        """
        calibration.require(policy, encoder.fingerprint)
        self.policy, self.encoder, self.calibration = policy, encoder, calibration
        self.policy_digest, self.fingerprint = policy.digest, encoder.fingerprint
        self._calibration_digest = calibration.digest
        self._concepts = _guarded("reading the policy", lambda: Concepts(encoder, policy))
        self._words = {
            name: WordList(category.words, category.exceptions)
            for name, category in policy.categories.items()
            if category.words
        }

    @classmethod
    def open(
        cls,
        policy: str | Path | Policy = DEFAULT_POLICY,
        *,
        judge: str | Path | None = None,
        calibration: Path | Calibration | None = None,
        device: str = "cpu",
    ) -> Gate:
        """The gate of a policy (a shipped name or a file), with the shipped judge unless told otherwise.

        Raises:
            InputError: no such policy, or not a valid one.
            NotCalibrated: no thresholds for this policy and judge, or stale ones.
            CheckError: the judge cannot be loaded.
        """
        loaded = policy if isinstance(policy, Policy) else Policy.load(policy)
        encoder = Encoder.open(judge, device)
        if calibration is None:
            calibration = find_calibration(loaded, encoder.fingerprint)
        elif isinstance(calibration, Path):
            calibration = Calibration.load(calibration)
        return cls(loaded, encoder, calibration)

    def check_prompt(self, text: str) -> Verdict:
        """A verdict on the words alone; its pixel digest is empty, so it can never pass for a picture's.

        Raises:
            CheckError: the check could not be completed.
        """
        return self._verdict("", _guarded("checking the prompt", lambda: self._prompt_findings(text)))

    def check(self, drafts: Sequence[Draft]) -> list[Verdict]:
        """One verdict per draft, bound to the pixels that were judged.

        Raises:
            CheckError: a draft that is no picture of 8-bit RGB, a judge that broke or gave a score that is
            not
                finite, or pixels that changed meanwhile. None of the drafts has then passed.
        """
        return _guarded("checking the pictures", lambda: self._check(drafts))

    def _check(self, drafts: Sequence[Draft]) -> list[Verdict]:
        digests = [draft.pixel_digest for draft in drafts if _is_picture(draft)]
        rows: list[tuple[Finding, ...]] = [()] * len(drafts)
        for indices, pixels in _by_size(drafts):
            found = self._image_findings(pixels)
            for index, findings in zip(indices, found, strict=True):
                rows[index] = findings
        verdicts = [
            self._verdict(digest, (*found[:3], *self._prompt_findings(draft.resolved.text), *found[3:]))
            for digest, found, draft in zip(digests, rows, drafts, strict=True)
        ]
        if [draft.pixel_digest for draft in drafts] != digests:
            raise CheckError("the pixels changed while they were checked; nothing may be signed")
        return verdicts

    def _image_findings(self, pixels: Float[Tensor, "b 3 h w"]) -> list[tuple[Finding, ...]]:
        scores = self._concepts.scores(self.encoder.images(pixels))
        rows = [list(findings) for findings in integrity_findings(pixels)]
        for name, category in self.policy.judged.items():
            for row, value in zip(rows, scores[name].tolist(), strict=True):
                row.append(_finding("L2 image", name, value, self.calibration.image[name], category))
        return [tuple(row) for row in rows]

    def _prompt_findings(self, text: str) -> tuple[Finding, ...]:
        embedded = self.encoder.texts(chunks(text, self.encoder.fits))[None]
        scores = self._concepts.scores(embedded)
        findings = [
            _finding("L1 prompt", name, float(scores[name]), self.calibration.prompt[name], category)
            for name, category in self.policy.judged.items()
        ]
        for name, words in self._words.items():
            hits = words.hits(text)
            binding = self.policy.categories[name].action == "block"
            findings.append(
                Finding(
                    rung="L1 prompt",
                    name=f"{name} words",
                    score=len(hits),
                    threshold=0.0,
                    allowed=not hits,
                    binding=binding,
                    detail=", ".join(hits),
                )
            )
        return tuple(findings)

    def _verdict(self, pixel_digest: str, findings: tuple[Finding, ...]) -> Verdict:
        return Verdict(
            pixel_digest=pixel_digest,
            policy=self.policy.name,
            policy_digest=self.policy_digest,
            checker=self.fingerprint,
            calibration=self._calibration_digest,
            domain=self.calibration.domain_and_reach,
            findings=findings,
        )


def _finding(rung: str, name: str, score: float, threshold: Threshold, category: Category) -> Finding:
    """At or below the threshold allows, and only where the score is finite: a NaN passes no comparison."""
    if not math.isfinite(score):
        raise CheckError(f"{rung}: the score of {name!r} is not finite; the judge is damaged")
    allowed = math.isfinite(score) and score <= threshold.value
    return Finding(
        rung="L2 image" if rung == "L2 image" else "L1 prompt",
        name=name,
        score=score,
        threshold=threshold.value,
        allowed=allowed,
        binding=category.action == "block",
    )


def _is_picture(draft: Draft) -> bool:
    pixels = draft.pixels
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise CheckError("a draft's pixels are not 8-bit; it cannot be checked")
    if pixels.ndim != 3 or pixels.shape[2] != 3 or min(pixels.shape) < 1:
        raise CheckError(f"a draft's pixels have the shape {pixels.shape}, not (height, width, 3)")
    return True


def _by_size(drafts: Sequence[Draft]) -> list[tuple[list[int], Tensor]]:
    """Drafts of one size stacked: indices and pixels in [0, 1] "b 3 h w"."""
    sizes: dict[tuple[int, ...], list[int]] = {}
    for index, draft in enumerate(drafts):
        sizes.setdefault(draft.pixels.shape, []).append(index)
    return [(rows, to_tensor([drafts[i].pixels for i in rows])) for rows in sizes.values()]


def to_tensor(pictures: Sequence[np.ndarray]) -> Float[Tensor, "b 3 h w"]:
    """UInt8 pictures "h w 3" of one size as a batch in [0, 1]."""
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 255


def _guarded(what: str, work: Callable[[], T]) -> T:
    """Whatever breaks inside is a `CheckError`: the caller knows one way in which a check fails."""
    try:
        return work()
    except CheckError:
        raise
    except Exception as error:
        raise CheckError(f"{what}: {type(error).__name__}: {error}; nothing may be signed") from error
