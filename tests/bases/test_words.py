"""What a base says of the words it never learned."""

from __future__ import annotations

from pathlib import Path

import pytest

from castmark.bases import open_base
from castmark.bases.words import read_words, unknown_words, write_words

CAPTIONS = ("a red mug on a sandy shore", "two blond boys' umbrellas, by night")


@pytest.fixture
def known(tmp_path: Path) -> frozenset[str]:
    write_words(tmp_path, CAPTIONS)
    found = read_words(tmp_path)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("text", "unknown"),
    [
        ("A RED Mug, at night!", ()),
        ("red mugs and an umbrella", ()),
        ("a sandy-red mug", ()),
        ("a tartan mug beside a zeppelin, a tartan one", ("tartan", "beside", "zeppelin", "one")),
        ("the mug's shore by ３ naïve boys", ("naïve",)),
        ("", ()),
    ],
)
def test_words_no_caption_had_are_found(known: frozenset[str], text: str, unknown: tuple[str, ...]) -> None:
    assert unknown_words(text, known) == unknown


def test_a_folder_that_states_no_words_knows_of_none(tmp_path: Path) -> None:
    assert read_words(tmp_path) is None


def test_the_embedded_base_knows_its_world_and_not_more() -> None:
    base = open_base(None)
    assert base.unknown_words("a woman with curly red hair holding an umbrella at the beach at sunset") == ()
    assert base.unknown_words("a woman in a zeppelin") == ("zeppelin",)
