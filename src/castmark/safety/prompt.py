"""Reading a prompt: in overlapping chunks for the judge, and word by word for the lists.

A text tower reads a fixed number of tokens and drops the rest without a word, so an unsafe tail would
disappear: here every word stands in a chunk that is read whole. A listed word is found whatever its case,
accents, width, invisible characters, dashes, underscores, spelled-out letters (k n i f e), digits for letters
(kn1fe) or beside it (2knives).
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import lru_cache

CHUNK_WORDS, STRIDE_WORDS = 12, 6
CHUNK_LETTERS = 40
DIGITS = tuple(str.maketrans("013457@$!", f"o{one}east" + "asi") for one in "il")
"""Digits and signs read as letters; a one is an i or an l."""
SPELLED = re.compile(r"(?<!\w)(?:\w[\s.\-_*/|]{1,2}){2,}\w(?!\w)")
NO_GAPS = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\U00020000-\U0003ffff"
"""Scripts that put no gaps between words: Thai, Lao, Burmese, Khmer, kana, Han."""


def normalised(text: str) -> str:
    """Compatibility-decomposed, without accents and invisible characters, lower case, single spaces; every
    dash is "-", an underscore a space, a typographic apostrophe "'"."""
    decomposed = unicodedata.normalize("NFKD", text)
    kept = ((c, unicodedata.category(c)) for c in decomposed)
    plain = ("-" if kind == "Pd" else c for c, kind in kept if kind not in ("Mn", "Cf"))
    return " ".join("".join(plain).lower().replace("_", " ").replace("\u2019", "'").split())


def chunks(text: str, fits: Callable[[str], bool]) -> list[str]:
    """Overlapping pieces of ``text``, each of which ``fits`` the text tower; together they hold every word.

    Never empty: a text without words is one empty chunk.
    """
    words = [part for word in normalised(text).split() for part in _letters(word)]
    starts = range(0, max(1, len(words) - CHUNK_WORDS + STRIDE_WORDS), STRIDE_WORDS)
    return [piece for start in starts for piece in _fitting(words[start : start + CHUNK_WORDS], fits)]


def _letters(word: str) -> list[str]:
    """A very long word in overlapping parts."""
    if len(word) <= CHUNK_LETTERS:
        return [word]
    return [word[i : i + CHUNK_LETTERS] for i in range(0, len(word) - CHUNK_LETTERS // 2, CHUNK_LETTERS // 2)]


def _fitting(words: list[str], fits: Callable[[str], bool]) -> list[str]:
    text = " ".join(words)
    if fits(text):
        return [text]
    if len(words) <= 1:
        half = len(text) // 2
        return _fitting([text[:half]], fits) + _fitting([text[half:]], fits) if half else [text]
    middle = len(words) // 2
    return _fitting(words[:middle], fits) + _fitting(words[middle:], fits)


class WordList:
    """Words and phrases matched whole, with plurals, outside the excepted phrases."""

    def __init__(self, words: Iterable[str], exceptions: Iterable[str] = ()) -> None:
        self._words = _alternatives(words)
        self._exceptions = _alternatives(exceptions)

    def hits(self, text: str) -> list[str]:
        """The listed words found in ``text``."""
        found: dict[str, None] = {}
        for form in forms(text):
            rest = self._exceptions.sub(" ", form) if self._exceptions else form
            if self._words:
                found |= dict.fromkeys(m.group() for m in self._words.finditer(rest))
        return list(found)

    def without(self, text: str) -> str:
        """The text without the excepted phrases, normalised; as it is where it holds none."""
        if self._exceptions is None:
            return text
        rest, found = self._exceptions.subn(" ", normalised(text))
        return " ".join(rest.split()) if found else text


@lru_cache(maxsize=64)
def forms(text: str) -> tuple[str, ...]:
    """The ways to read a text, normalised: as it is, spelled-out letters joined, digits as letters."""
    plain = normalised(text)
    joined = SPELLED.sub(_joined, plain)
    return tuple(dict.fromkeys((plain, joined, *(_undigited(plain, table) for table in DIGITS))))


def _joined(run: re.Match[str]) -> str:
    """Spelled-out letters as a word, with and without the first: in "a k n i f e" that is an article."""
    word = re.sub(r"\W|_", "", run.group())
    return f"{word} {word[1:]}"


def _undigited(text: str, table: dict[int, int]) -> str:
    """Words that mix letters with digits or signs, with those read as letters; a sentence's end is none."""
    return " ".join(
        w.rstrip("!?.,;:").translate(table) if re.search(r"[a-z]", w) else w for w in text.split()
    )


def _alternatives(words: Iterable[str]) -> re.Pattern[str] | None:
    """A pattern of words where they stand for themselves: letters beside one make another word, digits beside
    a letter do not, and where a script puts no gaps between words nothing does."""
    listed = sorted({normalised(word) for word in words}, key=len, reverse=True)
    by_edges: dict[tuple[str, str], list[str]] = defaultdict(list)
    for word in filter(None, listed):
        pattern = r"[\s\-]+".join(map(re.escape, re.split(r"[\s\-]+", word)))
        by_edges[_beside(word[0]), _beside(word[-1])].append(pattern)
    parts = [
        rf"(?<!{before})(?:{'|'.join(patterns)})(?:s|es)?(?!{after})"
        for (before, after), patterns in by_edges.items()
    ]
    return re.compile("|".join(parts)) if parts else None


def _beside(edge: str) -> str:
    """What may not stand beside the first or last sign of a word."""
    if re.match(f"[{NO_GAPS}]", edge):
        return r"(?!)"
    return r"[^\W\d_]" if edge.isalpha() else r"\w"
