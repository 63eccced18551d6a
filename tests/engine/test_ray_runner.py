"""A local Ray cluster of two workers, one of them killed in the middle: every row is done once."""

from __future__ import annotations

import hashlib
import os
import signal
import sys
from collections import Counter
from functools import partial
from pathlib import Path

import pytest
from engine_fakes import fake_studio, slow_studio
from typer.testing import CliRunner

from castmark.cli import app
from castmark.errors import CastmarkError, MissingExtra
from castmark.jobs import Job, JobRow
from castmark.runs.ray_runner import RayRunner
from castmark.runs.runners import RowDone, run
from castmark_provenance.keys import PemKey
from castmark_provenance.report import State
from castmark_provenance.verify import verify

ROWS = 24


def job() -> Job:
    rows = [JobRow(name=f"mug-{i:02d}", prompt=f"a mug {i}", seed=i) for i in range(ROWS)]
    return Job(source="mugs.csv", rows=[*rows, JobRow(name="knife", prompt="a knife")])


def test_without_ray_its_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("castmark.extras.find_spec", lambda module: None)
    with pytest.raises(MissingExtra, match=r"castmark\[ray\]"):
        RayRunner(partial(slow_studio, Path(), Path()), workers=2)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # Ray's own
def test_two_workers_one_killed_every_row_is_done_once(
    tmp_path: Path, key_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))  # workers find the fakes
    pids = tmp_path / "pids"
    pids.mkdir()
    done: Counter[str] = Counter()
    killed: list[int] = []

    def on_event(event: RowDone) -> None:
        done[event.row.name] += 1
        if event.done == 5 and not killed:
            killed.append(int(next(pids.iterdir()).name))
            os.kill(killed[0], signal.SIGKILL)

    with RayRunner(partial(slow_studio, key_folder, pids), workers=2) as runner:
        shot_key = runner.key
        summary = run(job(), tmp_path / "run", runner, {}, on_event=on_event)
        again = run(job(), tmp_path / "run", runner, {})
        with pytest.raises(CastmarkError, match="a Ray worker did not answer"):
            RayRunner(partial(slow_studio, tmp_path / "nowhere", pids), workers=1, cpus=0)
    assert killed
    assert len(list(pids.iterdir())) >= 3, "another process took the dead one's place"
    assert set(done.values()) == {1}
    assert (summary.count("signed"), summary.count("refused"), again.drawn) == (ROWS, 1, 0)
    images = {path.name: path for path in (tmp_path / "run" / "images").iterdir()}
    anchors = PemKey.load_folder(key_folder).anchors
    signed = [row for row in summary.rows if row.status == "signed"]
    assert {row.file for row in signed} == set(images)
    for row in signed:
        assert row.file is not None
        assert hashlib.sha256(images[row.file].read_bytes()).hexdigest() == row.sha256
        assert verify(images[row.file], trust=anchors).state is State.TRUSTED
    local = fake_studio(PemKey.load_folder(key_folder))
    assert [shot_key(image) for image in _shots()] == [local.key(image) for image in _shots()]


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # Ray's own
def test_from_the_command_line(tmp_path: Path, key_folder: Path) -> None:
    pytest.importorskip("ray")
    jobs, out = tmp_path / "jobs.csv", tmp_path / "run"
    jobs.write_text("name,prompt,seed\na,a red mug,1\nb,a blue lamp,2\nc,a green jar,3\n")
    command = ["batch", str(jobs), "--out", str(out), "--key", str(key_folder), "--ray", "2"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    images = sorted((out / "images").iterdir())
    assert [image.stem for image in images] == ["a", "b", "c"]
    anchors = PemKey.load_folder(key_folder).anchors
    assert {verify(image, trust=anchors).state for image in images} == {State.TRUSTED}
    again = CliRunner().invoke(app, command)
    assert "0 drawn now" in again.output, again.output


def _shots() -> list:
    from castmark.jobs.plan import plan

    return [image.shot for image in plan(job(), {}.__getitem__)]
