"""Prompt embeddings are kept, in order, and never more than asked for."""

import torch

from castmark.bases.prompts import PromptCache


def test_texts_are_encoded_once_and_the_longest_unused_goes_first() -> None:
    asked: list[str] = []

    def encode(text: str) -> dict[str, torch.Tensor]:
        asked.append(text)
        return {"prompt_embeds": torch.full((1, 2, 3), float(len(text)))}

    cache = PromptCache(encode, kept=2)
    found = cache(["a", "bb", "a"])
    assert [words["prompt_embeds"][0, 0, 0].item() for words in found] == [1, 2, 1]
    assert asked == ["a", "bb"]
    cache(["ccc"])
    cache(["a"])
    assert asked == ["a", "bb", "ccc"], "bb was unused longest"
    cache(["bb"])
    assert asked[-1] == "bb"
