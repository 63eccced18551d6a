"""A head start for the reference adapter: its first image tokens learn to say what the class phrase would
have said.

The text's own key and value matrices are where the adapter's start, so an image token that equals the text
encoder's state at "... short red hair" already makes the hair red. This needs no pass through the denoiser,
so it costs next to nothing; what words never say is learned afterwards, through the denoiser, by all tokens.
"""

from __future__ import annotations

import re
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from castmark_world import FULL
from castmark_world.outfits import worn
from castmark_world.words import FACIAL_HAIR, HAIR, MARKING, NOUN

SLOTS = 9
"""Tokens that start as words: who or what; skin; hair, details or marking; beard, freckles, glasses;
headwear; top or clothes; bottom; what is worn beside; the whole.
"""
END = SLOTS - 1


def _last(text: str) -> str:
    return text.rpartition(" ")[2]


def _last_words(attribute: str) -> tuple[str, ...]:
    """Last words of all that subjects wear of an attribute."""
    found = worn(attribute)
    for attributes in FULL.attributes.values():
        if attribute in attributes.named:
            found += tuple(map(str, attributes.named[attribute].values))
    return tuple(_last(NOUN.get(name, (name,))[0]) for name in found if name != "none")


_SLOT_OF = (
    {"skin": 1, "head": 2, "details": 2, "freckles": 3}
    | {_last(ways[0].format("hair")): 2 for ways in (*HAIR.values(), *MARKING.values())}
    | {_last(ways[0]): 3 for ways in FACIAL_HAIR.values()}
    | dict.fromkeys(_last_words("glasses"), 3)
    | dict.fromkeys(_last_words("headwear"), 4)
    | dict.fromkeys((*_last_words("top"), *_last_words("clothes")), 5)
    | dict.fromkeys(_last_words("bottom"), 6)
    | dict.fromkeys(_last_words("accessory"), 7)
)
_JOINT = re.compile(r" (?:with|and|in|wearing) |, ")


def slot_ends(phrase: str) -> dict[int, int]:
    """For each slot a class phrase fills, where (in characters) the part of the phrase that fills it ends."""
    ends = [match.start() for match in _JOINT.finditer(phrase)] + [len(phrase)]
    found = {_SLOT_OF.get(phrase[:end].rpartition(" ")[2], 0): end for end in ends[1:]}
    return {**found, 0: ends[0]}


def slot_positions(tokenizer: Any, phrase: str) -> tuple[Int[Tensor, " tokens"], Int[Tensor, " slots"]]:
    """Token ids of a class phrase, and the token at which each slot is read; an empty slot reads the end
    token.
    """
    length = tokenizer.model_max_length
    read = tokenizer(
        phrase, padding="max_length", max_length=length, truncation=True, return_offsets_mapping=True
    )
    offsets: list[tuple[int, int]] = read["offset_mapping"]
    last = max(i for i, (start, end) in enumerate(offsets) if end > start)
    positions = torch.full((SLOTS,), min(last + 1, length - 1))
    for slot, end in slot_ends(phrase).items():
        inside = [i for i, (start, stop) in enumerate(offsets) if stop > start and stop <= end]
        positions[slot] = inside[-1]
    return torch.tensor(read["input_ids"]).int(), positions


def slot_loss(
    resampler: nn.Module,
    text_encoder: nn.Module,
    tokens: Float[Tensor, "b seq dim"],
    ids: Int[Tensor, "b tokens"],
    positions: Int[Tensor, "b slots"],
) -> Tensor:
    """Mean squared distance of the first image tokens from the text encoder's states at their slots."""
    with torch.no_grad():
        states: Tensor = text_encoder(ids.long())[0]
        wanted = states.gather(1, positions.long()[:, :, None].expand(-1, -1, states.shape[-1]))
    return F.mse_loss(resampler(tokens)[:, :SLOTS], wanted)
