"""A batch killed with SIGKILL in the middle of 20 rows, again and again, ends with exactly 20 rows done."""

import hashlib
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from castmark.runs.ledger import Ledger
from castmark_provenance.authority import keygen
from castmark_provenance.keys import PemKey
from castmark_provenance.report import State
from castmark_provenance.verify import verify

ROWS = 20
SCRIPT = Path(__file__).with_name("slow_batch.py")


def start(*arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def images(run: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in (run / "images").iterdir()}


@pytest.mark.parametrize("kill_after_rows", [1, 7, 16])
def test_killed_and_started_again(kill_after_rows: int, tmp_path: Path) -> None:
    keys = keygen(tmp_path / "keys")
    anchors = PemKey.load_folder(keys).anchors
    jobs, run = tmp_path / "jobs.csv", tmp_path / "run"
    jobs.write_text("name,prompt,seed\n" + "".join(f"shot-{i:02d},a mug {i},{i}\n" for i in range(ROWS)))

    with start(jobs, run, keys, 0.1) as victim:  # slow, or a busy machine is done before it is killed
        assert victim.stdout is not None
        for _ in range(kill_after_rows):
            assert victim.stdout.readline()
        time.sleep(0.01)  # into the next row: its draw, its signature or its write
        victim.send_signal(signal.SIGKILL)
        assert victim.wait() == -signal.SIGKILL
        victim.communicate()

    with Ledger.read(run) as ledger:
        done = {row.file: row.sha256 for row in ledger.rows() if row.status == "signed"}
    assert kill_after_rows <= len(done) < ROWS
    survivors = images(run)
    for name, digest in done.items():
        assert survivors[name] == digest
    for path in (run / "images").glob("[!.]*"):
        assert verify(path, trust=anchors).state is State.TRUSTED, (
            "whatever has its final name is whole and signed"
        )

    with start(jobs, run, keys, 0) as second:
        out, err = second.communicate(timeout=120)
        assert second.returncode == 0, err
    drawn = [line for line in out.splitlines() if line.startswith("shot-")]
    assert sorted(drawn) == sorted(set(drawn)), "no row is drawn twice"
    assert len(drawn) == ROWS - len(done), "no row is drawn again that was done"

    with Ledger.read(run) as ledger:
        rows = ledger.rows()
    assert [row.name for row in rows] == [f"shot-{i:02d}" for i in range(ROWS)]
    assert all(row.status == "signed" for row in rows)
    found = images(run)
    assert found == {row.file: row.sha256 for row in rows}, (
        "every file has its row, and nothing else is there"
    )
    assert len(set(found.values())) == ROWS
    assert all(found[name] == digest for name, digest in done.items()), "what was done was left alone"
    for name in found:
        assert verify(run / "images" / name, trust=anchors).state is State.TRUSTED


def test_the_lock_of_a_killed_process_is_gone(tmp_path: Path) -> None:
    keys = keygen(tmp_path / "keys")
    jobs, run = tmp_path / "jobs.csv", tmp_path / "run"
    jobs.write_text("prompt\na mug\na cup\n")
    with start(jobs, run, keys, 30) as victim:
        while not (run / "ledger.sqlite").exists():
            assert victim.poll() is None
            time.sleep(0.02)
        time.sleep(0.2)
        with start(jobs, run, keys, 0) as second:
            _, err = second.communicate(timeout=60)
            assert second.returncode == 1
            assert "another process is working on this run" in err
        victim.kill()
        victim.communicate()
    with start(jobs, run, keys, 0) as third:
        out, err = third.communicate(timeout=60)
        assert third.returncode == 0, err
        assert "2 of 2 signed" in out
