"""Replay: the same pixels from manifest and ledger, or the recorded fact that differs."""

from __future__ import annotations

import io
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from engine_fakes import FakeBase, FakeChecker, digest, fake_studio
from PIL import Image

from castmark.errors import InputError
from castmark.jobs import Job, JobRow, read_job
from castmark.runs.replay import Replay, replay
from castmark.shot import ResolvedShot, Shot
from castmark.studio.studio import Studio
from castmark.take import Draft, SignedImage
from castmark_adapters.subject import Subject
from castmark_provenance.keys import PemKey


@pytest.fixture(autouse=True)
def home(key_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CASTMARK_HOME", str(key_folder.parent))


def job(folder: Path) -> Job:
    (folder / "jobs.csv").write_text(
        "name,prompt,subject,seed\nhero,mira at the beach,mira,3\nplain,a house,,4\n"
    )
    return read_job(folder / "jobs.csv")


@pytest.fixture
def run(tmp_path: Path, key: PemKey, mira: Subject) -> Path:
    summary = fake_studio(key).run(job(tmp_path), tmp_path / "run", [mira])
    assert summary.ok
    return tmp_path / "run"


def again(run: Path, studio: Studio, mira: Subject, name: str = "hero") -> Replay:
    return replay(run / "images" / f"{name}.png", studio, subject={"mira": mira}.__getitem__)


@pytest.mark.parametrize("name", ["hero", "plain"])
def test_the_same_pixels(name: str, run: Path, key: PemKey, mira: Subject) -> None:
    found = again(run, fake_studio(key), mira, name)
    assert (found.same, found.recorded == found.drawn, found.differences) == (True, True, ())
    assert "the very same pixels" in found.explain()


@dataclass
class OtherVersion(FakeBase):
    """A base that draws a little otherwise with another library."""

    @property
    def environment(self) -> dict[str, str | int | float]:
        return {"device": "cpu", "torch": "99"}

    def draw(self, shots: list[ResolvedShot]) -> list[Draft]:
        return [replace(draft, pixels=draft.pixels ^ np.uint8(1)) for draft in super().draw(shots)]


def test_another_version_is_named(run: Path, key: PemKey, mira: Subject) -> None:
    found = again(run, fake_studio(key, base=OtherVersion()), mira)
    assert not found.same
    assert found.differences == ("torch: none then, 99 now",)


def test_another_base_and_another_subject_are_named(
    run: Path, key: PemKey, mira: Subject, tmp_path: Path
) -> None:
    found = again(run, fake_studio(key, base=OtherVersion(digest=digest("other base"))), mira)
    assert any(line.startswith("base: ") for line in found.differences)
    files = []
    for shade in (10, 200):
        buffer = io.BytesIO()
        Image.new("RGB", (24, 24), (shade, 0, 0)).save(buffer, "PNG")
        files.append(buffer.getvalue())
    changed = Subject.from_images("mira", files, kind="character", phrase="a woman with red hair")
    found = again(run, fake_studio(key), changed)
    assert sum(line.startswith("reference reference ") for line in found.differences) >= 1


def test_pixels_that_differ_for_no_recorded_reason(run: Path, key: PemKey, mira: Subject) -> None:
    class Moody(OtherVersion):
        environment = FakeBase.environment

    found = again(run, fake_studio(key, base=Moody()), mira)
    assert not found.same
    assert "nothing that was recorded differs" in found.explain()


def test_an_image_that_was_drawn_in_a_batch_is_drawn_in_one_again(key: PemKey, tmp_path: Path) -> None:
    class Batched(FakeBase):
        """Its pixels depend on how many are drawn at once, as those of real models do in their last bit."""

        def draw(self, shots: list[ResolvedShot]) -> list[Draft]:
            return [
                replace(draft, pixels=draft.pixels ^ np.uint8(len(shots))) for draft in super().draw(shots)
            ]

    rows = tuple(JobRow(name=f"mug-{i}", prompt=f"a mug {i}", seed=i) for i in range(4))
    fake_studio(key, base=Batched()).run(Job(source="mugs.csv", rows=rows), tmp_path)
    image = tmp_path / "images" / "mug-2.png"
    found = replay(image, fake_studio(key, base=Batched()), subject={}.__getitem__)
    assert (found.same, found.differences) == (True, ())
    alone = replay(image, fake_studio(key, base=Batched(), batch_size=1), subject={}.__getitem__)
    assert not alone.same
    assert "batch: 4 then, 1 now" in alone.differences


class Marks:
    """Marks every picture with 7 in name only, and remembers what it registers."""

    def __init__(self) -> None:
        self.registered: list[str] = []

    def mark(self, pixels: np.ndarray, shot_key: str) -> tuple[np.ndarray, int]:
        return pixels, 7

    def additions(self, pixels: np.ndarray, identifier: int | None) -> tuple[()]:
        return ()

    def register(
        self, data: bytes, media_type: str, pixels: np.ndarray, mark: int | None, title: str
    ) -> None:
        self.registered.append(title)


def test_a_replay_amid_a_run_leaves_its_watermarks_alone(run: Path, key: PemKey, mira: Subject) -> None:
    marks = Marks()
    base = FakeBase(on_draw=lambda shots: time.sleep(0.02))
    studio = fake_studio(key, base=base, durable=marks, batch_size=1)
    shots = [Shot("a mug", seed=seed, name=f"mug-{seed}") for seed in range(6)]
    for take in studio.shoot_all(shots):
        assert isinstance(take, SignedImage)
        assert str(take.claim.settings["watermark"]).endswith("7")
        assert again(run, studio, mira, "plain").same
    assert sorted(marks.registered) == [shot.name for shot in shots]


def test_refused_now_is_compared_all_the_same(run: Path, key: PemKey, mira: Subject) -> None:
    found = again(run, fake_studio(key, checker=FakeChecker(bad_seeds=frozenset([3]))), mira)
    assert found.same
    assert "refuses it now" in found.explain()


def test_what_cannot_be_replayed(run: Path, key: PemKey, mira: Subject, tmp_path: Path) -> None:
    studio = fake_studio(key)
    for name, change, words in (
        ("changed.png", lambda data: data[:-20] + b"x" * 20, "only an intact image"),
        ("unsigned.png", lambda data: b"nothing", "only an intact image"),
        ("elsewhere.png", lambda data: data, "not in the manifest"),
    ):
        file = tmp_path / name
        file.write_bytes(change((run / "images" / "hero.png").read_bytes()))
        with pytest.raises(InputError, match=words):
            replay(file, studio, subject={"mira": mira}.__getitem__)
    with pytest.raises(InputError, match="cannot be read"):
        replay(tmp_path / "none.png", studio, subject={}.__getitem__)
    stray = run / "images" / "stray.png"
    stray.write_bytes(studio.shoot(Shot("another", seed=9)).data)
    with pytest.raises(InputError, match="has no such image"):
        replay(stray, studio, subject={}.__getitem__)
    copy = tmp_path / "elsewhere.png"
    assert replay(copy, studio, subject={"mira": mira}.__getitem__, run=run).same


def test_a_disclosed_prompt_needs_no_ledger(key: PemKey, tmp_path: Path) -> None:
    path = fake_studio(key, disclose_prompt=True).shoot(Shot("a red house", seed=5)).save(tmp_path)
    assert replay(path, fake_studio(key), subject={}.__getitem__).same
