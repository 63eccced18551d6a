"""Reports of campaigns: what their records say of who was drawn, refused and dealt."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from engine_fakes import FakeChecker, fake_studio
from typer.testing import CliRunner

from castmark.cli.policy import policy_app
from castmark.errors import InputError
from castmark.jobs import Job, JobRow
from castmark.runs.ledger import Ledger
from castmark.runs.sheet import write_sheet
from castmark.safety import Calibration, Gate, Policy
from castmark.safety.bias import campaign
from castmark.safety.bias.campaign import CampaignImage, campaign_report, images_of_run, report_of_run
from castmark.safety.bias.image import ASKED, OPEN
from castmark.safety.domain import DOMAIN
from castmark.safety.policy import Fairness, ParityGate
from castmark.safety.probe import Probe
from castmark.safety.reader import CLASSES, Attribute, Reader
from castmark.take import Draft, Finding, Verdict
from castmark_provenance.authority import keygen
from castmark_provenance.keys import PemKey
from castmark_provenance.verify import verify

GATE = ParityGate(n_min=100, tv_max=0.1, p_min=0.01)
THREE = ((93, 5, 2), (6, 90, 4), (2, 8, 90))
"""Of feminine, masculine and neutral."""


@pytest.fixture
def key(tmp_path: Path) -> PemKey:
    return PemKey.load_folder(keygen(tmp_path / "keys"))


def read_as(value: str, name: str = f"gender{OPEN}") -> Finding:
    return Finding(
        rung="L4 bias", name=name, detail=value, score=0.9, threshold=1.0, allowed=True, binding=False
    )


class Reading(FakeChecker):
    """Reads a woman in every picture."""

    def check(self, drafts: Sequence[Draft]) -> list[Verdict]:
        return [
            replace(v, policy="general-audience", findings=(*v.findings, read_as("feminine")))
            for v in super().check(drafts)
        ]


def a_reader() -> Reader:
    probe = Probe.model_construct(classes=CLASSES["gender"])
    attribute = Attribute.model_construct(probe=probe, confusion=THREE, drift_at=0.0, drift_rate=0.1)
    return Reader.model_construct(attributes={"gender": attribute}, source="test")


def leaning(
    draft: Draft, gate: Gate, value: str, quota: bool | None = None
) -> Callable[[bool], CampaignImage]:
    """Images whose record reads ``value``, as the gate writes it."""
    (verdict,) = gate.check([draft])
    findings = [read_as(value)]
    if quota is not None:
        findings.append(
            Finding(
                rung="L5 campaign",
                name="quota gender: feminine",
                score=0.0,
                threshold=0.0,
                allowed=quota,
                binding=False,
            )
        )
    verdict = replace(verdict, findings=(*verdict.findings, *findings))
    return lambda signed: CampaignImage(verdict=verdict, signed=signed, of_subject=False)


def test_a_campaign_is_reported_from_its_records(
    policy: Policy, gate: Gate, draft: Draft, calibrated: Callable[..., Calibration]
) -> None:
    fair = policy.model_copy(update={"fairness": Fairness(target={"gender": "uniform"}, gate=GATE)})
    record = calibrated().model_copy(update={"reader": a_reader()})
    she, he = leaning(draft, gate, "feminine", True), leaning(draft, gate, "masculine")
    subject = replace(he(True), of_subject=True)
    images = [*(she(True) for _ in range(30)), *(he(i >= 20) for i in range(200)), *[subject] * 90]
    report = campaign_report(images, fair, record)
    (found,) = report.parity
    assert found.counts == {"feminine": 30, "masculine": 180} and found.state == "fails"
    assert (report.signed, report.of_subjects) == (300, 90)
    assert report.refused["gender: masculine"].hits == 20 and report.refusal_gaps["gender"].value == 0.1
    assert report.quotas[0].assigned == report.quotas[0].seen == 30
    assert type(report).model_validate_json(report.model_dump_json()) == report
    unread = campaign_report(images, fair, None)
    assert not unread.parity and "not measured" in unread.statements[0]


def test_a_run_is_reported_on_its_sheet_and_by_the_command(
    key: PemKey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = tuple(JobRow(name=f"row{i}", prompt="a person", seed=i) for i in range(3))
    fake_studio(key, checker=Reading()).run(Job(source="people.csv", rows=rows), tmp_path / "run")
    done = CliRunner().invoke(
        policy_app, ["report", str(tmp_path / "run"), "--json", str(tmp_path / "fair.json")]
    )
    assert done.exit_code == 0 and "not at hand" in done.output
    assert '"signed": 3' in (tmp_path / "fair.json").read_text()

    policy = Policy.load().model_copy(update={"fairness": Fairness(target={"gender": "uniform"}, gate=GATE)})
    report = campaign.campaign_report(
        campaign.images_of_run(tmp_path / "run"), policy, Calibration.model_construct(reader=a_reader())
    )
    monkeypatch.setattr(campaign, "report_of_run", lambda run: report)
    page = write_sheet([tmp_path / "run"], tmp_path / "sheet.html").read_text()
    assert "3 people are too few to tell" in page and "feminine 3" in page


def test_a_batch_deals_the_declared_shares_and_signs_what_it_dealt(key: PemKey, tmp_path: Path) -> None:
    studio = fake_studio(key, checker=FakeChecker())
    rows = (JobRow(name="people", prompt="a person at sea", count=6), JobRow(name="mug", prompt="a red mug"))
    job = Job(source="people.csv", rows=rows)
    assert studio.run(job, tmp_path / "run", quota_seed=5).ok
    with Ledger.read(tmp_path / "run") as ledger:
        prompts = Counter(row.prompt for row in ledger.rows())
        files = {row.prompt: tmp_path / "run" / "images" / str(row.file) for row in ledger.rows()}
    assert prompts == {"a woman at sea": 3, "a man at sea": 3, "a red mug": 1}
    signed = {prompt: verify(file).claim for prompt, file in files.items()}
    assert signed["a woman at sea"] is not None and signed["a red mug"] is not None
    assert signed["a woman at sea"].settings["quota"] == "gender: feminine"
    assert "quota" not in signed["a red mug"].settings
    assert studio.run(job, tmp_path / "run", quota_seed=5).drawn == 0, "the same seed deals the same"
    with pytest.raises(InputError, match="policy allows 3"):
        studio.run(job, tmp_path / "run", redraws=4)


def test_what_was_read_of_strange_pictures_is_not_counted(
    policy: Policy, gate: Gate, draft: Draft, calibrated: Callable[..., Calibration]
) -> None:
    fair = policy.model_copy(update={"fairness": Fairness(target={"gender": "uniform"}, gate=GATE)})
    record = calibrated().model_copy(update={"reader": a_reader()})
    known = leaning(draft, gate, "feminine")(True)
    far = Finding(
        rung="L2 image", name=DOMAIN, score=2.0, threshold=1.0, allowed=False, binding=False, action="warn"
    )
    strange = replace(known, verdict=replace(known.verdict, findings=(*known.verdict.findings, far)))
    report = campaign_report([known] * 30 + [strange] * 70, fair, record)
    assert report.parity[0].n == 30 and report.out_of_domain == 70 and report.nobody_read == 0
    assert "70 signed images are unlike any" in report.statements[-1]
    assert report.refused["gender: feminine"].n == 30


def test_who_is_read_where_the_prompt_states_everything_is_somebody(
    policy: Policy, gate: Gate, draft: Draft
) -> None:
    (verdict,) = gate.check([draft])
    stated = replace(verdict, findings=(*verdict.findings, read_as("feminine", f"gender{ASKED}")))
    images = [CampaignImage(verdict=v, signed=True, of_subject=False) for v in (stated, verdict)]
    assert campaign_report(images, policy, None).nobody_read == 1


def test_a_quota_that_something_else_was_read_for_is_not_seen(
    policy: Policy, gate: Gate, draft: Draft
) -> None:
    (verdict,) = gate.check([draft])
    images = [
        CampaignImage(
            verdict=replace(
                verdict,
                findings=(
                    *verdict.findings,
                    read_as("masculine"),
                    Finding(
                        rung="L5 campaign",
                        name="quota gender: feminine",
                        score=margin,
                        threshold=1.24,
                        allowed=True,
                        binding=False,
                    ),
                ),
            ),
            signed=True,
            of_subject=False,
        )
        for margin in (-0.5, 0.5)
    ]
    (found,) = campaign_report(images, policy, None).quotas
    assert (found.assigned, found.seen) == (2, 1), "a man assigned feminine, read with a margin of 0.5"


def test_what_was_refused_and_drawn_again_counts_as_refused(key: PemKey, tmp_path: Path) -> None:
    from castmark.shot import REDRAW_STRIDE

    checker = Reading(bad_seeds=frozenset({1, 2, 2 + REDRAW_STRIDE}))
    rows = tuple(JobRow(name=f"row{i}", prompt="a person", seed=i) for i in range(3))
    fake_studio(key, checker=checker).run(Job(source="p.csv", rows=rows), tmp_path / "run", redraws=1)
    images = images_of_run(tmp_path / "run")
    assert Counter(image.signed for image in images) == {True: 2, False: 3}
    report = campaign_report(images, Policy.load(), None)
    assert (report.refused["gender: feminine"].hits, report.refused["gender: feminine"].n) == (3, 5)


def test_a_run_that_several_calibrations_decided_is_not_corrected_by_one(
    key: PemKey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Recalibrated(Reading):
        def check(self, drafts: Sequence[Draft]) -> list[Verdict]:
            return [replace(v, calibration="c" * 64) for v in super().check(drafts)]

    rows = tuple(JobRow(name=f"row{i}", prompt="a person", seed=i) for i in range(3))
    job, run = Job(source="p.csv", rows=rows[:1]), tmp_path / "run"
    fake_studio(key, checker=Reading()).run(job, run)
    record = Calibration.model_construct(reader=a_reader())
    monkeypatch.setattr(campaign, "calibration_of", lambda digest: record)
    monkeypatch.setattr(Calibration, "digest", "c" * 64)
    policy = Policy.load()
    monkeypatch.setattr(Policy, "digest", FakeChecker.policy_digest)
    one = report_of_run(run, policy)
    assert one is not None and one.calibration_sha256 is not None and one.parity
    fake_studio(key, checker=Recalibrated()).run(replace(job, rows=rows), run)
    mixed = report_of_run(run, policy)
    assert mixed is not None and mixed.calibration_sha256 is None and not mixed.parity
    assert "2 different calibrations" in mixed.statements[0]


def test_a_calibration_is_found_by_its_digest(
    calibrated: Callable[..., Calibration], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from datetime import UTC, datetime

    from castmark.safety.calibration import calibration_of, user_folder

    monkeypatch.setenv("CASTMARK_HOME", str(tmp_path))
    old = calibrated(created=datetime(2020, 1, 1, tzinfo=UTC))
    old.save(user_folder() / "of-another-name.json")
    (user_folder() / "broken.json").write_text("{}")
    assert calibration_of(old.digest) == old, "also one that is too old to decide"
    assert calibration_of("0" * 64) is None


def test_a_corrected_row_keeps_its_quota_as_long_as_it_says_so(key: PemKey, tmp_path: Path) -> None:
    run = tmp_path / "run"
    bad = FakeChecker(bad_seeds=frozenset({0, 1}))
    job = Job(source="people.csv", rows=(JobRow(name="people", prompt="a person at sea", count=2),))
    fake_studio(key, checker=bad).run(job, run, quota_seed=5)
    with (run / "errors.csv").open(newline="") as file:
        first, second = csv.DictReader(file)
    second |= {"prompt": second["prompt"].replace("at sea", "at home"), "seed": "8"}
    with (run / "errors.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, first.keys())
        writer.writeheader()
        writer.writerows([first | {"seed": "7"}, second])
    assert fake_studio(key, checker=bad).run(run / "errors.csv", run).ok
    with Ledger.read(run) as ledger:
        rows = {row.prompt: row for row in ledger.rows()}
        files = {row.prompt: run / "images" / str(row.file) for row in rows.values()}
    kept = next(prompt for prompt in rows if prompt.endswith("at sea"))
    claims = {prompt: verify(file).claim for prompt, file in files.items()}
    assert claims[kept] is not None and "quota" in claims[kept].settings
    (changed,) = claims.keys() - {kept}
    assert claims[changed] is not None and "quota" not in claims[changed].settings
