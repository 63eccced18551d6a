"""Drawing styles: a canvas that draws every shape in its own manner.

The drawings know nothing of styles; they fill and stroke shapes, and the canvas decides how that looks.
"""

from __future__ import annotations

import colorsys
from functools import cache

import numpy as np
import skia
from numpy.typing import NDArray

from castmark_world.brush import fill, mix, shade, stroke
from castmark_world.vocabulary import RGB

SMALL = 9.0
"""Shapes narrower than this get no outline of their own."""
LIMB = 8.0
"""Strokes as wide as this are limbs and poles, not lines."""
INK: RGB = (38, 32, 48)
NIGHT: RGB = (18, 10, 52)


class StyledCanvas(skia.Canvas):  # pyright: ignore[reportUntypedBaseClass]
    """A canvas of one style over an array of pixels "h w 4" (premultiplied RGBA)."""

    def __init__(self, pixels: NDArray[np.uint8], style: str) -> None:
        super().__init__(pixels, skia.kRGBA_8888_ColorType, skia.kPremul_AlphaType)
        self._manner = {"outlined": self._outlined, "soft-shaded": self._shaded, "neon": self._neon}[style]
        self.ink = 1.0
        """Width of outlines."""

    def drawPath(self, path: skia.Path, paint: skia.Paint) -> None:  # noqa: N802
        """Draw the path in the canvas's style."""
        self._manner(path, paint)

    def drawCircle(self, x: float, y: float, radius: float, paint: skia.Paint) -> None:  # noqa: N802
        """Draw the circle in the canvas's style."""
        path = skia.Path()
        path.addCircle(x, y, radius)
        self._manner(path, paint)

    def drawRect(self, rect: skia.Rect, paint: skia.Paint) -> None:  # noqa: N802
        """Draw the rectangle in the canvas's style."""
        path = skia.Path()
        path.addRect(rect)
        self._manner(path, paint)

    def _plain(self, path: skia.Path, paint: skia.Paint) -> None:
        super().drawPath(path, paint)

    def _outlined(self, path: skia.Path, paint: skia.Paint) -> None:
        if paint.getStyle() == skia.Paint.kStroke_Style:
            width = paint.getStrokeWidth()
            if width >= LIMB and paint.getAlpha() == 255:
                self._plain(path, stroke(INK, width + 2 * self.ink))
            self._plain(path, paint)
            return
        self._plain(path, paint)
        bounds = path.getBounds()
        if paint.getAlpha() == 255 and paint.getShader() is None and _large(bounds) and not _whole(bounds):
            self._plain(path, stroke(INK, self.ink))

    def _shaded(self, path: skia.Path, paint: skia.Paint) -> None:
        bounds = path.getBounds()
        limb = paint.getStyle() == skia.Paint.kStroke_Style and paint.getStrokeWidth() >= LIMB
        filled = paint.getStyle() == skia.Paint.kFill_Style
        solid = paint.getShader() is None and paint.getAlpha() == 255 and not _whole(bounds)
        if solid and (limb or (filled and _large(bounds))):
            color = _rgb(paint.getColor())
            soft = skia.Paint(paint)
            soft.setShader(
                skia.GradientShader.MakeLinear(
                    points=[
                        skia.Point(bounds.left(), bounds.top()),
                        skia.Point(bounds.left() + bounds.width() * 0.45, bounds.bottom() + 1),
                    ],
                    colors=[skia.Color(*shade(color, 1.24)), skia.Color(*color), skia.Color(*_shadow(color))],
                    positions=[0.0, 0.42, 1.0],
                )
            )
            self._plain(path, soft)
        else:
            self._plain(path, paint)

    def _neon(self, path: skia.Path, paint: skia.Paint) -> None:
        bounds = path.getBounds()
        if paint.getShader() is not None:
            self._plain(path, paint)
            self._plain(path, fill(NIGHT, 186))
            return
        dim, bright = _neon_colors(_rgb(paint.getColor()))
        alpha = paint.getAlpha()
        if paint.getStyle() == skia.Paint.kStroke_Style:
            width = paint.getStrokeWidth()
            if width < LIMB:
                self._plain(path, stroke(bright, width, alpha))
            else:
                self._plain(path, stroke(bright, width + 6, 56))
                self._plain(path, stroke(bright, width + 2.4))
                self._plain(path, stroke(dim, width))
            return
        if not _large(bounds):
            self._plain(path, fill(bright, alpha))
            return
        self._plain(path, fill(mix(dim, NIGHT, 0.4) if _whole(bounds) else dim, alpha))
        if alpha == 255 and not _whole(bounds):
            self._plain(path, stroke(bright, 5.0 * self.ink, 60))
            self._plain(path, stroke(bright, 1.1 * self.ink))


def _rgb(color: int) -> RGB:
    return (color >> 16) & 255, (color >> 8) & 255, color & 255


def _large(bounds: skia.Rect) -> bool:
    return min(bounds.width(), bounds.height()) >= SMALL


def _whole(bounds: skia.Rect) -> bool:
    """Whether a shape is the ground or the wall, which have no outline."""
    return bounds.width() >= 250


@cache
def _shadow(color: RGB) -> RGB:
    return mix(shade(color, 0.74), (40, 30, 80), 0.12)


@cache
def _neon_colors(color: RGB) -> tuple[RGB, RGB]:
    """The colour in the dark, and as a glowing tube."""
    h, s, v = colorsys.rgb_to_hsv(*(c / 255 for c in color))
    if s < 0.16:
        bright = (176, 236, 255) if v > 0.5 else (128, 104, 255)
    else:
        r, g, b = colorsys.hsv_to_rgb(h, min(1.0, s * 0.9 + 0.16), 1.0)
        bright = (int(r * 255), int(g * 255), int(b * 255))
    return mix(shade(color, 0.62), NIGHT, 0.42), bright


def finish_style(canvas: skia.Canvas, style: str) -> None:
    """What a style lays over the finished picture: grain, for paper."""
    if style == "paper":
        paint = skia.Paint(BlendMode=skia.BlendMode.kMultiply)
        canvas.drawImageRect(
            _paper(), skia.Rect.MakeWH(256, 256), skia.SamplingOptions(skia.FilterMode.kLinear), paint
        )


@cache
def _paper() -> skia.Image:
    """Grain and fibres of a warm paper, 256 x 256, always the same."""
    rng = np.random.default_rng(20)
    grain = rng.normal(0.0, 1.0, (256, 256))
    coarse = np.kron(rng.normal(0.0, 1.0, (128, 128)), np.ones((2, 2)))
    fibres = np.zeros((256, 256))
    for _ in range(240):
        y, x = (int(v) for v in rng.integers(0, 256, 2))
        long = int(rng.integers(5, 16))
        if rng.random() < 0.5:
            fibres[y, x : x + long] -= 1.6
        else:
            fibres[y : y + long, x] -= 1.6
    light = np.clip(236 + 7 * grain + 6 * coarse + 8 * fibres, 150, 255)
    pixels = np.full((256, 256, 4), 255, np.uint8)
    for channel, tint in enumerate((1.0, 0.98, 0.92)):
        pixels[:, :, channel] = (light * tint).astype(np.uint8)
    return skia.Image.fromarray(pixels, colorType=skia.kRGBA_8888_ColorType)
