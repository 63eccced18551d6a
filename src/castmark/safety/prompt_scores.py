"""What the judge makes of prompts under a policy.

Each is read whole, in chunks; for a category whose excepted phrases it holds, once more without them, and
that reading counts: a text tower takes a blood orange for blood. Every other category reads all of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from castmark.safety.concepts import Concepts
from castmark.safety.encoder import Encoder
from castmark.safety.policy import Policy
from castmark.safety.prompt import WordList, chunks


def word_lists(policy: Policy) -> dict[str, WordList]:
    """The words and excepted phrases of every category; of one without words, nothing hits."""
    return {name: WordList(c.words, c.exceptions) for name, c in policy.categories.items()}


class PromptScores:
    """Scores of prompts by category and escalation trigger.

    Args:
        lists: by category, whose excepted phrases are not read for it.
    """

    def __init__(self, encoder: Encoder, concepts: Concepts, lists: Mapping[str, WordList]) -> None:
        self._encoder, self._concepts = encoder, concepts
        self._lists = {name: listed for name, listed in lists.items() if name in concepts.names}

    def of(self, texts: Sequence[str]) -> list[dict[str, float]]:
        """Score of every category and trigger for each text, in one pass of the text tower."""
        less = [
            {name: rest for name, listed in self._lists.items() if (rest := listed.without(text)) != text}
            for text in texts
        ]
        distinct = list(dict.fromkeys([*texts, *(rest for each in less for rest in each.values())]))
        scores = dict(zip(distinct, map(self._scores, self._embedded(distinct)), strict=True))
        return [
            scores[text] | {name: scores[rest][name] for name, rest in each.items()}
            for text, each in zip(texts, less, strict=True)
        ]

    def _scores(self, embedded: Float[Tensor, "c d"]) -> dict[str, float]:
        return {name: float(score) for name, score in self._concepts.scores(embedded[None]).items()}

    def _embedded(self, texts: Sequence[str]) -> tuple[Float[Tensor, "c d"], ...]:
        """The chunks of each text."""
        pieces = [chunks(text, self._encoder.fits) for text in texts]
        embedded: Tensor = self._encoder.texts([piece for parts in pieces for piece in parts])
        return torch.split(embedded, [len(parts) for parts in pieces])
