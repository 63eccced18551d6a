"""Packs on disk: what is saved is loaded, and what was tampered with is refused."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from typing import get_args

import numpy as np
import pytest
from PIL import Image

from castmark_adapters import pack
from castmark_adapters.container import safetensors_header
from castmark_adapters.errors import PackError, SubjectError
from castmark_adapters.material import OTHERS, PLACES
from castmark_adapters.subject import GENERIC_PHRASE, Consent, Kind, LoraFile, Subject, open_mask, sha256


@pytest.fixture
def learned(mira, lora_bytes):
    card = LoraFile(name="lora.safetensors", sha256=sha256(lora_bytes), base="0" * 64, rank=4, steps=1)
    return mira.model_copy(update={"lora": card}).holding({**mira.files, "lora.safetensors": lora_bytes})


def test_saved_then_loaded_is_the_same(learned, tmp_path):
    folder = pack.put(tmp_path, learned)
    again = pack.load(folder)
    assert again == learned
    assert again.files == learned.files
    assert again.digest == learned.digest
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mira"]


def test_every_kind_of_subject_is_saved_and_has_others_to_be_left_alone(mira, tmp_path):
    consent = Consent(given_by="Mira", date="2026-01-31", scope="tests")
    assert set(get_args(Kind)) == set(OTHERS) == set(GENERIC_PHRASE)
    for kind in get_args(Kind):
        made = Subject.from_images("one", mira.files.values(), kind, consent=consent)
        assert made.phrase == GENERIC_PHRASE[kind]
        assert pack.load(pack.put(tmp_path, made)).kind == kind
        drawn = {(index % len(OTHERS[kind]), index % len(PLACES)) for index in range(66)}
        assert len(drawn) == min(66, len(OTHERS[kind]) * len(PLACES)), "each in every place"


def test_saving_again_replaces_the_whole_pack(mira, learned, tmp_path):
    pack.put(tmp_path, learned)
    pack.put(tmp_path, mira)
    assert pack.load(tmp_path / "mira").lora is None
    assert not (tmp_path / "mira" / "lora.safetensors").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mira"]


@pytest.mark.parametrize("name", ["reference_2.png", "lora.safetensors"])
def test_a_changed_file_is_refused(learned, tmp_path, name):
    path = pack.put(tmp_path, learned) / name
    data = bytearray(path.read_bytes())
    data[-9] ^= 1
    path.write_bytes(data)
    with pytest.raises(PackError, match=f"{name}: does not match the digest"):
        pack.load(tmp_path / "mira")


def test_a_missing_file_is_named(learned, tmp_path):
    (pack.put(tmp_path, learned) / "reference_1.png").unlink()
    with pytest.raises(PackError, match=r"reference_1\.png: cannot be read"):
        pack.load(tmp_path / "mira")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kind": "dragon"}, "kind"),
        ({"surprise": 1}, "surprise"),
        ({"kind": "person"}, "no consent"),
        ({"references": [{"name": "../x.png", "sha256": "0" * 64}]}, "not a plain name"),
        (
            {"lora": {"name": "x.bin", "sha256": "0" * 64, "base": "0", "rank": 1, "steps": 1}},
            "not safetensors",
        ),
    ],
)
def test_a_malformed_card_is_refused(mira, tmp_path, change, words):
    path = pack.put(tmp_path, mira) / "subject.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(PackError, match=words):
        pack.load(tmp_path / "mira")


def test_a_card_that_is_no_json_or_absent_is_refused(mira, tmp_path):
    (pack.put(tmp_path, mira) / "subject.json").write_bytes(b"\xff{")
    for folder in (tmp_path / "mira", tmp_path / "nobody"):
        with pytest.raises(PackError, match="no readable subject card"):
            pack.load(folder)


def test_a_folder_that_is_no_pack_is_not_overwritten(mira, tmp_path):
    (tmp_path / "mira").mkdir()
    (tmp_path / "mira" / "precious.txt").write_text("keep")
    with pytest.raises(PackError, match="not a subject pack"):
        pack.put(tmp_path, mira)
    assert (tmp_path / "mira" / "precious.txt").read_text() == "keep"


def test_a_failed_write_leaves_the_old_pack(mira, learned, tmp_path, monkeypatch):
    pack.put(tmp_path, mira)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(PackError, match="No space left on device"):
        pack.put(tmp_path, learned)
    monkeypatch.undo()
    assert pack.load(tmp_path / "mira") == mira
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mira"]


def test_library(mira, tmp_path):
    assert pack.listed(tmp_path / "none") == []
    with pytest.raises(SubjectError, match="no subject 'mira'"):
        pack.get(tmp_path, "mira")
    pack.put(tmp_path, mira)
    assert pack.listed(tmp_path) == ["mira"]
    assert pack.get(tmp_path, "mira") == mira


def test_a_person_needs_consent(references, tmp_path):
    with pytest.raises(SubjectError, match="no consent"):
        Subject.from_images("ada", references, "person")
    consent = Consent(given_by="Ada", date="2026-01-31", scope="campaign")
    ada = Subject.from_images("ada", references, "person", consent=consent)
    assert pack.load(pack.put(tmp_path, ada)).consent == consent


@pytest.mark.parametrize(
    ("images", "words"),
    [
        ([b"not an image"], "image 1: not a readable image"),
        (["nowhere.png"], "nowhere.png: reference image cannot be read"),
        ([], "0 reference images"),
    ],
)
def test_unusable_references_are_refused(images, words):
    with pytest.raises(SubjectError, match=words):
        Subject.from_images("mira", images)


def test_a_truncated_image_is_refused(references):
    with pytest.raises(SubjectError, match="not a readable image"):
        Subject.from_images("mira", [references[0][: len(references[0]) // 2]])


@pytest.mark.parametrize("mode", ["L", "RGBA", "CMYK", "P"])
def test_any_kind_of_image_becomes_rgb(mode):
    out = io.BytesIO()
    Image.new("RGB", (30, 20), "red").convert(mode).save(out, "TIFF")
    image = Subject.from_images("mira", [out.getvalue()]).images()[0]
    assert (image.mode, image.size) == ("RGB", (30, 20))


def test_a_photograph_is_turned_as_exif_says():
    image = Image.new("RGB", (30, 20), "red")
    exif = image.getexif()
    exif[0x0112] = 6
    out = io.BytesIO()
    image.save(out, "JPEG", exif=exif)
    assert Subject.from_images("mira", [out.getvalue()]).images()[0].size == (20, 30)


def test_a_mask_goes_with_its_reference_and_an_empty_one_is_refused(references, tmp_path):
    def mask(colour: str, size: tuple[int, int] = (96, 96)) -> bytes:
        out = io.BytesIO()
        Image.new("L", size, colour).save(out, "PNG")
        return out.getvalue()

    subject = Subject.from_images("mira", references[:2], masks=[None, mask("white")])
    again = pack.load(pack.put(tmp_path, subject))
    assert (again.references[0].mask, again.references[1].mask) == (None, "mask_2.png")
    (tmp_path / "mira" / "mask_2.png").write_bytes(mask("grey"))
    with pytest.raises(PackError, match=r"mask_2\.png: does not match"):
        pack.load(tmp_path / "mira")
    for bad, words in ((mask("black"), "an empty mask"), (mask("white", (9, 90)), "give at least 16 px")):
        with pytest.raises(SubjectError, match=words):
            Subject.from_images("mira", references[:1], masks=[bad])
    with pytest.raises(SubjectError, match="48 x 48 px, its image is 96 x 96"):
        Subject.from_images("mira", references[:1], masks=[mask("white", (48, 48))])
    with pytest.raises(SubjectError, match="2 masks for 1"):
        Subject.from_images("mira", references[:1], masks=[mask("white")] * 2)


def saved(image: Image.Image, **more) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG", **more)
    return out.getvalue()


def test_a_masks_transparency_counts_only_where_there_is_some():
    inside = Image.new("L", (40, 40), 0)
    inside.paste(255, (10, 10, 20, 20))
    opaque = Image.merge("LA", [inside, Image.new("L", (40, 40), 255)])
    palette = Image.new("P", (40, 40), 0)
    palette.putpalette([0, 0, 0, 30, 20, 10])
    palette.paste(1, (10, 10, 20, 20))
    for mask in (inside, opaque, palette):
        found = open_mask(saved(mask, transparency=0) if mask is palette else saved(mask))
        assert (np.asarray(found) > 127).sum() == 100, mask.mode


def test_a_pack_whose_files_are_no_images_is_refused_though_its_digests_match(references, tmp_path):
    subject = Subject.from_images("mira", references[:1])
    text = b"not an image"
    card = subject.references[0].model_copy(update={"sha256": sha256(text)})
    bad = subject.model_copy(update={"references": (card,)}).holding({card.name: text})
    pack.put(tmp_path, bad)
    with pytest.raises(PackError, match="not a readable image"):
        pack.load(tmp_path / "mira")
    with pytest.raises(ValueError, match="at most 6"):
        Subject.model_validate(subject.model_dump() | {"references": [card.model_dump()] * 7})


def test_a_header_whose_length_begins_like_a_pickle_is_read():
    for start in (b"\x80\x02", b"PK"):
        length = int.from_bytes(start, "little")
        data = length.to_bytes(8, "little") + b"{}".ljust(length)
        assert safetensors_header(data, "a file") == {}
    with pytest.raises(PackError, match="a pickle"):
        safetensors_header(b"\x80\x02}q\x00X\x04\x00\x00\x00", "a file")


@pytest.mark.parametrize(("size", "words"), [((8, 300), "8 x 300 px"), ((9500, 9000), "80 megapixels")])
def test_tiny_and_huge_references_are_refused(size, words):
    out = io.BytesIO()
    Image.new("1", size).save(out, "PNG")
    with pytest.raises(SubjectError, match=words):
        Subject.from_images("mira", [out.getvalue()])


def test_ten_references_are_too_many(references):
    with pytest.raises(SubjectError, match="10 reference images; give 1 to 6"):
        Subject.from_images("mira", [references[0]] * 10)


def test_a_grey_image_of_16_bits_keeps_its_tones():
    out = io.BytesIO()
    Image.new("I;16", (30, 20), 128 * 256).save(out, "PNG")
    image = Subject.from_images("mira", [out.getvalue()]).images()[0]
    assert image.getpixel((5, 5)) == (128, 128, 128)


def test_packs_need_no_torch():
    heavy = {"torch", "diffusers", "numpy"}
    code = f"import sys, castmark_adapters.pack; print(sorted({heavy} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
