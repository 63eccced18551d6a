"""Studio: draw -> check -> sign, the only road from a shot to a file.

    studio = Studio.open()
    mira = Subject.from_images("mira", ["m1.png", "m2.png", "m3.png"], kind="character")
    for take in studio.shoot_all(Shot(f"mira {place}", subjects=[mira], seed=7) for place in places):
        print(take.save("out/") if take.ok else take.explain())

It fails closed. A prompt that the policy forbids is never drawn. A draft is signed only with a complete
verdict that allows it and names exactly its pixels; whatever else happens, an exception of the checker
included, the take is a `Refusal` or a `Failure`, and there is no file.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from PIL import Image

from castmark import __version__
from castmark.claims import claim_of
from castmark.errors import BaseError, CastmarkError, CheckError, InputError, RefusedError, SigningError
from castmark.shot import ResolvedShot, Shot
from castmark.take import Draft, Failure, Refusal, SignedImage, Take, Verdict
from castmark_adapters.errors import AdapterError
from castmark_adapters.host import wearing
from castmark_provenance.claim import PromptRecord, new_salt, pixel_digest
from castmark_provenance.errors import ProvenanceError
from castmark_provenance.sign import sign

if TYPE_CHECKING:
    from castmark.bases.base import Base
    from castmark.batch import Job
    from castmark.runners import RowDone, RunSummary
    from castmark.safety import Checker
    from castmark.wardrobe import Wardrobe
    from castmark_adapters.host import Adapter
    from castmark_adapters.learn import LearnEvent
    from castmark_adapters.subject import Subject
    from castmark_provenance.keys import Key

BATCH_SIZE = 4
MEDIA_TYPE = "image/png"
T = TypeVar("T")


class Studio:
    """Draws, checks and signs. `open` puts one together from what is installed.

    Args:
        base: draws.
        checker: judges prompts and drafts under one policy.
        wardrobe: what subjects wear, and how alike the drawings are.
        key: signs.
        steps: denoising steps where a shot does not say; None for the base's own.
        batch_size: shots drawn at once where they share subjects, size and steps; recorded with every image.
        disclose_prompt: put the prompt's text into the manifest instead of its salted hash alone.
    """

    def __init__(
        self,
        *,
        base: Base,
        checker: Checker,
        wardrobe: Wardrobe,
        key: Key,
        steps: int | None = None,
        batch_size: int = BATCH_SIZE,
        disclose_prompt: bool = False,
    ) -> None:
        if batch_size < 1:
            raise InputError(f"batch size {batch_size}: give at least 1")
        self.base = base
        self.checker = checker
        self.wardrobe = wardrobe
        self.signing_key = key
        self.steps = steps
        self.batch_size = batch_size
        self.disclose_prompt = disclose_prompt

    @classmethod
    def open(
        cls,
        base: str | Path | None = None,
        policy: str | Path | None = None,
        key: Key | str | Path | None = None,
        *,
        steps: int | None = None,
        device: str | None = None,
        threads: int | None = None,
        batch_size: int = BATCH_SIZE,
        disclose_prompt: bool = False,
    ) -> Studio:
        """Put a studio together; by default of the embedded base, the default policy and the local key.

        ``key`` is a key or the folder of one (see ``castmark keygen``); the local one is made on first use,
        and that is logged. ``threads`` sets torch's thread count for the whole process.

        Raises:
            MissingExtra: the engine is not installed.
            BaseError: the base cannot be loaded.
            CheckError: no policy, no checker, or no calibration for it.
            ProvenanceError: the key cannot be used.
        """
        from castmark.opening import open_studio

        return open_studio(
            base,
            policy,
            key,
            steps=steps,
            device=device,
            threads=threads,
            batch_size=batch_size,
            disclose_prompt=disclose_prompt,
        )

    def key(self, shot: Shot) -> str:
        """The shot's key under this studio's base, adapters, policy, checker and code."""
        if shot.steps is None and self.steps is not None:
            shot = shot.model_copy(update={"steps": self.steps})
        return shot.key(
            {
                "base": self.base.digest,
                "adapters": self.wardrobe.digest if shot.subjects else "none",
                "policy": self.checker.policy_digest,
                "checker": self.checker.fingerprint,
                "code": __version__,
            }
        )

    def learn(
        self,
        subject: Subject,
        *,
        steps: int | None = None,
        work: str | Path | None = None,
        on_event: Callable[[LearnEvent], None] | None = None,
    ) -> Subject:
        """The subject with a LoRA learned from its references on this base (`castmark_adapters.learn`).

        With a ``work`` folder an interrupted run goes on where it stopped.

        Raises:
            AdapterError: no references at hand, a base that cannot learn, or learning that diverged.
        """
        from castmark.opening import learn_subject

        return learn_subject(
            subject, self.base, self.wardrobe.reference, steps=steps, work=work, on_event=on_event
        )

    def shoot(self, shot: Shot) -> SignedImage:
        """One image.

        Raises:
            RefusedError: the check refused it; the error carries the refusal.
            CastmarkError, AdapterError: it could not be drawn, checked or signed.
        """
        (take,) = self.shoot_all([shot])
        if isinstance(take, Refusal):
            raise RefusedError(take.explain(), take)
        if isinstance(take, Failure):
            raise take.error
        return take

    def shoot_all(self, shots: Iterable[Shot]) -> Iterator[Take]:
        """A take per shot, in order, streamed. One shot that fails or is refused does not stop the others.

        Consecutive shots with the same subjects, size and steps are drawn together, ``batch_size`` at most.
        """
        for _, group in groupby(shots, key=_togetherness):
            while batch := list(islice(group, self.batch_size)):
                yield from self._shoot(batch)

    def run(
        self,
        job: Job | str | Path,
        out: str | Path,
        subjects: Iterable[Subject] | Callable[[str], Subject] = (),
        *,
        redraws: int = 0,
        on_event: Callable[[RowDone], object] | None = None,
    ) -> RunSummary:
        """Bring the run folder ``out`` to what a job (or a job file) asks for; see `castmark.runners.run`."""
        from castmark.batch import Job, read_job
        from castmark.runners import LocalRunner, run

        found = job if isinstance(job, Job) else read_job(job)
        known = subjects if callable(subjects) else {subject.name: subject for subject in subjects}
        return run(found, out, LocalRunner(self), known, redraws=redraws, on_event=on_event)

    def _shoot(self, shots: Sequence[Shot]) -> list[Take]:
        """Takes of shots that may be drawn together, in their order."""
        keys = [self.key(shot) for shot in shots]
        takes: dict[int, Take] = {}
        resolved: dict[int, ResolvedShot] = {}
        for index, (shot, key) in enumerate(zip(shots, keys, strict=True)):
            try:
                ready = self._admit(shot)
            except Exception as error:  # noqa: BLE001 - becomes the take's Failure
                takes[index] = _failure(shot, key, error, CheckError, "checking the prompt")
                continue
            if isinstance(ready, Verdict):
                takes[index] = Refusal(shot=shot, key=key, verdict=ready)
            else:
                resolved[index] = ready
        drafts = _each(list(resolved.items()), self._draw)
        for index, draft in drafts.items():
            if isinstance(draft, Exception):
                takes[index] = _failure(shots[index], keys[index], draft, BaseError, "drawing")
        good = [(index, draft) for index, draft in drafts.items() if isinstance(draft, Draft)]
        checked = _each(good, self._check)
        for index, draft in good:
            shot, key, result = shots[index], keys[index], checked[index]
            if isinstance(result, Exception):
                takes[index] = _failure(shot, key, result, CheckError, "checking")
                continue
            verdict, seconds = result
            if not verdict.allowed:
                takes[index] = Refusal(shot=shot, key=key, verdict=verdict)
                continue
            try:
                timed = replace(draft, timings={**draft.timings, "check": seconds})
                takes[index] = self._sign(shot, key, timed, verdict)
            except Exception as error:  # noqa: BLE001 - becomes the take's Failure
                takes[index] = _failure(shot, key, error, SigningError, "signing")
        return [takes[index] for index in range(len(shots))]

    def _admit(self, shot: Shot) -> ResolvedShot | Verdict:
        """The shot ready to draw, or the verdict that refuses its prompt."""
        if shot.steps is None and self.steps is not None:
            resolved = self.base.resolve(shot.model_copy(update={"steps": self.steps}))
            resolved = replace(resolved, shot=shot)
        else:
            resolved = self.base.resolve(shot)
        # The user's words and what the base will read: a subject's class phrase must not smuggle anything in.
        for text in dict.fromkeys((shot.prompt, resolved.text)):
            verdict = self.checker.check_prompt(text)
            if not verdict.prompt_allowed:
                return verdict
        return resolved

    def _draw(self, resolved: Sequence[ResolvedShot]) -> list[Draft]:
        start = time.perf_counter()
        with wearing(self.base.host, self._adapters(resolved[0].shot)):
            drafts = self.base.draw(resolved)
        if [getattr(draft, "resolved", None) for draft in drafts] != list(resolved):
            raise BaseError(f"base {self.base.name}: did not answer {len(resolved)} shots with a draft each")
        share = (time.perf_counter() - start) / len(resolved)
        return [replace(draft, timings={**draft.timings, "draw": share}) for draft in drafts]

    def _check(self, drafts: Sequence[Draft]) -> list[tuple[Verdict, float]]:
        """A verdict per draft, the subject's likeness included, and the seconds it took."""
        start = time.perf_counter()
        verdicts = list(self.checker.check(drafts))
        # A checker may be anybody's: what it returns is looked at, not believed.
        if len(verdicts) != len(drafts) or not all(type(verdict) is Verdict for verdict in verdicts):
            raise CheckError(
                f"the checker did not answer {len(drafts)} images with a verdict each; none is signed"
            )
        for subject in drafts[0].resolved.shot.subjects:
            findings = self.wardrobe.identity(subject, drafts)
            if findings:
                verdicts = [
                    replace(verdict, findings=(*verdict.findings, finding))
                    for verdict, finding in zip(verdicts, findings, strict=True)
                ]
        share = (time.perf_counter() - start) / len(drafts)
        return [(verdict, share) for verdict in verdicts]

    def _sign(self, shot: Shot, key: str, draft: Draft, verdict: Verdict) -> SignedImage:
        """The only maker of signed images: the bytes judged are the bytes encoded and signed."""
        height, width, _ = draft.pixels.shape
        rgb = draft.pixels.tobytes()
        if not verdict.allowed or verdict.pixel_digest != pixel_digest(width, height, rgb):
            raise CheckError(
                f"{shot.name or key[:12]}: the verdict is not for these pixels; nothing was signed"
            )
        start = time.perf_counter()
        buffer = io.BytesIO()
        Image.frombytes("RGB", (width, height), rgb).save(buffer, "PNG", compress_level=1)
        encoded = time.perf_counter()
        salt = new_salt()
        ingredients = [item for adapter in self._adapters(shot) for item in adapter.ingredients]
        claim = claim_of(
            shot,
            key,
            draft,
            verdict,
            base=self.base,
            ingredients=ingredients,
            prompt=PromptRecord.of(shot.prompt, salt, disclose=self.disclose_prompt),
            salt=salt,
        )
        data = sign(buffer.getvalue(), MEDIA_TYPE, claim, self.signing_key)
        seconds = {"encode": encoded - start, "sign": time.perf_counter() - encoded}
        return SignedImage(
            shot=shot,
            key=key,
            data=data,
            media_type=MEDIA_TYPE,
            claim=claim,
            verdict=verdict,
            salt=salt,
            timings={**draft.timings, **seconds},
        )

    def _adapters(self, shot: Shot) -> list[Adapter]:
        return [adapter for subject in shot.subjects for adapter in self.wardrobe.adapters(subject)]


def _togetherness(shot: Shot) -> tuple[object, ...]:
    """Shots are drawn together only where this is equal."""
    return tuple(subject.digest for subject in shot.subjects), shot.width, shot.height, shot.steps


def _each(items: Sequence[tuple[int, T]], work: Callable[[Sequence[T]], list[Any]]) -> dict[int, Any]:
    """Results of ``work`` by index. If it fails on all together, on each alone: one bad shot, one failure."""
    if not items:
        return {}
    try:
        return {index: result for (index, _), result in zip(items, work([i for _, i in items]), strict=True)}
    except Exception as error:  # noqa: BLE001 - handed on: becomes the take's Failure
        if len(items) == 1:
            return {items[0][0]: error}
    return {index: result for item in items for index, result in _each([item], work).items()}


def _failure(shot: Shot, key: str, error: Exception, kind: type[CastmarkError], doing: str) -> Failure:
    """A failure with an error of ours: what broke inside a library is named with what it was doing."""
    if not isinstance(error, CastmarkError | AdapterError | ProvenanceError):
        wrapped = kind(f"{doing} failed ({type(error).__name__}: {error}); nothing was signed")
        wrapped.__cause__ = error
        error = wrapped
    return Failure(shot=shot, key=key, error=error)
