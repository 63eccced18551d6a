"""What a policy's thresholds are found from: scores of pictures, by the judge's texts or by a probe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from torch import Tensor

from castmark.safety.concepts import Concepts
from castmark.safety.evidence import Evidence
from castmark.safety.policy import Policy
from castmark.safety.probe import Probe
from castmark_world import Split

Scorer = Literal["texts", "probe"]


class Scores:
    """Scores of pictures under one policy.

    Args:
        probes: by the category or escalation trigger that they tell from all else.
    """

    def __init__(self, policy: Policy, evidence: Evidence, probes: Mapping[str, Probe]) -> None:
        self.policy, self.evidence, self._probes = policy, evidence, probes
        self._concepts = Concepts(evidence.encoder, policy)

    def scorers(self, name: str) -> tuple[Scorer, ...]:
        """What can score the category or trigger."""
        return ("texts", "probe") if name in self._probes else ("texts",)

    def of(self, embeddings: Tensor, name: str, scorer: Scorer) -> list[float]:
        """A score of each picture for the category or trigger."""
        if scorer == "probe":
            return self._probes[name].log_odds(embeddings, name).tolist()
        return self._concepts.scores(embeddings)[name].tolist()

    def pictures(self, source: str, split: Split, of: str | None, category: str, by: Scorer) -> list[float]:
        """Scores of a source's pictures."""
        return self.of(self.evidence.pictures(source, split, of).embeddings, category, by)
