"""The tokenizer that the embedded base and the embedded judge share: a small byte-level BPE.

Byte-level (Radford et al. 2019, section 2.2), so every text has tokens and none is unknown. Text is
lower-cased, compatibility-normalised, and stripped of accents and of invisible format characters, so that
``KNIFE``, ``knïfe``, full-width letters and a ``knife`` with zero-width spaces in it are the same tokens.
Words are split off before merging, and each carries a leading space, so a word has the same tokens wherever
it stands ("a knife", "(knife)").

Ids: padding is 0; start and end are the two highest, end last. Both rules for pooling a text therefore agree:
open_clip's ``argmax`` and transformers' ``eos_token_id``.

    tokenizer = load_tokenizer()                      # the shipped one
    tokenizer(["a red mug"], padding="max_length", truncation=True, return_tensors="pt").input_ids   # "1 48"
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import castmark_data
from castmark.errors import BaseError

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from torch import Tensor
    from transformers import PreTrainedTokenizerFast

PAD, START, END = "<|pad|>", "<|start|>", "<|end|>"
CONTEXT = 48
"""Tokens the judge reads at once, start and end included; the prompt check reads longer texts in chunks."""
VOCABULARY = 3584
WORD_LISTS = ("words.txt", "safety_words.txt")
FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")


def word_list(name: str) -> list[str]:
    """Words of one of the shipped lists, in order; lines with # are comments."""
    lines = castmark_data.path("prompts", name).read_text(encoding="utf-8").splitlines()
    return [word for line in lines if not line.startswith("#") for word in line.split()]


def train_tokenizer(captions: Iterable[str], vocabulary: int = VOCABULARY) -> Tokenizer:
    """A BPE over ``captions`` and the shipped word lists, at most ``vocabulary`` tokens with the special
    ones.

    Caption words come first because they are frequent; every listed word counts as if seen a few times.
    """
    from tokenizers import (
        Regex,
        Tokenizer,
        decoders,
        models,
        normalizers,
        pre_tokenizers,
        processors,
        trainers,
    )

    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence(  # pyright: ignore[reportAttributeAccessIssue]
        [
            normalizers.NFKD(),
            normalizers.StripAccents(),
            normalizers.Replace(Regex(r"\p{Cf}"), ""),
            normalizers.Lowercase(),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(  # pyright: ignore[reportAttributeAccessIssue]
        [
            pre_tokenizers.Split(Regex(r"\p{L}+|\p{N}|[^\s\p{L}\p{N}]+"), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=True, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()  # pyright: ignore[reportAttributeAccessIssue]
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary - 2,
        special_tokens=[PAD],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_corpus(captions), trainer)
    tokenizer.add_special_tokens([START, END])
    start, end = tokenizer.token_to_id(START), tokenizer.token_to_id(END)
    tokenizer.post_processor = processors.TemplateProcessing(  # pyright: ignore[reportAttributeAccessIssue]
        single=f"{START} $A {END}", special_tokens=[(START, start), (END, end)]
    )
    return tokenizer


def _corpus(captions: Iterable[str]) -> Iterator[str]:
    yield from captions
    for name, times in zip(WORD_LISTS, (3, 6), strict=True):
        for word in word_list(name):
            yield from [word] * times


def save_tokenizer(tokenizer: Tokenizer, folder: str | Path) -> None:
    """Write the three files that transformers, diffusers and open_clip read a tokenizer from."""
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(target / "tokenizer.json"))
    special = {"bos_token": START, "eos_token": END, "pad_token": PAD}
    config: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": CONTEXT,
        "padding_side": "right",
        "truncation_side": "right",
        "clean_up_tokenization_spaces": False,
        # A prompt that spells "<|end|>" means those letters: it must not end the text early.
        "split_special_tokens": True,
        **special,
    }
    (target / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")
    (target / "special_tokens_map.json").write_text(json.dumps(special, indent=2) + "\n")


def load_tokenizer(folder: str | Path | None = None) -> PreTrainedTokenizerFast:
    """The tokenizer of a model folder (default: the shipped judge's).

    Raises:
        BaseError: the folder has no tokenizer.
    """
    from transformers import PreTrainedTokenizerFast

    source = Path(folder) if folder is not None else castmark_data.path("embedded", "clip")
    if not (source / "tokenizer.json").is_file():
        raise BaseError(f"{source}: no tokenizer.json there; make one with: castmark train tokenizer")
    return cast("PreTrainedTokenizerFast", PreTrainedTokenizerFast.from_pretrained(source))


def token_ids(tokenizer: PreTrainedTokenizerFast, texts: list[str]) -> Tensor:
    """Long token ids "n t", padded and cut to the tokenizer's own length."""
    encoded = tokenizer(texts, padding="max_length", truncation=True, return_tensors="pt")
    return cast("Tensor", encoded["input_ids"])


def sampled_captions(count: int, seed: int = 0) -> Iterator[str]:
    """Captions of ``count`` training scenes of the rendered world."""
    import numpy as np

    from castmark_world import caption, sample_scene

    rng = np.random.default_rng(seed)
    for _ in range(count):
        yield caption(sample_scene(rng, split="train"), rng)


def make_tokenizer(out: str | Path, *, captions: int = 20_000, seed: int = 0) -> Path:
    """Train the shared tokenizer on sampled captions and write it to ``out``; returns the folder."""
    save_tokenizer(train_tokenizer(sampled_captions(captions, seed)), out)
    return Path(out)
