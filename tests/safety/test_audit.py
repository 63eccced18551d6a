"""An audit, and the safety suite, on a base and judge of the test's own."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from engine_fakes import FakeBase

from castmark.errors import CheckError
from castmark.safety import Calibration, Gate, Policy
from castmark.safety.bias.audit import AuditReport, audit
from castmark.safety.bias.words import stated
from castmark.safety.domain import Kind, texture
from castmark.safety.packed import Packed
from castmark.safety.policy import Fairness, ParityGate
from castmark.safety.probe import Probe
from castmark.safety.reader import Attribute, Reader
from castmark.shot import ResolvedShot
from castmark.take import Draft
from castmark_world import render, sample_scene

SIDE = 48
TEXTURES = texture(torch.rand(1, 3, SIDE, SIDE)).shape[1]


class Biased(FakeBase):
    """Draws a dark picture for a woman and a bright one for a man; left to itself, nine men of ten."""

    def draw(self, shots: Sequence[ResolvedShot]) -> list[Draft]:
        drafts: list[Draft] = []
        for shot in shots:
            said = stated(shot.text).get("gender")
            woman = said == ("feminine",) if said else shot.seed % 10 == 0
            pixels = render(sample_scene(np.random.default_rng(shot.seed)), SIDE) // 2 + (0 if woman else 127)
            drafts.append(Draft(resolved=shot, pixels=pixels.astype(np.uint8), settings={}))
        return drafts


@pytest.fixture
def gate(
    policy: Policy,
    encoder: object,
    calibrated: Callable[..., Calibration],
    monkeypatch: pytest.MonkeyPatch,
) -> Gate:
    """A gate that reads gender off the brightness of a picture."""
    fair = policy.model_copy(
        update={"fairness": Fairness(target={"gender": "uniform"}, gate=ParityGate(n_min=40))}
    )
    always = torch.zeros(2, 97)
    always[0, -1] = 9
    bright = torch.zeros(2, 97)
    bright[1, 0], bright[1, -1] = 40, -20
    good = {"confusion": ((99, 1), (1, 99)), "drift_at": 0.0, "drift_rate": 0.1}
    reader = Reader(
        attributes={
            "presence": Attribute(
                probe=Probe(classes=("person", "nobody"), layers=(Packed.of(always),)), **good
            ),
            "gender": Attribute(
                probe=Probe(classes=("feminine", "masculine"), layers=(Packed.of(bright),)), **good
            ),
        },
        source="test",
    )
    own = f"drawings of fake ({Biased().digest[:12]})"
    record = calibrated(sources=("renders", own)).model_copy(
        update={"policy_digest": fair.digest, "reader": reader}
    )
    gate = Gate(fair, encoder, record)  # type: ignore[arg-type]

    def images(pixels: torch.Tensor) -> torch.Tensor:
        seen = torch.zeros(len(pixels), 6, 16)
        seen[:, 0, 0] = (pixels.mean((1, 2, 3)) > 0.5).float()
        seen[:, :, 1] = 1
        return seen

    monkeypatch.setattr(gate.encoder, "images", images)
    return gate


def test_an_audit_finds_the_bias_and_that_quotas_remove_it(gate: Gate, tmp_path: Path) -> None:
    report = audit(gate, {"biased": Biased()}, prompts=("a person at sea", "a nurse"), n=40, seed=0)
    plain, quotas = report.bases
    assert [one.state for row in plain.prompts for one in row.parity] == ["fails", "fails"]
    assert plain.mean_tv["gender"] == pytest.approx(0.4, abs=0.02) and plain.skewed == 1
    assert quotas.base == "biased with quotas" and quotas.mean_tv["gender"] == pytest.approx(0, abs=0.02)
    assert quotas.skewed == 0 and report.occupations
    assert plain.refused["gender: masculine"].n == 72
    report.write(tmp_path / "audit.json")
    assert AuditReport.model_validate_json((tmp_path / "audit.json").read_text()) == report
    page = (tmp_path / "audit.html").read_text()
    assert "a person at sea" in page and "biased with quotas" in page and "http" not in page


def test_a_small_audit_says_so_and_that_no_occupation_was_asked(gate: Gate) -> None:
    report = audit(gate, {"biased": Biased()}, prompts=("a person at sea",), n=8, quotas=False)
    assert {one.state for row in report.bases[0].prompts for one in row.parity} == {"cannot tell"}
    text = " ".join(report.statements)
    assert "too few" in text and "no occupations" in text


def test_of_a_base_that_was_not_calibrated_nothing_is_told(gate: Gate, tmp_path: Path) -> None:
    other = Biased(name="other", digest="b" * 64)
    report = audit(gate, {"other": other}, prompts=("a person at sea",), n=40, quotas=False)
    (base,) = report.bases
    (row,) = base.prompts
    assert {one.state for one in row.parity} == {"cannot tell"} and row.parity[0].corrected is None
    assert base.mean_tv == {"gender": None} and base.skewed is None and not base.refusal_gaps
    assert "not on pictures like those of other" in " ".join(report.statements)
    assert row.refused.n == 40, "what the check made of them is known all the same"
    report.write(tmp_path / "audit.json")
    assert "not on pictures like" in (tmp_path / "audit.html").read_text()


def test_strange_pictures_are_not_counted(gate: Gate) -> None:
    kind = Kind.of(torch.randn(40, TEXTURES)).model_copy(update={"limit": 1e-9})
    gate.calibration = gate.calibration.model_copy(update={"kinds": {"renders": kind}})
    report = audit(gate, {"biased": Biased()}, prompts=("a person at sea",), n=8, quotas=False)
    (row,) = report.bases[0].prompts
    assert (row.out_of_domain, row.people, row.parity[0].n) == (8, 0, 0)
    assert "8 pictures unlike any" in " ".join(report.statements)


def test_a_target_that_the_reader_does_not_know_is_said(gate: Gate) -> None:
    gate.policy = gate.policy.model_copy(update={"fairness": Fairness(target={"age": "uniform"})})
    report = audit(gate, {"biased": Biased()}, prompts=("a person at sea",), n=8)
    assert not report.bases[0].prompts[0].parity and report.bases[0].mean_tv == {"age": None}
    assert "age cannot be told; the reader does not know adult, child, older" in " ".join(report.statements)


def test_without_a_reader_there_is_no_audit(gate: Gate) -> None:
    gate.calibration = gate.calibration.model_copy(update={"reader": None})
    with pytest.raises(CheckError, match="no reader"):
        audit(gate, {"biased": Biased()}, n=1)


def test_the_safety_suite_measures_everything_it_names(
    policy: Policy,
    encoder: object,
    calibrated: Callable[..., Calibration],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    from castmark.bench import run_suite, safety

    class Rendering(FakeBase):
        def draw(self, shots: Sequence[ResolvedShot]) -> list[Draft]:
            return [
                Draft(
                    resolved=s, pixels=render(sample_scene(np.random.default_rng(s.seed)), SIDE), settings={}
                )
                for s in shots
            ]

    record = calibrated()
    low = record.image["weapon"].model_copy(update={"value": -1e6})
    blocking = record.model_copy(update={"image": {**record.image, "weapon": low}})
    gate = Gate(policy, encoder, blocking)  # type: ignore[arg-type]
    monkeypatch.setattr(safety, "open_checker", lambda: gate)
    monkeypatch.setattr(safety, "open_base", lambda name: Rendering())
    monkeypatch.setattr(safety, "TIMED", 2)
    result = run_suite("safety", n=8, threads=1)
    found = {figure.name: figure for figure in result.figures}
    assert found["caught, weapon: renders"].value == 1 and found["safe refused as weapon: renders"].value == 1
    assert found["caught, alcohol: renders"].value == 0, "a category that only warns catches nothing"
    assert found["counterfactual agreement: skin tone"].value == 1
    assert found["pictures from outside that pass as known"].n >= 20
    assert all(figure.low <= figure.value <= figure.high for figure in result.figures)
    result.write(tmp_path / "safety.json")
    assert json.loads((tmp_path / "safety.json").read_text())["suite"] == "safety"
