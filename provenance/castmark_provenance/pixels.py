"""Pixels of an image file, and whether they are the ones a check was given.

Lossless files (PNG, TIFF, lossless WebP): the digest of the decoded pixels is exactly the safety record's.
Lossy files (JPEG, AVIF, lossy WebP) have two ways to be signed:

1. The check was given the pixels that the encoded file decodes to: their digest is the record's, as above.
   A verifier with another decoder may still see other pixels, and then reports the digest as not checked.
2. The check was given the pixels before encoding. Whoever signs shows them, their digest equals the record's,
   and the decoded file lies within `MAX_RMS` and `MAX_BLOCK` of them. From then on the manifest's hash holds
   the file, and a verifier reports the digest as not checked.

A transparent picture is checked as it looks on white, and may hide no other colour where it is wholly
transparent.
"""

from __future__ import annotations

import io
import threading
import warnings
from collections.abc import Generator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property

from PIL import Image, ImageChops, ImageStat, TiffImagePlugin

from castmark_provenance.claim import pixel_digest
from castmark_provenance.containers import png
from castmark_provenance.containers.exif import UPRIGHT, orientation
from castmark_provenance.containers.riff import webp_is_lossy

MAX_PIXELS = 64 * 1024 * 1024
BLOCK = 16
MAX_RMS = 16.0
"""Root mean square difference, of 255, between checked and decoded pixels."""
MAX_BLOCK = 20
"""Largest difference, of 255, between means over blocks of 16 x 16 pixels, so that no small part may differ.

Measured on 12 rendered scenes at 256 px: JPEG quality 75 gives at most 8.2 (rms) and 8 (block), quality 50
10.4 and 10, WebP quality 50 8.3 and 17; the same subject in another scene at least 43 and 131."""

FORMATS = {
    "image/png": "PNG",
    "image/jpeg": "JPEG",
    "image/webp": "WEBP",
    "image/tiff": "TIFF",
    "image/avif": "AVIF",
}
OTHER_FORMATS = ("AVIF", "BMP", "GIF", "JPEG2000", "TIFF")
WHITE = (255, 255, 255)
BITS_PER_SAMPLE = 258
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_FILTERS = threading.Lock()


@dataclass(frozen=True)
class Pixels:
    """Decoded 8-bit RGB pixels, row-major "h w 3"."""

    width: int
    height: int
    rgb: bytes

    @cached_property
    def digest(self) -> str:
        """The digest that a safety record binds."""
        return pixel_digest(self.width, self.height, self.rgb)


def decode(data: bytes, media_type: str) -> Pixels:
    """The pixels of an image file; of a transparent one, as it looks on white.

    Raises:
        ValueError: damaged, too large, not one plain upright 8-bit RGB or RGBA picture, or colours are hidden
            where it is wholly transparent.
    """
    if media_type == "image/png":
        png.require_plain(data)
    with opened(data, (FORMATS[media_type],)) as image:
        if image.mode not in ("RGB", "RGBA") or "transparency" in image.info:
            raise ValueError(f"not one plain 8-bit RGB picture (mode {image.mode})")
        if getattr(image, "n_frames", 1) != 1:
            raise ValueError("more than one picture in the file")
        if isinstance(image, TiffImagePlugin.TiffImageFile) and {*image.tag_v2[BITS_PER_SAMPLE]} != {8}:
            raise ValueError("not 8 bits a sample")
        turned = orientation(data if media_type == "image/tiff" else image.info.get("exif", b""))
        if turned != UPRIGHT:
            raise ValueError(f"viewers that read its orientation ({turned}) turn it, and others do not")
        return Pixels(
            image.width, image.height, (image if image.mode == "RGB" else _on_white(image)).tobytes()
        )


@contextmanager
def opened(data: bytes, formats: tuple[str, ...]) -> Generator[Image.Image]:
    """The picture, read by the decoders of ``formats`` alone and not too large.

    Raises:
        ValueError: whatever is wrong with it, found at once or by what is done with it inside the ``with``.
    """
    try:
        quiet = _quiet() if "TIFF" in formats else nullcontext()
        with quiet, Image.open(io.BytesIO(data), formats=formats) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ValueError(f"{image.width}x{image.height} is more than {MAX_PIXELS} pixels")
            image.load()
            yield image
    except Exception as error:  # decoders raise anything on damaged files, some of it late
        raise ValueError(str(error) or type(error).__name__) from error


def upright(image: Image.Image) -> Image.Image:
    """The picture as viewers turn it by its Exif data; a TIFF, Pillow has turned already."""
    try:
        turn = _TURNS.get(orientation(image.info.get("exif", b"")))
    except ValueError:  # viewers leave it as it is stored
        turn = None
    return image if turn is None else image.transpose(turn)


@contextmanager
def _quiet() -> Generator[None]:
    """Without warnings: a damaged TIFF makes Pillow talk. Filters belong to the process, hence the lock."""
    with _FILTERS, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _on_white(image: Image.Image) -> Image.Image:
    solid = image.getchannel("A").point([0, *[255] * 255])
    hidden = Image.composite(Image.new("RGB", image.size, WHITE), image.convert("RGB"), solid)
    if hidden.getextrema() != ((255, 255),) * 3:
        raise ValueError("colours other than white are hidden where it is wholly transparent")
    return Image.alpha_composite(Image.new("RGBA", image.size, (*WHITE, 255)), image).convert("RGB")


def identify(data: bytes, media_type: str | None) -> str:
    """Name of the format of a file that decodes as an image.

    Raises:
        ValueError: it does not.
    """
    formats = (FORMATS[media_type],) if media_type else OTHER_FORMATS
    with opened(data, formats) as image:
        return image.format or "?"


def is_lossy(data: bytes, media_type: str) -> bool:
    """Whether the file's coding cannot hold given pixels exactly."""
    return media_type in ("image/jpeg", "image/avif") or (media_type == "image/webp" and webp_is_lossy(data))


def difference(first: Pixels, second: Pixels) -> tuple[float, float]:
    """Root mean square difference, and largest difference of a 16 x 16 block's mean, both of 255.

    Infinite for different sizes.
    """
    size = (first.width, first.height)
    if size != (second.width, second.height):
        return float("inf"), float("inf")
    one, two = Image.frombytes("RGB", size, first.rgb), Image.frombytes("RGB", size, second.rgb)
    squares = ImageStat.Stat(ImageChops.difference(one, two)).rms
    blocks = ImageStat.Stat(ImageChops.difference(one.reduce(BLOCK), two.reduce(BLOCK))).extrema
    return (sum(rms * rms for rms in squares) / len(squares)) ** 0.5, max(high for _, high in blocks)
