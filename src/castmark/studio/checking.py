"""The check of a batch of drafts: the checker's verdicts, and the subjects' likeness beside them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from castmark.bases.base import CutsOff
from castmark.errors import CheckError
from castmark.outputs.size import placed
from castmark.remembered import Remembered
from castmark.safety.checker import ReadsAhead
from castmark.take import UNKNOWN_WORDS, UNREAD_WORDS, Draft, Finding, Verdict
from castmark_adapters.encoder import squared

if TYPE_CHECKING:
    from castmark.bases.base import Base
    from castmark.safety import Checker
    from castmark.studio.wardrobe import Wardrobe
    from castmark_adapters.subject import Subject


PROMPTS_KEPT = 4096
"""Verdicts on prompts kept: a job says the same thing with many seeds."""


class PromptVerdicts:
    """The checker's verdicts on prompts, remembered."""

    def __init__(self, checker: Checker, kept: int = PROMPTS_KEPT) -> None:
        self._checker = checker
        self._known = Remembered(self._checked, kept)

    def _checked(self, texts: Sequence[str]) -> list[Verdict]:
        return [self._checker.check_prompt(text) for text in texts]

    def expect(self, texts: Iterable[str]) -> None:
        """Let the checker read together what it is asked about one by one soon, if it can.

        What goes wrong is left to the one prompt that it goes wrong with.
        """
        new = self._known.new(texts)
        if len(new) > 1 and isinstance(self._checker, ReadsAhead):
            with suppress(CheckError):
                self._checker.read_ahead(new)

    def __call__(self, text: str) -> Verdict:
        """The verdict on a prompt.

        Raises:
            CheckError: the check could not be completed; nothing is remembered then.
        """
        return self._known.of(text)


def _part(draft: Draft, which: int) -> Draft:
    """The draft where this one of its subjects is: all of it, or its region of a picture of several.

    Raises:
        CheckError: its region was cropped away.
    """
    resolved, shot = draft.resolved, draft.resolved.shot
    if len(shot.subjects) < 2:
        return draft
    height, width, _ = draft.pixels.shape
    whole = shot.background is not None
    drawn = resolved.width, resolved.height
    left, top, right, bottom = placed(shot.boxes[which], drawn, (width, height), whole=whole)
    if left >= right or top >= bottom:
        raise CheckError(
            f"{width}x{height} px leaves nothing of the place of {shot.subjects[which].name!r}, so that its "
            "likeness cannot be checked; ask for a size of another aspect, or give it another place"
        )
    rows, columns = (
        slice(round(start * side), max(round(end * side), round(start * side) + 1))
        for start, end, side in ((top, bottom, height), (left, right, width))
    )
    return replace(draft, pixels=np.asarray(squared(Image.fromarray(draft.pixels[rows, columns]))))


def _without(name: str, words: Sequence[str], detail: str) -> Finding:
    return Finding(
        rung="L1 prompt", name=name, score=float(len(words)), threshold=0.0, allowed=False,
        binding=False, action="warn", detail=detail,
    )  # fmt: skip


def _drawn_without(base: Base, text: str) -> list[Finding]:
    """What the base says of the words it draws: those that it does not know, and does not read."""
    found: list[Finding] = []
    if words := base.unknown_words(text):
        found.append(_without(UNKNOWN_WORDS, words, ", ".join(words)))
    if isinstance(base, CutsOff) and (end := base.unread(text)):
        found.append(_without(UNREAD_WORDS, end.split(), end))
    return found


def verdicts_on(
    drafts: Sequence[Draft],
    checker: Checker,
    wardrobe: Wardrobe,
    mark: Callable[[Draft], Draft],
    base: Base,
) -> list[tuple[Draft, Verdict]]:
    """Every draft, marked first (what the check sees is what is signed) and timed, with its verdict.

    What the base says of the words that were drawn is added to it; what scored a subject, to the settings.

    Raises:
        CheckError: the checker did not answer every draft with a verdict, or could not complete its check.
    """
    begin = time.perf_counter()
    drafts = [mark(draft) for draft in drafts]
    start = time.perf_counter()
    marking = (start - begin) / len(drafts)
    verdicts = list(checker.check(drafts))
    # A checker may be anybody's: what it returns is looked at, not believed.
    if len(verdicts) != len(drafts) or not all(type(verdict) is Verdict for verdict in verdicts):
        raise CheckError(
            f"the checker did not answer {len(drafts)} images with a verdict each; none is signed"
        )
    worn: dict[str, list[tuple[int, int]]] = {}
    subjects: dict[str, Subject] = {}
    for index, draft in enumerate(drafts):
        for which, subject in enumerate(draft.resolved.shot.subjects):
            digest = subject.digest  # over the whole card: once is enough
            subjects[digest] = subject
            worn.setdefault(digest, []).append((index, which))
    for digest, where in worn.items():
        findings = wardrobe.identity(subjects[digest], [_part(drafts[i], which) for i, which in where])
        for (index, _), finding in zip(where if findings else (), findings, strict=True):
            verdicts[index] = replace(verdicts[index], findings=(*verdicts[index].findings, finding))
            told = {**drafts[index].settings, "identity_encoder": wardrobe.scored_by}
            drafts[index] = replace(drafts[index], settings=told)
    for index, draft in enumerate(drafts):
        if words := _drawn_without(base, draft.resolved.text):
            verdicts[index] = replace(verdicts[index], findings=(*verdicts[index].findings, *words))
    share = (time.perf_counter() - start) / len(drafts)
    return [
        (replace(draft, timings={**draft.timings, "mark": marking, "check": share}), verdict)
        for draft, verdict in zip(drafts, verdicts, strict=True)
    ]
