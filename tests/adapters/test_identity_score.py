"""The identity score, and the views a LoRA learns from."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from castmark_adapters.encoder import SubjectEncoder, squared
from castmark_adapters.errors import AdapterError, SubjectError
from castmark_adapters.identity import IdentityCalibration, IdentityScorer, centroids
from castmark_adapters.subject import Subject
from castmark_adapters.views import moved, reference_views


@pytest.fixture
def calibrated(reference_folder, tmp_path):
    """A reference folder with a calibration of its own encoder."""
    encoder = SubjectEncoder.load(reference_folder / "image_encoder")
    (tmp_path / "image_encoder").symlink_to(reference_folder / "image_encoder")
    calibration = IdentityCalibration(
        encoder=encoder.digest,
        threshold=0.5,
        false_accepts=0.01,
        domain="none",
        references=3,
        subjects=1,
        figures={},
    )
    (tmp_path / "identity.json").write_text(calibration.model_dump_json())
    return tmp_path


def test_a_reference_scores_above_another_picture(calibrated, mira):
    scorer = IdentityScorer.load(calibrated)
    own = np.asarray(mira.images()[0])
    other = np.random.default_rng(0).integers(0, 255, own.shape, dtype=np.uint8)
    same, stranger = scorer.scores([own, other], mira)
    assert 1 >= same > stranger >= -1
    assert scorer.score(own, mira) == pytest.approx(same, abs=1e-5)
    assert scorer.threshold == 0.5


def test_more_references_than_were_calibrated_with_are_scored_in_sets_of_as_many(calibrated, references):
    vectors = torch.nn.functional.normalize(
        torch.randn(5, 8, generator=torch.Generator().manual_seed(0)), dim=1
    )
    sets = centroids(vectors, 3)
    assert sets.shape == (10, 8) and torch.allclose(sets.norm(dim=1), torch.ones(10))
    assert torch.allclose(
        centroids(vectors[:2], 3)[0], torch.nn.functional.normalize(vectors[:2].mean(0), dim=0)
    )
    scorer = IdentityScorer.load(calibrated)
    picture = np.random.default_rng(0).integers(0, 255, (96, 96, 3), dtype=np.uint8)
    some = [references[i % len(references)] for i in range(4)]
    one, other = (Subject.from_images("mira", images) for images in (some, some[::-1]))
    assert scorer.score(picture, one) == pytest.approx(scorer.score(picture, other), abs=1e-5)


def test_a_calibration_of_another_encoder_is_refused(calibrated):
    path = calibrated / "identity.json"
    changed = IdentityCalibration.model_validate_json(path.read_text()).model_copy(
        update={"encoder": "0" * 64}
    )
    path.write_text(changed.model_dump_json())
    with pytest.raises(AdapterError, match="is of encoder 000000000000"):
        IdentityScorer.load(calibrated)


@pytest.mark.parametrize("text", ["", "{}", '{"threshold": NaN}'])
def test_a_missing_or_malformed_calibration_is_refused(calibrated, text):
    (calibrated / "identity.json").write_text(text)
    with pytest.raises(AdapterError, match="no usable identity calibration"):
        IdentityScorer.load(calibrated)
    (calibrated / "identity.json").unlink()
    with pytest.raises(AdapterError, match="no usable identity calibration"):
        IdentityScorer.load(calibrated)


def test_a_damaged_encoder_never_scores(calibrated, mira):
    scorer = IdentityScorer.load(calibrated)
    with torch.no_grad():
        next(scorer.encoder.model.parameters()).fill_(float("nan"))
    with pytest.raises(AdapterError, match="not finite"):
        scorer.score(np.zeros((32, 32, 3), np.uint8), mira)


def test_pixels_of_another_shape_are_refused(calibrated, mira):
    with pytest.raises(SubjectError, match="give UInt8"):
        IdentityScorer.load(calibrated).score(np.zeros((32, 32), np.uint8), mira)


def _bytes(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def test_the_subject_is_found_by_alpha_and_on_a_plain_ground():
    drawn = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
    ImageDraw.Draw(drawn).rectangle((16, 16, 47, 47), fill=(200, 0, 0, 255))
    on_grey = Image.alpha_composite(Image.new("RGBA", drawn.size, "grey"), drawn)
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    alpha, ground, busy = reference_views(
        [_bytes(drawn), _bytes(on_grey), _bytes(Image.fromarray(noise))], 64
    )
    inside = torch.zeros(1, 64, 64)
    inside[:, 16:48, 16:48] = 1
    for view in (alpha, ground):
        assert view.plain
        assert torch.equal(view.mask, inside)
    assert not busy.plain
    assert busy.mask.min() == 1
    (grey,) = reference_views([_bytes(Image.new("I;16", (64, 64), 128 * 256))], 64)
    assert grey.image.mean() == pytest.approx(128 / 255, abs=0.01), "16 bits are not clipped"


def test_views_move_but_are_never_mirrored():
    image = Image.new("RGB", (64, 64), "white")
    ImageDraw.Draw(image).rectangle((10, 24, 25, 40), fill="red")
    (view,) = reference_views([_bytes(image)], 64)
    generator = torch.Generator().manual_seed(0)
    views = [moved(view, generator) for _ in range(20)]
    columns = torch.arange(64.0)
    centres = [float((v.mask[0].sum(0) * columns).sum() / v.mask.sum()) for v in views]
    assert max(centres) < 32
    assert max(centres) - min(centres) > 1
    assert all(v.image.shape == (3, 64, 64) for v in views)


def test_an_oblong_reference_is_padded_with_its_ground():
    image = Image.new("RGB", (60, 20), (10, 200, 30))
    assert squared(image).size == (60, 60)
    assert squared(image).getpixel((0, 0)) == (10, 200, 30)
    assert squared(squared(image)).size == (60, 60)
