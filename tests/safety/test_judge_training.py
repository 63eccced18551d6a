from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch

import castmark_data
from castmark.safety import Encoder
from castmark.training import judge as module
from castmark.training.common import TrainSettings
from castmark.training.judge import Trainer, duplicates, encode_texts
from castmark.training.judge_data import VIEW, JudgeData
from castmark.training.judge_texts import ATTRIBUTES, Speaker
from castmark.training.tokenizer import FILES


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
    assert batch.pixels.shape == (24, 3, VIEW, VIEW) and len(batch.captions) == 24
    assert batch.pixels.min() >= 0 and batch.pixels.max() <= 1
    for name, values in ATTRIBUTES.items():
        assert batch.labels[name].shape == (24,) and int(batch.labels[name].max()) < len(values)


def test_only_hard_pairs_that_leave_the_hands_open_and_equal_captions_are_masked(data: JudgeData) -> None:
    batch = dataclasses.replace(
        data.batch(),
        captions=["a", "b", "a", "c", "d", "e"],
        pair=torch.tensor([-1, 0, -1, 0, 1, 1]),
        hands_said=torch.tensor([True, True, True, True, True, False]),
    )
    masked = duplicates(batch).nonzero().tolist()
    assert masked == [[0, 2], [2, 0], [4, 5], [5, 4]]


def test_an_unsafe_thing_is_never_said_of_a_harmless_value() -> None:
    speaker = Speaker(np.random.default_rng(1))
    for _ in range(200):
        text = speaker.prompt("unsafe", "none")
        assert not any(word in text.split() for word in ("knife", "gun", "beer", "wine", "weapon", "alcohol"))
    assert not {"knife", "beer", "cup", "red"} & set(speaker.foreign)


def test_it_trains_resumes_and_exports_what_open_clip_loads(
    settings_: TrainSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BATCH", 8)
    monkeypatch.setattr(module, "CAPTIONED", 8)
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
