"""The gate: every prompt and every picture, judged under one policy. It fails closed.

A picture passes only with a complete verdict: pixels that are a picture (L0), a prompt (L1) and an image (L2)
whose every score is finite and at or below its threshold. Recorded beside them: the subject's likeness and
locked attributes (L3), what is read of the people in it (L4), the campaign's quota (L5), and how good the
checker itself is (L6). Whatever breaks on the way (no judge, no
calibration, a NaN, an exception) is a `CheckError`, never a verdict that passes.

    gate = Gate.open("general-audience")
    gate.check_prompt("a woman holding a book").prompt_allowed
    verdicts = gate.check(drafts)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
from jaxtyping import Float
from torch import Tensor

from castmark.errors import CheckError
from castmark.remembered import Remembered
from castmark.safety.bias.image import drift_findings, quota_findings, reading_findings
from castmark.safety.calibration import Calibration, find_calibration
from castmark.safety.concepts import Concepts
from castmark.safety.domain import DOMAIN, strangeness, texture
from castmark.safety.encoder import Encoder
from castmark.safety.integrity import integrity_findings
from castmark.safety.ladder import audit_findings
from castmark.safety.pictures import by_size, is_picture, to_tensor
from castmark.safety.policy import DEFAULT_POLICY, Action, Fairness, Policy
from castmark.safety.prompt import WordList
from castmark.safety.prompt_scores import PromptScores, word_lists
from castmark.safety.reader import Reading
from castmark.shot import ResolvedShot, Shot
from castmark.take import Draft, Finding, Verdict
from castmark_adapters.subject import Subject, open_rgb

T = TypeVar("T")
PROMPTS_KEPT = 4096
UNREAD, UNREAD_MOST = "words that the check cannot read (share)", 0.4
"""Of prompts in English a quarter at most; other languages have half and more."""
STRICTNESS: tuple[Action, ...] = ("block", "review", "redraw", "warn")


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
        self.calibration_digest = calibration.digest
        self._concepts = _guarded("reading the policy", lambda: Concepts(encoder, policy))
        lists = word_lists(policy)
        self._words = {name: listed for name, listed in lists.items() if policy.categories[name].words}
        # A prompt is judged before it is drawn, and again with every picture of it.
        self._prompts = PromptScores(encoder, self._concepts, policy)
        self._prompt_scores = Remembered(self._prompts.of, PROMPTS_KEPT)
        self._seen: dict[str, list[dict[str, Reading]]] = {}
        self._triggers = {name: WordList(e.words) for name, e in policy.escalate.items()}

    @property
    def max_redraws(self) -> int:
        """How often the policy lets a refused image be drawn again."""
        return self.policy.max_redraws

    @property
    def fairness(self) -> Fairness:
        """Declared shares of people whom prompts leave open."""
        return self.policy.fairness

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
        return self._verdict(
            "", _guarded("checking the prompt", lambda: self._prompt_findings(text, self._said(text)))
        )

    def read_ahead(self, texts: Sequence[str]) -> None:
        """Score prompts that are about to be checked, in one pass of the text tower.

        Raises:
            CheckError: one of them could not be scored; none is remembered then.
        """
        _guarded("checking the prompts", lambda: self._prompt_scores.all_of(texts))

    def check(self, drafts: Sequence[Draft]) -> list[Verdict]:
        """One verdict per draft, bound to the pixels that were judged.

        Raises:
            CheckError: a draft that is no picture of 8-bit RGB, a judge that broke or gave a score that is
                not finite, or pixels that changed meanwhile. None of the drafts has then passed.
        """
        return _guarded("checking the pictures", lambda: self._check(drafts))

    def read(self, drafts: Sequence[Draft]) -> list[dict[str, Reading]]:
        """What is read of the person in each draft; nothing where nobody is seen or the calibration has no
        reader.

        Raises:
            CheckError: a draft that is no picture, or a judge that broke.
        """

        def work() -> list[dict[str, Reading]]:
            rows: list[dict[str, Reading]] = [{} for draft in drafts if is_picture(draft)]
            for indices, pixels in by_size(drafts):
                for index, reading in zip(indices, self._readings(self.encoder.images(pixels)), strict=True):
                    rows[index] = reading
            return rows

        return _guarded("reading the pictures", work)

    def _check(self, drafts: Sequence[Draft]) -> list[Verdict]:
        digests = [draft.pixel_digest for draft in drafts if is_picture(draft)]
        rows: list[tuple[Finding, ...]] = [()] * len(drafts)
        for indices, pixels in by_size(drafts):
            found = self._findings(pixels, [drafts[index].resolved for index in indices])
            for index, findings in zip(indices, found, strict=True):
                rows[index] = findings
        verdicts = [self._verdict(digest, found) for digest, found in zip(digests, rows, strict=True)]
        if [draft.pixel_digest for draft in drafts] != digests:
            raise CheckError("the pixels changed while they were checked; nothing may be signed")
        return verdicts

    def _findings(
        self, pixels: Float[Tensor, "b 3 h w"], drawn: Sequence[ResolvedShot]
    ) -> list[tuple[Finding, ...]]:
        """Every rung of each picture."""
        embeddings = self.encoder.images(pixels)
        scores = self._image_scores(embeddings, pixels)
        readings = self._readings(embeddings)
        audit, reader = audit_findings(self.policy, self.calibration), self.calibration.reader
        rows: list[tuple[Finding, ...]] = []
        for index, (whole, resolved) in enumerate(zip(integrity_findings(pixels), drawn, strict=True)):
            text = resolved.text
            own = {name: values[index] for name, values in scores.items()}
            seen = [self._trigger_finding(name, own[name]) for name in self.policy.escalate]
            triggered = {f.name for f in seen if not f.allowed} | self._said(text)
            rows.append(
                (
                    *whole,
                    *self._prompt_findings(text, triggered),
                    *self._image_findings(own, triggered),
                    *(replace(f, name=f"{f.name} in the picture") for f in seen),
                    *self._drift(resolved.shot, readings[index]),
                    *reading_findings(readings[index], text, reader, resolved.shot.quota),
                    *quota_findings(
                        resolved.shot.quota, readings[index], reader, self.policy.fairness.on_miss
                    ),
                    *audit,
                )
            )
        return rows

    def _image_scores(
        self, embeddings: Float[Tensor, "b v d"], pixels: Float[Tensor, "b 3 h w"]
    ) -> dict[str, list[float]]:
        """Score of every category and trigger, and the distance from what was calibrated, of each picture."""
        found = {name: values.tolist() for name, values in self._concepts.scores(embeddings).items()}
        record = self.calibration
        found |= {name: record.log_odds(embeddings, name) for name in record.probed}
        if record.kinds:
            found[DOMAIN] = strangeness(record.kinds, texture(pixels)).tolist()
        return found

    def _readings(self, embeddings: Float[Tensor, "b v d"]) -> list[dict[str, Reading]]:
        reader = self.calibration.reader
        return [{} for _ in embeddings] if reader is None else reader.read(embeddings)

    def _drift(self, shot: Shot, readings: Mapping[str, Reading]) -> list[Finding]:
        """Drift of the attributes of the characters in a shot from those of their references."""
        reader, locked = self.calibration.reader, self.policy.subject.lock
        findings: list[Finding] = []
        for subject in shot.subjects:
            if subject.kind != "character":
                continue
            if reader is None:
                if locked:
                    raise CheckError(
                        f"the policy locks {', '.join(locked)} of subjects, and its calibration has no "
                        f"reader for them; run: castmark policy calibrate {self.policy.name}"
                    )
                continue
            findings += drift_findings(subject.name, self._references(subject), readings, reader, locked)
        return findings

    def _references(self, subject: Subject) -> list[dict[str, Reading]]:
        """What is read of a subject's references, once."""
        if subject.digest not in self._seen:
            pixels = [np.asarray(open_rgb(subject.file(reference.name))) for reference in subject.references]
            self._seen[subject.digest] = [
                reading
                for picture in pixels
                for reading in self._readings(self.encoder.images(to_tensor([picture])))
            ]
        return self._seen[subject.digest]

    def _image_findings(self, scores: dict[str, float], triggered: set[str]) -> list[Finding]:
        findings: list[Finding] = []
        for name in self.policy.judged:
            threshold = self.calibration.image.get(name)
            if threshold is None:
                # No pictures of it were ever calibrated (the policy allows that): said, never passed over.
                findings.append(
                    Finding(
                        rung="L2 image",
                        name=f"{name}: pictures not calibrated, words only",
                        score=_finite("L2 image", name, scores[name]),
                        threshold=0.0,
                        allowed=False,
                        binding=False,
                        action="warn",
                    )
                )
                continue
            score = _finite("L2 image", name, scores[name])
            action = self._action(name, triggered)
            if threshold.limit < score <= threshold.value and action != "warn":
                action = self._action(name, triggered, own=self.policy.categories[name].abstain)
            findings.append(_at_most("L2 image", name, score, threshold.limit, action))
            if threshold.pass_at is not None and threshold.limit > threshold.pass_at:
                findings.append(_at_most("L2 image", f"{name}: miss bound", score, threshold.pass_at, "warn"))
        if self.calibration.kinds:
            away = _finite("L2 image", DOMAIN, scores[DOMAIN])
            findings.append(_at_most("L2 image", DOMAIN, away, 1.0, self.policy.out_of_domain))
        return findings

    def _trigger_finding(self, name: str, score: float) -> Finding:
        """Whether a picture shows an escalation's trigger; where that was not calibrated, it does."""
        found = self.calibration.escalations.get(name)
        score = _finite("L2 image", name, score)
        if found is None:
            return Finding(
                rung="L2 image", name=name, score=score, threshold=0.0, allowed=False, binding=False,
                action="warn", detail="not calibrated, so counted as found",
            )  # fmt: skip
        return _at_most("L2 image", name, score, found.value, "warn")

    def _said(self, text: str) -> set[str]:
        """The triggers that a prompt names."""
        return {name for name, words in self._triggers.items() if words.hits(text)}

    def _action(self, name: str, triggered: set[str], own: Action | None = None) -> Action:
        """What follows a finding of a category, with the triggers found: the strictest. ``own`` stands for
        what its policy says of it."""
        actions: list[Action] = [own or self.policy.action(name)]
        for trigger in triggered:
            escalation = self.policy.escalate[trigger]
            if name in escalation.categories:
                actions.append(escalation.action)
        return min(actions, key=STRICTNESS.index)

    def _prompt_findings(self, text: str, triggered: set[str]) -> tuple[Finding, ...]:
        scores = self._prompt_scores.of(text)
        findings = [
            _at_most(
                "L1 prompt",
                name,
                _finite("L1 prompt", name, scores[name]),
                threshold.value,
                self._action(name, triggered),
            )
            for name, threshold in self.calibration.prompt.items()
            if name in self.policy.judged
        ]
        for name, words in self._words.items():
            hits = words.hits(text)
            finding = _at_most("L1 prompt", f"{name} words", len(hits), 0.0, self._action(name, triggered))
            findings.append(replace(finding, detail=", ".join(hits)))
        if (unread := self._prompts.unread(text)) is not None:
            share, words = unread
            finding = _at_most("L1 prompt", UNREAD, share, UNREAD_MOST, "block")
            findings.append(replace(finding, detail=", ".join(words)))
        return tuple(findings)

    def _verdict(self, pixel_digest: str, findings: tuple[Finding, ...]) -> Verdict:
        return Verdict(
            pixel_digest=pixel_digest,
            policy=self.policy.name,
            policy_digest=self.policy_digest,
            checker=self.fingerprint,
            calibration=self.calibration_digest,
            domain=self.calibration.domain_and_reach,
            findings=findings,
        )


def _finite(rung: str, name: str, score: float) -> float:
    """A NaN passes no comparison, and fails none either: it must not come near one."""
    if not math.isfinite(score):
        raise CheckError(f"{rung}: the score of {name!r} is not finite; the judge is damaged")
    return score


def _at_most(
    rung: Literal["L1 prompt", "L2 image"], name: str, score: float, limit: float, action: Action
) -> Finding:
    """At or below the limit allows, and only where the score is finite."""
    return Finding(
        rung=rung,
        name=name,
        score=score,
        threshold=limit,
        allowed=math.isfinite(score) and score <= limit,
        binding=action != "warn",
        action=action,
    )


def _guarded(what: str, work: Callable[[], T]) -> T:
    """Whatever breaks inside is a `CheckError`: the caller knows one way in which a check fails."""
    try:
        return work()
    except CheckError:
        raise
    except Exception as error:
        raise CheckError(f"{what}: {type(error).__name__}: {error}; nothing may be signed") from error
