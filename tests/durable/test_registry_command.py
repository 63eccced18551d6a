"""``castmark registry``: carried to another machine, where a stripped copy is then recovered."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from durable_samples import drawing, encoded, jpeg, signed_and_registered
from registry_samples import portable as forge
from typer.testing import CliRunner

from castmark_provenance.cli import app
from castmark_provenance.durable.layer import DurableLayer
from castmark_provenance.durable.registry import Registry
from castmark_provenance.keys import PemKey


def test_a_registry_carried_elsewhere_recovers_there(
    key: PemKey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = CliRunner().invoke
    marked, _ = signed_and_registered(DurableLayer.open(), key, drawing(0), "beach")
    copy, portable = tmp_path / "copy.jpg", tmp_path / "registry.jsonl"
    copy.write_bytes(encoded(jpeg(marked), "JPEG"))
    (tmp_path / "root.pem").write_text(key.anchors)
    assert "beach" in run(app, ["registry", "list"]).stdout
    (line,) = run(app, ["registry", "list", "--json"]).stdout.splitlines()
    assert json.loads(line)["title"] == "beach"
    assert run(app, ["registry", "export", str(portable)]).exit_code == 0

    monkeypatch.setenv("CASTMARK_HOME", str(tmp_path / "elsewhere"))
    before = run(app, ["verify", str(copy), "--trust", str(tmp_path / "root.pem")])
    assert before.exit_code == 4
    missing = run(app, ["registry", "list"])
    assert missing.exit_code == 1
    assert "no registry at" in missing.stderr
    assert "imported 1 new" in run(app, ["registry", "import", str(portable)]).stdout
    after = run(app, ["verify", str(copy), "--trust", str(tmp_path / "root.pem"), "--json"])
    assert after.exit_code == 5, after.output
    (report,) = json.loads(after.stdout)["files"]
    assert report["state"] == "recovered"

    with Registry.open() as registry:
        (entry,) = registry.entries()
    forged = forge(tmp_path / "forged.jsonl", entry.model_copy(update={"title": "Breaking: real photo"}))
    refused = run(app, ["registry", "import", str(forged)])
    assert refused.exit_code == 1
    assert "refused 1 of 1 entries and imported 0" in refused.stderr
    assert "another title than was signed" in refused.stderr

    portable.write_text(portable.read_text().replace("beach", "peach"))
    damaged = run(app, ["registry", "import", str(portable)])
    assert damaged.exit_code == 1
    assert "nothing was imported" in damaged.stderr
