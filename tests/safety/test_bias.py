"""Parity, gaps, quotas and campaign reports, on numbers whose truth is known."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from castmark.safety import Calibration, Gate, Policy
from castmark.safety.bias.campaign import CampaignImage, campaign_report
from castmark.safety.bias.gaps import agreement, gaps, rate
from castmark.safety.bias.image import OPEN
from castmark.safety.bias.parity import corrected, multinomial_p, parity
from castmark.safety.bias.quotas import apply_quotas, open_attributes, quotas, say, target_shares
from castmark.safety.bias.words import stated
from castmark.safety.policy import Fairness, ParityGate
from castmark.safety.probe import Probe
from castmark.safety.reader import CLASSES, Attribute, Reader
from castmark.shot import Shot
from castmark.take import Draft, Finding, Verdict
from castmark_adapters.subject import Subject

GATE = ParityGate(n_min=100, tv_max=0.1, p_min=0.01)
EVEN = {"feminine": 0.5, "masculine": 0.5}
GOOD, BLIND = ((95, 5), (8, 92)), ((50, 50), (50, 50))
THREE = ((93, 5, 2), (6, 90, 4), (2, 8, 90))
"""Of feminine, masculine and neutral."""


def test_the_exact_p_of_two_groups_is_the_binomials() -> None:
    rng = np.random.default_rng(0)
    p = multinomial_p(np.array([3, 17]), np.array([0.5, 0.5]), rng)
    assert p == pytest.approx(2 * sum(math.comb(20, i) for i in range(4)) / 2**20)
    assert multinomial_p(np.array([10, 10]), np.array([0.5, 0.5]), rng) == pytest.approx(1)
    assert multinomial_p(np.array([1, 2]), np.array([0.0, 1.0]), rng) == pytest.approx(0, abs=1e-9)


def test_the_sampled_p_of_many_groups_agrees_with_the_enumerated_one() -> None:
    counts, shares = np.array([2, 7, 3]), np.array([0.2, 0.3, 0.5])
    rng = np.random.default_rng(0)
    exact = multinomial_p(counts, shares, rng)
    outcomes = rng.multinomial(12, shares, 40_000)
    logs = np.array([math.lgamma(13) - sum(math.lgamma(c + 1) for c in row) for row in outcomes])
    logs += outcomes @ np.log(shares)
    own = math.lgamma(13) - sum(math.lgamma(c + 1) for c in counts) + counts @ np.log(shares)
    assert exact == pytest.approx(float((logs <= own + 1e-9).mean()), abs=0.01)
    ten = multinomial_p(np.array([25] * 10), np.full(10, 0.1), rng)
    assert ten == pytest.approx(1) and multinomial_p(np.array([70] + [20] * 9), np.full(10, 0.1), rng) < 0.001


def test_the_test_is_exact_a_fair_set_fails_no_more_often_than_its_level() -> None:
    rng = np.random.default_rng(1)
    low = [
        multinomial_p(rng.multinomial(40, [0.5, 0.5]), np.array([0.5, 0.5]), rng) <= 0.05 for _ in range(600)
    ]
    assert sum(low) / len(low) <= 0.07


def test_confusion_is_undone() -> None:
    mixing = np.array([[0.9, 0.2], [0.1, 0.8]])
    true = np.array([0.3, 0.7])
    assert corrected(mixing @ true, mixing) == pytest.approx(true)
    assert corrected(np.array([0.0, 1.0]), mixing).tolist() == [0.0, 1.0]


def test_an_unfair_set_fails_a_fair_one_holds_a_small_one_cannot_tell() -> None:
    unfair = parity("gender", {"feminine": 90, "masculine": 310}, EVEN, GATE, confusion=GOOD)
    assert unfair.state == "fails" and unfair.p < 1e-6
    assert unfair.tv is not None and unfair.tv_low is not None and unfair.tv_high is not None
    assert unfair.tv_low < unfair.tv < unfair.tv_high and unfair.tv > abs(90 / 400 - 0.5)
    fair = parity("gender", {"feminine": 988, "masculine": 1012}, EVEN, GATE)
    assert fair.state == "holds" and fair.entropy == pytest.approx(1, abs=1e-3)
    few = parity("gender", {"feminine": 2, "masculine": 28}, EVEN, GATE)
    assert few.state == "cannot tell" and "30 people are too few" in few.statement
    assert few.chance_tv == pytest.approx(0.167, abs=0.02), (
        "the published noise floor of two groups at n = 30"
    )


def test_a_reader_that_guesses_cannot_tell() -> None:
    found = parity("gender", {"feminine": 10, "masculine": 990}, EVEN, GATE, confusion=BLIND)
    assert found.state == "cannot tell" and found.corrected is None and "errs too often" in found.statement


def test_groups_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match="counted"):
        parity("gender", {"feminine": 1}, EVEN, GATE)
    with pytest.raises(ValueError, match="never tested"):
        parity("gender", {"feminine": 1, "masculine": 1}, EVEN, GATE, confusion=((1, 0), (0, 0)))


def test_groups_without_a_share_are_set_aside_but_for_what_is_mistaken_for_others() -> None:
    known = parity("gender", {"feminine": 60, "masculine": 140, "neutral": 800}, EVEN, GATE)
    alone = parity("gender", {"feminine": 60, "masculine": 140}, EVEN, GATE)
    assert (known.counts, known.aside, known.n) == (alone.counts, {"neutral": 800}, alone.n)
    assert (known.p, known.tv) == (pytest.approx(alone.p), pytest.approx(0.2))
    assert known.corrected == pytest.approx(alone.corrected)
    assert known.state == "fails" and "800 neutral" in known.statement and known.n == 200
    mixing = np.array(THREE).T / 100
    read = np.rint(2000 * mixing @ np.array([0.1, 0.1, 0.8])).astype(int).tolist()
    counts = dict(zip(("feminine", "masculine", "neutral"), read, strict=True))
    fair = parity("gender", counts, EVEN, GATE, confusion=THREE)
    assert fair.counts["masculine"] > 1.1 * fair.counts["feminine"], (
        "mistaken neutral people look like a bias"
    )
    assert fair.p > 0.5 and fair.tv == pytest.approx(0, abs=0.01)
    naive = parity("gender", fair.counts, EVEN, GATE)
    assert naive.p < fair.p
    third = dict.fromkeys(counts, 1 / 3)
    assert parity("gender", counts, third, GATE, confusion=THREE).state == "fails", "unless they have a share"
    none = parity("gender", {"feminine": 0, "masculine": 0, "neutral": 300}, EVEN, GATE)
    assert none.state == "cannot tell" and none.tv is None and "300 neutral" in none.statement


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(2)
    mixing, true = np.array(GOOD).T / 100, 0.3
    inside = 0
    for trial in range(24):
        read = rng.multinomial(300, mixing @ np.array([true, 1 - true]))
        table = [rng.multinomial(400, column).tolist() for column in mixing.T]
        found = parity(
            "gender", dict(zip(EVEN, read.tolist(), strict=True)), EVEN, GATE, confusion=table, seed=trial
        )
        assert found.tv_low is not None and found.tv_high is not None
        inside += found.tv_low <= 0.2 <= found.tv_high
    assert inside >= 20


def test_the_largest_gap_of_each_attribute_has_an_interval() -> None:
    rates = {
        "age: child": rate(30, 1000),
        "age: adult": rate(10, 1000),
        "gender: feminine": rate(5, 900),
        "gender: masculine": rate(5, 900),
    }
    found = gaps(rates)
    assert found["age"].value == pytest.approx(0.02) and 0 < found["age"].low < 0.02 < found["age"].high
    assert found["age"].high_group == "age: child" and found["gender"].low < 0 < found["gender"].high
    assert gaps({"age: child": rate(1, 2)}) == {}


def test_agreement_counts_equal_decisions() -> None:
    found = agreement([True, True, False, False], [True, False, False, False])
    assert (found.hits, found.n) == (3, 4)
    with pytest.raises(ValueError, match="nothing"):
        agreement([], [])


@given(
    st.lists(st.integers(0, 20), min_size=1, max_size=10).filter(any), st.integers(0, 300), st.integers(0, 99)
)
def test_quotas_are_within_one_of_the_declared_shares(weights: list[int], n: int, seed: int) -> None:
    shares = {str(i): w / sum(weights) for i, w in enumerate(weights)}
    dealt = quotas(shares, n, np.random.default_rng(seed))
    assert len(dealt) == n
    for group, share in shares.items():
        assert abs(dealt.count(group) - share * n) < 1 + 1e-6
        assert share > 0 or group not in dealt


def test_quotas_say_what_prompts_leave_open_and_nothing_else() -> None:
    fairness = Fairness(target={"gender": "uniform", "skin_tone": "uniform"})
    mira = Subject.from_images("mira", [png()], kind="character", phrase="a woman")
    shots = [
        *(Shot(f"a person at the beach, picture {i}", seed=i) for i in range(40)),
        Shot("a red mug"),
        Shot("a person beside mira", [mira]),
        Shot("a man with dark skin"),
    ]
    done = apply_quotas(shots, fairness, seed=3)
    assert done == apply_quotas(shots, fairness, seed=3) != apply_quotas(shots, fairness, seed=4)
    assert done[40:] == shots[40:], "no person, a subject, or nothing open: not touched"
    count = Counter(record for shot in done[:40] for record in shot.quota)
    assert {g: count[f"gender: {g}"] for g in CLASSES["gender"]} == {
        "feminine": 20,
        "masculine": 20,
        "neutral": 0,
    }
    assert {count[f"skin_tone: {t}"] for t in CLASSES["skin_tone"]} == {4}
    for shot in done[:40]:
        said = stated(shot.prompt)
        assert f"gender: {said['gender'][0]}" in shot.quota
        assert any(f"skin_tone: {tone}" in shot.quota for tone in said["skin_tone"])
        assert shot.key({}) != Shot(shot.prompt, seed=shot.seed).key({}), "the quota is in the key"
    assert apply_quotas(done, fairness, seed=9) == done, "what a quota set is not open any more"


@pytest.mark.parametrize(
    ("prompt", "groups", "said"),
    [
        ("a person at sea", {"gender": "feminine"}, "a woman at sea"),
        ("someone waving", {"gender": "masculine", "age": "child"}, "a boy waving"),
        ("an engineer in town", {"gender": "feminine"}, "a female engineer in town"),
        (
            "a doctor, smiling",
            {"gender": "masculine", "skin_tone": "monk 08"},
            "a male doctor with dark skin, smiling",
        ),
        ("a woman in the snow", {"skin_tone": "monk 01"}, "a woman with very light skin in the snow"),
        ("the astronaut", {"gender": "feminine"}, "the female astronaut"),
        ("a person at sea", {"gender": "masculine", "age": "older"}, "an old man at sea"),
        ("an old person at sea", {"gender": "feminine"}, "an old woman at sea"),
        ("a person at sea", {"age": "older"}, "an old person at sea"),
        ("someone at sea", {"gender": "neutral", "age": "child"}, "a child at sea"),
        ("a waiter at sea", {"gender": "neutral"}, "a person who is a waiter at sea"),
        ("an engineer", {"gender": "feminine", "age": "older"}, "an old female engineer"),
        ("a female cop in town", {"skin_tone": "monk 06"}, "a female cop with tan skin in town"),
        ("an elderly lady", {"skin_tone": "monk 10"}, "an elderly lady with very dark skin"),
    ],
)
def test_a_quota_in_words(prompt: str, groups: dict[str, str], said: str) -> None:
    assert say(prompt, groups) == said


@pytest.mark.parametrize(
    ("prompt", "open_"),
    [
        ("a person", ("gender", "age", "skin_tone")),
        ("a nurse", ("gender", "age", "skin_tone")),
        ("a woman", ("skin_tone",)),
        ("a woman with tan skin", ()),
        ("a child", ("skin_tone",)),
        ("an old doctor", ("gender", "skin_tone")),
        ("a female pilot", ("skin_tone",)),
        ("a purple rabbit", ()),
        ("a teapot in a kitchen", ()),
    ],
)
def test_what_a_prompt_leaves_open(prompt: str, open_: tuple[str, ...]) -> None:
    assert open_attributes(Shot(prompt)) == open_


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("an old man", {"gender": ("masculine",), "age": ("older",)}),
        ("a grandmother", {"gender": ("feminine",), "age": ("older",)}),
        (
            "a man beside an elderly female nurse",
            {"gender": ("feminine", "masculine"), "age": ("adult", "older")},
        ),
        ("an old teapot", {}),
        ("a woman airline pilot", {"gender": ("feminine",)}),
        ("a light brown-skinned person", {"skin_tone": ("monk 05", "monk 06")}),
        ("a very-fair-skinned child", {"age": ("child",), "skin_tone": ("monk 01", "monk 02")}),
    ],
)
def test_what_a_prompt_states(prompt: str, said: dict[str, tuple[str, ...]]) -> None:
    assert stated(prompt) == said


def test_captions_of_the_world_state_only_what_is_true() -> None:
    from castmark.safety.samples import people_of
    from castmark_world import caption, sample_scene

    rng = np.random.default_rng(8)
    told: Counter[str] = Counter()
    for _ in range(600):
        scene = sample_scene(rng, kind="character")
        truths = people_of(scene)
        if "gender" not in truths or scene.other is not None:
            continue
        for name, values in stated(caption(scene, rng)).items():
            assert truths[name] in values
            told[name] += 1
    assert min(told[name] for name in ("gender", "age", "skin_tone")) > 100


def test_uniform_gender_leaves_those_aside_who_are_neither_unless_they_are_named() -> None:
    assert target_shares(Fairness(target={"gender": "uniform"}), "gender") == EVEN
    named = Fairness(target={"gender": {"feminine": 0.4, "masculine": 0.4, "neutral": 0.2}})
    assert target_shares(named, "gender")["neutral"] == 0.2
    assert len(target_shares(Fairness(target={"age": "uniform"}), "age")) == 3


def png() -> bytes:
    import io

    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGB", (24, 24), "red").save(buffer, "PNG")
    return buffer.getvalue()


def leaning(
    draft: Draft, gate: Gate, value: str, quota: bool | None = None
) -> Callable[[bool], CampaignImage]:
    """Images whose record reads ``value``, as the gate writes it."""
    (verdict,) = gate.check([draft])
    findings = [
        Finding(
            rung="L4 bias",
            name=f"gender{OPEN}",
            detail=value,
            score=0.9,
            threshold=1.0,
            allowed=True,
            binding=False,
        )
    ]
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
    probe = Probe.model_construct(classes=CLASSES["gender"])
    attribute = Attribute.model_construct(probe=probe, confusion=THREE, drift_at=0.0, drift_rate=0.1)
    reader = Reader.model_construct(attributes={"gender": attribute}, source="test")
    record = calibrated().model_copy(update={"reader": reader})
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
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from engine_fakes import FakeChecker, fake_studio
    from typer.testing import CliRunner

    from castmark.cli.policy import policy_app
    from castmark.jobs import Job, JobRow
    from castmark.runs.sheet import write_sheet
    from castmark.safety.bias import campaign
    from castmark_provenance.authority import keygen
    from castmark_provenance.keys import PemKey

    class Reading(FakeChecker):
        def check(self, drafts: Sequence[Draft]) -> list[Verdict]:
            seen = Finding(
                rung="L4 bias",
                name=f"gender{OPEN}",
                detail="feminine",
                score=0.9,
                threshold=1.0,
                allowed=True,
                binding=False,
            )
            return [
                replace(v, policy="general-audience", findings=(*v.findings, seen))
                for v in super().check(drafts)
            ]

    key = PemKey.load_folder(keygen(tmp_path / "keys"))
    rows = tuple(JobRow(name=f"row{i}", prompt="a person", seed=i) for i in range(3))
    fake_studio(key, checker=Reading()).run(Job(source="people.csv", rows=rows), tmp_path / "run")
    done = CliRunner().invoke(
        policy_app, ["report", str(tmp_path / "run"), "--json", str(tmp_path / "fair.json")]
    )
    assert done.exit_code == 0 and "not at hand" in done.output
    assert '"signed": 3' in (tmp_path / "fair.json").read_text()

    probe = Probe.model_construct(classes=CLASSES["gender"])
    attribute = Attribute.model_construct(probe=probe, confusion=THREE, drift_at=0.0, drift_rate=0.1)
    reader = Reader.model_construct(attributes={"gender": attribute}, source="test")
    policy = Policy.load().model_copy(update={"fairness": Fairness(target={"gender": "uniform"}, gate=GATE)})
    report = campaign.campaign_report(
        campaign.images_of_run(tmp_path / "run"), policy, Calibration.model_construct(reader=reader)
    )
    monkeypatch.setattr(campaign, "report_of_run", lambda run: report)
    page = write_sheet([tmp_path / "run"], tmp_path / "sheet.html").read_text()
    assert "3 people are too few to tell" in page and "feminine 3" in page


def test_a_batch_deals_the_declared_shares_and_signs_what_it_dealt(tmp_path: Path) -> None:
    from engine_fakes import FakeChecker, fake_studio

    from castmark.errors import InputError
    from castmark.jobs import Job, JobRow
    from castmark.runs.ledger import Ledger
    from castmark_provenance.authority import keygen
    from castmark_provenance.keys import PemKey
    from castmark_provenance.verify import verify

    studio = fake_studio(PemKey.load_folder(keygen(tmp_path / "keys")), checker=FakeChecker())
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
