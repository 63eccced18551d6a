"""Materials: how a surface takes the light, drawn over its colour and pattern."""

from __future__ import annotations

import skia

from castmark_world.brush import arc, ellipse, fill, line, polygon, stroke

_METAL_STOPS = (0.0, 0.2, 0.38, 0.56, 0.76, 1.0)
_METAL = (
    skia.Color(20, 24, 34, 120), skia.Color(255, 255, 255, 205), skia.Color(120, 126, 140, 70),
    skia.Color(30, 34, 46, 130), skia.Color(255, 255, 255, 170), skia.Color(20, 24, 34, 130),
)  # fmt: skip


def finish(canvas: skia.Canvas, path: skia.Path, material: str) -> None:
    """Lay the material's light over ``path``; matte has none."""
    if material == "matte":
        return
    canvas.save()
    canvas.clipPath(path, doAntiAlias=True)
    bounds = path.getBounds()
    if material == "glossy":
        _gloss(canvas, bounds)
    elif material == "metal":
        _metal(canvas, bounds)
    else:
        _wood(canvas, bounds)
    canvas.restore()


def _gloss(canvas: skia.Canvas, bounds: skia.Rect) -> None:
    left, top, width, height = bounds.left(), bounds.top(), bounds.width(), bounds.height()
    streak = [
        (left + width * 0.12, top), (left + width * 0.3, top),
        (left + width * 0.2, top + height), (left + width * 0.02, top + height),
    ]  # fmt: skip
    canvas.drawPath(polygon(streak), fill((255, 255, 255), 120))
    thin = [
        (left + width * 0.35, top),
        (left + width * 0.4, top),
        (left + width * 0.3, top + height),
        (left + width * 0.25, top + height),
    ]
    canvas.drawPath(polygon(thin), fill((255, 255, 255), 95))
    shine = ellipse(left + width * 0.72, top + height * 0.2, width * 0.13, height * 0.09)
    canvas.drawPath(shine, fill((255, 255, 255), 215))
    canvas.drawPath(
        arc(left - width * 0.1, top - height * 0.3, left + width, top + height, 5, 80),
        stroke((10, 10, 30), width * 0.1, 45),
    )


def _metal(canvas: skia.Canvas, bounds: skia.Rect) -> None:
    canvas.drawRect(bounds, fill((150, 156, 168), 95))
    shader = skia.GradientShader.MakeLinear(
        points=[skia.Point(bounds.left(), 0), skia.Point(bounds.right(), bounds.height() * 0.2)],
        colors=list(_METAL),
        positions=list(_METAL_STOPS),
    )
    canvas.drawRect(bounds, skia.Paint(Shader=shader))


def _wood(canvas: skia.Canvas, bounds: skia.Rect) -> None:
    canvas.drawRect(bounds, fill((150, 96, 50), 92))
    left, top, width, height = bounds.left(), bounds.top(), bounds.width(), bounds.height()
    grain = stroke((84, 46, 20), 1.9, 150)
    rows = max(3, int(height / 11))
    for row in range(rows):
        y = top + (row + 0.5) * height / rows
        bend = 4.0 if row % 2 else -3.0
        points = [
            (left, y),
            (left + width * 0.3, y + bend),
            (left + width * 0.65, y - bend),
            (left + width, y + 1),
        ]
        canvas.drawPath(line(points), grain)
    x, y = left + width * 0.68, top + height * 0.34
    for rx, ry in ((9, 4.6), (5, 2.4)):
        canvas.drawPath(ellipse(x, y, rx, ry), grain)
