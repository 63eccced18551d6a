"""The part of a calibration that is about prompts: thresholds, and what the word lists add.

As of pictures, every source of prompts has thresholds of its own and the highest are used, so that the bound
on false positives holds on each; the miss bound is that of the first source. Categories that the prompt model
reads have one threshold together, found from the greatest of their scores: its log odds are on one scale, and
a threshold each would share the budget by the union bound, and leave most of it unspent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from castmark.errors import NotCalibrated
from castmark.safety.calibration import Calibration, Rate, Threshold
from castmark.safety.concepts import Concepts
from castmark.safety.evidence import SpokenEvidence
from castmark.safety.policy import Policy
from castmark.safety.prompt_model import PromptModel
from castmark.safety.prompt_scores import PromptScores, kinds_read, word_lists
from castmark.safety.threshold import miss_threshold, threshold
from castmark_world import Split


class Spoken:
    """What a policy makes of prompts, each scored once."""

    def __init__(self, policy: Policy, evidence: SpokenEvidence) -> None:
        self.policy, self._evidence = policy, evidence
        self._lists, self._kinds = word_lists(policy), kinds_read(policy, PromptModel.open())
        self._reader = PromptScores(evidence.encoder, Concepts(evidence.encoder, policy), policy)
        self._known: dict[tuple[str, Split, str | None], list[dict[str, float]]] = {}

    def scores(self, source: str, split: Split, of: str | None, category: str) -> list[float]:
        """Scores for a category of a source's prompts, harmless ones or ``of`` another, in their order."""
        key = (source, split, of)
        if key not in self._known:
            texts = self._evidence.prompts(source, split, of)
            self._known[key] = self._reader.of(texts) if texts else []
        return [row[category] for row in self._known[key]]

    def thresholds(self, names: Sequence[str]) -> dict[str, Threshold]:
        """The thresholds of the categories that are calibrated.

        Raises:
            NotCalibrated: too few prompts for the budget.
        """
        together = [name for name in names if name in self._kinds]
        found: dict[str, Threshold] = {}
        for name in names:
            sharing = together if name in together else [name]
            found[name] = self._threshold(name, sharing, len(names))
        return found

    def _threshold(self, category: str, sharing: Sequence[str], count: int) -> Threshold:
        """A category's, which shares its threshold with some of the ``count`` that there are."""
        policy, sources = self.policy, self._evidence.spoken
        alpha, delta = len(sharing) * policy.prompt_alpha(count), policy.budget.delta
        safe = {source: self._greatest(source, sharing) for source in sources}
        unsafe = self.scores(sources[0], "calibration", category, category)
        by_source = {source: threshold(found, alpha, delta) for source, found in safe.items()}
        value = max(by_source.values())
        miss = policy.categories[category].miss
        caught = {
            source: Rate.above(found, value)
            for source in sources
            if (found := self.scores(source, "test", category, category))
        }
        return Threshold(
            value=value,
            pass_at=miss_threshold(unsafe, miss, delta),
            n_safe=min(map(len, safe.values())),
            n_unsafe=len(unsafe),
            by_source=by_source,
            false_positives={
                source: Rate.above(self.scores(source, "test", None, category), value) for source in sources
            },
            true_positives=caught,
            miss_target=miss,
            miss_holds=1 - caught[sources[0]].low <= miss,
        )

    def _greatest(self, source: str, categories: Sequence[str]) -> list[float]:
        """Of harmless prompts, the greatest score in any of the categories."""
        rows = [self.scores(source, "calibration", None, category) for category in categories]
        return [max(scores) for scores in zip(*rows, strict=True)]

    def notes(self, thresholds: Mapping[str, Threshold]) -> dict[str, float]:
        """What the lists add to the scores of test prompts, and how often a safe one is refused at all."""
        found: dict[str, float] = {}
        for source in self._evidence.spoken:
            safe = self._evidence.prompts(source, "test", None)
            refused = [any(words.hits(text) for words in self._lists.values()) for text in safe]
            for name, at in thresholds.items():
                over = [score > at.value for score in self.scores(source, "test", None, name)]
                refused = [one or other for one, other in zip(refused, over, strict=True)]
                texts = self._evidence.prompts(source, "test", name)
                judged = [score > at.value for score in self.scores(source, "test", name, name)]
                listed = [bool(self._lists[name].hits(text)) for text in texts]
                if texts:
                    either = [one or other for one, other in zip(judged, listed, strict=True)]
                    what = f"recall of {source}, {name}"
                    found[f"{what}: scores alone"] = sum(judged) / len(texts)
                    found[f"{what}: word list alone"] = sum(listed) / len(texts)
                    found[f"{what}: either"] = sum(either) / len(texts)
            found[f"safe {source} refused by anything"] = sum(refused) / len(safe)
        return found


def with_prompts(record: Calibration, policy: Policy, evidence: SpokenEvidence) -> Calibration:
    """The record with its part on prompts made anew, for a policy that differs from its own in nothing else.

    Raises:
        NotCalibrated: what decides on pictures was changed, or there are too few prompts.
    """
    if record.pictures_digest != policy.pictures_digest:
        raise NotCalibrated(
            f"policy {policy.name!r} differs from the calibrated one in more than prompts, so that pictures "
            f"must be calibrated again too; run: castmark policy calibrate {policy.name}"
        )
    spoken = Spoken(policy, evidence)
    prompt = spoken.thresholds(list(record.prompt))
    found = record.model_copy(
        update={
            "policy_digest": policy.digest,
            "domain": policy.domain,
            "prompt": prompt,
            "prompt_model": PromptModel.open().digest,
            "prompt_notes": spoken.notes(prompt),
        }
    )
    found.require(policy, evidence.encoder.fingerprint)
    return found
