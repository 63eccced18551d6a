"""Pixels of an image file, and whether they are the ones a check was given.

Lossless files (PNG, lossless WebP): the digest of the decoded pixels equals the safety record's, exactly.
Lossy files (JPEG, lossy WebP) never decode to the pixels that were checked. For them the rule holds before
encoding: whoever signs shows the pixels themselves, their digest equals the record's, and the decoded file
lies within `MAX_RMS` of them. From then on the data hash holds the file, and a verifier reports the digest as
not checked.
"""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass

from PIL import Image, ImageChops, ImageStat

from castmark_provenance.claim import pixel_digest
from castmark_provenance.containers import webp_is_lossy

MAX_PIXELS = 64 * 1024 * 1024
BLOCK = 16
MAX_RMS = 16.0
"""Root mean square difference, of 255, between checked and decoded pixels."""
MAX_BLOCK = 20
"""Largest difference, of 255, between means over blocks of 16 x 16 pixels, so that no small part may differ.

Measured on 12 rendered scenes at 256 px: JPEG quality 75 gives at most 8.2 (rms) and 8 (block), quality 50
10.4 and 10, WebP quality 50 8.3 and 17; the same subject in another scene at least 43 and 131."""

FORMATS = {"image/png": "PNG", "image/jpeg": "JPEG", "image/webp": "WEBP"}
OTHER_FORMATS = ("AVIF", "BMP", "GIF", "JPEG2000", "TIFF")
_DAMAGE = (
    OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, OverflowError, MemoryError,
    struct.error, zlib.error, Image.DecompressionBombError, Image.DecompressionBombWarning,
)  # fmt: skip
"""What Pillow's decoders raise on damaged files."""


@dataclass(frozen=True)
class Pixels:
    """Decoded 8-bit RGB pixels, row-major "h w 3"."""

    width: int
    height: int
    rgb: bytes

    @property
    def digest(self) -> str:
        """The digest that a safety record binds."""
        return pixel_digest(self.width, self.height, self.rgb)


def decode(data: bytes, media_type: str) -> Pixels:
    """The pixels of a PNG, JPEG or WebP file.

    Raises:
        ValueError: damaged, too large, or not one plain 8-bit RGB picture (transparency, several frames).
    """
    try:
        with Image.open(io.BytesIO(data), formats=(FORMATS[media_type],)) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ValueError(f"{image.width}x{image.height} is more than {MAX_PIXELS} pixels")
            if image.mode != "RGB" or "transparency" in image.info or getattr(image, "n_frames", 1) != 1:
                raise ValueError(f"not one plain 8-bit RGB picture (mode {image.mode})")
            return Pixels(image.width, image.height, image.tobytes())
    except _DAMAGE as error:
        raise ValueError(str(error) or type(error).__name__) from error


def identify(data: bytes, media_type: str | None) -> str:
    """Name of the format of a file that decodes as an image.

    Raises:
        ValueError: it does not.
    """
    formats = (FORMATS[media_type],) if media_type else OTHER_FORMATS
    try:
        with Image.open(io.BytesIO(data), formats=formats) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ValueError(f"{image.width}x{image.height} is more than {MAX_PIXELS} pixels")
            image.load()
            return image.format or "?"
    except _DAMAGE as error:
        raise ValueError(str(error) or type(error).__name__) from error


def is_lossy(data: bytes, media_type: str) -> bool:
    """Whether the file's coding cannot hold given pixels exactly."""
    return media_type == "image/jpeg" or (media_type == "image/webp" and webp_is_lossy(data))


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
