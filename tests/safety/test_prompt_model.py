from __future__ import annotations

from datetime import UTC, datetime
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from castmark.errors import CheckError, NotCalibrated
from castmark.safety import Calibration, Gate, Policy
from castmark.safety.calibration import find_calibration
from castmark.safety.prompt_model import (
    PADDING,
    STRIDE,
    UNKNOWN,
    WEIGHTS,
    WINDOW,
    WORDS,
    PromptModel,
    Vocabulary,
    windows,
)
from castmark.safety.prompt_scores import word_lists
from castmark.safety.samples import LEARNED, SAFE, sections
from castmark.training import word_vectors
from castmark.training.common import Clock, TrainSettings
from castmark.training.prompt_model import KINDS, learn, measured, pools_of, save

STEPS = 200
OTHERS = ("calibration", "test", "harder")
"""Written sentences that are not learned from."""
FILLER = "a quiet garden path with tall trees and soft light under a wide blue sky"


def test_a_word_is_found_in_its_inflected_forms_and_others_are_unknown() -> None:
    vocabulary = Vocabulary(["knife", "smoke", "party", "the"])
    assert vocabulary.ids("the knife's smoking") == [5, 2, 3]
    assert vocabulary.ids("parties") == [4]
    assert vocabulary.ids("a zyx") == [UNKNOWN]  # one letter is no word
    assert vocabulary.ids("") == [UNKNOWN]


def test_windows_overlap_and_lose_no_word() -> None:
    ids = list(range(2, 203))
    pieces = windows(ids)
    assert {each for piece in pieces for each in piece} == set(ids)
    assert all(len(piece) <= WINDOW for piece in pieces)
    pairs = pairwise(pieces)
    assert all(len(set(a) & set(b)) >= STRIDE for a, b in pairs)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("a person sharpening a kukri beside the campfire", "weapon"),
        ("toasting with flutes of prosecco on the balcony", "alcohol"),
        ("lighting up behind the gym, a butt between his fingers", "smoking"),
        ("cooking up a hit on a blackened spoon", "drugs"),
        ("crimson pooling beneath the motionless man", "blood"),
        ("a person with a m a c h e t e in the jungle", "weapon"),
        ("a person drinking v0dka", "alcohol"),
    ],
)
def test_what_a_prompt_asks_for_is_read_however_it_is_put(text: str, kind: str) -> None:
    gate = Gate.open()
    odds = PromptModel.open().scores([text])[0]
    assert max(odds, key=lambda name: odds[name]) == kind
    assert odds[kind] > gate.calibration.prompt[kind].value


def test_the_tail_of_a_long_prompt_is_read() -> None:
    model = PromptModel.open()
    end = " and a person sharpening a kukri"
    short, long, without = model.scores([f"{FILLER}{end}", f"{FILLER} " * 12 + end, f"{FILLER} " * 12])
    assert long["weapon"] > without["weapon"] + 3
    assert long["weapon"] > short["weapon"] - 4


def test_texts_are_scored_alike_alone_and_together() -> None:
    model = PromptModel.open()
    texts = ["a red mug", "", f"{FILLER} " * 9, "a pint of stout"]
    together = model.scores(texts)
    for text, row in zip(texts, together, strict=True):
        assert model.scores([text])[0] == pytest.approx(row, abs=1e-3)


def test_damaged_weights_are_refused(tmp_path: Path) -> None:
    shipped = PromptModel.open()
    (tmp_path / WORDS).write_text("\n".join(shipped.vocabulary.words))
    (tmp_path / WEIGHTS).write_bytes(b"no safetensors")
    with pytest.raises(CheckError, match="cannot be read"):
        PromptModel.open(tmp_path)
    with torch.no_grad():
        broken = save(shipped.network, torch.zeros(len(shipped.table), 64) + 1, shipped.vocabulary, tmp_path)
        broken.network.out.bias[0] = float("nan")
    with pytest.raises(CheckError, match="not finite"):
        broken.scores(["a mug"])
    (tmp_path / WORDS).write_text("mug")
    with pytest.raises(CheckError, match="1 words for"):
        PromptModel.open(tmp_path)


def test_a_calibration_of_another_prompt_model_is_refused() -> None:
    gate = Gate.open()
    record = gate.calibration
    for digest in ("", "0" * 64):
        other: Calibration = record.model_copy(update={"prompt_model": digest})
        with pytest.raises(NotCalibrated, match="another prompt model"):
            Gate(gate.policy, gate.encoder, other)


def test_a_category_of_ones_own_is_read_by_the_judge() -> None:
    policy = Policy.load()
    weapon = policy.categories["weapon"]
    own = policy.model_copy(update={"categories": {"weapon": weapon.model_copy(update={"kind": None})}})
    gate = Gate.open()
    record = gate.calibration.model_copy(
        update={
            "policy_digest": own.digest,
            "created": datetime.now(UTC),
            "prompt": {"weapon": gate.calibration.prompt["weapon"]},
        }
    )
    plain = own.model_copy(update={"escalate": {}})
    record = record.model_copy(update={"policy_digest": plain.digest, "prompt_model": ""})
    scores = [
        next(f.score for f in g.check_prompt("a person with a kukri").findings if f.name == "weapon")
        for g in (gate, Gate(plain, gate.encoder, record))
    ]
    assert scores[0] == pytest.approx(PromptModel.open().scores(["a person with a kukri"])[0]["weapon"])
    assert scores[0] != pytest.approx(scores[1], abs=1e-3)


@pytest.mark.parametrize(
    "text",
    [
        "un uomo con una pistola in mano",
        "un hombre con una pistola en la mano",
        "ein Mann mit einer Pistole in der Hand",
        "мужчина с ножом в руке",
        "一个拿着刀的人",
        "adam elinde bıçak tutuyor",
    ],
)
def test_a_prompt_that_cannot_be_read_is_refused_by_its_words(text: str) -> None:
    verdict = Gate.open().check_prompt(text)
    assert not verdict.prompt_allowed
    assert any("cannot be read" in reason or "cannot read" in reason for reason in verdict.reasons)


@pytest.mark.parametrize(
    "text", ["Zorblax waving", "美咲 at the beach", "Zyxo, Brunfli and Kwertz at the beach in the rain", ""]
)
def test_names_that_nobody_knows_are_no_hindrance(text: str) -> None:
    assert Gate.open().check_prompt(text).prompt_allowed


def test_a_word_of_ones_own_counts_for_more_than_shipped_exceptions() -> None:
    policy = Policy.load()
    weapon = policy.categories["weapon"]
    assert not word_lists(policy)["weapon"].hits("a water pistol")

    def hits(text: str, **own: tuple[str, ...]) -> list[str]:
        category = weapon.model_copy(update=own)
        changed = policy.model_copy(update={"categories": {**policy.categories, "weapon": category}})
        return word_lists(changed)["weapon"].hits(text)

    words = (*weapon.words, "water pistol")
    assert hits("a water pistol", words=words)
    assert not hits("a water pistol", words=(*weapon.words, "pistol")), "which is among the shipped words"
    assert not hits("a water pistol", words=words, exceptions=(*weapon.exceptions, "a water pistol"))


@pytest.mark.parametrize("name", ["general-audience", "brand-safe"])
def test_shipped_records_are_of_the_shipped_prompt_model(name: str) -> None:
    policy, gate = Policy.load(name), Gate.open(name)
    record = find_calibration(policy, gate.encoder.fingerprint)
    assert record.prompt_model == PromptModel.open().digest
    assert {policy.categories[kind].kind for kind in KINDS} == set(KINDS)


@pytest.mark.parametrize("name", ["general-audience", "brand-safe"])
def test_categories_read_together_have_one_threshold_which_keeps_the_budget(name: str) -> None:
    gate = Gate.open(name)
    (value,) = {gate.calibration.prompt[kind].value for kind in KINDS}
    texts = sections("written/calibration.txt")[SAFE]
    refused = sum(max(odds.values()) > value for odds in PromptModel.open().scores(texts))
    budget = gate.policy.budget.prompt_fpr
    assert budget is not None and refused <= budget * len(texts)
    assert refused > 0.25 * budget * len(texts), "the budget is spent"


def test_written_sentences_of_the_splits_do_not_overlap() -> None:
    found = [sections(name) for name in (LEARNED, *(f"written/{name}.txt" for name in OTHERS))]
    texts = [{text.lower() for lines in part.values() for text in lines} for part in found]
    assert all(set(part) == {*KINDS, SAFE} for part in found)
    assert not any(one & other for one, other in combinations(texts, 2))


class StepClock(Clock):
    """Counts steps instead of seconds, so that a slow machine learns as much."""

    steps = 0

    @property
    def fraction(self) -> float:
        self.steps += 1
        return min(1.0, self.steps / STEPS)


def test_a_model_learns_what_sentences_ask_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("castmark.training.loop.Clock", StepClock)
    monkeypatch.setattr("castmark.training.prompt_model.CAPTIONS", 100)
    shipped = PromptModel.open()
    written = sections(LEARNED)
    few = {kind: lines[::8] for kind, lines in written.items()}
    others = {kind: lines[4::80] for kind, lines in written.items()}
    settings = TrainSettings(minutes=1, work=tmp_path, out=tmp_path)
    learner, loop = learn(settings, shipped.vocabulary, shipped.table.float() * shipped.scale, few)
    assert loop.step == STEPS - 1
    model = save(learner.network, learner.moved(), shipped.vocabulary, tmp_path / "out")
    odds = {kind: model.scores(texts) for kind, texts in others.items()}
    apart = [
        np.mean([row[kind] for row in odds[kind]]) - np.mean([row[kind] for row in odds[SAFE]])
        for kind in KINDS
    ]
    assert np.mean(apart) > 0.5
    figures = measured(model, others)
    assert set(figures) == {"harmless refused", *(f"caught, {kind}" for kind in KINDS)}
    assert not model.table[PADDING].any()


def test_samples_are_labelled_by_where_they_are_from() -> None:
    vocabulary = PromptModel.open().vocabulary
    pools = pools_of(vocabulary, {"blood": ["a gash"], SAFE: ["a mug"]})
    assert [sample.labels.sum() for sample in pools["written"]] == [1, 0]
    assert all(sample.labels.sum() == 1 for sample in pools["listed"])
    assert not any(sample.labels.any() for name in ("excepted", "plain") for sample in pools[name])
    assert {int(sample.labels.sum()) for sample in pools["captions"]} == {0, 1}


def test_vectors_are_made_of_words_that_are_known_or_said(tmp_path: Path) -> None:
    wordnet = tmp_path / "wordnet"
    wordnet.mkdir()
    for part in word_vectors.PARTS:
        (wordnet / f"data.{part}").write_text("  1 licence\n")
    (wordnet / "data.noun").write_text("0001 03 n 02 glaive 0 Paris 0 001 @ 2 n 0000 | a polearm\n")
    words = ["the", "glaives", "paris", "glaive", "qqq", "x"]
    assert word_vectors.kept(words, wordnet) == [True, True, True, True, False, False]
    assert word_vectors.lemmas(wordnet) == {"glaive"}
    many = np.random.default_rng(0).normal(size=(300, 100)).astype(np.float32)
    found = word_vectors.projected(many, 200, 64)
    assert found.shape == (300, 64) and found.std() == pytest.approx(1)
