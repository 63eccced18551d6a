"""Finds the thresholds of a policy for a judge, measures them on the test split, and writes the record.

    castmark policy calibrate general-audience                # the shipped judge, rendered pictures, base
    drawings python -m castmark.safety.calibrate general-audience --base none --out calibrations/

Every source (renders; the drawings of a base) gets its own threshold, and the highest of them is used, so
that the bound on false positives holds on each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from castmark.errors import NotCalibrated
from castmark.safety.calibration import Calibration, Rate, Threshold, file_name, user_folder
from castmark.safety.concepts import Concepts
from castmark.safety.encoder import Encoder
from castmark.safety.policy import Policy, shipped_policies
from castmark.safety.prompt import WordList
from castmark.safety.samples import category_items, drawn, embed_prompts, prompts, rendered
from castmark.safety.threshold import interval, smallest_n, threshold
from castmark_world import Split

if TYPE_CHECKING:
    from castmark.bases.base import Base

RENDERS = "renders"
PROMPTS = "prompts"


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How many samples: safe ones for the thresholds, and safe and unsafe ones (a category) to test on."""

    safe: int = 2400
    test_safe: int = 1200
    unsafe: int = 500
    drawn_safe: int = 640
    drawn_test_safe: int = 160
    drawn_unsafe: int = 60


class Samples:
    """Embeddings of every kind of sample, made once and shared by the policies of one run."""

    def __init__(
        self, encoder: Encoder, sizes: Sizes, seed: int, base: Base | None, say: Callable[[str], None]
    ) -> None:
        self.encoder, self.sizes, self.seed, self.base, self.say = encoder, sizes, seed, base, say
        self._kept: dict[tuple[str, Split, str | None], list[Tensor]] = {}
        self.sources = (
            (RENDERS,) if base is None else (RENDERS, f"drawings of {base.name} ({base.digest[:12]})")
        )

    def embeddings(self, source: str, split: Split, category: str | None) -> list[Tensor]:
        """Batches "n v d" of one source, split and category (None: safe)."""
        key = (source, split, category)
        if key not in self._kept:
            self.say(f"{source}, {split}: {category or 'safe'}")
            self._kept[key] = self._make(source, split, category)
        return self._kept[key]

    def _make(self, source: str, split: Split, category: str | None) -> list[Tensor]:
        sizes, seed = self.sizes, self.seed + (split == "test")
        count = sizes.unsafe if category else sizes.test_safe if split == "test" else sizes.safe
        if source == PROMPTS:
            return embed_prompts(self.encoder, prompts(count, seed, split, category))
        if source == RENDERS:
            return [rendered(self.encoder, count, seed, split, category)]
        assert self.base is not None
        safe = sizes.drawn_test_safe if split == "test" else sizes.drawn_safe
        count = sizes.drawn_unsafe if category else safe
        return [drawn(self.encoder, self.base, count, seed, split, category)]


def calibrate(
    policies: Sequence[Policy],
    encoder: Encoder,
    *,
    base: Base | None = None,
    sizes: Sizes | None = None,
    seed: int = 20_000,
    say: Callable[[str], None] = lambda text: None,
) -> list[Calibration]:
    """A calibration record for each policy.

    Raises:
        NotCalibrated: the samples are too few for the policy's budget or its requirements.
    """
    sizes = sizes or Sizes()
    samples = Samples(encoder, sizes, seed, base, say)
    return [_calibrate(policy, samples) for policy in policies]


def _calibrate(policy: Policy, samples: Samples) -> Calibration:
    sizes, need = samples.sizes, policy.require
    least = smallest_n(policy.alpha, policy.budget.delta)
    drawings = sizes.drawn_safe if samples.base is not None else least
    if min(sizes.safe, drawings) < least or sizes.safe < need.n_safe_min or sizes.unsafe < need.n_unsafe_min:
        raise NotCalibrated(
            f"policy {policy.name!r} needs {max(least, need.n_safe_min)} safe and {need.n_unsafe_min} unsafe "
            f"samples (and {least} safe drawings of a base); asked were {sizes.safe}, "
            f"{sizes.unsafe} and {drawings}"
        )
    concepts = Concepts(samples.encoder, policy)
    image = {name: _threshold(policy, samples, concepts, name, samples.sources) for name in policy.judged}
    prompt = {name: _threshold(policy, samples, concepts, name, (PROMPTS,)) for name in policy.judged}
    return Calibration(
        policy=policy.name,
        policy_digest=policy.digest,
        fingerprint=samples.encoder.fingerprint,
        judge=Path(samples.encoder.name).name,
        domain=policy.domain,
        created=datetime.now(UTC).replace(microsecond=0),
        fpr=policy.budget.fpr,
        delta=policy.budget.delta,
        seed=samples.seed,
        sources=samples.sources,
        image=image,
        prompt=prompt,
        notes=_notes(policy, samples, concepts, image, prompt),
    )


def _threshold(
    policy: Policy, samples: Samples, concepts: Concepts, category: str, sources: tuple[str, ...]
) -> Threshold:
    by_source = {
        source: threshold(
            _scores(samples, concepts, source, "calibration", None, category),
            policy.alpha,
            policy.budget.delta,
        )
        for source in sources
    }
    value = max(by_source.values())
    # The world may hold nothing of a category; then there are prompts of it, but no pictures to measure on.
    unsafe = category if category_items(category) or sources == (PROMPTS,) else None
    caught: dict[str, Rate] = {}
    if unsafe:
        caught = {s: _rate(_scores(samples, concepts, s, "test", unsafe, category), value) for s in sources}
    refused = {s: _rate(_scores(samples, concepts, s, "test", None, category), value) for s in sources}
    miss = policy.categories[category].miss
    return Threshold(
        value=value,
        n_safe=samples.sizes.safe,
        n_unsafe=samples.sizes.unsafe,
        by_source=by_source,
        false_positives=refused,
        true_positives=caught,
        miss_target=miss,
        miss_holds=bool(caught) and 1 - caught[sources[0]].low <= miss,
    )


def _scores(
    samples: Samples, concepts: Concepts, source: str, split: Split, of: str | None, category: str
) -> list[float]:
    batches = samples.embeddings(source, split, of)
    return torch.cat([concepts.scores(batch)[category] for batch in batches]).tolist()


def _rate(scores: Sequence[float], limit: float) -> Rate:
    """Share of scores that are not allowed: above the limit, or not a number."""
    hits = sum(not score <= limit for score in scores)
    low, high = interval(hits, len(scores))
    return Rate(hits=hits, n=len(scores), low=low, high=high)


def _notes(
    policy: Policy,
    samples: Samples,
    concepts: Concepts,
    image: dict[str, Threshold],
    prompt: dict[str, Threshold],
) -> dict[str, float]:
    """What the word lists add to the judge on test prompts, and how often a safe sample is refused by
    anything."""
    words = {n: WordList(c.words, c.exceptions) for n, c in policy.categories.items() if c.words}
    found: dict[str, float] = {}
    count, seed = samples.sizes.unsafe, samples.seed + 1
    for name in policy.judged:
        texts = prompts(count, seed, "test", name)
        judged = [s > prompt[name].value for s in _scores(samples, concepts, PROMPTS, "test", name, name)]
        listed = [bool(name in words and words[name].hits(text)) for text in texts]
        found[f"prompt recall, {name}: judge alone"] = sum(judged) / count
        found[f"prompt recall, {name}: word list alone"] = sum(listed) / count
        found[f"prompt recall, {name}: either"] = (
            sum(a or b for a, b in zip(judged, listed, strict=True)) / count
        )
    safe = prompts(samples.sizes.test_safe, seed, "test", None)
    hit = [any(w.hits(text) for w in words.values()) for text in safe]
    for name in policy.judged:
        over = _scores(samples, concepts, PROMPTS, "test", None, name)
        hit = [h or s > prompt[name].value for h, s in zip(hit, over, strict=True)]
    found["safe prompts refused by anything"] = sum(hit) / len(safe)
    for source in samples.sources:
        rows = [_scores(samples, concepts, source, "test", None, name) for name in policy.judged]
        limits = [image[name].value for name in policy.judged]
        over = [
            any(s > limit for s, limit in zip(row, limits, strict=True)) for row in zip(*rows, strict=True)
        ]
        found[f"safe pictures refused by anything, {source}"] = sum(over) / len(over)
    return found


def calibrate_and_save(
    policies: Sequence[str | Path] = (),
    *,
    judge: str | Path | None = None,
    base: str | Path | None = "embedded",
    out: Path | None = None,
    device: str = "cpu",
    threads: int | None = None,
    sizes: Sizes | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> list[tuple[Path, Calibration]]:
    """Calibrate ``policies`` (default: all that ship) and write the records to ``out`` (default: the user's
    folder).

    ``base`` is a base's name or folder, or "none" to score rendered pictures only.

    Raises:
        CastmarkError: a policy, judge or base that cannot be used, or too few samples.
    """
    if threads:
        torch.set_num_threads(threads)
    loaded = [Policy.load(policy) for policy in policies or shipped_policies()]
    encoder = Encoder.open(judge, device)
    drawer: Base | None = None
    if base not in (None, "none"):
        from castmark.bases import open_base

        drawer = open_base(base, device)
    records = calibrate(loaded, encoder, base=drawer, sizes=sizes, say=say)
    folder = out or user_folder()
    return [
        (record.save(folder / file_name(record.policy, record.fingerprint)), record) for record in records
    ]
