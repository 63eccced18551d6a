"""Finds the thresholds of a policy for a judge, measures them on the test split, and writes the record.

    castmark policy calibrate general-audience          # the shipped judge: renders, and the base's drawings
    castmark policy calibrate my-policy.yaml --judge FOLDER --safe DIR --unsafe DIR      # on your own images

Two bounds, neither of which assumes anything about the scores: at most the budget's share of safe pictures
scores above ``value``, and at most the category's miss share of unsafe ones at or below ``pass_at``. Every
source (renders; the drawings of a base) and every group of people gets its own threshold, and the highest is
used, so that the bound on false positives holds on each. Where a probe can score a category beside the texts,
each has thresholds at half the chance of error, and the one that catches more is used.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from castmark.errors import NotCalibrated
from castmark.safety.calibrate_prompts import Spoken, with_prompts
from castmark.safety.calibration import Calibration, Rate, Threshold, earlier, file_name, user_folder
from castmark.safety.domain import Kind, strangeness
from castmark.safety.encoder import Encoder
from castmark.safety.evidence import WRITTEN, Evidence, Lessons, Pictures, Sizes, WorldEvidence
from castmark.safety.policy import Policy, shipped_policies
from castmark.safety.probe import Probe, learn
from castmark.safety.prompt_model import PromptModel
from castmark.safety.prompt_scores import kinds_read
from castmark.safety.reader import Reader, learn_reader
from castmark.safety.samples import SAFE
from castmark.safety.scores import Scorer, Scores
from castmark.safety.threshold import miss_threshold, smallest_n, threshold

if TYPE_CHECKING:
    from castmark.bases.base import Base

HIDDEN, LESSONS_FOR_HIDDEN = 96, 4000
"""Hidden units of the probe of categories, and how many lessons they need. Of 500 held-out renders of knives,
at 1% of 2,500 safe ones, a linear probe from 1,200 lessons caught 67%, from 12,000 85%, and one with 64 to
256 hidden units 89 to 92%."""
SEED = 20_000
"""Of what a calibration draws."""
OTHER = "other"
"""Class of a trigger's probe: what does not show it."""


def calibrate(
    policies: Sequence[Policy],
    encoder: Encoder,
    *,
    base: Base | None = None,
    sizes: Sizes | None = None,
    seed: int = SEED,
    say: Callable[[str], None] = lambda text: None,
) -> list[Calibration]:
    """A calibration record for each policy, on the rendered world and a base's drawings.

    Raises:
        NotCalibrated: the samples are too few for the policy's budget or its requirements.
    """
    sizes = sizes or Sizes()
    evidence = WorldEvidence(encoder, sizes, seed, base, say)
    for policy in policies:
        _require_sizes(policy, sizes, evidence)
    return [calibrate_on(policy, evidence) for policy in policies]


def _require_sizes(policy: Policy, sizes: Sizes, evidence: Evidence) -> None:
    """Told before anything is drawn: that takes long."""
    need = policy.require
    shown = [name for name in policy.judged if evidence.shows(name)]
    least = smallest_n(policy.alpha(max(1, len(shown))), policy.budget.delta / 2)  # texts and probe
    drawings = sizes.drawn_safe if len(evidence.sources) > 1 else least
    safe = min(sizes.safe, sizes.safe_prompts)
    read = kinds_read(policy, PromptModel.open())
    share = len(shown) if set(shown) <= set(read) else 1
    spoken = smallest_n(share * policy.prompt_alpha(max(1, len(shown))), policy.budget.delta)
    said = min(sizes.safe_prompts, len(evidence.prompts(WRITTEN, "calibration", None)))
    if (
        min(safe, drawings) < least
        or said < spoken
        or safe < need.n_safe_min
        or sizes.unsafe < need.n_unsafe_min
    ):
        raise NotCalibrated(
            f"policy {policy.name!r} needs {max(least, need.n_safe_min)} safe and {need.n_unsafe_min} unsafe "
            f"samples, {spoken} safe prompts of each source, and {least} safe drawings of a base; asked were "
            f"{safe}, {sizes.unsafe}, {said} and {drawings}"
        )


def calibrate_on(policy: Policy, evidence: Evidence) -> Calibration:
    """A calibration record from any evidence.

    Raises:
        NotCalibrated: it has no pictures or prompts of a category that the policy requires, or too few, or
            nothing of what the policy locks.
    """
    shown = [name for name in policy.judged if evidence.shows(name)]
    said = [name for name in shown if evidence.says(name)]
    for name, category in policy.judged.items():
        if category.if_uncalibrated == "refuse" and name not in said:
            kind = "prompts" if name in shown else "pictures"
            raise NotCalibrated(f"there are no unsafe {kind} of {name!r} to calibrate with; give some")
    lessons = evidence.lessons()
    if lessons is None and policy.subject.lock:
        raise NotCalibrated(
            f"policy {policy.name!r} locks {', '.join(policy.subject.lock)} of subjects, and your own "
            "pictures say nothing of that; empty `lock` under `subject`, or calibrate on renders (no --safe)"
        )
    content, triggers, reader = None, dict[str, Probe](), None
    if lessons is not None:
        names = (SAFE, *sorted(set(lessons.contents) - {SAFE}))
        content = _probe(lessons.embeddings, lessons.contents, names)
        triggers = _trigger_probes(policy, lessons)
        reader = learn_reader(
            lessons.embeddings,
            lessons.people,
            lessons.held_out,
            lessons.held_out_people,
            source=f"{evidence.sources[0]}, held-out combinations",
            drift_rate=policy.budget.fpr,
            delta=policy.budget.delta,
        )
    told = {name: content for name in said if content is not None and name in content.classes}
    scores = Scores(policy, evidence, told | triggers)
    image = {name: _image_threshold(scores, name, len(said)) for name in said}
    spoken = Spoken(policy, evidence)
    prompt = spoken.thresholds(said)
    kinds = {source: _kind(policy, evidence, source, known) for source, known in evidence.familiar().items()}
    return Calibration(
        policy=policy.name,
        policy_digest=policy.digest,
        pictures_digest=policy.pictures_digest,
        fingerprint=evidence.encoder.fingerprint,
        judge=Path(evidence.encoder.name).name,
        domain=policy.domain,
        created=datetime.now(UTC).replace(microsecond=0),
        fpr=policy.budget.fpr,
        delta=policy.budget.delta,
        seed=evidence.seed,
        sources=evidence.sources,
        image=image,
        prompt=prompt,
        prompt_model=PromptModel.open().digest,
        escalations=_escalations(scores),
        content=content,
        triggers=triggers,
        reader=reader,
        kinds=kinds,
        prompt_notes=spoken.notes(prompt),
        notes=_notes(scores, image, kinds, reader),
    )


def _probe(embeddings: Tensor, labels: Sequence[str], classes: Sequence[str]) -> Probe:
    return learn(embeddings, labels, classes, hidden=HIDDEN if len(labels) >= LESSONS_FOR_HIDDEN else 0)


def _trigger_probes(policy: Policy, lessons: Lessons) -> dict[str, Probe]:
    """A probe for each escalation trigger that some of the labelled renders show."""
    known = lessons.embeddings[: len(lessons.triggers)]
    found: dict[str, Probe] = {}
    for name in policy.escalate:
        labels = [name if name in shown else OTHER for shown in lessons.triggers]
        if name in labels:
            found[name] = _probe(known, labels, (OTHER, name))
    return found


def _image_threshold(scores: Scores, category: str, count: int) -> Threshold:
    policy, evidence = scores.policy, scores.evidence
    scorers = scores.scorers(category)
    alpha, delta = policy.alpha(count), policy.budget.delta / len(scorers)
    truth = evidence.sources[0]
    safe = {source: evidence.pictures(source, "calibration", None) for source in evidence.sources}
    unsafe = evidence.pictures(truth, "calibration", category)
    found: dict[Scorer, tuple[float, dict[str, float], dict[str, float], tuple[str, ...]]] = {}
    for scorer in scorers:
        by_source = {
            source: threshold(scores.of(pictures.embeddings, category, scorer), alpha, delta)
            for source, pictures in safe.items()
        }
        by_group, thin = _by_group(scores, safe[truth], category, scorer, alpha, delta)
        found[scorer] = max(*by_source.values(), *by_group.values(), -math.inf), by_source, by_group, thin
    scorer, gain = _better(
        {name: [s > found[name][0] for s in scores.of(unsafe.embeddings, category, name)] for name in found}
    )
    value, by_source, by_group, thin = found[scorer]
    miss = policy.categories[category].miss
    pass_at = miss_threshold(scores.of(unsafe.embeddings, category, scorer), miss, policy.budget.delta)
    band = max(
        sum(pass_at < s <= value for s in scores.of(pictures.embeddings, category, scorer))
        / len(pictures.embeddings)
        for pictures in safe.values()
    )
    abstains = pass_at < value and band <= policy.budget.abstain_max
    limit = min(value, pass_at) if abstains else value
    test_safe = evidence.pictures(truth, "test", None)
    test_unsafe = evidence.pictures(truth, "test", category)
    caught = {
        source: Rate.above(scores.pictures(source, "test", category, category, scorer), limit)
        for source in evidence.sources
    }
    return Threshold(
        value=value,
        pass_at=pass_at,
        abstains=abstains,
        band=band,
        scorer=scorer,
        gain=gain,
        n_safe=len(safe[truth].embeddings),
        n_unsafe=len(unsafe.embeddings),
        by_source=by_source,
        by_group=by_group,
        uncertified_groups=thin,
        false_positives={
            source: Rate.above(scores.pictures(source, "test", None, category, scorer), limit)
            for source in evidence.sources
        },
        true_positives=caught,
        group_false_positives={
            group: Rate.above(scores.of(test_safe.of(group), category, scorer), limit)
            for group in test_safe.group_names
        },
        group_misses={
            group: _miss(Rate.above(scores.of(test_unsafe.of(group), category, scorer), limit))
            for group in test_unsafe.group_names
        },
        miss_target=miss,
        miss_holds=1 - caught[truth].low <= miss,
    )


def _kind(policy: Policy, evidence: Evidence, source: str, known: Tensor) -> Kind:
    """One kind of pictures, with the distance that its safe ones hardly ever exceed."""
    kind = Kind.of(known)
    away = kind.distance(evidence.pictures(source, "calibration", None).textures).tolist()
    limit = threshold(away, policy.budget.out_of_domain, policy.budget.delta)
    return kind.model_copy(update={"limit": limit})


def _by_group(
    scores: Scores, safe: Pictures, category: str, scorer: Scorer, alpha: float, delta: float
) -> tuple[dict[str, float], tuple[str, ...]]:
    """The threshold of each group that is large enough for one, and the names of those that are not."""
    found: dict[str, float] = {}
    for group in safe.group_names:
        members = safe.of(group)
        if len(members) >= smallest_n(alpha, delta):
            found[group] = threshold(scores.of(members, category, scorer), alpha, delta)
    return found, tuple(group for group in safe.group_names if group not in found)


def _better(caught: dict[Scorer, list[bool]]) -> tuple[Scorer, float | None]:
    """The probe where it catches more than the texts at the same bound; and how much more."""
    if "probe" not in caught:
        return "texts", None
    gain = (sum(caught["probe"]) - sum(caught["texts"])) / len(caught["texts"])
    return ("probe" if gain > 0 else "texts"), gain


def _escalations(scores: Scores) -> dict[str, Threshold]:
    """Where a trigger counts as found: calibrated by its miss bound alone, so that doubt counts as found. Of
    texts and probe, what finds it in fewer pictures that are without."""
    found: dict[str, Threshold] = {}
    delta = scores.policy.budget.delta
    for name, escalation in scores.policy.escalate.items():
        known, test = (scores.evidence.trigger(name, split) for split in ("calibration", "test"))
        if known is None or test is None or not (len(known.others) and len(test.others)):
            continue  # the gate then counts it as found in every picture
        values: dict[Scorer, float] = {
            scorer: miss_threshold(scores.of(known.there, name, scorer), escalation.miss, delta)
            for scorer in scores.scorers(name)
        }
        wrong = {
            scorer: Rate.above(scores.of(known.others, name, scorer), values[scorer]) for scorer in values
        }
        scorer = min(values, key=lambda each: wrong[each].value)
        caught = Rate.above(scores.of(test.there, name, scorer), values[scorer])
        found[name] = Threshold(
            value=values[scorer],
            pass_at=values[scorer],
            scorer=scorer,
            n_safe=len(known.others),
            n_unsafe=len(known.there),
            false_positives={
                "other pictures": Rate.above(scores.of(test.others, name, scorer), values[scorer])
            },
            true_positives={scores.evidence.sources[0]: caught},
            miss_target=escalation.miss,
            miss_holds=1 - caught.low <= escalation.miss,
        )
    return found


def _miss(caught: Rate) -> Rate:
    return Rate(hits=caught.n - caught.hits, n=caught.n, low=1 - caught.high, high=1 - caught.low)


def _notes(
    scores: Scores,
    image: dict[str, Threshold],
    kinds: dict[str, Kind],
    reader: Reader | None,
) -> dict[str, float]:
    """How often a safe test picture is refused by anything, and how well people are read."""
    evidence, found = scores.evidence, dict[str, float]()
    for name, found_at in image.items():
        if found_at.gain is not None:
            found[f"pictures of {name} caught by the probe beyond the texts"] = found_at.gain
    for source in evidence.sources:
        rows = [scores.pictures(source, "test", None, name, image[name].scorer) for name in image]
        limits = [found_at.limit for found_at in image.values()]
        over = [
            any(s > limit for s, limit in zip(row, limits, strict=True)) for row in zip(*rows, strict=True)
        ]
        found[f"safe pictures refused by anything, {source}"] = sum(over) / len(over)
        away = strangeness(kinds, evidence.pictures(source, "test", None).textures)
        found[f"safe pictures taken for another kind, {source}"] = float((away > 1).float().mean())
    if reader is not None:
        for name, attribute in reader.attributes.items():
            found[f"{name} read rightly ({len(attribute.probe.classes)} classes)"] = attribute.accuracy
    return found


def calibrate_and_save(
    policies: Sequence[str | Path] = (),
    *,
    judge: str | Path | None = None,
    base: str | Path | None = "embedded",
    safe: Path | None = None,
    unsafe: Path | None = None,
    prompts: Path | None = None,
    out: Path | None = None,
    device: str = "cpu",
    threads: int | None = None,
    prompts_only: bool = False,
    sizes: Sizes | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> list[tuple[Path, Calibration]]:
    """Calibrate ``policies`` (default: all that ship) and write the records to ``out`` (default: the user's
    folder).

    With ``safe`` and ``unsafe`` on the images of those folders (see `castmark.safety.own_images`); else on
    the rendered world and the drawings of ``base``, a name or folder, or "none" for renders only. With
    ``prompts_only`` what an earlier record of the same judge says of pictures is kept, if nothing that
    decides it has changed: minutes instead of an hour after a change of words.

    Raises:
        CastmarkError: a policy, judge, folder or base that cannot be used, or too few samples.
    """
    from castmark.safety.own_images import OwnPrompts, own_images

    if threads:
        torch.set_num_threads(threads)
    loaded = [Policy.load(policy) for policy in policies or shipped_policies()]
    encoder = Encoder.open(judge, device)
    evidence = None if prompts_only else own_images(encoder, safe, unsafe, prompts, say, loaded)
    if prompts_only:
        world = WorldEvidence(encoder, sizes or Sizes(), SEED, say=say)
        spoken = world if prompts is None else OwnPrompts(encoder, prompts)
        records = [with_prompts(earlier(policy, encoder.fingerprint), policy, spoken) for policy in loaded]
    elif evidence is not None:
        records = [calibrate_on(policy, evidence) for policy in loaded]
        for policy, record in zip(loaded, records, strict=True):
            record.require(policy, encoder.fingerprint)
    else:
        drawer: Base | None = None
        if base not in (None, "none"):
            from castmark.bases import open_base

            drawer = open_base(base, device)
        records = calibrate(loaded, encoder, base=drawer, sizes=sizes, say=say)
    folder = out or user_folder()
    return [
        (record.save(folder / file_name(record.policy, record.fingerprint)), record) for record in records
    ]
