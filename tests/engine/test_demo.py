"""The demo's own road: subjects, jobs, runs, sheet, verify table. Only the models are faked."""

import csv
from pathlib import Path

import pytest
from engine_fakes import FakeChecker, fake_studio

from castmark.demo import CHARACTER_SCENES, PRODUCT_SCENES, run_demo
from castmark.runs.runners import RowDone
from castmark.studio.studio import Studio
from castmark_adapters.subject import LoraFile, Subject, sha256
from castmark_provenance.keys import ensure_local_key
from castmark_world import split_of


class Listener:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.results: list[str] = []
        self.rows: list[RowDone] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def result(self, text: str) -> None:
        self.results.append(text)

    def learning(self, name: str) -> None:
        return None

    def row_done(self, event: RowDone) -> None:
        self.rows.append(event)


@pytest.fixture
def checker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeChecker:
    """The checker of the studio that the demo opens; its signer is the local one of a fresh home."""
    monkeypatch.setenv("CASTMARK_HOME", str(tmp_path / "home"))
    checker = FakeChecker()

    def learn(studio: Studio, subject: Subject, **_: object) -> Subject:
        data = b"\x02\0\0\0\0\0\0\0{}"  # a safetensors file of nothing
        card = LoraFile(
            name="lora.safetensors", sha256=sha256(data), base=studio.base.digest, rank=8, steps=1
        )
        return subject.model_copy(update={"lora": card}).holding({**subject.files, card.name: data})

    monkeypatch.setattr(Studio, "learn", learn)
    monkeypatch.setattr(
        Studio,
        "open",
        lambda **_: fake_studio(ensure_local_key(announce=lambda _: None), checker=checker),
    )
    return checker


def test_the_demo_ends_with_every_image_trusted_and_goes_on_where_it_was(
    checker: FakeChecker, tmp_path: Path
) -> None:
    checker.bad_seeds = frozenset({2, 5})  # refused at first, redrawn with other seeds
    out, listener = tmp_path / "demo", Listener()
    assert run_demo(out, learn=True, seed=5, threads=None, reporter=listener)
    assert len(list((out / "campaign/images").glob("*.png"))) == len(CHARACTER_SCENES) >= 8
    assert len(list((out / "products/images").glob("*.png"))) == len(PRODUCT_SCENES) >= 6
    assert len(list(out.glob("references/*/?.png"))) == len(list(out.glob("references/*/*-mask.png"))) == 8
    assert "LoRA learned" in (out / "sheet.html").read_text()
    assert "BEGIN CERTIFICATE" in (out / "trust.pem").read_text()
    assert "PRIVATE" not in (out / "trust.pem").read_text()
    with (out / "products.csv").open() as file:
        assert [row["seed"] for row in csv.DictReader(file)] == [str(i) for i in range(1, 7)]
    assert sum("trusted" in line for line in listener.results[:-1]) == 14
    assert listener.results[-1].startswith("14 of 14 images trusted")
    assert len(listener.rows) == 14 + 4

    again = Listener()
    assert run_demo(out, learn=True, seed=5, threads=None, reporter=again)
    assert again.rows == []
    assert not any("learning" in line for line in again.said)


def test_the_demo_fails_if_an_image_stays_refused(checker: FakeChecker, tmp_path: Path) -> None:
    checker.bad_seeds = frozenset({1 + 1_000_003 * n for n in range(50)})
    listener = Listener()
    assert not run_demo(tmp_path / "demo", learn=False, seed=1, threads=None, reporter=listener)
    assert listener.results[-1].startswith("12 of 14 images trusted")


def test_the_subjects_are_of_the_test_split(tmp_path: Path) -> None:
    import numpy as np

    from castmark import demo

    seen: list[object] = []
    original = demo.world.sample_subject

    def watched(*arguments: object, **fields: object) -> object:
        seen.append(original(*arguments, **fields))  # type: ignore[arg-type]
        return seen[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo.world, "sample_subject", watched)
        rng = np.random.default_rng(5)
        subjects = [demo.make_subject(tmp_path, kind, rng) for kind in ("character", "product")]
    assert {split_of(spec) for spec in seen} == {"test"}  # type: ignore[arg-type]
    assert [len(subject.references) for subject in subjects] == [4, 4]
