"""Trains every embedded model on one GPU, side by side, within one time budget: `castmark train all`.

OUT/base, OUT/reference, OUT/clip    what ships as the embedded models
OUT/reader                           the truth reader of the benchmarks

First the autoencoder and the subject encoder, for the denoiser learns from what they make of pictures; then
the teacher; then the student, which is polished last. The judge and the truth reader learn beside all of
that, and what recognises subjects where there is a prior to tell, from processes of their own that render for
them. What lies in ``out`` is where each starts.
"""

from __future__ import annotations

import multiprocessing
import shutil
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.process import BaseProcess

from castmark.training import (
    autoencoder,
    judge,
    polish,
    prior,
    recognition,
    student,
    subject_encoder,
    teacher,
    truth_reader,
)
from castmark.training.common import Clock, TrainSettings
from castmark.training.latents import LATENTS
from castmark.training.parallel import Rank
from castmark_world import DEFAULT

FIRST, TEACHER = 0.16, 0.5
"""Shares of the time budget, one after the other; the student has the rest."""
POLISH = 0.3
"""Share of what the student has that polishes it."""
BESIDE = 0.85
"""Share of it that judge, reader and recognition have."""
READING = 0.3
"""Minutes of the budget for what the prior reads in words."""
CLOSING = 0.5 + (READING + 0.6 if DEFAULT.decided else 0)
"""Minutes of the budget for writing what was learned, and for that and the prior's table."""
RENDERING_FIRST, RENDERING_BESIDE = 0.3, 0.13 if DEFAULT.decided else 0.2
"""Shares of the workers that render for each of the first two, and for each of those beside."""


def train(settings: TrainSettings) -> None:
    """Train all models; the folders of `TrainSettings` hold one subfolder a model.

    Raises:
        RuntimeError: training of one of them failed; the others have been stopped.
    """
    context, clock = multiprocessing.get_context("spawn"), Clock(settings.minutes)

    def part(name: str, work: str, share: float, workers: float) -> TrainSettings:
        return replace(
            settings,
            minutes=settings.minutes * share,
            out=settings.out / name,
            work=settings.work / work,
            workers=max(1, round(settings.workers * workers)),
        )

    def start(run: Callable[[TrainSettings], object], of: TrainSettings) -> BaseProcess:
        process = context.Process(target=run, args=(of,), name=of.work.name)
        process.start()
        return process

    denoiser = part("base", "denoiser", TEACHER, 1 - RENDERING_BESIDE)
    # The autoencoder is about to change, and the teacher must not begin on what an earlier one made.
    shutil.rmtree(denoiser.work / LATENTS, ignore_errors=True)
    first = [
        start(autoencoder.train, part("base/vae", "autoencoder", FIRST, RENDERING_FIRST)),
        start(subject_encoder.learn, part("reference", "subject_encoder", FIRST, RENDERING_FIRST)),
    ]
    beside = [
        start(judge.learn, part("clip", "judge", BESIDE, RENDERING_BESIDE)),
        start(truth_reader.learn, part("reader", "reader", BESIDE, RENDERING_BESIDE)),
    ]
    if DEFAULT.decided:
        beside.append(start(recognition.train, part("base", "recognition", BESIDE, RENDERING_BESIDE)))
    learning = start(_teach, denoiser)  # it compiles while the first two learn, and then waits for shards
    try:
        _finish(first)
        with teacher.sharding(denoiser):
            _finish([learning])
        beside.append(start(subject_encoder.close, part("reference", "closing", 0, 0)))
        left = max(settings.minutes - clock.spent / 60 - CLOSING, 0.1)
        student.train(replace(denoiser, minutes=left * (1 - POLISH)))
        polish.train(replace(denoiser, minutes=left * POLISH))
        if DEFAULT.decided:
            prior.train(replace(denoiser, minutes=READING))
        _finish(beside)
        judge.document(settings.out / "clip")
        truth_reader.document(settings.out / "reader")
    finally:
        for process in (*first, *beside, learning):
            process.terminate()


def _teach(settings: TrainSettings) -> None:
    teacher.train_teacher(settings, Rank())


def _finish(processes: list[BaseProcess]) -> None:
    for process in processes:
        process.join()
        if process.exitcode:
            raise RuntimeError(f"{process.name}: training failed with exit code {process.exitcode}")
