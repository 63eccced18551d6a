"""Encoded prompts, kept: a job says the same thing with many seeds.

Every text is encoded alone, so that its embedding, and with it the picture, does not depend on which other
prompts happened to be in its batch.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence

from castmark_adapters.host import Words

KEPT = 256
"""Encoded prompts kept; of a CLIP text tower about a quarter of a megabyte each at most."""


class PromptCache:
    """Encoded prompts, the longest unused dropped first.

    Args:
        encode: one text as the denoiser reads it.
    """

    def __init__(self, encode: Callable[[str], Words], kept: int = KEPT) -> None:
        self._encode, self._kept = encode, kept
        self._known: OrderedDict[str, Words] = OrderedDict()

    def __call__(self, texts: Sequence[str]) -> list[Words]:
        """Texts as the denoiser reads them, in order."""
        found: list[Words] = []
        for text in texts:
            words = self._known.pop(text, None)
            self._known[text] = self._encode(text) if words is None else words
            found.append(self._known[text])
            while len(self._known) > self._kept:
                self._known.popitem(last=False)
        return found
