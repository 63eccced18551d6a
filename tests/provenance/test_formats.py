"""TIFF, AVIF and transparency: what is particular to them, beyond what every format has to stand."""

from __future__ import annotations

import hashlib
import io
import struct
import zlib
from collections.abc import Callable

import pytest
from PIL import Image
from provenance_samples import MEDIA, chunks, claim_for, encode, join, picture, signed

from castmark_provenance.containers import bmff, locate, sniff
from castmark_provenance.errors import PixelMismatch, SignError
from castmark_provenance.keys import PemKey
from castmark_provenance.manifest import to_manifest
from castmark_provenance.report import Report, State
from castmark_provenance.sign import _sign, sign  # pyright: ignore[reportPrivateUsage]
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


def app11(instance: bytes, box: bytes) -> bytes:
    body = b"JP" + instance + b"\0\0\0\x01" + box
    return b"\xff\xeb" + (len(body) + 2).to_bytes(2, "big") + body


def test_a_jpeg_with_a_box_of_another_standard(key: PemKey) -> None:
    """JPEG 360 (ISO/IEC 19566-6) uses JUMBF boxes as well, and they are no manifests."""
    description = bytes.fromhex("785f6a706567333630ba2446bb2ac1b8") + b"\x03JPEG360\0"
    box = avif_box(b"jumb", avif_box(b"jumd", description) + avif_box(b"xml ", b"<x/>"))
    image = picture()
    plain = encode(image, "JPEG")
    other = plain[:2] + app11(b"\0\x01", box) + plain[2:]
    assert verify(other, trust=key.anchors).state is State.ABSENT
    data = sign(other, "image/jpeg", claim_for(image), key, pixels=image.tobytes())
    assert verify(data, trust=key.anchors).state is State.TRUSTED
    assert verify(data.replace(b"<x/>", b"<y/>"), trust=key.anchors).state is State.INVALID
    ours = plain[:2] + app11(b"\x02\x11", box) + plain[2:]
    with pytest.raises(SignError):
        sign(ours, "image/jpeg", claim_for(image), key, pixels=image.tobytes())


Chunk = tuple[bytes, bytes]
SCREEN = [(b"gAMA", (45_455).to_bytes(4, "big")), (b"sRGB", b"\0")]


def turned(way: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = way
    return exif


def with_chunks(*added: Chunk) -> bytes:
    first, *rest = chunks(encode(picture()))
    return join([first, *added, *rest])


def animated() -> bytes:
    """Two animation headers, over which readers fall out: Pillow sees a still, others two pictures."""
    head, still, end = chunks(encode(picture()))
    _, other, _ = chunks(encode(picture(1)))
    control = (b"acTL", struct.pack(">II", 1, 0))
    frame = (b"fcTL", struct.pack(">IIIIIHHBB", 0, 48, 32, 0, 0, 1, 1, 0, 0))
    return join([head, control, control, still, frame, (b"fdAT", b"\0\0\0\x01" + other[1]), end])


def of_16_bits(kind: str) -> bytes:
    """A second picture in the low bytes of the first, which Pillow drops."""
    width, height = picture().size
    pairs = zip(picture().tobytes(), picture(1).tobytes(), strict=True)
    if kind == "PNG":
        rows = b"".join(bytes(pair) for pair in pairs)
        size = len(rows) // height
        lines = b"".join(b"\0" + rows[at : at + size] for at in range(0, len(rows), size))
        header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
        return join([(b"IHDR", header), (b"IDAT", zlib.compress(lines)), (b"IEND", b"")])
    data = b"".join(bytes((low, high)) for high, low in pairs)
    at = 8 + 2 + 12 * 9 + 4
    tags = [(256, 3, 1, width), (257, 3, 1, height), (258, 3, 3, at), (259, 3, 1, 1), (262, 3, 1, 2)]
    tags += [(273, 4, 1, at + 6), (277, 3, 1, 3), (278, 3, 1, height), (279, 4, 1, len(data))]
    entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    return b"II*\0\x08\0\0\0\x09\0" + entries + bytes(4) + b"\x10\0" * 3 + data


OTHER_LOOKS: dict[str, tuple[str, Callable[[], bytes], str]] = {
    "PNG of 16 bits": ("PNG", lambda: of_16_bits("PNG"), "16 bits a sample"),
    "TIFF of 16 bits": ("TIFF", lambda: of_16_bits("TIFF"), "not 8 bits a sample"),
    "animated PNG": ("PNG", animated, "animation"),
    "PNG with a gamma": ("PNG", lambda: with_chunks((b"gAMA", (2_000).to_bytes(4, "big"))), "gamma"),
    "turned PNG": ("PNG", lambda: encode(picture(), exif=turned(6)), "orientation"),
    "PNG turned and not": (
        "PNG",
        lambda: with_chunks(*((b"eXIf", turned(way).tobytes()[6:]) for way in (6, 1))),
        "orientation",
    ),
    "turned TIFF": ("TIFF", lambda: encode(picture(), "TIFF", exif=turned(2)), "orientation"),
    "turned JPEG": ("JPEG", lambda: encode(picture(), "JPEG", exif=turned(3)), "orientation"),
    "turned WebP": ("WEBP", lambda: encode(picture(), "WEBP", lossless=True, exif=turned(3)), "orientation"),
    "turned AVIF": ("AVIF", lambda: encode(picture(), "AVIF", exif=turned(3)), "orientation"),
    "damaged Exif data": ("JPEG", lambda: encode(picture(), "JPEG", exif=b"Exif\0\0MM"), "Exif data"),
}


@pytest.mark.filterwarnings("ignore")  # Pillow's, of what it cannot read
@pytest.mark.parametrize("name", OTHER_LOOKS)
def test_a_file_that_shows_other_pixels_elsewhere_has_not_the_checked_ones(name: str, key: PemKey) -> None:
    """What a decoder makes of it is the checked picture; what a viewer makes of it may be another."""
    kind, make, words = OTHER_LOOKS[name]
    data, image = make(), Image.open(io.BytesIO(make())).convert("RGB")
    claim = claim_for(image)
    with pytest.raises(SignError, match=words):
        sign(data, MEDIA[kind], claim, key, pixels=image.tobytes())
    elsewhere = _sign(data, MEDIA[kind], to_manifest(claim), key, room=False)
    assert words in problem(elsewhere, key, "pixels")


@pytest.mark.parametrize(
    "make",
    [lambda: with_chunks(*SCREEN), *(lambda k=k: encode(picture(), k, exif=turned(1)) for k in MEDIA)],
    ids=["gamma of a screen", *MEDIA],
)
def test_usual_words_about_a_picture_change_nothing(make: Callable[[], bytes], key: PemKey) -> None:
    data, image = make(), picture()
    signed_file = sign(data, sniff(data) or "", claim_for(image), key, pixels=image.tobytes())
    assert verify(signed_file, trust=key.anchors).state is State.TRUSTED


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
