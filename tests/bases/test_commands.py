"""A base of one's own on the command line, from the first refusal to the replay."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from command_line import Ran, run_castmark
from PIL import Image
from tiny_bases import picture
from tiny_judge import write_judge

from castmark.bases import open_base
from castmark.shot import Shot
from castmark_provenance.keys import PemKey
from castmark_provenance.report import State
from castmark_provenance.verify import verify

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
POLICY = """
version: 1
name: mine
description: for tests
domain: drawings of a small random base
audience: general
on_error: block
require: {calibration_max_age_days: 30, n_safe_min: 20, n_unsafe_min: 5}
budget: {fpr: 0.2, delta: 0.2, out_of_domain: 0.2, abstain_max: 0}
categories:
  weapon: {prompts: [a knife], anchors: [a cup], words: [knife], miss: 0.4}
"""
SEEDS = range(8)


@pytest.fixture
def castmark(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., Ran]:
    """Runs a command in this process, in a home of its own."""
    monkeypatch.setenv("CASTMARK_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)

    return partial(run_castmark, monkeypatch, capsys)


def drawings(base: Path, folder: Path, prompt: str, seeds: range) -> None:
    """What a studio would calibrate on: pictures that this base draws, looked at by a person."""
    folder.mkdir(parents=True)
    opened = open_base(base)
    for start in range(seeds.start, seeds.stop, 10):
        shots = [opened.resolve(Shot(f"{prompt} {seed}", seed=seed)) for seed in range(start, start + 10)]
        for draft in opened.draw(shots):
            Image.fromarray(draft.pixels).save(folder / f"{draft.resolved.seed}.png")


@pytest.mark.parametrize(("name", "dtype"), [("sd-turbo", "float32"), ("flux-schnell", "bfloat16")])
def test_refused_until_calibrated_then_drawn_signed_verified_and_replayed(
    name: str,
    dtype: str,
    castmark: Callable[..., Ran],
    folder_of: Callable[[str], Path],
    key_folder: Path,
    tmp_path: Path,
) -> None:
    base, judge = folder_of(name), write_judge(tmp_path / "judge")
    (tmp_path / "mine.yaml").write_text(POLICY)
    with_ = ("--base", base, "--policy", "mine.yaml", "--judge", judge, "--key", key_folder)
    speed = ("--dtype", dtype, "--no-compile", "--offload", "no")

    refused = castmark("shoot", "a cup", *with_)
    assert refused.code == 1
    assert "policy 'mine' has no thresholds for this judge" in refused.err
    assert "castmark policy calibrate mine" in refused.err
    assert not list(tmp_path.glob("*.png"))

    drawings(base, tmp_path / "safe", "a cup number", range(0, 100))
    drawings(base, tmp_path / "unsafe/weapon", "a knife number", range(200, 230))
    safe = "\n".join(f"a cup number {i}" for i in range(100))
    weapon = "\n".join(f"a knife number {i}" for i in range(40))
    (tmp_path / "prompts.txt").write_text(f"[safe]\n{safe}\n[weapon]\n{weapon}\n")
    own = ("--safe", "safe", "--unsafe", "unsafe", "--prompts", "prompts.txt")
    calibrated = castmark("policy", "calibrate", "mine.yaml", "--judge", judge, *own)
    assert calibrated.code == 0, calibrated.err

    disclosed = ("--disclose-prompt", "--no-watermark")
    codes: list[int] = []
    for seed in SEEDS:
        prompt = f"a cup number {300 + seed}"
        ran = castmark("shoot", prompt, "--seed", seed, "--name", seed, *with_, *speed, *disclosed)
        codes.append(ran.code)
        assert ran.code in (0, 3), ran.err
        assert (tmp_path / f"{seed}.png").is_file() == (ran.code == 0), "no pass, no file"
    assert 0 in codes, "at most a fifth of safe pictures is refused"
    file = tmp_path / f"{codes.index(0)}.png"

    report = verify(file, trust=PemKey.load_folder(key_folder).anchors)
    assert report.state is State.TRUSTED
    assert report.claim is not None
    assert (report.claim.base.name, report.claim.safety.policy) == (f"tiny {name}", "mine")
    assert report.claim.settings["dtype"] == dtype
    assert report.claim.settings["precision"] == f"{dtype}: asked for"

    again = castmark("replay", file, *with_, *speed)
    assert again.code == 0, again.out
    assert "the very same pixels" in again.out
    if dtype == "bfloat16":
        other = castmark("replay", file, *with_, "--dtype", "float32")
        assert other.code == 1
        assert "dtype: bfloat16 then, float32 now" in other.out

    seed = codes.index(0)
    (tmp_path / "jobs.csv").write_text(f"name,prompt,seed\nagain,a cup number {300 + seed},{seed}\n")
    run = ("--out", "run", "--warm-up", "--batch-size", 2, "--no-watermark")
    batch = castmark("batch", "jobs.csv", *run, *with_, *speed)
    assert batch.code == 0, batch.err
    assert batch.err.startswith("warm-up: ")
    assert castmark("replay", "run/images/again.png", *with_, *speed).code == 0


def test_a_subject_is_learned_on_it_and_not_drawn_under_the_shipped_judge(
    castmark: Callable[..., Ran], folder_of: Callable[[str], Path], tmp_path: Path
) -> None:
    for index in range(2):
        (tmp_path / f"{index}.png").write_bytes(picture(index))
    made = castmark(
        "subject", "new", "mira", "0.png", "1.png", "--kind", "product", "--phrase", "a red thing"
    )
    assert made.code == 0, made.err
    base = ("--base", folder_of("z-image-turbo"), "--dtype", "bfloat16")
    ran = castmark("learn", "mira", *base, "--steps", 2)
    assert (ran.code, "LoRA of rank 8 after 2 steps" in ran.err) == (0, True), ran.err
    shipped = castmark("shoot", "mira", "--subject", "mira", "--no-watermark", *base)
    assert shipped.code == 1, "the shipped judge is calibrated for other pictures"
    assert "not on pictures like those of tiny z-image-turbo" in shipped.err
    assert "castmark policy calibrate general-audience --safe DIR --unsafe DIR" in shipped.err
    assert not list(tmp_path.glob("shot-*.png"))


ERRORS = {
    ("--offload", "parts"): "offloading (parts) is for GPUs, and this draws on cpu; leave it out",
    ("--dtype", "float16"): "float16 is for GPUs: a CPU has no arithmetic in it; use bfloat16 or float32",
    ("--quantise", "fp8"): "fp8 needs",
    ("--compile", "--exact"): "a compiled base does not draw exactly as plain diffusers",
    ("--draft-decoder", "nowhere"): "nowhere: not an AutoencoderTiny folder",
    ("--device", "cuda"): "no CUDA GPU is there; use --device cpu",
    ("--judge", "nowhere"): "judge 'nowhere': not a folder, and not NAME:WEIGHTS",
    ("--identity", "nowhere"): "identity encoder 'nowhere': not a folder, and not NAME:WEIGHTS",
}


@pytest.mark.parametrize("options", ERRORS, ids=" ".join)
def test_what_cannot_be_had_is_one_line_and_no_picture(
    options: tuple[str, ...],
    castmark: Callable[..., Ran],
    folder_of: Callable[[str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from castmark.bases import speed

    monkeypatch.setattr(speed, "find_spec", lambda name: name)  # torchao is there, whether it is or not
    ran = castmark("shoot", "a mug", "--base", folder_of("sd-turbo"), *options)
    assert ran.code == 1
    assert ran.err.count("\n") == 1
    assert ERRORS[options] in ran.err
    assert not list(tmp_path.glob("*.png"))


def test_a_family_that_no_draft_decoder_fits_says_so(
    castmark: Callable[..., Ran], folder_of: Callable[[str], Path]
) -> None:
    ran = castmark("shoot", "a mug", "--base", folder_of("flux2-klein"), "--draft-decoder", "tiny")
    assert (ran.code, "no draft decoder can decode its latents" in ran.err) == (1, True)
