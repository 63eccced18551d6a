"""The identity score on the user's own subjects: a rate that is kept, or a refusal that says how many."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from castmark.errors import InputError, NotCalibrated
from castmark.safety.own_subjects import calibrate_own, own_calibration
from castmark.studio.opening import open_scorer
from castmark_adapters.encoder import SubjectEncoder


@pytest.fixture(scope="module")
def eye() -> SubjectEncoder:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        sizes = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
        model = CLIPVisionModelWithProjection(
            CLIPVisionConfig(**sizes, image_size=32, patch_size=16, projection_dim=16)
        )
    return SubjectEncoder(model, "e" * 64)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 subjects, each a colour, in three slightly different pictures."""
    root = tmp_path_factory.mktemp("subjects")
    rng = np.random.default_rng(0)
    for index in range(60):
        colour = rng.integers(0, 256, (4, 4, 3))
        (root / f"{index:02}").mkdir()
        for view in range(3):
            pixels = np.clip(colour + rng.integers(-6, 7, (4, 4, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).resize((32, 32), 0).save(root / f"{index:02}" / f"{view}.png")
    return root


def test_the_threshold_keeps_others_out_and_says_how_often_the_subject_passes(eye, folder):
    found = calibrate_own(folder, eye)
    assert (found.subjects, found.false_accepts, found.encoder) == (60, 0.05, eye.digest)
    assert (
        found.figures["accepted, other subject"] == 0.0
    )  # of 60, none may be above for 5% with confidence 95%
    assert found.figures["accepted, same subject"] > 0.5
    assert found == calibrate_own(folder, eye)
    assert found.references == 2, "of three images, one is asked about"


def test_too_few_subjects_are_refused_with_the_number_it_takes(eye, folder):
    with pytest.raises(NotCalibrated, match=r"60 samples are too few .* give at least 299"):
        calibrate_own(folder, eye, false_accepts=0.01)


def test_a_subject_of_one_image_and_folders_that_hold_none_are_refused(eye, folder, tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        calibrate_own(tmp_path / "nowhere", eye)
    with pytest.raises(InputError, match="holds no folders"):
        calibrate_own(tmp_path, eye)
    (tmp_path / "mira").mkdir()
    (tmp_path / "mira" / "1.png").write_bytes((folder / "00" / "0.png").read_bytes())
    with pytest.raises(InputError, match="1 images; a subject needs 2"):
        calibrate_own(tmp_path, eye)
    (tmp_path / "mira" / "2.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"2\.png: not a readable image"):
        calibrate_own(tmp_path, eye)


def test_the_smallest_folder_decides_how_many_references_all_have(eye, folder, tmp_path):
    for source in folder.iterdir():
        (tmp_path / source.name).mkdir()
        for view in range(2 if source.name == "07" else 3):
            (tmp_path / source.name / f"{view}.png").write_bytes((source / f"{view}.png").read_bytes())
    assert calibrate_own(tmp_path, eye).references == 1


def test_the_same_image_of_two_subjects_is_refused_and_copies_count_once(eye, folder, tmp_path):
    image = (folder / "00" / "0.png").read_bytes()
    for name, other in (("mira", "01"), ("noor", "02")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "own.png").write_bytes((folder / other / "0.png").read_bytes())
        (tmp_path / name / "same.png").write_bytes(image)
    with pytest.raises(InputError, match=r"noor/same\.png: the same image as .*mira/same\.png"):
        calibrate_own(tmp_path, eye)
    (tmp_path / "mira" / "own.png").write_bytes(image)
    with pytest.raises(InputError, match="1 images; a subject needs 2"):
        calibrate_own(tmp_path, eye)


def test_an_encoder_that_takes_everybody_for_the_same_is_told(eye, folder):
    class Blind:
        digest = eye.digest

        def identity(self, images):
            return torch.full((len(images), 2), 0.5**0.5) * (1 + 1e-6)

    with pytest.raises(InputError, match="takes two of the subjects for the same"):
        calibrate_own(folder, Blind())


def test_the_own_calibration_of_the_embedded_encoder_is_used(tmp_path, monkeypatch):
    monkeypatch.setenv("CASTMARK_HOME", str(tmp_path))
    shipped = open_scorer()
    own = shipped.calibration.model_copy(update={"threshold": 0.123})
    path = own_calibration(shipped.encoder.digest)
    path.parent.mkdir(parents=True)
    path.write_text(own.model_dump_json())
    assert open_scorer().threshold == 0.123
