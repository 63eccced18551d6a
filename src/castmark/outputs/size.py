"""Sizes beyond the base's own: drawn at its nearest own size, cropped to the aspect, scaled with Lanczos.

No detail is invented: a Lanczos filter (windowed sinc, a = 3) and an unsharp mask, as any image editor has
them. The signed record names the recipe, so that nobody takes the size for the model's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np
from PIL import Image, ImageFilter
from scipy import ndimage

from castmark.errors import BaseError
from castmark.shot import Box, ResolvedShot, Shot

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from castmark.bases.base import Base

MAX_FACTOR = 8
"""Times the base's own size: beyond, a picture is all blur."""
SHARPEN_PERCENT = 60
SEEN = 32
"""Alpha, of 255, from which a pixel's own colour is to be trusted."""
RECIPE = "lanczos3 + unsharp 60%"


def resolve(base: Base, shot: Shot) -> tuple[ResolvedShot, tuple[int, int]]:
    """What the base draws, and the width and height in pixels of the picture that is made of it.

    Raises:
        BaseError: a size or step count out of reach.
    """
    native = base.default_size
    width, height = shot.width or native[0], shot.height or native[1]
    if shot.aspect is not None and None in (shot.width, shot.height):
        across, down = shot.aspect
        if shot.width is None and shot.height is None:
            longer = max(native)
            width = longer if across >= down else round(longer * across / down)
            height = longer if down >= across else round(longer * down / across)
        elif shot.width is not None:
            height = round(shot.width * down / across)
        else:
            width = round(height * across / down)
    width, height = max(1, width), max(1, height)
    try:
        return base.resolve(shot.model_copy(update={"width": width, "height": height})), (width, height)
    except BaseError:
        across, down = base.native_size(width, height)
        resolved = base.resolve(shot.model_copy(update={"width": across, "height": down}))
    if max(width / resolved.width, height / resolved.height) > MAX_FACTOR:
        raise BaseError(
            f"{width}x{height} px is more than {MAX_FACTOR} times what {base.name} draws "
            f"({resolved.width}x{resolved.height}); ask for less, or use a base that draws larger"
        )
    return resolved, (width, height)


def cover(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The image scaled to fill ``size``; what does not fit its aspect is cropped evenly on both sides."""
    width, height = size
    scale = max(width / image.width, height / image.height)
    across, down = width / scale, height / scale
    left, top = (image.width - across) / 2, (image.height - down) / 2
    return scaled(image, size, (left, top, left + across, top + down), scale)


def contain(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """A cut-out scaled to lie inside ``size``, on a transparent canvas: nothing of it is cropped."""
    scale = min(size[0] / image.width, size[1] / image.height)
    inner = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    small = scaled(image, inner, (0, 0, image.width, image.height), scale)
    canvas = Image.new("RGBA", size, (255, 255, 255, 0))
    canvas.paste(small, ((size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2))
    return canvas


def placed(box: Box, drawn: tuple[int, int], wanted: tuple[int, int], *, whole: bool) -> Box:
    """Where a box of a drawing lies in the picture of ``wanted`` size that `cover` makes of it, or with
    ``whole`` `contain`: both in shares of the sides. What was cropped away is cut off, to nothing if it is
    all of it.
    """
    ratios = [across / own for across, own in zip(wanted, drawn, strict=True)]
    scale = min(ratios) if whole else max(ratios)

    def along(share: float, own: int, across: int) -> float:
        return min(1.0, max(0.0, (share * own * scale + (across - own * scale) / 2) / across))

    left, top, right, bottom = box
    columns, rows = zip(drawn, wanted, strict=True)
    return along(left, *columns), along(top, *rows), along(right, *columns), along(bottom, *rows)


def scaled(
    image: Image.Image, size: tuple[int, int], box: tuple[float, float, float, float], scale: float
) -> Image.Image:
    """``box`` of the image at ``size``: Lanczos, and sharpened where it was enlarged. A cut-out's colour is
    scaled as it would go on beyond the edge, which would else be sharpened against what is not there.
    """
    if image.mode == "RGBA":
        opaque = scaled(_spread(image), size, box, scale)
        opaque.putalpha(image.getchannel("A").resize(size, Image.Resampling.LANCZOS, box=box))
        return opaque
    found = image.resize(size, Image.Resampling.LANCZOS, box=box)
    if scale <= 1:
        return found
    return found.filter(ImageFilter.UnsharpMask(radius=0.6 * scale, percent=SHARPEN_PERCENT, threshold=2))


def _spread(image: Image.Image) -> Image.Image:
    """The RGB of a cut-out, where it is hardly seen that of the nearest pixel that is."""
    pixels = np.array(image)
    hardly = pixels[..., 3] < SEEN
    if hardly.all():
        return image.convert("RGB")
    found = ndimage.distance_transform_edt(hardly, return_distances=False, return_indices=True)
    rows, columns = cast("NDArray[np.int32]", found)
    return Image.fromarray(np.ascontiguousarray(pixels[..., :3][rows, columns]))
