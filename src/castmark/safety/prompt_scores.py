"""What is made of prompts under a policy: by the prompt model for the kinds of content that it knows, by the
judge's text tower for a policy's own.

Each is read whole, in chunks; for a category whose excepted phrases it holds, once more without them, and
that reading counts: a text tower takes a blood orange for blood. Every other category reads all of it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from castmark.safety.concepts import Concepts
from castmark.safety.encoder import Encoder
from castmark.safety.policy import Category, Policy, read_terms
from castmark.safety.prompt import WordList, chunks
from castmark.safety.prompt_model import PromptModel

FEW = 2
"""Words without a vector that any text may have: names, mostly."""


def word_lists(policy: Policy) -> dict[str, WordList]:
    """The words and excepted phrases of every category; of one without words, nothing hits."""
    return {name: _word_list(category) for name, category in policy.categories.items()}


def _word_list(category: Category) -> WordList:
    """A word that the policy adds to shipped terms counts for more than their exceptions."""
    terms = read_terms(category.kind) if category.kind else {}
    own = WordList(set(category.words) - set(terms.get("words", ())))
    shipped = set(terms.get("exceptions", ()))
    exceptions = (each for each in category.exceptions if each not in shipped or not own.hits(each))
    return WordList(category.words, exceptions)


def kinds_read(policy: Policy, model: PromptModel) -> dict[str, str]:
    """The judged categories that the prompt model reads prompts for, with the kind of content each is."""
    judged = policy.judged.items()
    return {name: category.kind for name, category in judged if category.kind in model.classes}


class PromptScores:
    """Scores of prompts by judged category; escalation triggers are found in prompts by their words."""

    def __init__(self, encoder: Encoder, concepts: Concepts, policy: Policy) -> None:
        self._encoder, self._concepts, self._model = encoder, concepts, PromptModel.open()
        self._kinds = kinds_read(policy, self._model)
        lists = word_lists(policy)
        self._lists = {name: lists[name] for name in policy.judged}

    def of(self, texts: Sequence[str]) -> list[dict[str, float]]:
        """Score of every category for each text, in one pass of each model that is needed."""
        read = [{name: listed.without(text) for name, listed in self._lists.items()} for text in texts]
        distinct = list(dict.fromkeys(text for each in read for text in each.values()))
        scores = dict(zip(distinct, self._scores(distinct), strict=True))
        return [{name: scores[text][name] for name, text in each.items()} for each in read]

    def unread(self, text: str) -> tuple[float, list[str]] | None:
        """The share of a text's words that the prompt model does not know, nought where they are no more than
        `FEW`, and which; None where the model reads for no category."""
        if not self._kinds:
            return None
        words, count = self._model.vocabulary.unread(text)
        return (len(words) / count, words) if len(words) > FEW else (0.0, [])

    def _scores(self, texts: Sequence[str]) -> list[dict[str, float]]:
        """Of every category, the excepted phrases of none left out."""
        rows: list[dict[str, float]] = [{} for _ in texts]
        if len(self._kinds) < len(self._lists):
            for row, embedded in zip(rows, self._embedded(texts), strict=True):
                found = self._concepts.scores(embedded[None])
                row.update({name: float(score) for name, score in found.items()})
        if self._kinds:
            for row, odds in zip(rows, self._model.scores(texts), strict=True):
                row.update({name: odds[kind] for name, kind in self._kinds.items()})
        return rows

    def _embedded(self, texts: Sequence[str]) -> tuple[Float[Tensor, "c d"], ...]:
        """The chunks of each text."""
        pieces = [chunks(text, self._encoder.fits) for text in texts]
        embedded: Tensor = self._encoder.texts([piece for parts in pieces for piece in parts])
        return torch.split(embedded, [len(parts) for parts in pieces])
