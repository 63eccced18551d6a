"""Suite ``identity``: is it the same subject, in the scene that was asked for, and at what cost.

Held-out subjects, half characters and half products, in held-out scenes, drawn by five methods side by side:
the bare name of what it is, the words that describe it, the reference adapter, a LoRA, and both. The truth
reader says which named attributes and hidden traits were kept, and whether place and pose are those asked
for; likeness is the subject encoder's identity score. Neither is without error, so what real renders score
stands beside every figure, and targets are shares of that. Intervals are over subjects (bootstrap), of shares
Wilson's.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from castmark.bases import open_base
from castmark.bases.base import Base
from castmark.bench.harness import Figure, median, share
from castmark.bench.identity_cast import METHODS, SCENES, Member, cast_of, picture_sheet
from castmark.bench.truth import Column, TruthReader, marks
from castmark.bench.truth.marks import mean, mean_figure, only
from castmark.safety.encoder import Encoder
from castmark.safety.pictures import to_tensor
from castmark.shot import Shot
from castmark.studio.opening import learn_subject, open_reference, open_scorer
from castmark.studio.wardrobe import EngineWardrobe, Outfit
from castmark.take import write_atomically
from castmark_adapters.host import Adapter
from castmark_adapters.identity import IdentityScorer
from castmark_adapters.lora import LoraAdapter
from castmark_adapters.mixed import MixedLoras
from castmark_adapters.reference import ReferenceAdapter

SUBJECTS = 40
BATCH = 8
SWITCHES = 20
KEPT_TARGETS: dict[str, float] = {"reference": 0.93, "LoRA": 0.96, "both": 0.97}
TRAIT_TARGETS: dict[str, float] = {"reference": 0.75, "both": 0.90}
OBEYED_TARGETS = dict.fromkeys(KEPT_TARGETS, 0.97)
"""The first two as shares of what is read of renders; the third of what is read without an adapter."""
LEARN_TARGET, SWITCH_TARGET, MIXED_TARGET = 90.0, 50.0, 0.6

Pictures = list[NDArray[np.uint8]]


@dataclass
class Drawn:
    """What each method made of each member of the cast, scene by scene."""

    pictures: dict[str, list[Pictures]] = field(default_factory=lambda: {name: [] for name in METHODS})
    seconds: list[float] = field(default_factory=list[float])
    """Of learning."""


def run(*, n: int | None = None, threads: int | None = None, pictures: Path | None = None) -> list[Figure]:
    """Measure ``n`` subjects; picture sheets, a file a method, are written into ``pictures``."""
    torch.set_num_threads(threads or torch.get_num_threads())
    base, eye, scorer, reader = open_base(None), Encoder.open(), open_scorer(), TruthReader.open()
    reference = open_reference(None, base)
    assert isinstance(reference, ReferenceAdapter)
    cast = cast_of(n or SUBJECTS, base.default_size[0])
    drawn = Drawn()
    state = {name: tensor.clone() for name, tensor in base.host.model.denoiser.state_dict().items()}
    for member in cast:
        _learn(member, base, reference, drawn)
        for method in METHODS:
            drawn.pictures[method].append(_draw(base, member, method, reference))
    now = base.host.model.denoiser.state_dict()
    same = now.keys() == state.keys() and all(torch.equal(now[name], state[name]) for name in state)
    if pictures is not None:
        for method in METHODS:
            write_atomically(
                pictures / f"{method.replace(' ', '-')}.png", picture_sheet(cast, drawn.pictures[method])
            )
    figures = [*_likeness("renders", cast, [member.renders for member in cast], scorer)]
    for method in METHODS:
        figures += _likeness(method, cast, drawn.pictures[method], scorer)
    figures += _truths(cast, drawn, reader)
    figures += _variety(cast, drawn, eye)
    learned = [member for member in cast if member.subject.lora is not None]
    figures += [
        median("castmark learn, 4 images", drawn.seconds, "s", target=LEARN_TARGET),
        share("a LoRA was kept", len(learned), len(cast)),
        share("weights as they were afterwards, bit for bit", int(same), 1, target=1.0),
    ]
    return figures + _speed(base, cast, reference)


def _adapters(member: Member, method: str, reference: ReferenceAdapter) -> list[Adapter]:
    worn: list[Adapter] = []
    if method in ("reference", "both"):
        worn.append(reference.of(member.subject))
    if method in ("LoRA", "both") and member.subject.lora is not None:
        worn.append(LoraAdapter.of(member.subject))
    return worn


def _learn(member: Member, base: Base, reference: ReferenceAdapter, drawn: Drawn) -> None:
    start = time.perf_counter()
    member.subject = learn_subject(member.subject, base, reference)
    drawn.seconds.append(time.perf_counter() - start)


def _draw(base: Base, member: Member, method: str, reference: ReferenceAdapter) -> Pictures:
    prompts = member.bare_prompts if method == "kind alone" else member.prompts
    shots = [base.resolve(Shot(text, seed=seed)) for seed, text in enumerate(prompts, start=member.seed)]
    with ExitStack() as stack:
        for adapter in _adapters(member, method, reference):
            stack.enter_context(adapter.worn(base.host))
        return [draft.pixels for draft in base.draw(shots)]


def _likeness(
    method: str, cast: Sequence[Member], pictures: Sequence[Pictures], scorer: IdentityScorer
) -> list[Figure]:
    """The score, how often it says the same subject, and whether the right subject scores highest."""
    own, alike, other = (
        np.asarray([scorer.scores(row, of(m)) for m, row in zip(cast, pictures, strict=True)])
        for of in (lambda m: m.subject, lambda m: m.look_alike, lambda m: m.other)
    )
    count = own.size
    return [
        _over_subjects(f"identity score: {method}", own.mean(1).tolist()),
        share(f"recognised as the same subject: {method}", int((own >= scorer.threshold).sum()), count),
        share(f"told from its look-alike: {method}", int((own > alike).sum()), count, target=0.90),
        share(f"told from another of its kind: {method}", int((own > other).sum()), count, target=0.99),
    ]


def _truths(cast: Sequence[Member], drawn: Drawn, reader: TruthReader) -> list[Figure]:
    """What the truth reader finds kept of the subject, and obeyed of the scene, beside real renders."""
    rendered = [member.renders for member in cast]
    found = {
        name: [
            marks(scene, reading, shown)
            for member, row in zip(cast, pictures, strict=True)
            for scene, shown, reading in zip(member.scenes, member.shown, reader.read(row), strict=True)
        ]
        for name, pictures in {"renders": rendered, **drawn.pictures}.items()
    }
    figures: list[Figure] = []
    for what, keep, targets, against in (
        ("named attributes kept", _named, KEPT_TARGETS, "renders"),
        ("traits kept", _hidden, TRAIT_TARGETS, "renders"),
        (
            "place as asked",
            lambda column: column.name == "place",
            OBEYED_TARGETS,
            "words",
        ),
        ("pose as asked", lambda column: column.name == "pose", OBEYED_TARGETS, "words"),
    ):
        rows = {name: only(found[name], keep) for name in found}
        asked = [index for index, row in enumerate(rows["renders"]) if row]
        for name in rows if asked else ():
            of = [rows[name][index] for index in asked]
            target = mean(rows[against]) * targets[name] if name in targets else None
            subjects = [index // len(SCENES) for index in asked]
            figures.append(mean_figure(f"{what}: {name}", of, target=target, of=subjects))
    return figures


def _named(column: Column) -> bool:
    """Of the subject, and said by captions."""
    return column.named and "." in column.name


def _hidden(column: Column) -> bool:
    return not column.named


def _variety(cast: Sequence[Member], drawn: Drawn, eye: Encoder) -> list[Figure]:
    """Copying makes pictures alike: the effective number of different pictures of a subject (Vendi score,
    arXiv 2210.02410, on the judge's features), against that of the words alone.
    """
    found = {
        method: [vendi(_features(eye, row)) for row in drawn.pictures[method]]
        for method in METHODS
        if method != "kind alone"
    }
    return [
        _over_subjects(
            f"different pictures, against the words alone: {method}",
            [mine / words for mine, words in zip(values, found["words"], strict=True)],
            target=0.90,
        )
        for method, values in found.items()
        if method != "words"
    ]


def _changes(
    base: Base, cast: Sequence[Member], reference: ReferenceAdapter
) -> tuple[list[float], list[float]]:
    """Milliseconds for each of a few subjects to be worn as a studio wears them: the first time, whose files
    are read and layers built; and in the place of another one, when a studio has them in memory."""
    outfit = Outfit(base.host, EngineWardrobe(reference))
    few = [Shot(member.prompts[0], [member.subject]) for member in cast[:BATCH]]
    times: list[float] = []
    for index in range(len(few) + SWITCHES):
        start = time.perf_counter()
        outfit.wear([few[index % len(few)]])
        times.append(1000 * (time.perf_counter() - start))
    outfit.off()
    return times[: len(few)], times[len(few) :]


def _speed(base: Base, cast: Sequence[Member], reference: ReferenceAdapter) -> list[Figure]:
    """Changing the subject, and a batch of different subjects against each alone."""
    first, switches = _changes(base, cast, reference)
    few = [cast[index % len(cast)] for index in range(BATCH)]
    shots = [base.resolve(Shot(member.prompts[0], seed=seed)) for seed, member in enumerate(few)]
    ratios: list[float] = []
    furthest = 0
    for _ in range(3):
        start = time.perf_counter()
        alone: Pictures = []
        for member, shot in zip(few, shots, strict=True):
            with ExitStack() as stack:
                for adapter in _adapters(member, "both", reference):
                    stack.enter_context(adapter.worn(base.host))
                alone.append(base.draw([shot])[0].pixels)
        middle = time.perf_counter()
        loras = [LoraAdapter.of(m.subject) if m.subject.lora else None for m in few]
        with (
            reference.of_each([m.subject for m in few]).worn(base.host),
            MixedLoras(loras).worn(base.host),
        ):
            together = [draft.pixels for draft in base.draw(shots)]
        ratios.append((time.perf_counter() - middle) / (middle - start))
        apart = (np.abs(a.astype(int) - b).max() for a, b in zip(alone, together, strict=True))
        furthest = max(furthest, *(int(value) for value in apart))
    return [
        median("wearing a subject for the first time", first, "ms"),
        median("changing the subject, adapters in memory", switches, "ms", target=SWITCH_TARGET),
        median(
            f"mixed batch of {BATCH} subjects, time against {BATCH} alone", ratios, "", target=MIXED_TARGET
        ),
        _plain("... and the largest difference of a pixel, of 255", furthest, BATCH),
    ]


@torch.no_grad()
def _features(eye: Encoder, pictures: Sequence[NDArray[np.uint8]]) -> Tensor:
    """Unit features of whole pictures, "n d"."""
    return torch.nn.functional.normalize(eye.images(to_tensor(list(pictures)))[:, 0].float(), dim=-1)


def vendi(features: Tensor) -> float:
    """The Vendi score of unit features "n d": 1 if all are the same, n if none has to do with another."""
    values = torch.linalg.eigvalsh(features.double() @ features.double().T / len(features)).clamp(min=1e-12)
    return float(torch.exp(-(values * values.log()).sum()))


def _over_subjects(
    name: str,
    values: Sequence[float],
    *,
    target: float | None = None,
    better: Literal["lower", "higher"] = "higher",
) -> Figure:
    """A mean over subjects with its bootstrap interval."""
    rng = np.random.default_rng(0)
    means = rng.choice(np.asarray(values), (2000, len(values))).mean(1)
    low, high = np.quantile(means, [0.025, 0.975])
    return Figure(
        name=name,
        value=float(np.mean(values)),
        low=float(low),
        high=float(high),
        n=len(values),
        target=target,
        better=better,
    )


def _plain(name: str, value: float, n: int) -> Figure:
    return Figure(name=name, value=value, low=value, high=value, n=n)
