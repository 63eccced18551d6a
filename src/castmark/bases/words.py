"""Words of a prompt that a base never read in training.

A small base takes a word it has never seen for one it has, or for nothing, and gives no sign of it. A folder
may state the words it knows in ``words.txt``, one a line; of a base without that file nothing is said.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable
from pathlib import Path

FILE = "words.txt"
FUNCTION_WORDS = frozenset(
    """a an the and or but nor so yet of to in on at by for from with without into onto over under up down
    off out as is are was were be been being am do does did has have had having it its he him his she her
    hers they them their this that these those who whom whose which what where when while there here very
    really quite just also too not no some any each every all both either neither one's than then""".split()  # noqa: SIM905
)
"""Words that join others and name nothing to draw."""
_WORD = re.compile(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*")


def read_words(folder: Path) -> frozenset[str] | None:
    """The words that a base's folder states; None where it states none."""
    path = folder / FILE
    return frozenset(path.read_text(encoding="utf-8").split()) if path.is_file() else None


def write_words(folder: Path, captions: Iterable[str]) -> None:
    """State the words of the captions that a base learned from."""
    words = sorted({part for caption in captions for word in _words(caption) for part in _parts(word)})
    (folder / FILE).write_text("\n".join(words) + "\n", encoding="utf-8")


def unknown_words(text: str, known: Collection[str]) -> tuple[str, ...]:
    """Words of ``text`` that are not ``known``, in their order, each once.

    A plural of a known word is known, and so is a compound of known parts; numbers and words that only join
    others are passed over.
    """
    found: dict[str, None] = {}
    for word in _words(text):
        if not (word in known or all(_is_known(part, known) for part in _parts(word))):
            found[word] = None
    return tuple(found)


def _words(text: str) -> list[str]:
    return _WORD.findall(unicodedata.normalize("NFKC", text).lower())


def _parts(word: str) -> list[str]:
    return re.sub(r"['\u2019]s$", "", word).split("-")


def _is_known(word: str, known: Collection[str]) -> bool:
    forms = (word, f"{word}s", word.removesuffix("s"), word.removesuffix("es"))
    return word in FUNCTION_WORDS or any(form in known for form in forms)
