"""Reading a prompt: in overlapping chunks for the judge, and word by word for the lists.

A text tower reads a fixed number of tokens and drops the rest without a word, so an unsafe tail would
disappear: here every word stands in a chunk that is read whole. A listed word is found whatever its case,
accents, width, invisible characters, spelled-out letters (k n i f e) or digits for letters (kn1fe).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from functools import lru_cache

CHUNK_WORDS, STRIDE_WORDS = 12, 6
CHUNK_LETTERS = 40
DIGITS = tuple(str.maketrans("013457@$!", f"o{one}east" + "asi") for one in "il")
"""Digits and signs read as letters; a one is an i or an l."""
SPELLED = re.compile(r"(?<!\w)(?:\w[\s.\-_*/|]{1,2}){2,}\w(?!\w)")


def normalised(text: str) -> str:
    """Compatibility-decomposed, without accents and invisible characters, lower case, single spaces."""
    decomposed = unicodedata.normalize("NFKD", text)
    kept = (c for c in decomposed if unicodedata.category(c) not in ("Mn", "Cf"))
    return " ".join("".join(kept).lower().split())


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
    """Words that mix letters with digits or signs, with those read as letters."""
    return " ".join(w.translate(table) if re.search(r"[a-z]", w) else w for w in text.split())


def _alternatives(words: Iterable[str]) -> re.Pattern[str] | None:
    listed = sorted({normalised(word) for word in words}, key=len, reverse=True)
    if not listed:
        return None
    parts = "|".join(re.escape(word).replace(r"\ ", r"[\s\-]+") for word in listed)
    return re.compile(rf"(?<!\w)(?:{parts})(?:s|es)?(?!\w)")
