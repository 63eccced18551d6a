"""Many files: patterns, standard input, several at once; the published schema; crJSON; another moment."""

from __future__ import annotations

import importlib
import json
import os
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path

import pytest
from provenance_samples import edit_store, encode, picture, signed
from short_lived import short_lived_key
from typer.testing import CliRunner

from castmark_provenance.cli import app
from castmark_provenance.keys import PemKey
from castmark_provenance.report import Answer, State
from castmark_provenance.verify import verify, verify_all


def run(*arguments: str, stdin: bytes | None = None) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["verify", *arguments], input=stdin)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout


@pytest.fixture
def folder(tmp_path: Path, png: bytes, key: PemKey) -> Path:
    for place in ("a/one.png", "a/b/two.png", "c/three.png"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_bytes(png)
    (tmp_path / "c" / "four.jpg").write_bytes(encode(picture(4), "JPEG"))
    (tmp_path / "odd[1].png").write_bytes(png)
    return tmp_path


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("*/*.png", ["one.png", "three.png"]),
        ("**/*.png", ["two.png", "one.png", "three.png", "odd[1].png"]),
        ("a*", ["two.png", "one.png"]),
        ("odd[1].png", ["odd[1].png"]),
    ],
)
def test_patterns(pattern: str, names: list[str], folder: Path) -> None:
    reports = list(verify_all([folder / pattern]))
    assert sorted(Path(report.path).name for report in reports) == sorted(names)
    assert {report.state for report in reports} == {State.TRUSTED}


def test_a_pattern_that_matches_nothing(folder: Path) -> None:
    (report,) = verify_all([folder / "*.tiff"])
    assert (report.state, "no file matches" in report.verdict) == (State.UNREADABLE, True)


def test_standard_input(png: bytes) -> None:
    code, out = run("--json", "-", stdin=png)
    (report,) = json.loads(out)["files"]
    assert (code, report["path"], report["state"]) == (0, "-", "trusted")
    assert run("-", stdin=encode(picture()))[0] == 4
    assert run("--crjson", "-", stdin=png)[0] == 2


def test_several_at_once_come_in_order(folder: Path) -> None:
    alone = [(report.path, report.state) for report in verify_all([folder])]
    assert len(alone) == 5
    for jobs in (2, 7):
        assert [(report.path, report.state) for report in verify_all([folder], jobs=jobs)] == alone


def test_the_answer_keeps_to_the_published_schema(folder: Path) -> None:
    published = json.loads(files("castmark_provenance").joinpath("verify.schema.json").read_text())
    assert published == Answer.model_json_schema(by_alias=True), "write it anew"
    _, out = run("--json", str(folder))
    answer = Answer.model_validate_json(out)
    assert len(answer.files) == 5
    assert answer.exit_code == 4


def test_crjson_is_the_library_s_own_view(folder: Path) -> None:
    code, out = run("--crjson", str(folder / "a" / "one.png"), str(folder / "c" / "four.jpg"))
    first, second = map(json.loads, out.splitlines())
    assert (code, first["state"], second["state"], second["crjson"]) == (4, "trusted", "absent", None)
    assert "org.castmark.safety" in json.dumps(first["crjson"])


def test_crjson_is_of_the_bytes_that_were_examined(
    png: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file is read once: it may be another by the next time, and its name may be any bytes."""
    with open(os.fsencode(tmp_path) + b"/im\xff.png", "wb") as file:  # noqa: PTH123
        file.write(png)
    module = importlib.import_module("castmark_provenance.verify")
    read, times = module.read, []

    def once(path: Path) -> bytes:
        times.append(path)
        return read(path)

    monkeypatch.setattr(module, "read", once)
    code, out = run("--crjson", str(tmp_path))
    (line,) = map(json.loads, out.splitlines())
    assert (code, len(times), line["path"][-7:]) == (0, 1, "im\ufffd.png")
    assert "org.castmark.safety" in json.dumps(line["crjson"])


def test_crjson_is_not_asked_of_a_manifest_that_could_not_be_read(
    png: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not built as it must be is never shown to the library, some of which exhausts its stack."""
    (tmp_path / "a.png").write_bytes(edit_store(png, b"jumdc2ma", b"jumdc2um"))
    (tmp_path / "b.png").write_bytes(png)
    module = importlib.import_module("castmark_provenance.verify")
    asked: list[bytes] = []
    monkeypatch.setattr(module, "library_crjson", lambda data, *_: asked.append(data))
    code, out = run("--crjson", str(tmp_path))
    assert [json.loads(line)["state"] for line in out.splitlines()] == ["invalid", "trusted"]
    assert (code, asked) == (1, [png])


def test_another_moment(tmp_path: Path, key: PemKey, stranger: PemKey) -> None:
    passing = short_lived_key(tmp_path, seconds=3600)
    data, now = signed(passing), datetime.now(UTC)
    for hours, state, outcome in (
        (0.5, "trusted", "not checked"),
        (2, "invalid", "failed"),
        (-3, "invalid", "failed"),
    ):
        report = verify(data, trust=passing.anchors, at=now + timedelta(hours=hours))
        assert (report.state.value, report.check("time").outcome) == (state, outcome), hours
    assert verify(data, trust=stranger.anchors, at=now).state is State.UNTRUSTED
    assert verify(data, trust="", at=now).state is State.UNTRUSTED
    changed = data.replace(b"IDAT", b"IDAU", 1)
    assert verify(changed, trust=passing.anchors, at=now).state is State.INVALID


def test_the_moment_on_the_command_line(folder: Path) -> None:
    path = str(folder / "a" / "one.png")
    assert run("--at", "2020-01-01", path)[0] == 1
    assert run("--at", (datetime.now(UTC) + timedelta(days=1)).isoformat(), path)[0] == 0
    assert run("--at", "yesterday", path)[0] == 2


def test_words_that_are_never_said(folder: Path) -> None:
    for arguments in ([], ["--json"]):
        words = run(*arguments, str(folder), str(folder / "a" / "one.png"))[1].lower()
        assert "authentic" not in words
        if not arguments:
            assert "true" not in words.split()
    assert "authentic" not in CliRunner().invoke(app, ["verify", "--help"]).stdout.lower()
