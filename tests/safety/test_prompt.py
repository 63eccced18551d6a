from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from castmark.safety import Encoder, Policy
from castmark.safety.prompt import WordList, chunks, normalised
from castmark.safety.samples import prompts
from castmark_world import ITEMS, words

WORDS = WordList(
    ["knife", "brass knuckles", "wine", "self-harm", "m16", "bomb", "刀", "molotov's"],
    ["palette knife", "wine red"],
)


@pytest.mark.parametrize(
    "text",
    [
        "a knife", "two KNIFES", "(knife)", "ＫＮＩＦＥ", "a knïfe", "kn\u200bife", "k n i f e",
        "k.n.i.f.e", "kn1fe", "w1ne",
        "brass  knuckles", "brass-knuckles", "brass_knuckles", "brass–knuckles", "self harm",
        "self\u2011harm", "a palette knife and a knife", "wine, red", "1knife", "2knives, knife2", "kn1fe!",
        "a b0mb!", "an M16!", "molotov’s", "一个拿着刀的人",
    ],
)  # fmt: skip
def test_listed_words_are_found_however_they_are_written(text: str) -> None:
    assert WORDS.hits(text)


def test_excepted_phrases_are_taken_out_and_nothing_else() -> None:
    assert WORDS.without("A knife, a Palette-Knife and wine") == "a knife, a and wine"
    assert WORDS.without("A knife") == "A knife"
    assert WordList(["knife"]).without("A palette knife") == "A palette knife"


@pytest.mark.parametrize(
    "text",
    [
        "a palette knife", "a palette_knife", "a wine red dress", "wine–red", "jackknifed", "swine", "a cup",
        "", "k n i t", "m165", "bombastic",
    ],
)  # fmt: skip
def test_what_only_resembles_a_listed_word_is_not(text: str) -> None:
    assert not WORDS.hits(text)


def test_no_word_of_a_long_prompt_is_lost_and_every_chunk_is_read_whole(encoder: Encoder) -> None:
    text = " ".join(f"word{i}" for i in range(300)) + " knife"
    pieces = chunks(text, encoder.fits)
    assert all(encoder.fits(piece) for piece in pieces)
    assert {word for piece in pieces for word in piece.split()} == set(text.split())


@settings(max_examples=25, deadline=None)
@given(st.text(max_size=300))
def test_any_text_has_chunks_that_are_read_whole(encoder: Encoder, text: str) -> None:
    pieces = chunks(text, encoder.fits)
    assert pieces and all(encoder.fits(piece) for piece in pieces)
    kept = "".join(normalised(text).split())
    assert set(kept) <= set("".join(pieces))


@pytest.mark.parametrize("name", ["general-audience", "brand-safe"])
def test_shipped_word_lists_catch_and_spare(name: str) -> None:
    categories = Policy.load(name).categories
    weapon, alcohol = (WordList(categories[c].words, categories[c].exceptions) for c in ("weapon", "alcohol"))
    assert weapon.hits("holding two pistols") and weapon.hits("a bread knife")
    assert alcohol.hits("a pint of lager") and alcohol.hits("bottles of wine")
    for spared in ("a gunmetal grey suit", "a ladle", "a blade of grass", "an orange bullet journal"):
        assert not weapon.hits(spared), spared
    for spared in (
        "a wine-red dress",
        "ginger ale",
        "a glass of milk",
        "a water bottle",
        "non-alcoholic punch",
    ):
        assert not alcohol.hits(spared), spared


@pytest.mark.parametrize("name", ["general-audience", "brand-safe"])
def test_shipped_word_lists_catch_what_the_world_calls_its_things_and_spare_the_rest(name: str) -> None:
    lists = {c: WordList(p.words, p.exceptions) for c, p in Policy.load(name).categories.items() if p.words}
    for thing, item in ITEMS.items():
        for way in (*words.NOUN.get(thing, (thing,)), *words.STAINS.get(thing, ())):
            hits = {category for category, listed in lists.items() if listed.hits(f"a person with {way}")}
            assert hits == ({item.category} if item.category else set()), way
    for spared in ("a sewing needle", "a blood orange", "no smoking sign", "a pipe organ", "paint stains"):
        assert not any(listed.hits(spared) for listed in lists.values()), spared


@pytest.mark.parametrize("name", ["general-audience", "brand-safe"])
def test_no_list_refuses_a_safe_prompt(name: str) -> None:
    lists = [WordList(p.words, p.exceptions) for p in Policy.load(name).categories.values() if p.words]
    for split in ("calibration", "test"):
        for text in prompts(400, 2, split, None):
            assert not any(listed.hits(text) for listed in lists), text
