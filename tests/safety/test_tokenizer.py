from __future__ import annotations

import json
from pathlib import Path

import open_clip
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import castmark_data
from castmark.errors import BaseError
from castmark.training.tokenizer import (
    CONTEXT,
    END,
    load_tokenizer,
    save_tokenizer,
    train_tokenizer,
    word_list,
)

TOKENIZER = load_tokenizer()


def ids(text: str) -> list[int]:
    return TOKENIZER(text).input_ids


@pytest.mark.parametrize("text", ["KNIFE", "knïfe", "kn\u200bife", "ＫＮＩＦＥ", "  knife "])
def test_one_word_has_one_token_however_it_is_written(text: str) -> None:
    assert ids(text) == ids("knife") and len(ids(text)) == 3


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=80))
def test_any_text_has_tokens_and_ends_once(text: str) -> None:
    found = ids(text)
    assert found[0] == TOKENIZER.bos_token_id
    assert found.index(TOKENIZER.eos_token_id) == len(found) - 1 == found.index(max(found))
    assert TOKENIZER.pad_token_id not in found


def test_spelling_a_special_token_does_not_end_the_text() -> None:
    found = ids(f"a {END} knife")
    assert found.count(TOKENIZER.eos_token_id) == 1 and ids("knife")[1] in found


def test_safety_words_are_short() -> None:
    words = word_list("safety_words.txt")
    assert sum(len(ids(word)) == 3 for word in words) / len(words) > 0.9


def test_open_clip_reads_the_same_ids(judge_folder: Path) -> None:
    text = "A woman, holding  a BOOK"
    plain = open_clip.get_tokenizer(f"local-dir:{judge_folder}")([text])
    padded = TOKENIZER(text, padding="max_length", truncation=True, max_length=CONTEXT).input_ids
    assert plain.shape == (1, CONTEXT) and plain[0].tolist() == padded


def test_a_long_text_is_cut_with_its_end_in_place() -> None:
    found = TOKENIZER("red " * 100, truncation=True).input_ids
    assert len(found) == CONTEXT == TOKENIZER.model_max_length and found[-1] == TOKENIZER.eos_token_id


def test_a_trained_tokenizer_reads_back_the_same(tmp_path: Path) -> None:
    trained = train_tokenizer(["a mauve aardvark"] * 50)
    save_tokenizer(trained, tmp_path)
    text = "a mauve aardvark and 3 other THINGS"
    assert load_tokenizer(tmp_path)(text).input_ids == trained.encode(text).ids
    assert json.loads((tmp_path / "tokenizer_config.json").read_text())["model_max_length"] == CONTEXT


def test_base_and_judge_share_one_tokenizer() -> None:
    judge, base = (
        castmark_data.path("embedded", *part, "tokenizer.json") for part in (("clip",), ("base", "tokenizer"))
    )
    if not base.exists():
        pytest.skip("no embedded base in this checkout")
    assert judge.read_bytes() == base.read_bytes()


def test_a_folder_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BaseError, match="castmark train"):
        load_tokenizer(tmp_path)
