"""Iteration: variations, A/B sets, drafts carried on; and what a run says it came to."""

import csv
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from engine_fakes import SIDE, FakeChecker, fake_studio, pixels
from PIL import Image

from castmark.errors import InputError
from castmark.jobs import Job, JobRow, plan
from castmark.runs.report import FILE
from castmark.runs.variations import bridge, variations
from castmark.shot import Shot
from castmark.studio.start import StartImage
from castmark.take import Failure, SignedImage
from castmark_adapters.subject import Subject
from castmark_provenance.keys import PemKey
from castmark_provenance.report import State
from castmark_provenance.verify import verify


@pytest.fixture
def drafts(key: PemKey, mira: Subject, tmp_path: Path) -> Path:
    row = JobRow(name="mug", prompt="mira with a red mug on oak", subject=("mira",), seed=5, count=3, steps=1)
    fake_studio(key).run(Job(source="ideas.csv", rows=(row,)), tmp_path / "drafts", [mira])
    return tmp_path / "drafts"


def test_variations_start_from_the_image_with_seeds_of_their_own(
    key: PemKey, mira: Subject, drafts: Path, tmp_path: Path
) -> None:
    job = variations(drafts, "mug-02", n=2, strength=0.3)
    summary = fake_studio(key).run(job, tmp_path / "more", [mira])
    assert [(row.name, row.seed) for row in summary.rows] == [("mug-02-v01", 7), ("mug-02-v02", 8)]
    start = drafts / "images/mug-02.png"
    for row in summary.rows:
        path = tmp_path / "more/images" / (row.file or "")
        report = verify(path, trust=key.anchors)
        assert report.state is State.TRUSTED
        assert report.claim is not None
        digests = {item.title: item.sha256 for item in report.claim.ingredients}
        assert digests["start 1"] == hashlib.sha256(start.read_bytes()).hexdigest()
        near, far = (np.asarray(Image.open(p), float) for p in (path, start))
        assert np.abs(near - far).mean() < 64, "three quarters of it are the start image in the fake"


def test_an_ab_set_changes_one_thing(drafts: Path) -> None:
    job = variations(drafts, "mug-01", n=2, strength=None, replace={"red": "blue", "oak": "marble"})
    rows = [(row.name, row.seed, row.prompt, row.start) for row in job.rows]
    assert rows == [
        ("mug-01-01a", 5, "mira with a red mug on oak", None),
        ("mug-01-01b", 5, "mira with a blue mug on oak", None),
        ("mug-01-01c", 5, "mira with a red mug on marble", None),
        ("mug-01-02a", 6, "mira with a red mug on oak", None),
        ("mug-01-02b", 6, "mira with a blue mug on oak", None),
        ("mug-01-02c", 6, "mira with a red mug on marble", None),
    ]
    with pytest.raises(InputError, match="holds no 'ed' to replace"):
        variations(drafts, "mug-01", replace={"ed": "x"})
    with pytest.raises(InputError, match="no signed image called 'cup'"):
        variations(drafts, "cup")
    with pytest.raises(InputError, match="mug-01: no variation: prompt: "):
        variations(drafts, "mug-01", replace={"mira with a red mug on oak": ""})


def test_an_ab_set_drops_no_text(key: PemKey, tmp_path: Path) -> None:
    words = [f"word{i}" for i in range(26)]
    row = JobRow(name="mug", prompt=" ".join(words))
    fake_studio(key).run(Job(source="words.csv", rows=(row,)), tmp_path)
    with pytest.raises(InputError, match="26 texts to replace; an A/B set takes 25"):
        variations(tmp_path, "mug", replace=dict.fromkeys(words, "mug"))
    job = variations(tmp_path, "mug", n=1, replace=dict.fromkeys(words[:25], "mug"))
    assert [row.name for row in job.rows][::25] == ["mug-01a", "mug-01z"]


def test_an_image_of_the_longest_name_can_be_varied(key: PemKey, tmp_path: Path) -> None:
    name = "m" * 100
    fake_studio(key).run(Job(source="a.csv", rows=(JobRow(name=name, prompt="a mug"),)), tmp_path / "run")
    for job in (
        variations(tmp_path / "run", name, n=2),
        variations(tmp_path / "run", name, replace={"a": "one"}),
    ):
        assert fake_studio(key).run(job, tmp_path / job.source[:3].replace("/", "-")).ok
        assert {len(row.name) for row in job.rows} == {100}


def test_an_ab_set_of_an_image_that_had_a_start_begins_there_again(
    key: PemKey, mira: Subject, drafts: Path, tmp_path: Path
) -> None:
    first = variations(drafts, "mug-01", n=1, strength=0.3)
    fake_studio(key).run(first, tmp_path / "more", [mira])
    again = variations(tmp_path / "more", "mug-01-v01", n=1, strength=None, replace={"red": "blue"})
    start = str(drafts / "images/mug-01.png")
    assert [(row.start, row.strength) for row in again.rows] == [(start, 0.3)] * 2
    fake_studio(key).run(again, tmp_path / "ab", [mira])
    old, new = (
        verify(path, trust=key.anchors).claim
        for path in (tmp_path / "more/images/mug-01-v01.png", tmp_path / "ab/images/mug-01-v01-01a.png")
    )
    assert old is not None and new is not None
    assert old.safety.pixel_sha256 == new.safety.pixel_sha256, "A is the image as it was drawn"
    other = variations(tmp_path / "more", "mug-01-v01", n=1, strength=0.7, replace={"red": "blue"})
    assert {(row.start, row.strength) for row in other.rows} == {
        (str(tmp_path / "more/images/mug-01-v01.png"), 0.7)
    }


def test_a_start_is_found_from_wherever_the_run_goes_on(
    key: PemKey, drafts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    row = JobRow(name="a", prompt="a mug", seed=1, start="drafts/images/mug-01.png")
    work = Job(source="jobs.csv", rows=(row,))
    studio = fake_studio(key, checker=FakeChecker(bad_seeds=frozenset({1})))
    studio.run(work, tmp_path / "run")
    with (tmp_path / "run/errors.csv").open(newline="") as file:
        assert [row["start"] for row in csv.DictReader(file)] == [str(drafts / "images/mug-01.png")]
    (image,) = plan(work, lambda _: pytest.fail())
    monkeypatch.chdir("/")
    assert image.shot.start is not None
    assert image.shot.start.open().size == (SIDE, SIDE)


def test_chosen_drafts_are_carried_into_a_better_setting(
    key: PemKey, mira: Subject, drafts: Path, tmp_path: Path
) -> None:
    summary = fake_studio(key).run(
        bridge(drafts, ["mug-03", "mug-01"], steps=4, strength=0.6), tmp_path / "final", [mira]
    )
    assert summary.ok
    assert [(row.name, row.seed, row.steps) for row in summary.rows] == [("mug-03", 7, 4), ("mug-01", 5, 4)]
    assert (
        fake_studio(key)
        .run(bridge(drafts, ["mug-03"], steps=4, strength=0.6), tmp_path / "final", [mira])
        .drawn
        == 0
    )


def test_only_an_intact_signed_image_is_a_start(key: PemKey, drafts: Path, tmp_path: Path) -> None:
    plain = tmp_path / "photo.png"
    Image.fromarray(pixels("photo", 1, SIDE, SIDE)).save(plain)
    signed = drafts / "images/mug-01.png"
    broken = tmp_path / "broken.png"
    broken.write_bytes(signed.read_bytes()[:-40] + b"x" + signed.read_bytes()[-39:])
    shots = [Shot("a mug", start=StartImage.of(path, 0.5)) for path in (plain, broken, signed)]
    takes = list(fake_studio(key).shoot_all(shots))
    assert [type(take) for take in takes] == [Failure, Failure, SignedImage]
    assert "must be an intact image signed by Castmark" in takes[0].explain()
    moved = shots[2].model_copy(update={"start": shots[2].start.model_copy(update={"sha256": "0" * 64})})  # type: ignore[union-attr]
    (take,) = fake_studio(key).shoot_all([moved])
    assert "changed since the job was read" in take.explain()
    studio = fake_studio(key)
    assert studio.key(shots[2]) != studio.key(Shot("a mug"))
    rows = (JobRow(name="a", prompt="x", start="nowhere.png"),)
    with pytest.raises(InputError, match=r"nowhere\.png: start image cannot be read"):
        list(plan(Job(source="jobs.csv", rows=rows, folder=tmp_path), lambda _: pytest.fail()))


def test_a_run_says_what_it_came_to(key: PemKey, mira: Subject, drafts: Path) -> None:
    figures = json.loads((drafts / FILE).read_text())
    assert figures["images"] == {"asked": 3, "signed": 3, "refused": 0, "failed": 0, "pending": 0}
    assert set(figures["seconds_by_stage"]) == {"draw", "finish", "mark", "check", "encode", "sign", "write"}
    assert figures["denoiser_evaluations"] == 3
    assert figures["identity"] == {"mean": 0.75, "lowest": 0.75, "median": 0.75, "n": 3}
    assert figures["findings"]["L2 image: weapon"] == {"n": 3, "mean_score": 0.2, "not_allowed": 0}
    assert figures["environment"]["batch_size"] == 8
    assert figures["cost"] is None
    before = figures["seconds"]
    row = JobRow(name="mug", prompt="mira with a knife", subject=("mira",), seed=5, count=4, steps=1)
    fake_studio(key).run(Job(source="ideas.csv", rows=(row,)), drafts, [mira], price_per_hour=3.6)
    figures = json.loads((drafts / FILE).read_text())
    assert figures["images"]["refused"] == 4
    assert figures["refusals"] == {"L1 prompt: weapon": 4}
    assert figures["seconds"] > before, "time adds up over runs into one folder"
    assert figures["cost"] == pytest.approx(figures["seconds"] / 1000, abs=1e-5)
    assert figures["cost_per_image"] is None, "nothing was signed"
