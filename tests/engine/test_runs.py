"""Runs: journal, resume, locks, redraws, bad disks."""

import csv
import errno
import hashlib
import json
import math
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from engine_fakes import SIDE, FakeBase, FakeChecker, fake_studio

from castmark import take as take_module
from castmark.errors import InputError, LedgerError
from castmark.jobs import Job, JobRow, read_job
from castmark.machine.energy import EnergyMeter
from castmark.runs import ledger as ledger_module
from castmark.runs import ledger_file, runners
from castmark.runs.ledger import Ledger
from castmark.runs.ledger_row import verdict_from_json, verdict_to_json
from castmark.runs.report import read_summary
from castmark.runs.runners import LocalRunner, RowDone, run
from castmark.runs.variations import variations
from castmark.shot import REDRAW_STRIDE, ResolvedShot, Shot
from castmark.take import Draft
from castmark_adapters.errors import SubjectError
from castmark_adapters.subject import Subject
from castmark_provenance.claim import PromptRecord, salted
from castmark_provenance.keys import PemKey
from castmark_provenance.report import State
from castmark_provenance.verify import verify


def job(n: int = 3, **fields: object) -> Job:
    rows = tuple(JobRow(name=f"shot-{i}", prompt=f"a mug {i}", seed=i, **fields) for i in range(n))
    return Job(source="mugs.csv", rows=rows)


def files(run: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in (run / "images").iterdir()}


def test_a_run_writes_signed_images_and_a_journal_that_proves_them(
    key: PemKey, mira: Subject, tmp_path: Path
) -> None:
    events: list[RowDone] = []
    summary = fake_studio(key).run(job(5, subject="mira"), tmp_path, [mira], on_event=events.append)
    assert summary.ok
    assert (summary.drawn, summary.count("signed")) == (5, 5)
    assert [(event.done, event.total) for event in events] == [(i, 5) for i in range(1, 6)]
    for row in summary.rows:
        assert row.file is not None and row.salt is not None
        report = verify(tmp_path / "images" / row.file, trust=key.anchors)
        assert report.state is State.TRUSTED
        assert report.claim is not None
        assert report.claim.prompt == PromptRecord.of(row.prompt, row.salt), "the ledger proves the prompt"
        assert report.claim.shot_key == salted(row.salt, row.key), "the ledger finds the shot"
        assert row.identity == 0.75
        assert row.verdict is not None and row.verdict.allowed
    assert {row.file: row.sha256 for row in summary.rows} == files(tmp_path)


def test_a_finished_run_draws_nothing_again(key: PemKey, tmp_path: Path) -> None:
    fake_studio(key).run(job(), tmp_path)
    before = files(tmp_path)
    base = FakeBase()
    summary = fake_studio(key, base=base).run(job(), tmp_path)
    assert (summary.ok, summary.drawn, base.batches) == (True, 0, [])
    assert files(tmp_path) == before


def test_only_new_changed_lost_and_damaged_rows_run(key: PemKey, tmp_path: Path) -> None:
    fake_studio(key).run(job(5), tmp_path)
    before = files(tmp_path)
    (tmp_path / "images/shot-1.png").unlink()
    (tmp_path / "images/shot-2.png").write_bytes(b"half an image")
    rows = list(job(6).rows)
    rows[3] = rows[3].model_copy(update={"prompt": "another mug"})
    drawn: list[str] = []
    summary = fake_studio(key).run(
        Job(source="mugs.csv", rows=tuple(rows)), tmp_path, on_event=lambda e: drawn.append(e.row.name)
    )
    assert drawn == ["shot-1", "shot-2", "shot-3", "shot-5"]
    assert summary.ok
    after = files(tmp_path)
    assert {name for name in before if before[name] == after[name]} == {"shot-0.png", "shot-4.png"}


def test_another_policy_or_base_draws_everything_again(key: PemKey, tmp_path: Path) -> None:
    fake_studio(key).run(job(), tmp_path)
    assert fake_studio(key, checker=FakeChecker(policy_digest="a" * 64)).run(job(), tmp_path).drawn == 3
    assert fake_studio(key, base=FakeBase(digest="b" * 64)).run(job(), tmp_path).drawn == 3


def test_a_new_calibration_judges_everything_anew(key: PemKey, tmp_path: Path) -> None:
    strict = FakeChecker(bad_seeds=frozenset({1}))
    assert fake_studio(key, checker=strict).run(job(), tmp_path).count("refused") == 1
    lenient = FakeChecker(calibration_digest="c" * 64)
    assert fake_studio(key, checker=lenient).run(job(), tmp_path).ok, "a refusal is no longer one"
    assert fake_studio(key, checker=strict).run(job(), tmp_path).count("refused") == 1, "nor a pass a pass"
    assert set(files(tmp_path)) == {"shot-0.png", "shot-2.png"}


def test_rows_that_left_the_job_leave_the_summary_and_keep_their_file(key: PemKey, tmp_path: Path) -> None:
    fake_studio(key).run(job(3), tmp_path)
    summary = fake_studio(key).run(job(2), tmp_path)
    assert [row.name for row in summary.rows] == ["shot-0", "shot-1"]
    assert "shot-2.png" in files(tmp_path)
    assert fake_studio(key).run(job(3), tmp_path).drawn == 0


def test_refusals_and_failures_are_rows_not_ends(key: PemKey, tmp_path: Path) -> None:
    rows = (
        JobRow(name="good", prompt="a mug", seed=1),
        JobRow(name="knife", prompt="a knife", seed=2),
        JobRow(name="bad", prompt="a mug", seed=3),
        JobRow(name="odd", prompt="a mug", width=401),
    )
    base = FakeBase()
    studio = fake_studio(key, base=base, checker=FakeChecker(bad_seeds=frozenset({3})))
    summary = studio.run(Job(source="mixed.csv", rows=rows), tmp_path)
    assert [row.status for row in summary.rows] == ["signed", "refused", "refused", "failed"]
    assert not summary.ok
    assert "1 of 4 signed, 2 refused, 1 failed" in summary.explain()
    assert set(files(tmp_path)) == {"good.png"}
    assert "weapon scored 9.000" in (summary.rows[1].reason or "")
    assert "401x32" in (summary.rows[3].reason or "")
    again = fake_studio(key, base=base, checker=FakeChecker(bad_seeds=frozenset({3}))).run(
        Job(source="mixed.csv", rows=rows), tmp_path
    )
    assert again.drawn == 1, "only the failure is tried again: a refusal of the same key stands"


def test_refused_images_are_redrawn_with_other_seeds_and_every_refusal_is_kept(
    key: PemKey, tmp_path: Path
) -> None:
    bad = frozenset({1, 1 + REDRAW_STRIDE, 2})
    studio = fake_studio(key, checker=FakeChecker(bad_seeds=bad))
    work = Job(
        source="mugs.csv",
        rows=(*job(3).rows, JobRow(name="knife", prompt="a knife", seed=9)),
    )
    summary = studio.run(work, tmp_path, redraws=1)
    assert [(row.status, row.redraws) for row in summary.rows] == [
        ("signed", 0),
        ("refused", 1),
        ("signed", 1),
        ("refused", 0),
    ]
    assert summary.rows[2].seed == 2 + REDRAW_STRIDE
    summary = studio.run(work, tmp_path, redraws=2)
    assert [row.status for row in summary.rows] == ["signed", "signed", "signed", "refused"]
    assert summary.drawn == 1, "the redraws made before count; a forbidden prompt is never redrawn"
    with Ledger.read(tmp_path) as ledger:
        assert [seed for seed, _ in ledger.refusals("shot-1")] == [1, 1 + REDRAW_STRIDE]
        assert [seed for seed, _ in ledger.refusals("shot-2")] == [2]
    assert studio.run(work, tmp_path, redraws=2).drawn == 0


def test_a_redraw_that_failed_is_what_the_next_run_tries(key: PemKey, tmp_path: Path) -> None:
    seeds: list[int] = []
    broken = [True]

    def on_draw(shots: Sequence[ResolvedShot]) -> None:
        seeds.extend(shot.seed for shot in shots)
        if broken[0] and shots[0].seed >= REDRAW_STRIDE:
            raise RuntimeError("a passing trouble")

    bad = frozenset({0, REDRAW_STRIDE})
    studio = fake_studio(key, base=FakeBase(on_draw=on_draw), checker=FakeChecker(bad_seeds=bad))
    assert studio.run(job(1), tmp_path, redraws=2).count("failed") == 1
    broken[0] = False
    seeds.clear()
    summary = studio.run(job(1), tmp_path, redraws=2)
    assert summary.ok and summary.rows[0].redraws == 2
    assert seeds == [REDRAW_STRIDE, 2 * REDRAW_STRIDE]
    with Ledger.read(tmp_path) as ledger:
        assert [seed for seed, _ in ledger.refusals("shot-0")] == [0, REDRAW_STRIDE]
    changed = Job(source="mugs.csv", rows=(JobRow(name="shot-0", prompt="a cup", seed=5),))
    assert [row.seed for row in studio.run(changed, tmp_path, redraws=2).rows] == [5], (
        "another shot begins anew"
    )


def test_refusals_are_read_in_chunks(key: PemKey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_studio(key, checker=FakeChecker(bad_seeds=frozenset(range(5)))).run(job(5), tmp_path)
    monkeypatch.setattr(ledger_module, "CHUNK", 2)
    with Ledger.read(tmp_path) as ledger:
        assert len(list(ledger.every_refusal())) == 5
        reading = ledger.every_refusal()
        next(reading)
        database = sqlite3.connect(tmp_path / "ledger.sqlite")
        database.execute("DELETE FROM refusals WHERE name > 'shot-1'")
        database.commit()
        database.close()
        assert len(list(reading)) == 1, "the rest of the chunk, and nothing was held of what came after"


def test_no_run_redraws_more_than_the_policy_allows(key: PemKey, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="allows 3"):
        run(job(2), tmp_path, LocalRunner(fake_studio(key)), {}, redraws=4)
    assert not list(tmp_path.iterdir())


def test_an_image_without_a_row_is_removed_and_drawn_again(key: PemKey, tmp_path: Path) -> None:
    """The state a process killed between the image's rename and its row leaves behind."""
    fake_studio(key).run(job(2), tmp_path)
    database = sqlite3.connect(tmp_path / "ledger.sqlite")
    database.execute("UPDATE rows SET status = 'pending' WHERE name = 'shot-1'")
    database.commit()
    database.close()
    (tmp_path / "images/.shot-1.png.abc.part").write_bytes(b"half")
    bad = fake_studio(key, checker=FakeChecker(bad_seeds=frozenset({1})))
    summary = bad.run(job(2), tmp_path)
    assert [row.status for row in summary.rows] == ["signed", "refused"]
    assert set(files(tmp_path)) == {"shot-0.png"}


def test_a_changed_row_that_is_then_refused_leaves_no_old_image(key: PemKey, tmp_path: Path) -> None:
    fake_studio(key).run(job(2), tmp_path)
    rows = (job(2).rows[0], job(2).rows[1].model_copy(update={"prompt": "a knife"}))
    fake_studio(key).run(Job(source="mugs.csv", rows=rows), tmp_path)
    assert set(files(tmp_path)) == {"shot-0.png"}


def interrupt(_: RowDone) -> None:
    raise KeyboardInterrupt


def test_a_resume_under_other_options_keeps_every_image_that_it_has_not_drawn_anew(
    key: PemKey, tmp_path: Path
) -> None:
    fake_studio(key).run(job(12), tmp_path)
    before = files(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        fake_studio(key, steps=3, batch_size=1).run(job(12), tmp_path, on_event=interrupt)
    after = files(tmp_path)
    assert after.keys() == before.keys()
    assert after["shot-0.png"] != before["shot-0.png"]
    assert after["shot-11.png"] == before["shot-11.png"]
    with Ledger.read(tmp_path) as ledger:
        assert ledger.counts() == {"signed": 1, "pending": 11}, "an old image does not count"
    with pytest.raises(InputError, match="no signed image called 'shot-11'"):
        variations(tmp_path, "shot-11")
    with pytest.raises(KeyboardInterrupt):
        fake_studio(key, batch_size=1).run(job(12), tmp_path, on_event=interrupt)
    assert files(tmp_path)["shot-11.png"] == before["shot-11.png"]
    summary = fake_studio(key).run(job(12), tmp_path)
    assert summary.ok
    assert {row.file: row.sha256 for row in summary.rows} == files(tmp_path)


def test_an_image_of_another_format_takes_the_place_of_the_old_one(key: PemKey, tmp_path: Path) -> None:
    fake_studio(key).run(job(2), tmp_path)
    assert fake_studio(key).run(job(2, format="jpeg"), tmp_path).ok
    assert set(files(tmp_path)) == {"shot-0.jpg", "shot-1.jpg"}


def test_a_changed_row_that_fails_keeps_its_old_image_until_it_leaves_the_job(
    key: PemKey, tmp_path: Path
) -> None:
    fake_studio(key).run(job(2), tmp_path)
    before = files(tmp_path)
    odd = Job(source="mugs.csv", rows=(job(1).rows[0], JobRow(name="shot-1", prompt="a mug", width=401)))
    for _ in range(2):
        assert fake_studio(key).run(odd, tmp_path).count("failed") == 1
        assert files(tmp_path) == before
    fake_studio(key).run(job(1), tmp_path)
    assert set(files(tmp_path)) == {"shot-0.png"}


def test_nothing_is_written_once_a_run_has_ended(key: PemKey, tmp_path: Path) -> None:
    studio = fake_studio(key, base=FakeBase(on_draw=lambda shots: time.sleep(0.05)), batch_size=1)
    with pytest.raises(KeyboardInterrupt) as caught:
        studio.run(job(12), tmp_path, on_event=interrupt)
    before = files(tmp_path)
    time.sleep(0.5)
    assert caught.value.__traceback__ is not None, "it holds on to whatever the run left open"
    assert files(tmp_path) == before


def test_a_second_process_is_told(key: PemKey, tmp_path: Path) -> None:
    code = (
        "import sys; from castmark.runs.ledger import Ledger\n"
        "from castmark.errors import LedgerError\n"
        "try: Ledger.open(sys.argv[1], 'mugs.csv')\n"
        "except LedgerError as error: sys.exit(str(error))\n"
    )
    with Ledger.open(tmp_path, "mugs.csv"):
        second = subprocess.run(
            [sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=False
        )
        assert second.returncode == 1
        assert "another process is working on this run" in second.stderr
        Ledger.read(tmp_path).close()
    assert subprocess.run([sys.executable, "-c", code, tmp_path], check=False).returncode == 0


def test_a_damaged_lock_is_told(key: PemKey, tmp_path: Path) -> None:
    fake_studio(key).run(job(1), tmp_path)
    (tmp_path / ".lock").write_bytes(b"not a database" * 100)
    with pytest.raises(LedgerError, match=r"\.lock: lock is damaged \(.*\); remove it"):
        fake_studio(key).run(job(1), tmp_path)
    (tmp_path / ".lock").unlink()
    assert fake_studio(key).run(job(1), tmp_path).drawn == 0


def test_a_full_disk_stops_the_run_with_nothing_half_written(
    key: PemKey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, written = take_module.write_atomically, []

    def full_after_two(target: Path, data: bytes) -> None:
        if len(written) == 2:
            raise OSError(errno.ENOSPC, "No space left on device", str(target))
        written.append(target)
        real(target, data)

    monkeypatch.setattr(take_module, "write_atomically", full_after_two)
    with pytest.raises(OSError, match="No space left"):
        fake_studio(key, batch_size=1, workers=1).run(job(5), tmp_path)
    assert set(files(tmp_path)) == {"shot-0.png", "shot-1.png"}
    monkeypatch.undo()
    summary = fake_studio(key).run(job(5), tmp_path)
    assert (summary.ok, summary.drawn) == (True, 3)


class DiscBase(FakeBase):
    """Draws what can be cut out: a disc, of another shade with every seed."""

    def draw(self, shots: Sequence[ResolvedShot]) -> list[Draft]:
        rows, columns = np.mgrid[:SIDE, :SIDE]
        disc = (rows - SIDE // 2) ** 2 + (columns - SIDE // 2) ** 2 < (SIDE // 3) ** 2
        drawn: list[Draft] = []
        for draft in super().draw(shots):
            shade = np.array((200 + draft.resolved.seed, 30, 30))
            picture = np.where(disc[..., None], shade, 240).astype(np.uint8)
            drawn.append(replace(draft, pixels=picture))
        return drawn


def test_layers_go_where_their_image_cannot_be_written(
    key: PemKey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = take_module.write_atomically

    def no_images(target: Path, data: bytes) -> None:
        if target.suffix == ".png":
            raise OSError(errno.ENOSPC, "No space left on device", str(target))
        real(target, data)

    monkeypatch.setattr(take_module, "write_atomically", no_images)
    studio = fake_studio(key, base=DiscBase())
    with pytest.raises(OSError, match="No space left"):
        studio.shoot(Shot("a mug", layers=True, name="mug")).save(tmp_path / "own")
    assert list((tmp_path / "own").iterdir()) == []
    with pytest.raises(OSError, match="No space left"):
        studio.run(job(1, layers=True), tmp_path / "run")
    assert files(tmp_path / "run") == {}


def test_layers_that_were_lost_or_damaged_are_made_again(key: PemKey, tmp_path: Path) -> None:
    work = job(4, layers=True)
    assert fake_studio(key, base=DiscBase()).run(work, tmp_path).drawn == 4
    before = files(tmp_path)
    images = tmp_path / "images"
    (images / "shot-1.ora").unlink()
    damaged = bytearray((images / "shot-2.ora").read_bytes())
    damaged[damaged.index(b"IDAT") + 10] ^= 1
    (images / "shot-2.ora").write_bytes(damaged)
    (images / "shot-3.ora").write_bytes((images / "shot-0.ora").read_bytes())
    drawn: list[str] = []
    summary = fake_studio(key, base=DiscBase()).run(
        work, tmp_path, on_event=lambda e: drawn.append(e.row.name)
    )
    assert summary.ok and drawn == ["shot-1", "shot-2", "shot-3"]
    after = files(tmp_path)
    assert after.keys() == before.keys()
    assert {name for name in before if before[name] == after[name]} == {"shot-0.png", "shot-0.ora"}
    assert fake_studio(key, base=DiscBase()).run(work, tmp_path).drawn == 0


def test_what_is_in_the_place_of_an_image_is_told(key: PemKey, tmp_path: Path) -> None:
    fake_studio(key).run(job(1), tmp_path)
    place = tmp_path / "images/shot-0.png"
    place.unlink()
    place.mkdir()
    with pytest.raises(LedgerError, match=r"shot-0\.png: cannot be read \(.*\); move it away"):
        fake_studio(key).run(job(1), tmp_path)
    (tmp_path / "images/shot-1.png").mkdir()
    place.rmdir()
    with pytest.raises(LedgerError, match=r"shot-1\.png: cannot be removed \(.*\); move it away"):
        fake_studio(key).run(job(2), tmp_path)
    (tmp_path / "images/shot-1.png").rmdir()
    assert fake_studio(key).run(job(2), tmp_path).ok


def test_a_run_stays_in_its_folder_wherever_the_process_goes(
    key: PemKey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    summary = fake_studio(key, batch_size=1).run(
        job(12), "run", on_event=lambda _: monkeypatch.chdir(tmp_path / "elsewhere")
    )
    assert len(files(tmp_path / "run")) == 12
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert {row.file: row.sha256 for row in summary.rows} == files(tmp_path / "run")
    assert read_summary(tmp_path / "run") is not None


def test_writing_leaves_nothing_behind_when_the_disk_fills(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from castmark import take

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(take, "UMASK", 0o077)
    take.write_atomically(tmp_path / "ours", b"prompts")
    assert (tmp_path / "ours").stat().st_mode & 0o777 == 0o600, "closed to whom the user's files are closed"
    (tmp_path / "ours").unlink()
    monkeypatch.setattr(take.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        take.write_atomically(tmp_path / "a.png", b"image")
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_subject_is_told_before_anything_is_made(
    key: PemKey, mira: Subject, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="unknown subject 'ben'; known here: mira"):
        fake_studio(key).run(job(subject="ben"), tmp_path / "run", [mira])
    assert not (tmp_path / "run").exists()


def test_a_folder_of_someone_elses_images_is_left_alone(key: PemKey, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images/shot-0.png").write_bytes(b"mine")
    with pytest.raises(LedgerError, match="no journal is beside it"):
        fake_studio(key).run(job(), tmp_path)
    assert (tmp_path / "images/shot-0.png").read_bytes() == b"mine"


def test_another_jobs_run_is_left_alone(key: PemKey, tmp_path: Path) -> None:
    fake_studio(key).run(job(), tmp_path)
    with pytest.raises(LedgerError, match=r"holds the run of 'mugs\.csv', not of 'cups\.csv'"):
        fake_studio(key).run(replace(job(), source="cups.csv"), tmp_path)


def test_a_damaged_journal_and_a_folder_that_cannot_be_made(key: PemKey, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(LedgerError, match="run folder cannot be made"):
        fake_studio(key).run(job(), tmp_path / "file" / "run")
    run = tmp_path / "run"
    run.mkdir()
    (run / "ledger.sqlite").write_bytes(b"not a database" * 100)
    with pytest.raises(LedgerError, match="journal is damaged"):
        fake_studio(key).run(job(), run)
    with pytest.raises(LedgerError, match=r"no ledger\.sqlite here"):
        Ledger.read(tmp_path)


def test_a_subject_without_its_bytes_is_told(key: PemKey, mira: Subject, tmp_path: Path) -> None:
    with pytest.raises(SubjectError, match="not at hand"):
        fake_studio(key).run(job(subject="mira"), tmp_path, [mira.holding({})])


def test_verdicts_survive_the_journal_even_where_a_score_is_not_a_number(key: PemKey) -> None:
    verdict = fake_studio(key).checker.check_prompt("a knife")
    assert verdict_from_json(verdict_to_json(verdict)) == verdict
    broken = replace(verdict, findings=(replace(verdict.findings[0], score=math.nan),))
    text = verdict_to_json(broken)
    assert "NaN" not in text
    assert math.isnan(verdict_from_json(text).findings[0].score)


def test_a_failure_is_tried_again_as_often_as_allowed(key: PemKey, tmp_path: Path) -> None:
    tries: list[int] = []

    def fail_twice(shots: Sequence[ResolvedShot]) -> None:
        if any(shot.seed == 1 for shot in shots):
            tries.append(len(shots))
            if tries.count(1) <= 2:
                raise RuntimeError("a passing trouble")

    base = FakeBase(on_draw=fail_twice)
    summary = fake_studio(key, base=base, batch_size=1).run(job(3), tmp_path / "a", retries=1)
    assert [row.status for row in summary.rows] == ["signed", "failed", "signed"]
    tries.clear()
    summary = fake_studio(key, base=base, batch_size=1).run(job(3), tmp_path / "b", retries=2)
    assert summary.ok
    assert summary.drawn == 5


MIXED = "name,prompt,seed,width\ngood,a mug,1,\nknife,a knife,2,\nbad,a mug,3,\nodd,a mug,4,401\n"


def test_the_error_file_is_a_job_that_can_be_corrected_and_fed_back(key: PemKey, tmp_path: Path) -> None:
    run = tmp_path / "run"
    (tmp_path / "mixed.csv").write_text(MIXED)
    studio = fake_studio(key, checker=FakeChecker(bad_seeds=frozenset({3})))
    summary = studio.run(tmp_path / "mixed.csv", run)
    assert summary.errors == run / "errors.csv"
    assert "errors.csv" in summary.explain()
    lines = summary.errors.read_text().splitlines()
    assert lines[0] == "name,prompt,seed,width,error"
    assert [line.split(",")[0] for line in lines[1:]] == ["knife", "bad", "odd"]
    assert "weapon scored 9.000" in lines[1]
    before = files(run)
    text = summary.errors.read_text()
    summary.errors.write_text(
        text.replace("a knife", "a spoon").replace("401", "").replace("bad,a mug,3", "bad,a mug,5")
    )
    summary = studio.run(run / "errors.csv", run)
    assert summary.ok and summary.drawn == 3
    assert summary.errors is None and not (run / "errors.csv").exists()
    assert [row.name for row in summary.rows] == ["good", "knife", "bad", "odd"], (
        "in the places of the old ones"
    )
    assert files(run)["good.png"] == before["good.png"]
    again = studio.run(tmp_path / "mixed.csv", run)
    assert again.ok and again.drawn == 0, "the old job does not undo its corrections"


FORBIDDEN = "name,prompt,seed,width\ngood,a mug,1,32\nknife,a knife,2,32\n"


def correct(run: Path, old: str, new: str) -> Path:
    """The run's error file with a text replaced."""
    path = run / "errors.csv"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return path


def test_a_row_that_took_two_corrections_stays_corrected(key: PemKey, tmp_path: Path) -> None:
    jobs, run = tmp_path / "jobs.csv", tmp_path / "run"
    jobs.write_text(FORBIDDEN)
    fake_studio(key).run(jobs, run)
    fake_studio(key).run(correct(run, "a knife", "another knife"), run)
    assert fake_studio(key).run(correct(run, "another knife", "a spoon"), run).ok
    before = files(run)
    again = fake_studio(key).run(jobs, run)
    assert again.ok and again.drawn == 0
    assert files(run) == before


def test_a_corrected_row_that_failed_is_tried_again_as_corrected(
    key: PemKey, mira: Subject, tmp_path: Path
) -> None:
    jobs, run = tmp_path / "jobs.csv", tmp_path / "run"
    jobs.write_text(FORBIDDEN)
    fake_studio(key).run(jobs, run)
    (run / "errors.csv").write_text("name,prompt,subject,seed,width\nknife,mira,mira,2,64\n")
    broken = FakeBase(on_draw=lambda shots: 1 // 0)
    assert fake_studio(key, base=broken).run(run / "errors.csv", run, [mira]).count("failed") == 1
    again = fake_studio(key).run(jobs, run)
    assert again.ok and again.drawn == 1
    assert [(row.name, row.prompt, row.subjects, row.width) for row in again.rows] == [
        ("good", "a mug", (), 32),
        ("knife", "mira", ("mira",), 64),
    ]


def test_a_correction_that_takes_another_back_is_followed(key: PemKey, tmp_path: Path) -> None:
    jobs, run = tmp_path / "jobs.csv", tmp_path / "run"
    jobs.write_text(FORBIDDEN)
    fake_studio(key).run(jobs, run)
    fake_studio(key).run(correct(run, "a knife", "another knife"), run)
    summary = fake_studio(key).run(correct(run, "another knife", "a knife"), run)
    assert [(row.prompt, row.status) for row in summary.rows] == [
        ("a mug", "signed"),
        ("a knife", "refused"),
    ]


def test_an_error_file_of_no_run_is_told(key: PemKey, tmp_path: Path) -> None:
    (tmp_path / "errors.csv").write_text("name,prompt\na,a mug\n")
    with pytest.raises(LedgerError, match="no run here"):
        fake_studio(key).run(tmp_path / "errors.csv", tmp_path / "run")


def test_rows_that_are_no_rows_are_left_out_on_request_and_listed(key: PemKey, tmp_path: Path) -> None:
    (tmp_path / "jobs.csv").write_text("prompt,seed\na mug,1\na mug,seven\na mug,3\n")
    found = read_job(tmp_path / "jobs.csv", skip_bad=True)
    summary = fake_studio(key).run(found, tmp_path / "run")
    assert [row.name for row in summary.rows] == ["row-0001", "row-0003"]
    assert summary.errors is not None
    name, prompt, seed, error = summary.errors.read_text().splitlines()[1].split(",", 3)
    assert (name, prompt, seed) == ("row-0002", "a mug", "seven")
    assert "column 'seed'" in error
    summary.errors.write_text(summary.errors.read_text().replace("seven", "2"))
    assert fake_studio(key).run(summary.errors, tmp_path / "run").count("signed") == 3


def test_rows_that_were_left_out_and_then_corrected_stay_corrected(key: PemKey, tmp_path: Path) -> None:
    jobs, run = tmp_path / "jobs.csv", tmp_path / "run"
    jobs.write_text("prompt,seed,count\na mug,1,\na mug,seven,2\na mug,3,\na mug,eight,\n")
    first = fake_studio(key).run(read_job(jobs, skip_bad=True), run)
    assert (first.ok, first.left_out) == (False, 2)
    assert "2 of 2 signed, 2 left out as not valid" in first.explain()
    second = fake_studio(key).run(read_job(correct(run, "seven", "2"), skip_bad=True), run)
    assert (second.count("signed"), second.left_out) == (4, 1)
    before = files(run)
    again = fake_studio(key).run(read_job(jobs, skip_bad=True), run)
    assert (again.drawn, again.count("signed"), again.left_out) == (0, 4, 1)
    assert files(run) == before
    with (run / "errors.csv").open(newline="") as file:
        assert [row["name"] for row in csv.DictReader(file)] == ["row-0004"]
    other = fake_studio(key, base=FakeBase(digest="b" * 64)).run(read_job(jobs, skip_bad=True), run)
    assert (other.drawn, other.count("signed")) == (4, 4), "they are drawn again as the others are"
    jobs.write_text("prompt,seed\na mug,1\na mug,8\n")
    assert len(fake_studio(key).run(jobs, run).rows) == 2, "and leave with the row that they stand for"


def test_the_start_of_a_row_that_was_left_out_is_found_from_the_run(key: PemKey, tmp_path: Path) -> None:
    fake_studio(key).run(job(1), tmp_path / "drafts")
    (tmp_path / "jobs.csv").write_text(
        "name,prompt,seed,start\na,a mug,1,\nb,a mug,seven,drafts/images/shot-0.png\n"
    )
    run = tmp_path / "run"
    fake_studio(key).run(read_job(tmp_path / "jobs.csv", skip_bad=True), run)
    assert fake_studio(key).run(correct(run, "seven", "2"), run).ok


def test_refusals_of_an_earlier_prompt_are_not_those_of_the_new_one(key: PemKey, tmp_path: Path) -> None:
    studio = fake_studio(key, checker=FakeChecker(bad_seeds=frozenset({0})))
    studio.run(job(1), tmp_path, redraws=1)
    changed = Job(source="mugs.csv", rows=(JobRow(name="shot-0", prompt="a cup", seed=1),))
    assert studio.run(changed, tmp_path, redraws=1).ok
    with Ledger.read(tmp_path) as ledger:
        assert ledger.refusals("shot-0") == []
    assert (read_summary(tmp_path) or {})["refusals"] == {}


def test_an_interrupted_run_counts_what_it_took(key: PemKey, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        fake_studio(key, batch_size=1).run(job(4), tmp_path, on_event=interrupt)
    with Ledger.read(tmp_path) as ledger:
        spent = ledger.spent()
    assert spent["drawn"] == 1 and spent["seconds"] > 0
    fake_studio(key).run(job(4), tmp_path, price_per_hour=3.6)
    figures = read_summary(tmp_path) or {}
    assert figures["drawings"] == 4 and figures["seconds"] > spent["seconds"]
    assert figures["cost_per_image"] == pytest.approx(figures["cost"] / 4, abs=1e-6)


def test_an_image_costs_nothing_known_where_a_killed_run_did_not_say_what_it_took(
    key: PemKey, tmp_path: Path
) -> None:
    fake_studio(key).run(job(2), tmp_path)
    database = sqlite3.connect(tmp_path / "ledger.sqlite")
    database.execute("DELETE FROM meta WHERE name LIKE 'spent %'")
    database.commit()
    database.close()
    fake_studio(key).run(job(3), tmp_path, price_per_hour=3.6)
    figures = read_summary(tmp_path) or {}
    assert figures["cost"] is not None
    assert figures["images_per_second"] is None
    assert figures["cost_per_image"] is None


def test_energy_is_counted_row_by_row(key: PemKey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counter = tmp_path / "intel-rapl:0" / "energy_uj"
    counter.parent.mkdir()
    counter.write_text("0")
    (counter.parent / "max_energy_range_uj").write_text("9999999")
    monkeypatch.setattr(runners, "EnergyMeter", lambda: EnergyMeter(tmp_path))
    used = iter([6_000_000, 2_000_000, 8_000_000])

    def use(_: RowDone) -> None:
        counter.write_text(str(next(used)))

    fake_studio(key).run(job(3), tmp_path / "run", on_event=use)
    figures = read_summary(tmp_path / "run") or {}
    assert (figures["joules"], figures["joules_per_image"]) == (18.0, 6.0)


def test_a_score_that_is_not_a_number_leaves_the_summary_json(key: PemKey, tmp_path: Path) -> None:
    class Lost(FakeChecker):
        def check(self, drafts):  # type: ignore[override]
            lost = self._finding("L2 image", "weapon", math.nan)
            return [
                verdict if verdict.allowed else replace(verdict, findings=(*verdict.findings[:2], lost))
                for verdict in super().check(drafts)
            ]

    fake_studio(key, checker=Lost(bad_seeds=frozenset({1}))).run(job(2), tmp_path)
    text = (tmp_path / "summary.json").read_text()
    found = json.loads(text, parse_constant=pytest.fail)["findings"]["L2 image: weapon"]
    assert found == {"n": 2, "mean_score": 0.2, "not_allowed": 1}


def test_a_run_on_storage_that_cannot_be_written_is_read(
    key: PemKey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_studio(key).run(job(2), tmp_path)
    before = sorted(path.name for path in tmp_path.iterdir())
    monkeypatch.setattr(ledger_file.os, "access", lambda *_: False)
    with Ledger.read(tmp_path) as ledger:
        assert ledger.counts() == {"signed": 2}
        assert sorted(path.name for path in tmp_path.iterdir()) == before, "nothing is put beside it"


def test_a_journal_that_is_read_cannot_be_changed(key: PemKey, tmp_path: Path) -> None:
    fake_studio(key).run(job(1), tmp_path)
    with Ledger.read(tmp_path) as ledger, pytest.raises(LedgerError, match="cannot be written"):
        ledger.spend(drawn=1)
    (tmp_path / "ledger.sqlite").write_bytes(b"not a database" * 100)
    with pytest.raises(LedgerError, match="journal is damaged"):
        Ledger.read(tmp_path)


def test_a_job_that_breaks_half_way_changes_nothing(key: PemKey, tmp_path: Path) -> None:
    fake_studio(key).run(job(3), tmp_path)
    before = files(tmp_path)
    rows = (*job(2).rows, JobRow(name="SHOT-0", prompt="x"))
    with pytest.raises(InputError, match="'SHOT-0' is already the name"):
        fake_studio(key).run(Job(source="mugs.csv", rows=rows), tmp_path)
    assert files(tmp_path) == before
    assert fake_studio(key).run(job(3), tmp_path).drawn == 0
