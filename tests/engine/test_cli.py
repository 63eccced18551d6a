"""The command line in this process: exit codes, one-line errors, quiet. Models are faked, signing is not."""

import json
from pathlib import Path

import pytest
from command_line import run_castmark
from engine_fakes import FakeChecker, fake_studio, pixels
from PIL import Image

from castmark import extras
from castmark.cli import console
from castmark.studio.studio import Studio
from castmark.take import UNKNOWN_WORDS
from castmark_adapters import pack
from castmark_adapters.subject import Subject
from castmark_provenance.keys import PemKey
from castmark_provenance.verify import verify


class Castmark:
    """Runs commands as a user would; knows their exit code, output and errors."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys

    def __call__(self, *arguments: object) -> int:
        ran = run_castmark(self._monkeypatch, self._capsys, *arguments)
        self.out, self.err = ran.out, ran.err
        return ran.code


@pytest.fixture
def castmark(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, key: PemKey
) -> Castmark:
    monkeypatch.setenv("CASTMARK_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)

    def open_fake(*_: object, **__: object) -> Studio:
        return fake_studio(key, checker=FakeChecker(bad_seeds=frozenset({13})))

    monkeypatch.setattr(Studio, "open", open_fake)
    monkeypatch.setattr(console, "hush_libraries", lambda: None)  # the fakes need none of the libraries
    return Castmark(monkeypatch, capsys)


@pytest.fixture
def library(tmp_path: Path, mira: Subject) -> Path:
    folder = tmp_path / "home" / "subjects"
    pack.put(folder, mira)
    return folder


def picture(path: Path, seed: int = 0) -> Path:
    Image.fromarray(pixels("reference", seed, 24, 24)).save(path)
    return path


def test_shoot_writes_one_signed_file_and_says_where(
    castmark: Castmark, library: Path, tmp_path: Path
) -> None:
    assert castmark("shoot", "mira at the beach", "--subject", "mira", "--name", "beach", "--out", "out") == 0
    assert castmark.out == "out/beach.png\n"
    assert castmark("verify", "out/beach.png") == 3, "the signer is not in this home's trust"
    assert castmark("shoot", "a mug", "--quiet") == 0
    assert castmark.out == ""
    assert len(list(tmp_path.glob("shot-*.png"))) == 1


def test_words_the_base_does_not_know_are_said(castmark: Castmark, tmp_path: Path) -> None:
    assert castmark("shoot", "a zzeppelin over a zzoo", "--name", "sky") == 0
    assert castmark.err == "unknown words: zzeppelin, zzoo\n"
    report = verify(tmp_path / "sky.png")
    assert report.claim is not None
    (found,) = [f for f in report.claim.safety.findings if f.name == UNKNOWN_WORDS]
    assert (found.score, found.allowed, found.binding) == (2.0, False, False)
    assert b"zzeppelin" not in (tmp_path / "sky.png").read_bytes(), "words of the prompt are not published"
    (tmp_path / "jobs.csv").write_text("name,prompt\nsky,a zzeppelin\nmug,a mug\n")
    assert castmark("batch", "jobs.csv", "--out", "run") == 0
    assert "sky  unknown words: zzeppelin" in castmark.err
    assert "mug  unknown" not in castmark.err
    assert castmark("sheet", "run") == 0
    assert "unknown words: zzeppelin" in (tmp_path / "run" / "sheet.html").read_text()


def test_a_refusal_exits_3_with_the_reason_and_no_file(castmark: Castmark, tmp_path: Path) -> None:
    assert castmark("shoot", "a knife") == 3
    assert "L1 prompt: weapon scored 9.000" in castmark.err
    assert castmark("shoot", "a mug", "--seed", 13) == 3
    assert "L2 image" in castmark.err
    assert list(tmp_path.glob("*.png")) == []


ERRORS = {
    ("shoot", "a mug", "--subject", "ben"): "no subject 'ben'",
    ("shoot", "a mug", "--width", "401"): "401x32",
    ("shoot", "a mug", "--width", "-8"): "width: -8",
    ("shoot", "a mug", "--name", "../up"): "name: '../up'",
    ("shoot", ""): "prompt: ''",
    ("batch", "nowhere.csv", "--out", "run"): "nowhere.csv: job file cannot be read",
    ("batch", "bad.csv", "--out", "run"): "row 1 (line 2), column 'seed': 'x'",
    ("batch", "ben.csv", "--out", "run"): "no subject 'ben'",
    ("batch", "good.csv", "--out", "good.csv/run"): "run folder cannot be made",
    ("sheet", "."): "no ledger.sqlite here",
    ("subject", "new", "ben", "nowhere.png"): "nowhere.png: reference image cannot be read",
    ("subject", "new", "ben", "good.csv"): "good.csv: not a readable image",
    ("subject", "new", "../ben", "face.png"): "subject '../ben'",
    ("subject", "new", "ben", "face.png", "--kind", "person"): "state the consent",
    ("subject", "show", "ben"): "no subject 'ben'",
    ("subject", "remove", "ben", "--yes"): "no subject 'ben'",
    ("subject", "import", "nowhere"): "no readable subject card",
    ("learn", "ben"): "no subject 'ben'",
    ("bench", "nothing"): "no bench suite 'nothing'; suites are: ",
    ("train", "nothing", "--minutes", "1", "--out", "x"): "no model 'nothing' to train",
    ("shoot", "a mug", "--out", "good.csv"): "good.csv",
}


@pytest.mark.parametrize("arguments", ERRORS, ids=" ".join)
def test_an_error_is_one_line_on_standard_error(
    arguments: tuple[str, ...], castmark: Castmark, tmp_path: Path
) -> None:
    (tmp_path / "bad.csv").write_text("prompt,seed\na mug,x\n")
    (tmp_path / "ben.csv").write_text("prompt,subject\nben at home,ben\n")
    (tmp_path / "good.csv").write_text("prompt\na mug\n")
    picture(tmp_path / "face.png")
    before = sorted(path.name for path in tmp_path.iterdir())
    assert castmark(*arguments) == 1
    assert castmark.out == ""
    assert castmark.err.startswith("castmark: ")
    assert castmark.err.count("\n") == 1
    assert ERRORS[arguments] in castmark.err
    assert sorted(path.name for path in tmp_path.iterdir()) == before, "nothing was made"


def test_wrong_usage_exits_2(castmark: Castmark) -> None:
    assert castmark("shoot") == 2
    assert castmark("nothing") == 2
    assert castmark("shoot", "a mug", "--steps", "0") == 2


def test_a_missing_part_of_the_installation_is_named(
    castmark: Castmark, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(extras.MODULES, "engine", ("torch_that_nobody_has",))
    monkeypatch.setitem(extras.MODULES, "world", ("skia_that_nobody_has",))
    for arguments in (
        ("shoot", "a mug"),
        ("learn", "mira"),
        ("sheet", "run"),
        ("demo",),
        ("bench", "pipeline"),
    ):
        assert castmark(*arguments) == 2
        assert f"castmark {arguments[0]} needs the 'engine' extra" in castmark.err
        assert "pip install 'castmark[engine]'" in castmark.err
    assert castmark("world", "sample", "--out", "x") == 2
    assert "pip install 'castmark[world]'" in castmark.err


def test_batch_reports_every_row_and_resumes(castmark: Castmark, library: Path, tmp_path: Path) -> None:
    (tmp_path / "jobs.csv").write_text("name,prompt,subject,seed\none,mira at home,mira,1\ntwo,a mug,,2\n")
    assert castmark("batch", "jobs.csv", "--out", "run") == 0
    assert castmark.out.splitlines()[:2] == ["one  signed  identity 0.75", "two  signed"]
    assert "2 of 2 signed; 2 drawn now" in castmark.out
    assert castmark("batch", "jobs.csv", "--out", "run") == 0
    assert "0 drawn now" in castmark.out
    assert castmark("sheet", "run") == 0
    assert castmark.out == "run/sheet.html\n"


def test_batch_exits_3_for_refusals_and_1_for_failures(castmark: Castmark, tmp_path: Path) -> None:
    (tmp_path / "refused.csv").write_text("name,prompt,seed\none,a mug,1\ntwo,a mug,13\n")
    assert castmark("batch", "refused.csv", "--out", "a", "--quiet") == 3
    assert castmark.out == ""
    assert "two  refused (seed 13)" in castmark.err
    assert castmark("batch", "refused.csv", "--out", "a", "--redraws", "1") == 0
    (tmp_path / "failed.csv").write_text("prompt,width\na mug,\na mug,401\n")
    assert castmark("batch", "failed.csv", "--out", "b") == 1
    assert "row-0002  failed" in castmark.err
    assert "1 of 2 signed, 1 failed" in castmark.out


def test_subjects_are_made_listed_and_shown(castmark: Castmark, tmp_path: Path) -> None:
    files = [picture(tmp_path / f"{i}.png", i) for i in range(3)]
    arguments = ("--kind", "product", "--phrase", "a red mug", "--licence", "CC0-1.0")
    assert castmark("subject", "new", "mug", *files, *arguments) == 0
    assert "3 references, 'a red mug'" in castmark.out
    assert castmark("subject", "list") == 0
    assert castmark.out == "mug  product  3 references  no LoRA  'a red mug'\n"
    assert castmark("subject", "new", "mug", files[0], *arguments) == 1
    assert "there is a subject 'mug'" in castmark.err and "--replace" in castmark.err
    assert castmark("subject", "new", "mug", *files[1:], *arguments, "--replace") == 0
    assert "2 references" in castmark.out
    assert castmark("subject", "new", "mug", *files, *arguments, "--replace") == 0
    assert castmark("subject", "show", "mug") == 0
    assert json.loads(castmark.out)["licence"] == "CC0-1.0"
    assert castmark("subject", "export", "mug", "post") == 0
    assert castmark("subject", "import", "post/mug", "--name", "cup") == 0
    assert castmark("subject", "rename", "mug", "beaker") == 0
    assert castmark("subject", "remove", "cup", "--yes") == 0
    assert castmark("subject", "list") == 0
    assert castmark.out.split()[0] == "beaker" and "cup" not in castmark.out
    consent = ("--consent-by", "Ada", "--consent-date", "2026-01-02", "--consent-scope", "a campaign")
    assert castmark("subject", "new", "ada", files[0], "--kind", "person", *consent) == 0
    assert (
        castmark("subject", "new", "eve", files[0], "--kind", "person", *consent[:3], "soon", *consent[4:])
        == 1
    )
    assert "'soon'" in castmark.err


def test_world_sample_writes_pictures_with_captions_and_truth(castmark: Castmark, tmp_path: Path) -> None:
    for out in ("a", "b"):
        assert castmark("world", "sample", "--n", 3, "--seed", 4, "--out", out, "--size", 32, "--quiet") == 0
    lines = (tmp_path / "a/scenes.jsonl").read_text().splitlines()
    assert [json.loads(line)["file"] for line in lines] == ["00000.png", "00001.png", "00002.png"]
    assert all({"caption", "truth"} <= json.loads(line).keys() for line in lines)
    first, second = (sorted((tmp_path / out).iterdir()) for out in ("a", "b"))
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]


def test_a_full_disk_is_one_line(castmark: Castmark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from castmark import take

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(take.os, "fsync", full)
    assert castmark("shoot", "a mug", "--out", "out") == 1
    assert castmark.err == "castmark: No space left on device; nothing was left half-written\n"
    assert list((tmp_path / "out").iterdir()) == []


def test_a_dry_run_shows_the_plan_and_draws_nothing(
    castmark: Castmark, library: Path, tmp_path: Path
) -> None:
    (tmp_path / "jobs.csv").write_text(
        "name,prompt,subject,seeds,size,format\n"
        "{subject}-{seed},mira at home,mira,1-3,130x130,jpeg\nmug,a mug,,,,\n"
    )
    assert castmark("batch", "jobs.csv", "--dry-run", "--price-per-hour", 2) == 0
    for said in (
        "4 images",
        "3 x mira",
        "3 x 130x130",
        "3 x jpeg",
        "mira-1, mira-2, mira-3, mug",
        "not known",
    ):
        assert said in castmark.out
    assert not (tmp_path / "run").exists()
    assert castmark("batch", "jobs.csv", "--out", "run", "--price-per-hour", 2) == 0
    assert castmark("batch", "jobs.csv", "--dry-run", "--price-per-hour", 2) == 0
    assert "time: about" in castmark.out and "cost" in castmark.out, "the run before told how long it takes"
    assert json.loads((tmp_path / "run/summary.json").read_text())["cost"] is not None
    assert castmark("batch", "jobs.csv") == 2
    assert castmark("batch", "--schema") == 0
    assert json.loads(castmark.out)["title"] == "Castmark job row"


def test_bad_rows_are_left_out_on_request(castmark: Castmark, tmp_path: Path) -> None:
    (tmp_path / "jobs.csv").write_text("prompt,seed\na mug,1\na mug,x\n")
    assert castmark("batch", "jobs.csv", "--out", "run") == 1
    assert castmark("batch", "jobs.csv", "--skip-bad", "--dry-run") == 0
    assert "1 images, 1 rows left out" in castmark.out
    assert "row 2 (line 3)" in castmark.err
    assert castmark("batch", "jobs.csv", "--skip-bad", "--out", "run") == 1, "a row has no image"
    assert "1 of 1 signed, 1 left out as not valid; 1 drawn now" in castmark.out
    assert "correct run/errors.csv" in castmark.out


def test_a_replay_needs_only_the_run(castmark: Castmark, library: Path, tmp_path: Path) -> None:
    (tmp_path / "jobs.csv").write_text("name,prompt,subject,seed\none,mira in red,mira,1\n")
    assert castmark("batch", "jobs.csv", "--out", "run") == 0
    assert castmark("subject", "remove", "mira", "--yes") == 0
    assert castmark("replay", "run/images/one.png") == 0
    assert "the very same pixels" in castmark.out


def test_vary_and_bridge_go_on_from_a_run(castmark: Castmark, library: Path, tmp_path: Path) -> None:
    (tmp_path / "jobs.csv").write_text("name,prompt,subject,seed\none,mira in red,mira,1\n")
    assert castmark("batch", "jobs.csv", "--out", "run") == 0
    assert castmark("vary", "run", "one", "--out", "more", "--n", 2, "--strength", 0.3) == 0
    assert "2 of 2 signed" in castmark.out
    assert castmark("vary", "run", "one", "--out", "ab", "--n", 1, "--replace", "red=blue") == 0
    assert {path.name for path in (tmp_path / "ab/images").iterdir()} == {"one-01a.png", "one-01b.png"}
    assert castmark("vary", "run", "one", "--out", "x", "--replace", "red") == 1
    assert "write OLD=NEW" in castmark.err
    assert castmark("bridge", "run", "one", "--out", "final", "--steps", 4) == 0
    assert castmark("bridge", "run", "two", "--out", "final") == 1
    assert "no signed image called 'two'" in castmark.err


def test_shoot_writes_other_sizes_and_says_what_cannot_be(castmark: Castmark, tmp_path: Path) -> None:
    assert castmark("shoot", "a mug", "--name", "mug", "--width", 130, "--height", 130) == 0
    with Image.open(tmp_path / "mug.png") as image:
        assert image.size == (130, 130)
    assert castmark("shoot", "a mug", "--format", "jpeg", "--background", "transparent") == 1
    assert "cannot be transparent" in castmark.err
