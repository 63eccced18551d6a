"""The doctor says what is here and what to do about what is not; the GPU suite runs whole in small."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from castmark import doctor
from castmark.bases import speed
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
    nowhere = found["base nowhere/at-all/x"]
    assert (nowhere.state, nowhere.next) == ("gap", ""), "it says itself what to give"
    assert "hub id such as" in nowhere.found
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


def test_a_base_whose_pictures_no_policy_is_calibrated_for_is_a_gap(
    folder_of: Callable[[str], Path], tmp_path: Path
) -> None:
    """As drawing with it is refused; the embedded base, whose pictures are, is none."""
    folder = str(folder_of("sd-turbo"))
    found = lines(bases=[folder], policy="brand-safe")
    assert "policy general-audience" not in found
    assert found["policy brand-safe"].state == "ok"
    line = found["policy brand-safe, base tiny sd-turbo"]
    assert (line.state, "not on pictures like those of tiny sd-turbo" in line.found) == ("gap", True)
    assert "castmark policy calibrate brand-safe --safe DIR --unsafe DIR" in line.next
    assert line.next.endswith(f"--base {folder}")
    assert not any("base" in about for about in lines() if about.startswith("policy"))
    (line,) = (line for about, line in lines(policy="nowhere.yaml").items() if about.startswith("policy"))
    assert (line.state, line.next) == ("gap", "")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of a hub that must not be asked."""
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("socket.getaddrinfo", lambda *_: pytest.fail("the network was asked"))
    return tmp_path


def test_nothing_is_fetched(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    found = lines(bases=["stabilityai/sdxl-turbo@main", "studio/other"], device="cpu")
    here = found["base stabilityai/sdxl-turbo@main"]
    assert (here.state, "not here yet, fetched on first use" in here.found) == ("note", True)
    assert "GiB in float32" in here.found and "sai-nc-community" in here.found
    assert found["base studio/other"].state == "note"
    assert found["policy general-audience, base stabilityai/sdxl-turbo"].state == "gap"
    assert not list(cache.iterdir())
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert lines(bases=["studio/other"], policy="brand-safe")["base studio/other"].state == "gap"


def test_a_hub_base_whose_weights_never_came_is_a_gap(folder_of: Callable[[str], Path], cache: Path) -> None:
    repo, commit = cache / "models--studio--tiny", "0123456789abcdef0123456789abcdef01234567"
    shutil.copytree(folder_of("sd-turbo"), repo / "snapshots" / commit)
    (repo / "refs").mkdir()
    (repo / "refs/main").write_text(commit)
    assert lines(bases=["studio/tiny"], policy="general-audience")["base tiny sd-turbo"].state == "ok"
    (repo / "snapshots" / commit / "unet/diffusion_pytorch_model.safetensors").unlink()
    line = lines(bases=["studio/tiny"], policy="general-audience")["base studio/tiny"]
    assert (line.state, "no weights in its unet; fetch it again" in line.found) == ("gap", True)


def test_a_device_that_is_not_there_is_a_gap_and_the_rest_is_told(folder_of: Callable[[str], Path]) -> None:
    for device in ("cuda:77", "nonsense"):
        found = lines(bases=[str(folder_of("sd-turbo"))], device=device, policy="general-audience")
        assert found[f"device {device}"].state == "gap"
        assert "what follows is told for the CPU" in found[f"device {device}"].found
        assert "the memory of cpu" in found["base tiny sd-turbo"].found
        assert found["policy general-audience"].state == "ok"


def test_a_damaged_or_undistilled_base_is_a_gap(folder_of: Callable[[str], Path], tmp_path: Path) -> None:
    damaged = shutil.copytree(folder_of("sd-turbo"), tmp_path / "damaged")
    path = damaged / "unet/diffusion_pytorch_model.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    dev = shutil.copytree(folder_of("flux-schnell"), tmp_path / "dev")
    config = dev / "transformer/config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"guidance_embeds": True}))
    found = lines(bases=[str(damaged), str(dev)], policy="general-audience")
    assert "cut short" in found[f"base {damaged}"].found
    assert "use FLUX.1-schnell" in found[f"base {dev}"].found
    assert {found[f"base {folder}"].state for folder in (damaged, dev)} == {"gap"}


def test_memory_is_known_without_proc_or_said_to_be_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    real = speed.Hardware.of("cpu").memory

    class NoProc(type(Path())):  # type: ignore[misc]
        def is_file(self) -> bool:
            return not str(self).startswith("/proc") and super().is_file()

    monkeypatch.setattr(speed, "Path", NoProc)
    assert speed.Hardware.of("cpu").memory == pytest.approx(real, rel=0.05)
    monkeypatch.setattr(speed.os, "sysconf", lambda name: int("no such name"))
    assert speed.Hardware.of("cpu").memory == 0
    found = lines(device="cpu", policy="brand-safe")
    assert found["cpu"].found.endswith("memory not known")
    assert "how much memory cpu has is not known" in found["base castmark-embedded"].found


def test_the_command() -> None:
    result = CliRunner().invoke(app, ["doctor", "--policy", "brand-safe"])
    assert "policy general-audience" not in result.output
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
