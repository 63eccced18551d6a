from __future__ import annotations

import dataclasses
import json
import pickle
import re
import shutil
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch

import castmark_data
from castmark.safety import Encoder, Policy
from castmark.safety.prompt_scores import word_lists
from castmark.training import judge as module
from castmark.training.common import TrainSettings
from castmark.training.judge import Trainer, duplicates, encode_texts, tokenizer_digest
from castmark.training.judge_data import UNKNOWN, VIEW, Batch, JudgeData
from castmark.training.judge_labels import ATTRIBUTES, labels_of
from castmark.training.judge_report import FAMILIES, accuracies, readme
from castmark.training.judge_texts import UNSAFE_NOUNS, Speaker
from castmark.training.tokenizer import FILES
from castmark_world import DEFAULT, TAUGHT, UNSAFE_ITEMS, Kind, Prop, Scene, caption, stage
from castmark_world.sampling import sample_subject


@pytest.fixture(scope="module")
def data() -> JudgeData:
    return JudgeData(np.random.default_rng(0), 24)


@pytest.fixture
def settings_(tmp_path: Path) -> TrainSettings:
    (tmp_path / "out").mkdir()
    for name in FILES:
        shutil.copy(castmark_data.path("embedded", "clip", name), tmp_path / "out" / name)
    return TrainSettings(minutes=0.02, work=tmp_path / "work", out=tmp_path / "out")


def test_batches_are_pictures_with_labels_of_known_values(data: JudgeData) -> None:
    batch = data.batch()
    assert batch.pixels.shape == (24, 3, VIEW, VIEW) and batch.pixels.dtype == np.uint8
    assert len(batch.captions) == 24 and batch.labels.shape == (24, len(ATTRIBUTES))
    assert float(batch.pixels.std()) > 20
    for values, column in zip(ATTRIBUTES.values(), batch.labels.T, strict=True):
        assert column.min() >= UNKNOWN and column.max() < len(values)
    assert (batch.labels != UNKNOWN).any(0).sum() > len(ATTRIBUTES) / 2


def test_a_seed_gives_the_same_batches_and_every_other_one_is_mirrored_and_unread() -> None:
    def made() -> tuple[Batch, Batch]:
        data = JudgeData(np.random.default_rng(7), 6)
        return data.batch(), data.batch()

    here, there = made(), pickle.loads(pickle.dumps(made()))
    for one, same in zip(here, there, strict=True):
        assert np.array_equal(one.pixels, same.pixels) and one.captions == same.captions
    plain, mirrored = (batch.pixels.astype(float) for batch in here)
    assert np.abs(plain[..., ::-1] - mirrored).mean() < np.abs(plain - mirrored).mean()
    assert here[0].read and not here[1].read


def test_pictures_are_of_every_scope_that_is_taught() -> None:
    data = JudgeData(np.random.default_rng(4), 48)
    scopes: list[str] = []
    for _ in range(3):
        data.batch()
        scopes.append(data.scope.name)
        data.batch()
    names = [scope.name for scope in TAUGHT]
    assert set(scopes) <= set(names) and len(set(names)) == len(names)
    labels = np.concatenate([JudgeData(np.random.default_rng(s), 48).batch().labels for s in (5, 6, 7)])
    occupation = ATTRIBUTES["occupation"]
    shown = {occupation[i] for i in labels[:, list(ATTRIBUTES).index("occupation")] if i != UNKNOWN}
    assert "none" in shown and len(shown) > 3


def test_the_two_of_a_pair_differ_in_one_thing_and_the_pictures_too() -> None:
    data = JudgeData(np.random.default_rng(3), 64)
    batch = data.batch()
    names = list(ATTRIBUTES)
    changed: set[str] = set()
    for number in range(batch.pair.max() + 1):
        rows = np.flatnonzero(batch.pair == number)
        if len(rows) < 2:
            continue
        one, two = batch.labels[rows]
        known = (one != UNKNOWN) & (two != UNKNOWN)
        other = {names[i] for i in np.flatnonzero(known & (one != two))}
        assert (
            other <= {"item", "unsafe"}
            or other <= {"skin", "skin_tone"}
            or other <= {"person", "age", "gender", "facial_hair"}
        ), other
        changed |= other
    assert {"item", "unsafe", "skin_tone", "gender"} <= changed


def test_only_hard_pairs_that_leave_the_difference_open_and_equal_captions_are_masked(
    data: JudgeData,
) -> None:
    batch = dataclasses.replace(
        data.batch(),
        captions=["a", "b", "a", "c", "d", "e"],
        pair=np.array([-1, 0, -1, 0, 1, 1]),
        told=np.array([True, True, True, True, True, False]),
    )
    masked = duplicates(batch).nonzero().tolist()
    assert masked == [[0, 2], [2, 0], [4, 5], [5, 4]]


def scene_of(kind: Kind, item: str | None = None, camera: str = "full") -> Scene:
    rng = np.random.default_rng(11)
    scene = stage(sample_subject(rng, kind), rng, item=item, camera=camera, scope=DEFAULT.alone)
    return dataclasses.replace(scene, props=())


def test_a_near_camera_has_no_labels_of_what_it_cuts_off() -> None:
    full, near = labels_of(scene_of("character")), labels_of(scene_of("character", camera="close-up"))
    assert full["item"] == "none" and {"pose", "bottom", "top", "skin_tone"} <= set(full)
    assert "skin_tone" in near and near["unsafe"] == "none"
    assert not {"item", "pose", "bottom", "top", "occupation"} & set(near)
    assert int(full["skin_tone"]) in range(1, 11)


def test_what_stands_beside_is_unsafe_too_and_two_subjects_have_no_labels_of_one() -> None:
    alone = scene_of("product")
    beside = dataclasses.replace(alone, props=(Prop(name="beer bottle", x=0.87),))
    assert labels_of(alone)["unsafe"] == "none" and labels_of(beside)["unsafe"] == "alcohol"
    assert "item" not in labels_of(beside)
    lead, other = scene_of("character", "cup"), scene_of("character", "gun").lead
    both = dataclasses.replace(lead, x=0.28, other=dataclasses.replace(other, x=0.73))
    found = labels_of(both)
    assert found["unsafe"] == "weapon" and found["place"] == lead.place
    assert found["kind"] == "character" and not {"item", "person", "hair_color", "skin"} & set(found)
    mixed = dataclasses.replace(both, props=(Prop(name="wine bottle", x=0.5),))
    assert "unsafe" not in labels_of(mixed)


@pytest.mark.parametrize("item", UNSAFE_ITEMS)
def test_captions_are_known_to_name_the_unsafe_thing_or_not_and_reword_it(item: str) -> None:
    scene = scene_of("character", item)
    speaker = Speaker(np.random.default_rng(2))
    texts = [caption(scene, speaker.rng) for _ in range(60)]
    found = [speaker.hands(text, scene) for text in texts]
    said = [said for _, said in found]
    assert 20 < sum(said) < 60
    assert any(text != before for (text, _), before in zip(found, texts, strict=True))
    silent = [text for text, known in found if not known]
    named = re.compile(rf"\b{re.escape(item.split()[0])}\b")
    assert not any(named.search(text) for text in silent)


def test_an_unsafe_thing_is_never_said_of_a_harmless_value() -> None:
    speaker = Speaker(np.random.default_rng(1))
    bad = {word for nouns in UNSAFE_NOUNS.values() for noun in nouns for word in noun.split()}
    shared = {"bottle", "of", "glass", "mug", "clothes", "on", "the", "with", "bag", "white", "fresh", "dose"}
    shared |= {"red", "pen", "shirt", "kitchen", "drink", "hunting", "stains", "powder"}
    excepted = {phrase for category in Policy.load().judged.values() for phrase in category.exceptions}
    said = [speaker.prompt("unsafe", "none") for _ in range(300)]
    listed = [text for text in said if text.split(", ")[-1] in excepted]
    assert 30 < len(listed) < 150
    for text in listed:
        assert not any(words.hits(text) for words in word_lists(Policy.load()).values()), text
    for text in set(said) - set(listed):
        assert not (bad - shared) & set(text.split()), text
    assert not {"knife", "beer", "cup", "red", "cigarette", "fox", "harbour"} & set(speaker.foreign)


def test_every_value_is_said_in_several_ways_without_holes() -> None:
    speaker = Speaker(np.random.default_rng(4))
    for name, values in ATTRIBUTES.items():
        for value in values:
            said = {speaker.prompt(name, value) for _ in range(32)}
            assert len(said) > 2, (name, value)
            assert not any("{" in text or "  " in text or not text.strip() for text in said)
    assert not {speaker.prompt("glasses", "round glasses") for _ in range(30)} & {"glasses"}


def test_on_a_cpu_a_step_asks_for_no_more_than_it_has_room_for(settings_: TrainSettings) -> None:
    trainer, speaker = Trainer(settings_), Speaker(np.random.default_rng(0))
    asked = [trainer.asked_for(speaker) for _ in range(6)]
    for names in asked:
        assert {"unsafe", "item"} <= set(names)
        assert sum(trainer.count(name) for name in names) <= module.ASKED_TEXTS["cpu"]
    assert len({tuple(names) for names in asked}) > 1


def test_under_another_tokenizer_the_image_tower_alone_goes_on(settings_: TrainSettings) -> None:
    first = Trainer(settings_)
    first.export()
    card = {"steps": 3, "minutes": 1.5}
    (settings_.out / "card.json").write_text(json.dumps(card))
    other = Trainer(dataclasses.replace(settings_, seed=1))
    assert not other.start_from_shipped()
    assert other.before.tolist() == [3, 1.5]

    def same(name: str) -> bool:
        one, two = first.model.state_dict()[name], other.model.state_dict()[name]
        return torch.allclose(one, two, atol=1e-3)

    assert same("visual.conv1.weight") and not same("token_embedding.weight")
    (settings_.out / "card.json").write_text(
        json.dumps(card | {"tokenizer": tokenizer_digest(settings_.out)})
    )
    assert other.start_from_shipped() and same("token_embedding.weight")


def test_a_report_counts_what_is_shown_and_its_readme_has_the_figures() -> None:
    texts = {name: torch.eye(len(values)) for name, values in ATTRIBUTES.items()}
    size = len(ATTRIBUTES["place"])
    texts = {
        name: texts[name] if name == "place" else torch.zeros(len(v), size) for name, v in ATTRIBUTES.items()
    }
    places = ATTRIBUTES["place"]
    figures = accuracies(torch.eye(size)[:3], [{"place": places[0]}, {"place": places[2]}, {}], texts)
    assert figures == {"place": 0.5}
    held = {
        "first": {"place": 0.5, "auc_blood": 0.75, "caption_top1": 0.25},
        "second": {"place": 0.625, "gender": 0.75, "auc_blood": 1.0},
    }
    card = {
        "parameters": 1000,
        "model": "m",
        "steps": 5,
        "batch": 2,
        "seed": 0,
        "minutes": 1,
        "hardware": "h",
    }
    text = readme(card | {"held_out": held})
    assert "| attribute (values) | first | second |" in text
    assert f"| scene: place ({size}) | 0.500 | 0.625 |" in text
    assert f"| person: gender ({len(ATTRIBUTES['gender'])}) |  | 0.750 |" in text
    assert "| AUC blood against safe, six views | 0.7500 | 1.0000 |" in text
    assert set(ATTRIBUTES) <= {name for names in FAMILIES.values() for name in names}


def test_it_trains_resumes_and_exports_what_open_clip_loads(
    settings_: TrainSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BATCH", 8)
    first = Trainer(settings_)
    before = first.model.token_embedding.weight.detach().clone()
    first.learn()
    assert first.steps > 0 and not torch.equal(before, first.model.token_embedding.weight)
    again = Trainer(dataclasses.replace(settings_, minutes=0.04))
    again.learn()
    assert again.steps > first.steps and again.minutes > first.minutes
    again.export()

    plain, _ = open_clip.create_model_from_pretrained(f"local-dir:{settings_.out}")
    ids = again.ids(["a knife", "a woman with long red hair holding a book at the beach"])
    again.model.eval()
    with torch.inference_mode():
        trimmed = encode_texts(again.model, ids)
        assert torch.allclose(trimmed, again.model.encode_text(ids, normalize=True), atol=1e-5)
        assert torch.allclose(plain.encode_text(ids, normalize=True), trimmed, atol=0.02)
    assert Encoder.open(settings_.out).image_size == (VIEW, VIEW)
