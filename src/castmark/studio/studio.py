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

import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from castmark import __version__
from castmark.errors import BaseError, CheckError, InputError, RefusedError, SigningError
from castmark.machine.facts import cores
from castmark.machine.threads import worker_count
from castmark.shot import Shot, bound_redraws, bound_steps
from castmark.studio.adaptive import Judged, checked, judged, rungs_of
from castmark.studio.checking import PromptVerdicts, verdicts_on
from castmark.studio.drawing import drawn
from castmark.studio.keying import Keying
from castmark.studio.pipeline import Pipeline, Slot
from castmark.studio.signing import signed
from castmark.studio.starting import made_from
from castmark.studio.wardrobe import Outfit
from castmark.studio.work import (
    CheckBroke,
    Keep,
    Prepared,
    Ready,
    Wanted,
    admit,
    failure,
    said,
    togetherness,
)
from castmark.take import Draft, Failure, Refusal, SignedImage, Take, Verdict
from castmark_provenance.durable.layer import DurableLayer, recorded

if TYPE_CHECKING:
    from castmark.bases.base import Base
    from castmark.bases.speed import SpeedSettings
    from castmark.jobs.plan import Job
    from castmark.runs.runners import RowDone, RunSummary
    from castmark.safety import Checker
    from castmark.studio.wardrobe import Wardrobe
    from castmark_adapters.host import Ingredient
    from castmark_adapters.learn import LearnEvent
    from castmark_adapters.subject import Subject
    from castmark_provenance.durable.layer import Marker
    from castmark_provenance.keys import Key

BATCH_SIZE = 8


class Studio:
    """Draws, checks and signs. `open` puts one together from what is installed.

    Args:
        base: draws.
        checker: judges prompts and drafts under one policy.
        wardrobe: what subjects wear, and how alike the drawings are.
        key: signs.
        steps: denoising steps where a shot does not say; None for the base's own.
        batch_size: shots drawn at once where they go together; recorded with every image.
        disclose_prompt: put the prompt's text into the manifest instead of its salted hash alone.
        parameters: write the text block ``parameters`` that image tools read into every file. It holds the
            prompt, so it is disclosed.
        adaptive: denoising steps to try before a shot's own, fewest first: an image that the check allows,
            and that is like its subject, is kept as it is, and only the others are drawn with more.
        workers: threads that encode, sign and write; None for one a spare core.
        durable: draws an invisible watermark into every opaque drawing before it is checked, declares it and
            the fingerprint, and registers every manifest; None for none of these.
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
        parameters: bool = False,
        adaptive: Sequence[int] = (),
        workers: int | None = None,
        durable: Marker | None = None,
    ) -> None:
        if batch_size < 1:
            raise InputError(f"batch size {batch_size}: give at least 1")
        bound_steps(steps)
        self.base = base
        self.checker = checker
        self.wardrobe = wardrobe
        self.signing_key = key
        self.steps = steps
        self.batch_size = batch_size
        self.disclose_prompt = disclose_prompt or parameters
        self.parameters = parameters
        self.adaptive = rungs_of(adaptive, checker.max_redraws)
        self.durable = durable
        self._outfit = Outfit(base.host, wardrobe)
        self._prompts = PromptVerdicts(checker)
        self._draw = partial(drawn, base=base, outfit=self._outfit)
        self._check = partial(verdicts_on, base=base, checker=checker, wardrobe=wardrobe)
        self._pipeline: Pipeline[Wanted, list[Prepared], Take] = Pipeline(
            together=lambda wanted: togetherness(wanted.shot, mixed_loras=base.host.slots is None),
            prepare=self._prepare,
            draw=self._produce,
            done=self._outfit.off,
            batch_size=batch_size,
            workers=workers or worker_count(),
        )

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
        parameters: bool = False,
        adaptive: Sequence[int] = (),
        watermark: bool = True,
        identity: str | Path | None = None,
        exact: bool = False,
        reference: str | Path | None = None,
        speed: SpeedSettings | None = None,
        judge: str | Path | None = None,
    ) -> Studio:
        """Put a studio together; by default of the embedded base, the default policy and the local key.

        ``base`` is a diffusers folder or a hub id, with "@revision" if wanted; ``reference`` an IP-Adapter
        for it (`castmark.bases.reference_files`); ``speed`` what is asked instead of what the machine
        decides; ``judge`` an open_clip folder or "NAME:WEIGHTS" (``castmark policy calibrate --judge``).

        ``key`` is a key or the folder of one (see ``castmark keygen``); the local one is made on first use,
        and that is logged. ``threads`` sets torch's thread count for the whole process; None measures which
        count draws fastest here and now (`castmark.machine.threads`). ``identity`` is another encoder for
        the identity score: an open_clip folder, "NAME:WEIGHTS", or a folder with ``image_encoder/``
        (``castmark identity calibrate``). ``exact`` draws as plain diffusers does, to the last bit, and
        slower (`castmark.bases.diffusers_base`); which it was is recorded.

        Raises:
            MissingExtra: the engine is not installed.
            InputError: there is no such policy, or an option is out of range.
            BaseError: the base cannot be loaded.
            AdapterError: the reference adapter or the identity encoder cannot be read.
            CheckError: no checker, or no calibration for it.
            ProvenanceError: the key cannot be used.
        """
        from castmark.studio.opening import open_studio

        return open_studio(
            base,
            policy,
            key,
            steps=steps,
            device=device,
            threads=threads,
            batch_size=batch_size,
            disclose_prompt=disclose_prompt,
            parameters=parameters,
            adaptive=adaptive,
            watermark=watermark,
            identity=identity,
            exact=exact,
            reference=reference,
            speed=speed,
            judge=judge,
        )

    def key(self, shot: Shot) -> str:
        """The shot's key under this studio's base, adapters, policy, checker, calibration and code."""
        return self.keying.key(shot)

    @property
    def max_redraws(self) -> int:
        """How often the policy lets a refused shot be drawn again: every drawing that the check sees counts,
        those of adaptive steps too."""
        return (1 + self.checker.max_redraws) // (1 + len(self.adaptive)) - 1

    @property
    def keying(self) -> Keying:
        """What decides keys here besides the shot."""
        return Keying(
            steps=self.steps,
            adapters=self.wardrobe.digest,
            context={
                "base": self.base.digest,
                "policy": self.checker.policy_digest,
                "checker": self.checker.fingerprint,
                "calibration": self.checker.calibration_digest,
                "code": __version__,
                **({"adaptive": ",".join(map(str, self.adaptive))} if self.adaptive else {}),
            },
        )

    @property
    def environment(self) -> dict[str, str | int | float]:
        """What this studio draws with: base, device, threads, versions, batch size, workers."""
        return {
            "base": self.base.name,
            **self.base.environment,
            "batch_size": self.batch_size,
            "workers": self._pipeline.workers,
            "cores": cores(),
            **({"adaptive": ",".join(map(str, self.adaptive))} if self.adaptive else {}),
        }

    def learn(
        self,
        subject: Subject,
        *,
        steps: int | None = None,
        work: str | Path | None = None,
        on_event: Callable[[LearnEvent], None] | None = None,
    ) -> Subject:
        """The subject with a LoRA learned from its references on this base (`castmark_adapters.learn`).

        With a ``work`` folder an interrupted run goes on where it stopped. Nothing is drawn
        meanwhile, so ``on_event`` must not ask for it.

        Raises:
            AdapterError: no references at hand, a base that cannot learn, or learning that diverged.
        """
        from castmark.studio.opening import learn_subject

        with self._pipeline.held():
            return learn_subject(
                subject, self.base, self.wardrobe.reference, steps=steps, work=work, on_event=on_event
            )

    def warm_up(self) -> Mapping[int, float]:
        """Draw once in every batch size that the base is made fast for, where drawing is done: what is
        captured for a GPU belongs to a thread. Seconds each took.

        Raises:
            BaseError: drawing failed.
        """
        return self._pipeline.on_drawing_thread(self.base.warm_up)

    def shoot(
        self, shot: Shot, *, redraws: int = 0, on_refusal: Callable[[Refusal], object] = lambda _: None
    ) -> SignedImage:
        """One image. Refused for what another seed may help (a finding whose action is ``redraw``: in the
        default policy whatever is seen in the picture), it is drawn again up to ``redraws`` times; each such
        refusal is told.

        Raises:
            InputError: more redraws than the policy allows.
            RefusedError: the check refused it; the error carries the last refusal.
            CastmarkError, AdapterError: it could not be drawn, checked or signed.
        """
        bound_redraws(redraws, self.max_redraws)
        (take,) = self.shoot_all([shot])
        for redraw in range(1, redraws + 1):
            if not isinstance(take, Refusal) or not take.verdict.redrawable:
                break
            on_refusal(take)
            (take,) = self.shoot_all([shot.reseeded(redraw)])
        if isinstance(take, Refusal):
            raise RefusedError(take.explain(), take)
        if isinstance(take, Failure):
            raise take.error
        return take

    def shoot_all(
        self, shots: Iterable[Shot], *, keep: Keep | None = None, durable: Marker | None = None
    ) -> Generator[Take]:
        """A take per shot, in order, streamed. One shot that fails or is refused does not stop the others.

        Shots of one size, step count and start strength are drawn together, also of different subjects where
        each has one (`castmark.studio.work.togetherness`), ``batch_size`` at most, and where others stand
        between them; shots are read ahead for that. ``keep`` is called with every signed image
        on the thread that made it, before its take is given out; what it raises is raised here, after the
        takes before. ``durable`` draws and registers the watermarks of these shots instead of the studio's.
        """
        marker = self.durable if durable is None else durable
        return self._pipeline.stream(Wanted(shot=shot, keep=keep, durable=marker) for shot in shots)

    def run(
        self,
        job: Job | str | Path,
        out: str | Path,
        subjects: Iterable[Subject] | Callable[[str], Subject] = (),
        *,
        redraws: int = 0,
        retries: int = 0,
        price_per_hour: float | None = None,
        quota_seed: int | None = None,
        on_event: Callable[[RowDone], object] | None = None,
    ) -> RunSummary:
        """Bring the run folder ``out`` to what a job (or job file) asks for; see `castmark.runs.runners.run`.

        With a ``quota_seed``, people whom prompts leave open get the shares that the policy declares, dealt
        by that seed (`castmark.safety.bias.quotas`); the same job with the same seed deals the same.

        Raises:
            InputError: a bad job, or more redraws than the policy allows.
            LedgerError, OSError: the run folder cannot be used, or not written to.
        """
        from castmark.jobs import Job, read_job
        from castmark.runs.runners import LocalRunner, run

        quotas = None
        if quota_seed is not None:
            from castmark.safety.bias.quotas import apply_quotas

            quotas = partial(apply_quotas, fairness=self.checker.fairness, seed=quota_seed)
        found = job if isinstance(job, Job) else read_job(job)
        known = subjects if callable(subjects) else {subject.name: subject for subject in subjects}
        return run(
            found,
            out,
            LocalRunner(self),
            known,
            redraws=redraws,
            retries=retries,
            price_per_hour=price_per_hour,
            quotas=quotas,
            on_event=on_event,
        )

    def _prepare(self, wanted: Sequence[Wanted]) -> list[Prepared]:
        """Every shot with its key, ready to draw or settled already. Runs on the checking thread."""
        found: list[Prepared] = []
        self._prompts.expect(text for each in wanted for text in said(each.shot))
        for each in wanted:
            shot, key = each.shot, self.key(each.shot)
            try:
                marked = isinstance(each.durable, DurableLayer)
                admitted = admit(shot, self.base, self.steps, self._prompts, marked=marked)
            except Exception as error:  # noqa: BLE001 - becomes the take's Failure
                admitted = failure(shot, key, error, CheckError, "checking the prompt")
            if isinstance(admitted, Verdict):
                admitted = Refusal(shot=shot, key=key, verdict=admitted)
            found.append(Prepared(wanted=each, key=key, admitted=admitted))
        return found

    def _produce(self, prepared: Sequence[Prepared]) -> list[Slot[Take]]:
        """Takes of shots drawn together; of those to sign, a worker's future. On the drawing thread."""
        wanted = [each.wanted for each in prepared]
        check = partial(self._check, mark=partial(self._marked, wanted[0].durable))  # a stream's is one
        takes: dict[int, Slot[Take]] = {}
        ready: dict[int, Ready] = {}
        for index, each in enumerate(prepared):
            if isinstance(each.admitted, Ready):
                ready[index] = each.admitted
            else:
                takes[index] = each.admitted
        if self.adaptive:  # what the check sends back is drawn again, so the check is waited for
            found = judged(ready, self.adaptive, self._draw, check)
            takes |= self._settle(prepared, made_from(wanted, found, self._outfit), found)
        elif ready:
            drafts = self._draw(list(ready.items()))
            made = made_from(wanted, drafts, self._outfit)
            later = self._pipeline.check(lambda: self._settle(prepared, made, checked(drafts, check)), drafts)
            takes |= dict(zip(drafts, later, strict=True))
        return [takes[index] for index in range(len(prepared))]

    def _settle(
        self,
        prepared: Sequence[Prepared],
        made: Mapping[int, Sequence[Ingredient]],
        found: Mapping[int, Judged],
    ) -> dict[int, Take | Future[Take]]:
        """What becomes of drawings that were checked."""
        takes: dict[int, Take | Future[Take]] = {}
        for index, result in found.items():
            wanted, key = prepared[index].wanted, prepared[index].key
            shot = wanted.shot
            if isinstance(result, CheckBroke):
                takes[index] = failure(shot, key, result.error, CheckError, "checking")
            elif isinstance(result, Exception):
                takes[index] = failure(shot, key, result, BaseError, "drawing")
            elif result[1].allowed:
                draft, verdict = result
                takes[index] = self._pipeline.finish(
                    partial(self._finish, wanted, key, draft, verdict, made[index])
                )
            else:
                takes[index] = Refusal(shot=shot, key=key, verdict=result[1], timings=result[0].timings)
        return takes

    def _marked(self, durable: Marker | None, draft: Draft) -> Draft:
        """The draft with its shot's watermark. A cut-out on nothing has no pixels of its own to carry one."""
        if durable is None or draft.layer is not None:
            return draft
        pixels, identifier = durable.mark(draft.pixels, self.key(draft.resolved.shot))
        if identifier is None:
            return draft
        settings = {**draft.settings, "watermark": recorded(identifier)}
        return replace(draft, pixels=pixels, watermark=identifier, settings=settings)

    def _finish(
        self, wanted: Wanted, key: str, draft: Draft, verdict: Verdict, made: Sequence[Ingredient]
    ) -> Take:
        """Encode, sign and keep. Runs on a worker.

        Raises:
            Exception: what ``keep`` raised.
        """
        try:
            take = signed(
                wanted.shot,
                key,
                draft,
                verdict,
                base=self.base,
                signing_key=self.signing_key,
                made_from=made,
                disclose_prompt=self.disclose_prompt,
                parameters=self.parameters,
                durable=wanted.durable,
            )
        except Exception as error:  # noqa: BLE001 - becomes the take's Failure
            return failure(wanted.shot, key, error, SigningError, "signing")
        if wanted.keep is None:
            return take
        start = time.perf_counter()
        wanted.keep(take)
        return replace(take, timings={**take.timings, "write": time.perf_counter() - start})
