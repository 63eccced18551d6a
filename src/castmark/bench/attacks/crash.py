"""SIGKILL at random moments of signing and writing: what a run has left behind each time."""

from __future__ import annotations

import hashlib
import random
import subprocess
from contextlib import suppress
from pathlib import Path

from castmark.bench.rendered import rendered_job, started
from castmark.runs.ledger import FILE, Ledger
from castmark_provenance.report import State
from castmark_provenance.verify import verify

ROWS = 400
"""Images of one run; a run that is through is followed by another."""
LONGEST = 0.5
"""Seconds after its first image is written that a process is killed, at most: a dozen or two images later."""


def killed(folder: Path, keys: Path, anchors: str, kills: int) -> tuple[int, int, int]:
    """Kill a batch ``kills`` times, go on with it each time, and at last let it end.

    Returns how many images were unsigned, partial or lost, how many were looked at, and how many kills came
    in the midst of a run.
    """
    rng = random.Random(3)
    jobs = rendered_job(folder / "jobs.csv", ROWS)
    bad = looked_at = run = midst = 0
    for _ in range(kills):
        with started(jobs, folder / f"run-{run}", keys) as process:
            assert process.stdout is not None
            process.stdout.readline()  # the first image is written
            with suppress(subprocess.TimeoutExpired):
                process.wait(rng.uniform(0, LONGEST))
            process.kill()
        wrong, count, done = _left(folder / f"run-{run}", anchors)
        bad, looked_at = bad + wrong, looked_at + count
        midst += count > 0 and done < ROWS
        run += done == ROWS
    with started(jobs, folder / f"run-{run}", keys) as process:
        process.communicate()
    wrong, count, done = _left(folder / f"run-{run}", anchors)
    return bad + wrong + (ROWS - done), looked_at + count, midst


def _left(run: Path, anchors: str) -> tuple[int, int, int]:
    """Wrong images, images looked at, and rows that the journal calls done."""
    files = sorted((run / "images").glob("[!.]*")) if run.is_dir() else []
    bad = sum(verify(file, trust=anchors).state is not State.TRUSTED for file in files)
    if not (run / FILE).is_file():
        return bad, len(files), 0
    with Ledger.read(run) as ledger:
        rows = [row for row in ledger.rows() if row.status == "signed"]
    there = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
    lost = sum(there.get(row.file or "") != row.sha256 for row in rows)
    return bad + lost, len(files) + lost, len(rows)
