"""OpenRaster (.ora): a zip of PNG layers that GIMP, Krita and MyPaint open (openraster.org, baseline).

The signed image lies inside, byte for byte, as ``mergedimage.png``: unpacked, it verifies. The layers are
what it was put together from; its manifest names the sha256 of each layer's file (`layer_digests`), so that
its signature holds for them too. The archive's comment says so.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import quoteattr

from PIL import Image

COMMENT = b"mergedimage.png is signed (C2PA); its manifest names the sha256 of data/layer*.png"
THUMBNAIL = 256
_EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Layer:
    """One layer, of the size of the whole picture."""

    name: str
    image: Image.Image


def layer_files(layers: Sequence[Layer]) -> dict[str, bytes]:
    """The layers as the archive holds them: path to PNG, topmost first."""
    return {f"data/layer{index}.png": _png(layer.image) for index, layer in enumerate(layers)}


def layer_digests(files: Mapping[str, bytes]) -> dict[str, str]:
    """What the merged image's manifest says of the layers: "sha256 of PATH" to its value."""
    return {f"sha256 of {path}": hashlib.sha256(data).hexdigest() for path, data in files.items()}


def openraster(merged: bytes, layers: Sequence[Layer], files: Mapping[str, bytes]) -> bytes:
    """The archive of a signed PNG, its layers, topmost first, and their files (`layer_files`)."""
    with Image.open(io.BytesIO(merged)) as image:
        width, height = image.size
        small = image.convert("RGBA")
    small.thumbnail((THUMBNAIL, THUMBNAIL))
    stack = "".join(
        f'    <layer name={quoteattr(layer.name)} src={quoteattr(path)} x="0" y="0" '
        'opacity="1.0" visibility="visible" composite-op="svg:src-over"/>\n'
        for layer, path in zip(layers, files, strict=True)
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
        for path, data in files.items():
            _add(archive, path, data)
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
