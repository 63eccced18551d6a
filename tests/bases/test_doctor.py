"""The doctor says what is here and what to do about what is not; the GPU suite runs whole in small."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from castmark import doctor
from castmark.bench import run_suite
from castmark.cli.commands import app
from castmark_provenance.authority import keygen


def lines(**arguments: object) -> dict[str, doctor.Line]:
    return {line.about: line for line in doctor.examine(**arguments)}  # type: ignore[arg-type]


def test_it_looks_at_everything(
    folder_of: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CASTMARK_HOME", str(tmp_path))
    found = lines(bases=[str(folder_of("flux-schnell")), "nowhere/at-all/x"])
    assert found["castmark"].state == found["engine"].state == found["cpu"].state == "ok"
    assert "fits the memory of cpu" in found["base castmark-embedded"].found
    assert "licence Apache-2.0" in found["base tiny flux-schnell"].found
    assert found["base nowhere/at-all/x"].state == "gap"
    assert found["policy general-audience"].state == "ok"
    assert found["key"].next.startswith("castmark keygen"), "and none was made"
    assert not (tmp_path / "keys").exists()
    (schnell,) = (line for about, line in found.items() if "FLUX.1-schnell" in about)
    assert "GiB in float32" in schnell.found
    keygen(tmp_path / "keys")
    assert lines()["key"].state == "ok"


def test_without_the_engine_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "ENGINE", ("torch", "no-such-package"))
    found = lines()
    assert found["engine"].state == "gap"
    assert found["engine"].next == "pip install 'castmark[engine]'"
    assert "cpu" not in found


def test_a_policy_without_a_calibration_is_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    import castmark.safety
    from castmark.errors import NotCalibrated

    def refuse(policy: str, device: str | None, judge: str | None) -> None:
        raise NotCalibrated(f"no thresholds for {policy}")

    monkeypatch.setattr(castmark.safety, "open_checker", refuse)
    found = lines()["policy general-audience"]
    step = "castmark policy calibrate general-audience --safe DIR --unsafe DIR"
    assert (found.state, found.next) == ("gap", step)


def test_the_command() -> None:
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 0
    assert result.output.startswith("ok   castmark: ")


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_the_gpu_suite_runs_in_small_and_says_what_is_still_to_be_taken(tmp_path: Path) -> None:
    result = run_suite("gpu", n=2)
    figures = {figure.name: figure for figure in result.figures}
    assert "the GPU figures are still to be taken" in result.figures[0].name
    assert all(figure.target is None for figure in result.figures), "no target is met or missed on a CPU"
    for name in ("SDXL-Turbo, 1 steps", "FLUX.1-schnell, 4 steps", "SANA-Sprint, 2 steps"):
        assert figures[f"{name}, 64 px: against stock"].value > 0
        assert figures[f"{name}, 64 px, p95: ours"].value > 0
    assert figures["SD-Turbo, 1 step: checked and signed images a second"].value > 0
    assert figures["LoRA swap on SDXL-Turbo"].n == 2
    result.write(tmp_path / "gpu.json")
    assert (tmp_path / "gpu.html").is_file()
