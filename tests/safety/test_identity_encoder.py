"""The identity score on any open_clip model: by folder and by name, refused until calibrated."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from command_line import run_castmark
from PIL import Image
from safetensors.torch import load_file, save_file

import castmark.safety as castmark_safety
from castmark.errors import CheckError, NotCalibrated
from castmark.safety import Gate
from castmark.safety.calibration import OWN_IMAGES
from castmark.safety.identity_encoder import open_identity_encoder
from castmark.safety.open_clip_model import load_open_clip
from castmark.safety.own_subjects import own_calibration
from castmark.studio.opening import open_scorer
from castmark_adapters.encoder import squared
from castmark_adapters.errors import AdapterError, SubjectError
from castmark_adapters.identity import IdentityCalibration
from castmark_provenance.authority import keygen
from castmark_provenance.verify import verify

CONFIG, WEIGHTS = "open_clip_config.json", "open_clip_model.safetensors"
SUBJECTS = 60


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CASTMARK_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def eye(judge_folder: Path, tmp_path: Path) -> Path:
    """A small random open_clip folder, without a tokenizer: pictures need none."""
    (tmp_path / "eye").mkdir()
    for name in (CONFIG, WEIGHTS):
        shutil.copy(judge_folder / name, tmp_path / "eye" / name)
    return tmp_path / "eye"


@pytest.fixture(scope="module")
def subjects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 subjects, each a pattern of colours, in three slightly different pictures."""
    root, rng = tmp_path_factory.mktemp("subjects"), np.random.default_rng(0)
    for index in range(SUBJECTS):
        colours = rng.integers(0, 256, (4, 4, 3))
        (root / f"{index:02}").mkdir()
        for view in range(3):
            pixels = np.clip(colours + rng.integers(-6, 7, (4, 4, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).resize((48, 48), 0).save(root / f"{index:02}" / f"{view}.png")
    return root


@pytest.fixture
def castmark(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Runs a command in this process: exit code, output, errors."""

    def run(*arguments: object) -> tuple[int, str, str]:
        ran = run_castmark(monkeypatch, capsys, *arguments)
        return ran.code, ran.out, ran.err

    return run


def calibrate(eye: Path, threshold: float = 0.9) -> IdentityCalibration:
    """A calibration of the folder's encoder, where the user's own are kept."""
    record = IdentityCalibration(
        encoder=open_identity_encoder(eye).digest,
        threshold=threshold,
        false_accepts=0.05,
        domain="none",
        references=3,
        subjects=1,
        figures={},
    )
    path = own_calibration(record.encoder)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(record.model_dump_json())
    return record


def test_it_sees_what_open_clip_sees_of_the_squared_pictures(eye: Path) -> None:
    model, transform = open_clip.create_model_from_pretrained(f"local-dir:{eye}")
    rng = np.random.default_rng(1)
    pictures = [
        Image.fromarray(rng.integers(0, 256, (h, w, 3), dtype=np.uint8)) for h, w in ((40, 40), (20, 60))
    ]
    before = torch.random.get_rng_state()
    found = open_identity_encoder(eye).identity(pictures)
    assert torch.equal(torch.random.get_rng_state(), before), "opening a model moves nobody's randomness"
    with torch.inference_mode():
        pixels = torch.stack([transform(squared(picture)) for picture in pictures])  # type: ignore[operator]
        plain = model.eval().encode_image(pixels, normalize=True)  # type: ignore[operator]
    assert torch.allclose(found, plain, atol=1e-5)
    assert torch.allclose(found.norm(dim=-1), torch.ones(2))
    with pytest.raises(SubjectError, match="no image to read"):
        open_identity_encoder(eye).identity([])


def one_weight(folder: Path) -> None:
    weights = load_file(folder / WEIGHTS)
    weights["visual.proj"][0, 0] += 1e-3
    save_file(weights, folder / WEIGHTS)


def activation(folder: Path) -> None:
    config = json.loads((folder / CONFIG).read_text())
    config["model_cfg"]["quick_gelu"] = True
    (folder / CONFIG).write_text(json.dumps(config))


def preprocessing(folder: Path) -> None:
    config = json.loads((folder / CONFIG).read_text())
    config["preprocess_cfg"] = {"interpolation": "bilinear"}
    (folder / CONFIG).write_text(json.dumps(config))


@pytest.mark.parametrize("change", [one_weight, activation, preprocessing])
def test_a_changed_encoder_is_another_and_not_calibrated(eye: Path, change: Callable[[Path], None]) -> None:
    calibrate(eye)
    assert open_scorer(eye).threshold == 0.9
    change(eye)
    with pytest.raises(NotCalibrated, match=r"not calibrated, .*castmark identity calibrate DIR --encoder"):
        open_scorer(eye)


def test_a_calibration_may_lie_in_the_folder_and_must_be_of_its_encoder(eye: Path, home: Path) -> None:
    record = calibrate(eye)
    shutil.rmtree(home)
    (eye / "identity.json").write_text(record.model_dump_json())
    assert open_scorer(eye).threshold == 0.9
    one_weight(eye)
    with pytest.raises(AdapterError, match=f"calibration is of encoder {record.encoder[:12]}, not"):
        open_scorer(eye)


def without_weights(folder: Path) -> None:
    (folder / WEIGHTS).unlink()


def cut_short(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:2000])


def of_another_size(folder: Path) -> None:
    config = json.loads((folder / CONFIG).read_text())
    config["model_cfg"]["embed_dim"] = 8
    (folder / CONFIG).write_text(json.dumps(config))


@pytest.mark.parametrize("damage", [without_weights, cut_short, of_another_size])
def test_missing_or_damaged_weights_are_refused_not_random(eye: Path, damage: Callable[[Path], None]) -> None:
    damage(eye)
    with pytest.raises(
        CheckError, match=r"identity encoder '.*eye': cannot be loaded .*; get its files again"
    ):
        open_identity_encoder(eye)


def test_what_is_no_encoder_says_what_is(tmp_path: Path) -> None:
    with pytest.raises(CheckError, match=r"holds neither open_clip_config\.json nor image_encoder/"):
        open_identity_encoder(tmp_path)
    with pytest.raises(CheckError, match="not a folder, and not NAME:WEIGHTS of a model open_clip knows"):
        open_identity_encoder(tmp_path / "nowhere")
    with pytest.raises(CheckError, match=r"which weights\? give ViT-B-32:WEIGHTS, of: .*laion2b_s34b_b79k"):
        open_identity_encoder("ViT-B-32")
    with pytest.raises(CheckError, match=r"'ViT-B-32:mine': cannot be loaded .*not a known tag"):
        open_identity_encoder("ViT-B-32:mine")


def test_a_name_and_weights_that_open_clip_knows(eye: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = json.loads((eye / CONFIG).read_text())["model_cfg"]
    monkeypatch.setattr("open_clip.factory._MODEL_CONFIGS", {"tiny": config})
    name = f"tiny:{eye / WEIGHTS}"
    with pytest.raises(NotCalibrated, match=f"calibrate DIR --encoder {name}"):
        open_scorer(name)
    picture = [Image.new("RGB", (40, 40), "red")]
    named, folder = open_identity_encoder(name), open_identity_encoder(eye)
    assert torch.equal(named.identity(picture), folder.identity(picture))


def test_damage_that_makes_no_number_never_scores(eye: Path, subjects: Path) -> None:
    weights = load_file(eye / WEIGHTS)
    weights["visual.proj"].fill_(float("nan"))
    save_file(weights, eye / WEIGHTS)
    from castmark.safety.own_subjects import calibrate_own

    with pytest.raises(NotCalibrated, match="not finite"):
        calibrate_own(subjects, open_identity_encoder(eye))


def test_calibrated_and_scored_on_the_command_line(
    castmark: Callable[..., tuple[int, str, str]], eye: Path, subjects: Path, home: Path
) -> None:
    mira, other = subjects / "00", subjects / "01"
    new = (
        "subject",
        "new",
        "mira",
        mira / "0.png",
        mira / "1.png",
        "--kind",
        "product",
        "--phrase",
        "a cloth",
    )
    assert castmark(*new)[0] == 0
    score = ("identity", "score", "mira", mira / "2.png", other / "0.png", "--encoder", eye)
    code, _, err = castmark(*score)
    assert (code, err.count("\n")) == (1, 1)
    assert "not calibrated, so nobody knows what its scores mean" in err
    assert f"run: castmark identity calibrate DIR --encoder {eye}" in err

    code, out, err = castmark("identity", "calibrate", subjects, "--encoder", eye)
    assert (code, f"of {SUBJECTS} subjects" in out) == (0, True), err
    (kept,) = (home / "calibrations").iterdir()
    record = IdentityCalibration.model_validate_json(kept.read_bytes())
    assert kept.name.startswith(open_identity_encoder(eye).digest[:16])
    assert record.encoder == open_identity_encoder(eye).digest

    code, out, err = castmark(*score)
    assert code == 0, err
    own, stranger = (float(line.split()[1]) for line in out.splitlines())
    assert own > stranger
    assert f"threshold {record.threshold:.3f}" in out

    shutil.copytree(subjects / "00", eye / "few" / "00")
    code, _, err = castmark("identity", "calibrate", eye / "few", "--encoder", eye)
    assert (code, "1 samples are too few" in err) == (1, True)


@pytest.mark.parametrize(("threshold", "expected"), [(-1.0, 0), (1.0, 3)])
def test_a_locked_subject_is_drawn_or_refused_by_it(
    threshold: float,
    expected: int,
    castmark: Callable[..., tuple[int, str, str]],
    eye: Path,
    subjects: Path,
    gate: Gate,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On the embedded base; the random encoder's threshold lets every drawing pass, or none."""
    gate.policy = gate.policy.model_copy(
        update={"subject": gate.policy.subject.model_copy(update={"identity_min": "calibrated"})}
    )
    monkeypatch.setattr(castmark_safety, "open_checker", lambda *_: gate)
    monkeypatch.chdir(tmp_path)
    castmark("subject", "new", "mira", subjects / "00/0.png", "--kind", "product", "--phrase", "a red cloth")
    shoot = ("shoot", "mira", "--subject", "mira", "--seed", 1, "--identity", eye, "--no-watermark")
    shoot += ("--key", keygen(tmp_path / "keys"))
    code, _, err = castmark(*shoot)
    assert (code, "not calibrated" in err) == (1, True), err
    calibrate(eye, threshold)
    code, _, err = castmark(*shoot)
    assert (code, "calibrated on renders, not on pictures like those of castmark-embedded" in err) == (
        1,
        True,
    )
    gate.calibration = gate.calibration.model_copy(update={"sources": ("renders", OWN_IMAGES)})
    code, _, err = castmark(*shoot)
    assert code == expected, err
    files = list(tmp_path.glob("*.png"))
    assert len(files) == (expected == 0)
    if files:
        claim = verify(files[0]).claim
        assert claim is not None
        (finding,) = (f for f in claim.safety.findings if f.rung == "L3 subject")
        assert (finding.threshold, finding.binding) == (-1.0, True)
        assert claim.settings["identity_encoder"] == open_identity_encoder(eye).digest
    else:
        assert "identity of mira scored" in err


def test_an_activation_that_the_weights_did_not_learn_with_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def mismatched(*_: object, **__: object) -> None:
        warnings.warn("QuickGELU mismatch between final model config and pretrained tag", stacklevel=1)

    monkeypatch.setattr("open_clip.create_model_from_pretrained", mismatched)
    with pytest.raises(CheckError, match=r"'ViT-B-32:openai': cannot be loaded \(QuickGELU mismatch"):
        load_open_clip("ViT-B-32:openai", "cpu", "judge")
