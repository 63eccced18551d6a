"""`castmark train all`: what runs when, on which share of the budget, and what follows where one fails."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trainers

from castmark.training import everything
from castmark.training.common import TrainSettings
from castmark_world import FIRST


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TrainSettings:
    parts = {
        "autoencoder": SimpleNamespace(train=trainers.autoencoder),
        "subject_encoder": SimpleNamespace(learn=trainers.encoder, close=trainers.closing),
        "judge": SimpleNamespace(learn=trainers.judge, document=trainers.document),
        "truth_reader": SimpleNamespace(learn=trainers.reader, document=trainers.document),
        "student": SimpleNamespace(train=trainers.student),
        "polish": SimpleNamespace(train=trainers.polish),
    }
    for name, part in parts.items():
        monkeypatch.setattr(everything, name, part)
    monkeypatch.setattr(everything.teacher, "sharding", trainers.sharding)
    monkeypatch.setattr(everything, "_teach", trainers.taught)
    monkeypatch.setattr(everything, "DEFAULT", FIRST)  # what a prior adds trains as it is tested elsewhere
    return TrainSettings(minutes=10, work=tmp_path / "work", out=tmp_path / "out", workers=10)


def test_what_is_learned_from_comes_before_what_learns_from_it(settings: TrainSettings) -> None:
    everything.train(settings)
    ran: dict[str, dict[str, Any]] = {
        path.stem: json.loads(path.read_text()) for path in (settings.work / "log").glob("*.json")
    }
    assert ran["shards"]["start"] >= max(ran["autoencoder"]["end"], ran["encoder"]["end"])
    assert ran["student"]["start"] >= ran["teacher"]["end"] >= ran["shards"]["end"]
    assert ran["judge"]["start"] < ran["teacher"]["end"], "beside the others"
    assert ran["closing"]["start"] >= ran["teacher"]["end"], "it writes what the shards are made with"
    after = ran["student"]["start"] - min(each["start"] for each in ran.values())
    assert ran["polish"]["start"] >= ran["student"]["end"]
    last = ran["student"]["minutes"] + ran["polish"]["minutes"]
    assert last == pytest.approx(10 - after / 60 - everything.CLOSING, abs=0.5)
    assert ran["autoencoder"]["minutes"] + ran["teacher"]["minutes"] < 10 > ran["judge"]["minutes"]
    assert ran["autoencoder"]["workers"] + ran["encoder"]["workers"] <= settings.workers
    assert [
        Path(ran[name]["out"]).relative_to(settings.out).as_posix() for name in ("autoencoder", "judge")
    ] == [
        "base/vae",
        "clip",
    ]
    assert all((settings.out / name / "measured").exists() for name in ("clip", "reader"))


def test_where_one_fails_the_others_are_stopped_and_it_is_named(
    settings: TrainSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(everything.subject_encoder, "learn", trainers.broken)
    with pytest.raises(RuntimeError, match="subject_encoder: training failed"):
        everything.train(settings)
    assert not (settings.work / "log" / "student.json").exists()
