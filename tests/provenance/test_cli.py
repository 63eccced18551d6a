"""The command line: what a person reads, what a program reads, and how fast it starts."""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from provenance_samples import encode, picture, signed
from typer.testing import CliRunner

import castmark_provenance
from castmark_provenance.cli import app
from castmark_provenance.keys import PemKey
from castmark_provenance.report import REQUIRABLE, SEVERITY, Report, State, worst

CHECKS = [
    "manifest",
    "integrity",
    "layout",
    "signer",
    "time",
    "vocabulary",
    "ai_disclosure",
    "safety_record",
    "ingredients",
    "pixels",
    "revocation",
    "watermark",
    "fingerprint",
]


def alone(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """``python -m castmark_provenance`` as its own process."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "castmark_provenance", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "PYTHONWARNINGS": "", **environment},
    )


def test_the_json_schema_is_stable(png: bytes, tmp_path: Path) -> None:
    """Programs read this: a change here is a new schema number."""
    (tmp_path / "image.png").write_bytes(png)
    result = CliRunner().invoke(
        app, ["verify", "--json", str(tmp_path / "image.png"), str(tmp_path / "no.png")]
    )
    body = json.loads(result.stdout)
    assert list(body) == ["schema", "exit_code", "files"]
    assert (body["schema"], body["exit_code"], result.exit_code) == ("castmark.verify/1", 7, 7)
    keys = ["path", "state", "exit_code", "verdict", "remedy", "media_type", "signer", "generator", "checks"]
    for report in body["files"]:
        assert list(report) == [*keys, "claim"]
    good, missing = body["files"]
    assert list(good["signer"]) == ["common_name", "organisation", "algorithm"]
    assert [check["name"] for check in good["checks"]] == CHECKS
    assert {tuple(check) for check in good["checks"]} == {("name", "outcome", "detail")}
    assert {check["outcome"] for check in good["checks"]} == {"passed", "not checked"}
    assert list(good["claim"]) == [
        "title", "created", "generator", "generator_version", "shot_key", "prompt", "seed", "steps", "width",
        "height", "base", "ingredients", "safety", "settings", "training_mining",
    ]  # fmt: skip
    assert (missing["claim"], missing["checks"], missing["signer"]) == (None, [], None)
    assert Report.model_validate(good).state is State.TRUSTED


def test_states_and_codes() -> None:
    codes = {state.value: state.exit_code for state in State}
    assert codes == {
        "trusted": 0, "invalid": 1, "untrusted": 3, "absent": 4, "recovered": 5, "unmet": 6, "unreadable": 7
    }  # fmt: skip
    assert set(SEVERITY) == set(State)
    assert worst([State.TRUSTED, State.UNMET]) is State.UNMET
    assert worst([State.UNREADABLE, State.INVALID, State.TRUSTED]) is State.INVALID


def test_what_a_person_reads(png: bytes, key: PemKey, tmp_path: Path) -> None:
    (tmp_path / "good.png").write_bytes(png)
    (tmp_path / "plain.png").write_bytes(encode(picture()))
    one = CliRunner().invoke(app, ["verify", str(tmp_path / "good.png")])
    assert one.exit_code == 0
    assert re.search(r"good\.png +trusted +signed by Castmark local signer", one.stdout)
    for name in CHECKS:
        assert re.search(rf"^{name} +(passed|not checked)", one.stdout, re.MULTILINE)
    both = CliRunner().invoke(app, ["verify", str(tmp_path)])
    assert both.exit_code == 4
    assert "absent (1): if it should carry one" in both.stdout
    assert "2 files: 1 absent, 1 trusted" in both.stdout
    for output in (one.stdout, both.stdout):
        assert not re.search(r"authentic|\btrue\b", output, re.IGNORECASE)


def test_a_strangers_name_cannot_drive_the_terminal(tmp_path: Path) -> None:
    from castmark_provenance.authority import keygen

    folder = keygen(tmp_path / "keys", name="[red]Evil\x1b[2J[/red]")
    (tmp_path / "image.png").write_bytes(signed(PemKey.load_folder(folder)))
    result = CliRunner().invoke(app, ["verify", str(tmp_path / "image.png")])
    assert result.exit_code == 3
    assert "\x1b" not in result.stdout
    assert "[red]Evil" in result.stdout


def test_keygen_by_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CASTMARK_HOME", str(tmp_path / "home"))
    first = CliRunner().invoke(app, ["keygen", "--organisation", "Studio Nine", "--country", "FR"])
    assert first.exit_code == 0, first.stderr
    assert str(tmp_path / "home" / "keys") in first.stdout
    assert "PRIVATE" not in first.stdout
    again = CliRunner().invoke(app, ["keygen"])
    assert (again.exit_code, "use --force" in again.stderr) == (1, True)
    assert CliRunner().invoke(app, ["keygen", "--force"]).exit_code == 0
    assert CliRunner().invoke(app, ["keygen", "--out", str(tmp_path / "k"), "--days", "400"]).exit_code == 1
    (tmp_path / "file").write_text("in the way")
    blocked = CliRunner().invoke(app, ["keygen", "--out", str(tmp_path / "file" / "keys")])
    assert (blocked.exit_code, "cannot be written" in blocked.stderr) == (1, True)


def test_wrong_usage_is_two() -> None:
    assert CliRunner().invoke(app, ["verify"]).exit_code == 2
    assert CliRunner().invoke(app, ["verify", "--nonsense", "x"]).exit_code == 2


def test_the_help_names_every_requirement() -> None:
    text = CliRunner().invoke(app, ["verify", "--help"], env={"COLUMNS": "200"}).stdout
    for name in REQUIRABLE:
        assert name in text


def test_its_own_process(png: bytes, key_home: Path, tmp_path: Path) -> None:
    (tmp_path / "image.png").write_bytes(png)
    (tmp_path / "cut.png").write_bytes(png[:2000])
    home = {"CASTMARK_HOME": str(key_home)}
    good = alone("verify", str(tmp_path / "image.png"), **home)
    assert (good.returncode, good.stderr) == (0, "")
    bad = alone("verify", str(tmp_path / "image.png"), str(tmp_path / "cut.png"), **home)
    assert (bad.returncode, bad.stderr) == (1, "")


def test_help_and_import_stay_light() -> None:
    """No torch ever; neither the C2PA library nor the engine before they are needed."""
    code = (
        "import sys, castmark_provenance.cli as c; "
        "heavy = {'torch', 'numpy', 'c2pa', 'cryptography', 'PIL', 'castmark'} & set(sys.modules); "
        "import castmark_provenance.verify, castmark_provenance.sign; "
        "heavy |= {'torch', 'numpy', 'castmark', 'castmark_data'} & set(sys.modules); sys.exit(repr(heavy))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.stderr.strip() == "set()"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert alone("--help").returncode == 0
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # processor time, which other work on the machine does not stretch as it does the clock
    assert (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime) < 0.5


def test_public_names() -> None:
    for name in castmark_provenance.__all__:
        value = getattr(castmark_provenance, name)
        assert callable(value), name
    assert set(castmark_provenance.__all__) <= set(dir(castmark_provenance))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = castmark_provenance.nothing
    code = (
        "import castmark_provenance.verify, castmark_provenance.sign\n"
        "from castmark_provenance import sign, verify\n"
        "assert callable(sign) and verify(b'').exit_code == 7"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
