"""``castmark trust``: add, list, remove, import."""

from __future__ import annotations

from pathlib import Path

import pytest
from provenance_samples import signed
from typer.testing import CliRunner

from castmark_provenance.authority import keygen
from castmark_provenance.cli import app
from castmark_provenance.keys import PemKey
from castmark_provenance.report import State
from castmark_provenance.verify import verify


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CASTMARK_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def root(stranger: PemKey, tmp_path: Path) -> Path:
    (tmp_path / "their root.pem").write_text(f"a remark\n{stranger.anchors}")
    return tmp_path / "their root.pem"


def trust(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["trust", *map(str, arguments)])
    return result.exit_code, result.output


def test_added_listed_and_removed(root: Path, stranger: PemKey, home: Path) -> None:
    image = signed(stranger)
    assert verify(image).state is State.UNTRUSTED
    code, line = trust("add", root)
    assert code == 0
    assert verify(image).state is State.TRUSTED
    assert trust("add", root) == (0, line), "twice is once"
    assert trust("list") == (0, line)
    fingerprint = line.split()[0]
    assert trust("remove", fingerprint[:4])[0] == 1, "too few digits"
    assert trust("remove", fingerprint) == (0, line)
    assert verify(image).state is State.UNTRUSTED
    assert "no such list or fingerprint" in trust("remove", fingerprint)[1]
    assert list((home / "trust").iterdir()) == []


def test_a_list_is_imported_as_a_whole(root: Path, stranger: PemKey, key: PemKey, tmp_path: Path) -> None:
    image = signed(stranger)
    both = tmp_path / "C2PA-TRUST-LIST.pem"
    both.write_text(f"# comment\n{stranger.anchors}\n# another\n{key.anchors}")
    assert trust("import", both) == (0, "list c2pa: 2 anchors\n")
    assert [verify(image).state, verify(signed(key)).state] == [State.TRUSTED] * 2
    fingerprint = trust("list")[1].split()[0]
    assert "part of list-c2pa.pem" in trust("remove", fingerprint)[1]
    both.write_text(key.anchors)
    assert trust("import", both)[0] == 0
    assert verify(image).state is State.UNTRUSTED, "a new list takes the old one's place"
    assert trust("remove", "c2pa")[0] == 0
    assert verify(signed(key)).state is State.UNTRUSTED
    assert trust("import", both, "--name", "../x")[0] == 1


def test_what_cannot_be_an_anchor(key: PemKey, tmp_path: Path) -> None:
    bad = tmp_path / "bad.pem"
    for content, words in (
        (key.chain, "cannot be an anchor"),
        (key.private_pem().decode() + key.anchors, "holds a private key"),
        ("nothing", "holds no certificate"),
        (key.anchors.replace("MII", "MIJ", 1), "cannot be"),
    ):
        bad.write_text(content)
        code, output = trust("add", bad)
        assert (code, words in output) == (1, True), output
        assert "PRIVATE" not in output
    assert trust("add", tmp_path / "nothing.pem")[0] == 1


def test_the_local_key_s_root_counts_while_the_key_is_there(home: Path) -> None:
    assert "no trust anchors" in trust("list")[1]
    keygen()
    line = trust("list")[1]
    assert "root.pem" in line
    assert "local key" in trust("remove", line.split()[0])[1]
