"""What all products share: size, surface, label."""

from __future__ import annotations

import skia

from castmark_world.brush import contrast, from_hue, hue_shift
from castmark_world.emblems import emblem
from castmark_world.params import ProductSpec
from castmark_world.patterns import patterned
from castmark_world.products.materials import finish
from castmark_world.vocabulary import COLORS, RGB


class Look:
    """A product's colours and measures; draws its surface and its label."""

    def __init__(self, spec: ProductSpec) -> None:
        self.spec = spec
        self.color = hue_shift(COLORS[spec.color], spec.hue)
        self.accent = hue_shift(COLORS[spec.accent_color], spec.accent_hue)

    def size(self, width: float, height: float) -> tuple[float, float]:
        """The usual width and height, as this product has them."""
        return width * (1 + 0.16 * self.spec.width), height * (1 + 0.16 * self.spec.tallness)

    def round(self, radius: float) -> float:
        """The usual radius of a corner, as this product has it."""
        return radius * (1 + 0.5 * self.spec.corner)

    def skin(self, canvas: skia.Canvas, path: skia.Path, color: RGB | None = None) -> None:
        """Fill with pattern and material."""
        own = self.color if color is None else color
        patterned(canvas, path, own, contrast(own), self.spec.pattern, self.spec.pattern_scale)
        finish(canvas, path, self.spec.material)

    def coat(self, canvas: skia.Canvas, path: skia.Path, color: RGB) -> None:
        """Fill with one colour and the material."""
        patterned(canvas, path, color, color, "plain", 0.0)
        finish(canvas, path, self.spec.material)

    def badge(self, canvas: skia.Canvas, x: float, y: float, radius: float = 13.0) -> None:
        """The label with the emblem."""
        spec = self.spec
        own = radius * (1 + 0.2 * spec.emblem_size)
        if not spec.label_tilt:
            emblem(canvas, spec.emblem, x, y, own, from_hue(spec.emblem_hue), spec.label)
            return
        canvas.save()
        canvas.translate(x, y)
        canvas.rotate(12 * spec.label_tilt)
        emblem(canvas, spec.emblem, 0, 0, own, from_hue(spec.emblem_hue), spec.label)
        canvas.restore()
