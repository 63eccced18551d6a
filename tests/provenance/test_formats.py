"""TIFF, AVIF and transparency: what is particular to them, beyond what every format has to stand."""

from __future__ import annotations

import hashlib
import io

import pytest
from PIL import Image
from provenance_samples import claim_for, encode, picture, signed

from castmark_provenance.containers import bmff, locate
from castmark_provenance.errors import PixelMismatch, SignError
from castmark_provenance.keys import PemKey
from castmark_provenance.report import Report, State
from castmark_provenance.sign import sign
from castmark_provenance.verify import verify


def problem(data: bytes, key: PemKey, check: str = "layout") -> str:
    report = verify(data, trust=key.anchors)
    assert report.state is State.INVALID, report.verdict
    found = report.check(check)
    return found.detail if found and found.outcome == "failed" else ""


def opened(data: bytes, kind: str) -> bytes:
    """Another reader's pixels of a signed file."""
    return Image.open(io.BytesIO(data), formats=(kind,)).convert("RGB").tobytes()


@pytest.mark.parametrize("options", [{}, {"compression": "tiff_lzw"}, {"compression": "tiff_adobe_deflate"}])
def test_a_tiff_holds_the_very_pixels(options: dict[str, str], key: PemKey) -> None:
    data = signed(key, kind="TIFF", **options)
    report = verify(data, trust=key.anchors, require=["pixels"])
    assert report.state is State.TRUSTED
    assert opened(data, "TIFF") == picture().tobytes()


def test_a_tiff_with_loss_is_refused(key: PemKey) -> None:
    with pytest.raises(PixelMismatch, match="not those its safety check saw"):
        signed(key, kind="TIFF", compression="jpeg", quality=90)


def test_a_tiff_of_two_pages_is_refused(key: PemKey) -> None:
    image = picture()
    data = encode(image, "TIFF", save_all=True, append_images=[picture(1)])
    with pytest.raises(SignError, match="more than one picture"):
        sign(data, "image/tiff", claim_for(image), key)


def test_the_count_of_a_tiffs_manifest(key: PemKey) -> None:
    """No hash covers it: a smaller count would cut the store, a larger one would take in other bytes."""
    data = signed(key, kind="TIFF")
    (located,) = locate(data, "image/tiff")
    (count_at, _), _ = located.exclusions
    assert int.from_bytes(data[count_at : count_at + 4], "little") == located.length
    for count in (located.length - 1, located.length + 1, 0, 2**31):
        changed = data[:count_at] + count.to_bytes(4, "little") + data[count_at + 4 :]
        assert verify(changed, trust=key.anchors).state is State.INVALID, count


def test_a_tiff_whose_directories_go_in_a_circle() -> None:
    data = bytearray(encode(picture(), "TIFF"))
    first = int.from_bytes(data[4:8], "little")
    after = first + 2 + 12 * int.from_bytes(data[first : first + 2], "little")
    data[after : after + 4] = data[4:8]
    assert verify(bytes(data)).state in (State.ABSENT, State.UNREADABLE)


def avif_box(kind: bytes, body: bytes) -> bytes:
    return (8 + len(body)).to_bytes(4, "big") + kind + body


@pytest.mark.parametrize("kind", [b"free", b"skip", b"mfra"])
def test_boxes_that_no_hash_of_an_avif_covers(kind: bytes, key: PemKey) -> None:
    data = signed(key, kind="AVIF")
    assert "no hash covers" in problem(data + avif_box(kind, b"hidden"), key)


def test_the_file_type_box_of_an_avif_is_signed(key: PemKey) -> None:
    data = signed(key, kind="AVIF")
    box = bmff.header(data)
    other = box.replace(b"MA1A", b"MA1B") if b"MA1A" in box else box.replace(b"MA1B", b"MA1A")
    assert other != box
    assert "not the one that was signed" in problem(data.replace(box, other), key)
    assert "brand" in problem(data.replace(box, box.replace(b"miaf", b"moof")), key)


def test_a_second_manifest_box_in_an_avif(key: PemKey) -> None:
    data = signed(key, kind="AVIF")
    (located,) = locate(data, "image/avif")
    twice = data + data[located.start : located.start + located.length]
    assert "more than one manifest store" in verify(twice, trust=key.anchors).verdict


def test_an_avif_checked_as_it_decodes_has_the_very_pixels(key: PemKey) -> None:
    """Whoever checks what the encoded file shows gets a digest that holds for the final bytes."""
    data = encode(picture(), "AVIF")
    shown = Image.open(io.BytesIO(data)).convert("RGB")
    report = verify(sign(data, "image/avif", claim_for(shown), key), trust=key.anchors, require=["pixels"])
    assert report.state is State.TRUSTED
    assert report.claim.safety.pixel_sha256 == hashlib.sha256(b"48x32x3:" + shown.tobytes()).hexdigest()


def cut_out(hidden: tuple[int, int, int] = (255, 255, 255)) -> tuple[Image.Image, Image.Image]:
    """A transparent picture, and how it looks on white."""
    image = picture().convert("RGBA")
    image.paste((*hidden, 0), (0, 0, 20, 20))
    image.paste((10, 20, 30, 90), (20, 20, 30, 30))
    white = Image.new("RGBA", image.size, (255, 255, 255, 255))
    return image, Image.alpha_composite(white, image).convert("RGB")


@pytest.mark.parametrize(
    ("kind", "options"), [("PNG", {}), ("TIFF", {}), ("WEBP", {"lossless": True, "exact": True})]
)
def test_a_transparent_picture_is_judged_on_white(kind: str, options: dict[str, bool], key: PemKey) -> None:
    image, on_white = cut_out()
    media_type = f"image/{kind.lower()}"
    data = sign(encode(image, kind, **options), media_type, claim_for(on_white), key)
    report: Report = verify(data, trust=key.anchors, require=["pixels"])
    assert report.state is State.TRUSTED
    with pytest.raises(PixelMismatch):
        sign(encode(image, kind, **options), media_type, claim_for(image.convert("RGB")), key)


def test_nothing_hides_where_a_picture_is_transparent(key: PemKey) -> None:
    image, on_white = cut_out(hidden=(255, 0, 0))
    with pytest.raises(SignError, match="hidden where it is wholly transparent"):
        sign(encode(image), "image/png", claim_for(on_white), key)
