"""Sizes, cut-outs, formats and layers: what is asked for comes out, and all of it signed."""

import hashlib
import io
import zipfile
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from engine_fakes import SIDE, FakeBase, FakeChecker, fake_studio
from PIL import Image, ImageChops, ImageStat

from castmark.errors import BaseError
from castmark.outputs.cutout import cut_out
from castmark.outputs.finish import asked_text
from castmark.outputs.parameters import parameters_text
from castmark.outputs.size import cover
from castmark.shot import Shot
from castmark.take import SignedImage
from castmark_provenance.keys import PemKey
from castmark_provenance.report import State
from castmark_provenance.verify import verify

BACKDROP, DISC = (200, 210, 220), (180, 30, 40)


def scene(side: int = 64, tilt: float = 0.0, floor: bool = False) -> np.ndarray:
    """A disc on a backdrop: light may fall off to one side, and there may be a darker floor."""
    down, across = np.mgrid[0:side, 0:side]
    light = 1 - tilt * across[..., None] / side - 0.15 * (floor & (down > 0.6 * side))[..., None]
    inside = ((down - side / 2) ** 2 + (across - side / 2) ** 2 < (side / 4) ** 2)[..., None]
    picture = np.where(inside, np.array(DISC, float), np.array(BACKDROP, float) * light)
    noise = np.random.default_rng(0).normal(0, 1.5, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


class SceneBase(FakeBase):
    """Draws the disc."""

    def draw(self, shots):  # type: ignore[override]
        self.texts = [shot.text for shot in shots]
        return [replace(draft, pixels=scene(SIDE)) for draft in super().draw(shots)]


def opened(take: SignedImage) -> Image.Image:
    image = Image.open(io.BytesIO(take.data))
    image.load()
    return image


def trusted(take: SignedImage, key: PemKey, folder: Path) -> bool:
    return verify(take.save(folder), trust=key.anchors).state is State.TRUSTED


@pytest.mark.parametrize(("tilt", "floor"), [(0.0, False), (0.3, False), (0.0, True)])
def test_a_disc_is_cut_out_of_its_backdrop(tilt: float, floor: bool) -> None:
    found = cut_out(scene(64, tilt, floor))
    alpha = np.asarray(found.subject.getchannel("A"))
    assert alpha[32, 32] == 255
    assert alpha[2, 2] == alpha[61, 61] == 0
    assert (alpha > 127).mean() == pytest.approx(np.pi / 16, rel=0.05)
    again = Image.alpha_composite(found.backdrop.convert("RGBA"), found.subject).convert("RGB")
    error = ImageStat.Stat(ImageChops.difference(again, Image.fromarray(scene(64, tilt, floor)))).rms
    assert max(error) < 3, "subject over backdrop is the picture again"


def test_a_hole_that_does_not_touch_the_border_stays() -> None:
    picture = scene()
    picture[30:34, 30:34] = BACKDROP
    assert np.asarray(cut_out(picture).subject.getchannel("A"))[31, 31] == 255


@pytest.mark.parametrize("what", ["noise", "nothing"])
def test_what_cannot_be_cut_out_is_an_error(what: str) -> None:
    picture = np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    if what == "nothing":
        picture[:] = BACKDROP
    with pytest.raises(BaseError, match="cut out"):
        cut_out(picture)


def test_sizes_beyond_the_bases_are_drawn_cropped_and_scaled_and_the_claim_says_so(
    key: PemKey, tmp_path: Path
) -> None:
    base = FakeBase()
    base.sizes = {(SIDE, SIDE)}
    studio = fake_studio(key, base=base)
    (take,) = studio.shoot_all([Shot("a mug", width=100, height=50, name="wide")])
    assert isinstance(take, SignedImage)
    assert opened(take).size == (100, 50) == (take.claim.width, take.claim.height)
    assert take.claim.settings["drawn_size"] == f"{SIDE}x{SIDE}"
    assert "lanczos" in str(take.claim.settings["scaling"])
    assert trusted(take, key, tmp_path)
    (own,) = studio.shoot_all([Shot("a mug", width=SIDE, height=SIDE)])
    assert isinstance(own, SignedImage)
    assert "scaling" not in own.claim.settings, "the base's own size is left as it was drawn"
    sizes = {
        Shot("a", aspect=(2, 1)): (SIDE, SIDE // 2),
        Shot("a", aspect=(1, 2)): (SIDE // 2, SIDE),
        Shot("a", aspect=(2, 1), width=60): (60, 30),
    }
    for shot, size in sizes.items():
        (take,) = studio.shoot_all([shot])
        assert isinstance(take, SignedImage)
        assert opened(take).size == size


def test_scaling_up_is_sharper_than_lanczos_alone_and_keeps_the_middle() -> None:
    small = Image.fromarray(scene(64))
    wide = cover(small, (256, 128))
    plain = small.resize((256, 128), Image.Resampling.LANCZOS, box=(0, 16, 64, 48))
    assert wide.size == (256, 128)
    edges = [np.abs(np.diff(np.asarray(image, float), axis=1)).max() for image in (wide, plain)]
    assert edges[0] > edges[1]
    assert wide.getpixel((128, 64))[0] == pytest.approx(DISC[0], abs=12)


@pytest.mark.parametrize("factor", [0.5, 2, 8])
def test_a_cut_out_that_is_scaled_keeps_its_colour_to_the_very_edge(factor: float) -> None:
    rows, columns = np.mgrid[:64, :64]
    inside = (rows - 32) ** 2 + (columns - 32) ** 2 < 400
    disc = np.where(inside[..., None], (128, 128, 128, 255), 0).astype(np.uint8)
    side = round(64 * factor)
    found = np.asarray(cover(Image.fromarray(disc), (side, side)))
    seen = found[..., 3] > 0
    assert seen.any() and not seen.all()
    assert set(np.unique(found[seen][:, :3])) == {128}


@pytest.mark.parametrize(
    ("prompt", "asks"),
    [
        ("mira explaining a chart", False),
        ("a woman in a plain shirt", False),
        ("a mug on a plain background", True),
        ("a mug before a plain white wall", True),
    ],
)
def test_only_a_plain_backdrop_counts_as_one(prompt: str, asks: bool) -> None:
    resolved = SceneBase().resolve(Shot(prompt, background="transparent"))
    assert (asked_text(resolved).text == prompt) is asks


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp", "avif"])
def test_every_format_is_signed(kind: str, key: PemKey, tmp_path: Path) -> None:
    studio = fake_studio(key, base=SceneBase())
    (take,) = studio.shoot_all([Shot("a disc", format=kind, width=64, height=64, name="disc")])
    assert isinstance(take, SignedImage), take.explain()
    assert (opened(take).format or "").lower() == kind
    assert trusted(take, key, tmp_path)
    assert take.file_name == f"disc{'.jpg' if kind == 'jpeg' else '.' + kind}"


@pytest.mark.parametrize("kind", ["png", "webp"])
def test_a_transparent_cut_out_hides_nothing_and_is_judged_as_it_looks_on_white(
    kind: str, key: PemKey, tmp_path: Path
) -> None:
    judged: list[np.ndarray] = []
    checker = FakeChecker(on_check=lambda drafts: judged.extend(draft.pixels for draft in drafts))
    base = SceneBase()
    studio = fake_studio(key, base=base, checker=checker)
    (take,) = studio.shoot_all([Shot("a disc", background="transparent", format=kind, width=96, height=64)])
    assert isinstance(take, SignedImage), take.explain()
    assert base.texts == ["a disc on a plain background"]
    image = opened(take)
    assert image.mode == "RGBA"
    assert image.size == (96, 64)
    pixels = np.asarray(image)
    assert (pixels[pixels[..., 3] == 0][:, :3] == 255).all()
    white = Image.new("RGBA", image.size, (255, 255, 255, 255))
    assert np.array_equal(np.asarray(Image.alpha_composite(white, image).convert("RGB")), judged[0])
    assert trusted(take, key, tmp_path)


def test_a_coloured_background_is_that_colour(key: PemKey) -> None:
    (take,) = fake_studio(key, base=SceneBase()).shoot_all([Shot("a disc", background="#102030")])
    assert isinstance(take, SignedImage)
    image = opened(take)
    assert image.getpixel((0, 0)) == (0x10, 0x20, 0x30)
    assert image.getpixel((SIDE // 2, SIDE // 2))[0] > 150


def test_a_subject_that_cannot_be_cut_out_is_that_shots_failure(key: PemKey) -> None:
    (take,) = fake_studio(key).shoot_all([Shot("noise", background="transparent")])
    assert not take.ok
    assert "cannot be cut out" in take.explain()


def test_layers_hold_the_signed_image_itself(key: PemKey, tmp_path: Path) -> None:
    (take,) = fake_studio(key, base=SceneBase()).shoot_all(
        [Shot("a disc", layers=True, width=64, height=64, name="disc")]
    )
    assert isinstance(take, SignedImage), take.explain()
    take.save(tmp_path)
    with zipfile.ZipFile(tmp_path / "disc.ora") as archive:
        names = archive.namelist()
        assert names[0] == "mimetype"
        assert archive.read("mimetype") == b"image/openraster"
        assert archive.infolist()[0].compress_type == zipfile.ZIP_STORED
        stack = ElementTree.fromstring(archive.read("stack.xml"))
        assert (stack.get("w"), stack.get("h")) == ("64", "64")
        layers = [layer.attrib for layer in stack.iter("layer")]
        assert [layer["name"] for layer in layers] == ["subject", "background"]
        top, bottom = (Image.open(io.BytesIO(archive.read(layer["src"]))) for layer in layers)
        for layer in layers:
            stated = take.claim.settings[f"sha256 of {layer['src']}"]
            assert stated == hashlib.sha256(archive.read(layer["src"])).hexdigest(), "signed with the image"
        merged = archive.read("mergedimage.png")
        assert {"Thumbnails/thumbnail.png", "stack.xml"} <= set(names)
    assert merged == take.data
    (tmp_path / "merged.png").write_bytes(merged)
    report = verify(tmp_path / "merged.png", trust=key.anchors)
    assert report.state is State.TRUSTED
    assert report.claim is not None
    assert set(take.claim.settings) == set(report.claim.settings)
    together = Image.alpha_composite(bottom.convert("RGBA"), top).convert("RGB")
    difference = ImageChops.difference(together, Image.open(io.BytesIO(merged)).convert("RGB"))
    assert max(ImageStat.Stat(difference).rms) < 12


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
def test_the_parameters_text_is_there_on_request_only(kind: str, key: PemKey, tmp_path: Path) -> None:
    shot = Shot("a disc — ümlaut", seed=7, format=kind, steps=3, width=64, height=64)
    (take,) = fake_studio(key, base=SceneBase(), parameters=True).shoot_all([shot])
    assert isinstance(take, SignedImage), take.explain()
    image = opened(take)
    text = image.info["parameters"] if kind == "png" else _comment(image)
    first, settings = text.split("\n")
    assert first == "a disc — ümlaut"
    assert settings.startswith("Steps: 3, Sampler: unknown, "), "a base that names no scheduler"
    assert "Seed: 7, Size: 64x64, Model hash: " in settings
    assert trusted(take, key, tmp_path)
    assert take.claim.prompt.text == shot.prompt
    (plain,) = fake_studio(key, base=SceneBase()).shoot_all([shot])
    assert isinstance(plain, SignedImage)
    assert b"mlaut" not in plain.data


@pytest.mark.parametrize(
    ("scheduler", "sampler"), [("DDIMScheduler", "DDIM"), ("NewScheduler", "NewScheduler")]
)
def test_the_parameters_text_names_the_sampler_as_the_web_ui_does(scheduler: str, sampler: str) -> None:
    base = SceneBase()
    (draft,) = base.draw([base.resolve(Shot("a disc", seed=7, steps=3, width=64, height=64))])
    text = parameters_text(replace(draft, settings={**draft.settings, "scheduler": scheduler}), base)
    assert f", Sampler: {sampler}, " in text


def _comment(image: Image.Image) -> str:
    comment = image.getexif().get_ifd(0x8769)[0x9286]
    assert comment[:8] == b"UNICODE\0"
    return comment[8:].decode("utf-16-be")
