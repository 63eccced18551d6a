"""Trains what recognises subjects (`castmark.bases.recognition`), from single references of them.

References are scenes of the world, rendered in the loop, as they are or cut out, and degraded. What is
learned of each is all that is the subject's own, also what this one picture does not show: there it learns
how unsure to be.

    train(TrainSettings(minutes=60, work=Path(".training/recognition"), out=Path("base")))
"""

from __future__ import annotations

import math
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from castmark.bases.attribute_network import SIDE
from castmark.bases.loaded import RECOGNITION
from castmark.bases.prior import told_by
from castmark.bases.recognition import KIND, Recognition
from castmark.bench.truth import Reading, columns, marks
from castmark.bench.truth.marks import Marks, mean, only
from castmark.errors import InputError
from castmark.training.attributes import BATCH, GAIN, SHIFT, Batch, learned
from castmark.training.common import TrainSettings, hardware, made_of, write_card
from castmark.training.degrade import degrade
from castmark.training.labels import labels_of
from castmark.training.reference_pool import reference_picture
from castmark.training.told import told_columns
from castmark_adapters.subject import sha256
from castmark_world import DEFAULT, Scene, render, sample_subject, stage

SEED, RATES_SEED = 85_000, 87_000
RATES = 3000
"""Subjects that are counted, for how things are in the world."""
HELD_OUT_SEED, HELD_OUT = 86_000, 300
"""Subjects, each with `REFERENCES` pictures."""
REFERENCES = 4


def train(settings: TrainSettings) -> None:
    """Train, or go on training, within the time budget; write it with its card to ``out``/recognition.
    Without a checkpoint it goes on from what lies there.

    Raises:
        InputError: the scope's bases have no prior, which it would tell.
    """
    if not DEFAULT.decided:
        raise InputError(f"bases of the scope {DEFAULT.name!r} have no prior (castmark_world/scopes.py)")
    torch.set_num_threads(settings.threads)
    torch.manual_seed(SEED + settings.seed)
    made_of(settings.work, "recognition.pt", origin=sha256(repr(told_by(told_columns())).encode()))
    recognition, shipped = _shipped(settings.out / RECOGNITION)
    recognition.count(torch.from_numpy(_subjects()))
    network = recognition.network
    fresh = not shipped and not (settings.work / "recognition.pt").is_file()
    make = partial(batch_of, settings.seed)
    loop = learned(settings, "recognition", network, make, recognition.loss, fresh=fresh)
    recognition.eval()
    recognition.save(settings.out / RECOGNITION)
    card = {
        "model": "recognition: what is a subject's own, read off its references for the prior",
        "parameters": sum(p.numel() for p in network.parameters()),
        "data": "castmark_world, split train, rendered in the loop at 256 px and degraded",
        "seed": [SEED, settings.seed],
        "steps": loop.step,
        "batch": BATCH,
        "minutes": round(loop.minutes, 1),
        "hardware": hardware(settings.device, settings.threads),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "figures": figures(recognition),
    }
    write_card(settings.out / RECOGNITION, card)


def _shipped(folder: Path) -> tuple[Recognition, bool]:
    """What lies in a folder, if it is of this scope's columns; else, untrained; and which of both."""
    made = Recognition(told_columns())
    found = Recognition.load(folder) if folder.is_dir() else None
    if found is None or told_by(found.all) != told_by(made.all):
        return made.train(), False
    made.load_state_dict(found.state_dict())
    return made.train(), True


def batch_of(seed: int, number: int) -> Batch:
    """References and what they are of, from their number."""
    rng = np.random.default_rng((SEED, seed, number))
    scenes = [stage(sample_subject(rng), rng) for _ in range(BATCH)]
    worse = _worse(np.stack([_reference(scene, rng) for scene in scenes]), rng)
    labels = np.stack([own_of(scene) for scene in scenes])
    return Batch(worse.mul(255).round().byte(), torch.from_numpy(labels))


def _worse(pictures: NDArray[np.uint8], rng: np.random.Generator) -> Tensor:
    """UInt8 "b 256 256 3" to Float "b 3 256 256", degraded."""
    pixels = torch.from_numpy(pictures).permute(0, 3, 1, 2).float().div_(255)
    return degrade(pixels, rng, gain=GAIN, shift=SHIFT)


def _subjects() -> NDArray[np.float32]:
    """What is the own of subjects as often as the world has them, "m k"."""
    rng = np.random.default_rng(RATES_SEED)
    return np.stack([own_of(stage(sample_subject(rng), rng)) for _ in range(RATES)])


def own_of(scene: Scene) -> NDArray[np.float32]:
    """What is the subject's own in a scene, whether it is in view or not, "k"; NaN where a column does not
    apply."""
    return labels_of(replace(scene, camera="full"))[_own()]


def _own() -> list[int]:
    return Recognition.own(told_columns())


def _reference(scene: Scene, rng: np.random.Generator) -> NDArray[np.uint8]:
    return reference_picture(scene, render(scene, SIDE), rng, SIDE)


def figures(recognition: Recognition, count: int = HELD_OUT) -> dict[str, float]:
    """Of held-out subjects: what is recognised rightly, mean over columns, in one picture and in several;
    attributes that words may name, and hidden traits, numbers of which within the benchmarks' tolerance.
    """
    rng = np.random.default_rng(HELD_OUT_SEED)
    subjects = [sample_subject(rng, split="test") for _ in range(count)]
    scenes = [[stage(subject, rng) for _ in range(REFERENCES)] for subject in subjects]
    pictures = [_worse(np.stack([_reference(scene, rng) for scene in some]), rng) for some in scenes]
    told: dict[str, float] = {"n": count}
    for shown in (1, REFERENCES):
        rows = [_marks(recognition, s[0], p[:shown]) for s, p in zip(scenes, pictures, strict=True)]
        for name, named in (("named", True), ("traits", False)):
            found = only(rows, lambda column, named=named: column.named is named)
            told[f"{name}, of {shown}"] = round(mean(found), 4)
    return told


def _marks(recognition: Recognition, scene: Scene, pictures: Tensor) -> Marks:
    names = {recognition.all[i].name for i in recognition.at} - {KIND}
    reading = reading_of(recognition(pictures))
    return marks(replace(scene, camera="full"), reading, frozenset(names))


def reading_of(row: Tensor) -> Reading:
    """Columns as the benchmarks take them; what is not there is wrong, where it should be."""
    reading = Reading({}, {})
    for column, value in zip(columns(), row.tolist(), strict=False):
        if column.values:
            reading.values[column.name] = "" if math.isnan(value) else column.values[int(value)]
        else:
            reading.numbers[column.name] = math.inf if math.isnan(value) else value
    return reading
