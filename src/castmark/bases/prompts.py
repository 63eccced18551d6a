"""Prompt embeddings, kept: a job says the same thing with many seeds.

Every text is encoded alone, so that its embedding, and with it the picture, does not depend on which other
prompts happened to be in its batch.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

KEPT = 256
"""Embeddings kept; of a CLIP text tower about a quarter of a megabyte each at most."""


class PromptCache:
    """Embeddings of prompts, the longest unused dropped first.

    Args:
        encode: embedding of one text, Float "1 tokens width".
    """

    def __init__(self, encode: Callable[[str], Float[Tensor, "1 tokens width"]], kept: int = KEPT) -> None:
        self._encode, self._kept = encode, kept
        self._known: OrderedDict[str, Tensor] = OrderedDict()

    def __call__(self, texts: Sequence[str]) -> Float[Tensor, "n tokens width"]:
        """Embeddings of texts, in order."""
        found: list[Tensor] = []
        for text in texts:
            embedding = self._known.pop(text, None)
            self._known[text] = self._encode(text) if embedding is None else embedding
            found.append(self._known[text])
            while len(self._known) > self._kept:
                self._known.popitem(last=False)
        return torch.cat(found)
