"""A job on a local Ray cluster of two workers, one killed in the middle: every row is done, and done once."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from castmark import extras
from castmark.errors import MissingExtra
from castmark.ledger import Ledger
from castmark.runner_ray import RayRunner
from castmark_provenance.authority import keygen
from castmark_provenance.keys import PemKey
from castmark_provenance.report import State
from castmark_provenance.verify import verify

ROWS = 24


@pytest.mark.slow
@pytest.mark.skipif(find_spec("ray") is None, reason="needs castmark[ray]")
def test_a_worker_that_dies_loses_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    keys = keygen(tmp_path / "keys")
    jobs, run, mark = tmp_path / "jobs.csv", tmp_path / "run", tmp_path / "died"
    jobs.write_text("name,prompt,seed\n" + "".join(f"shot-{i:02d},a mug {i},{i}\n" for i in range(ROWS)))
    script = Path(__file__).with_name("ray_batch.py")
    told = subprocess.run(
        [sys.executable, script, jobs, run, keys, mark],
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert told.returncode == 0, told.stderr[-2000:]
    assert mark.exists(), "a worker died"
    drawn = [line for line in told.stdout.splitlines() if line.startswith("shot-")]
    assert drawn == [f"shot-{i:02d}" for i in range(ROWS)], "each once, in order"
    with Ledger.read(run) as ledger:
        rows = ledger.rows()
    assert [row.status for row in rows] == ["signed"] * ROWS
    anchors = PemKey.load_folder(keys).anchors
    files = sorted((run / "images").iterdir())
    assert [file.name for file in files] == [row.file for row in rows]
    assert all(verify(file, trust=anchors).state is State.TRUSTED for file in files)


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(extras.MODULES, "ray", ("ray_that_nobody_has",))
    with pytest.raises(MissingExtra, match=r"castmark\[ray\]"):
        RayRunner(lambda: pytest.fail("opened"), workers=2)
