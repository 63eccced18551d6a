"""OpenRaster (.ora): a zip of PNG layers that GIMP, Krita and MyPaint open (openraster.org, baseline).

The signed image lies inside, byte for byte, as ``mergedimage.png``: unpacked, it verifies. The layers are
what it was put together from and carry no signature of their own; the archive's comment says so.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import quoteattr

from PIL import Image

COMMENT = b"mergedimage.png is signed (C2PA); the layers are not"
THUMBNAIL = 256
_EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Layer:
    """One layer, of the size of the whole picture."""

    name: str
    image: Image.Image


def openraster(merged: bytes, layers: Sequence[Layer]) -> bytes:
    """The archive of a signed PNG and its layers, topmost first."""
    with Image.open(io.BytesIO(merged)) as image:
        width, height = image.size
        small = image.convert("RGBA")
    small.thumbnail((THUMBNAIL, THUMBNAIL))
    stack = "".join(
        f'    <layer name={quoteattr(layer.name)} src={quoteattr(f"data/layer{i}.png")} x="0" y="0" '
        'opacity="1.0" visibility="visible" composite-op="svg:src-over"/>\n'
        for i, layer in enumerate(layers)
    )
    xml = (
        "<?xml version='1.0' encoding='UTF-8'?>\n"
        f'<image version="0.0.3" w="{width}" h="{height}">\n  <stack>\n{stack}  </stack>\n</image>\n'
    )
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        archive.comment = COMMENT
        # First and stored, so that a file's kind can be told from its first bytes.
        _add(archive, "mimetype", b"image/openraster")
        _add(archive, "stack.xml", xml.encode())
        for i, layer in enumerate(layers):
            _add(archive, f"data/layer{i}.png", _png(layer.image))
        _add(archive, "mergedimage.png", merged)
        _add(archive, "Thumbnails/thumbnail.png", _png(small))
    return buffer.getvalue()


def _add(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    """An entry with a fixed date: the same picture makes the same archive."""
    archive.writestr(zipfile.ZipInfo(name, _EPOCH), data)


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
