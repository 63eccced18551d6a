"""What a mascot wears."""

from __future__ import annotations

from typing import TYPE_CHECKING

import skia

from castmark_world.brush import arc, box, fill, line, polygon, rounded, shade, smooth, stroke

if TYPE_CHECKING:
    from castmark_world.mascots.body import MascotBody

LONG_SLEEVES = ("hoodie",)


def draw_cape(canvas: skia.Canvas, body: MascotBody) -> None:
    """What lies behind the body."""
    if body.spec.clothes == "cape":
        half, top, hip = body.half, body.shoulder_y, body.hip_y
        sway = [
            (-half * 0.8, top),
            (half * 0.8, top),
            (half * 1.9, hip + 14),
            (half * 0.6, hip + 8),
            (-half * 0.6, hip + 16),
            (-half * 1.9, hip + 8),
        ]
        canvas.drawPath(smooth(sway), fill(body.cloth))
        for x in (-0.9, 0.0, 0.9):
            canvas.drawPath(
                line([(x * half * 0.5, top + 14), (x * half * 1.3, hip + 4)]),
                stroke(shade(body.cloth, 0.78), 2.6),
            )


def draw_clothes(canvas: skia.Canvas, body: MascotBody, torso: skia.Path) -> None:
    """What lies on the torso; ``torso`` is its outline."""
    name, half, top, hip = body.spec.clothes, body.half, body.shoulder_y, body.hip_y
    color, dark = fill(body.cloth), shade(body.cloth, 0.72)
    canvas.save()
    canvas.clipPath(torso, doAntiAlias=True)
    if name == "hoodie":
        canvas.drawPath(box(-60, top - 10, 60, hip + 2), color)
        canvas.drawPath(box(-60, hip - 5, 60, hip + 2), fill(dark))
        pouch = [
            (-half * 0.4, hip - 24),
            (half * 0.4, hip - 24),
            (half * 0.64, hip - 8),
            (-half * 0.64, hip - 8),
        ]
        canvas.drawPath(polygon(pouch), fill(dark))
    elif name == "waistcoat":
        for side in (-1, 1):
            front = [
                (side * 60, top - 10),
                (side * half * 0.62, top - 10),
                (side * 3, top + 40),
                (side * 3, hip + 2),
                (side * 60, hip + 2),
            ]
            canvas.drawPath(polygon(front), color)
            canvas.drawPath(
                line([(side * half * 0.62, top - 4), (side * 3, top + 40), (side * 3, hip)]), stroke(dark, 3)
            )
        for y in (top + 46, top + 55):
            canvas.drawCircle(0, y, 2.6, fill((250, 216, 110)))
    elif name == "overalls":
        canvas.drawPath(box(-60, top + 42, 60, hip + 20), color)
        canvas.drawPath(rounded(-half * 0.6, top + 18, half * 0.6, top + 52, 4), color)
        for side in (-1, 1):
            canvas.drawPath(
                line([(side * half * 0.5, top + 20), (side * half * 0.66, top - 6)]), stroke(body.cloth, 7)
            )
            canvas.drawCircle(side * half * 0.48, top + 22, 3.2, fill((250, 216, 110)))
        canvas.drawPath(rounded(-half * 0.36, top + 42, half * 0.36, top + 56, 3), fill(dark))
    canvas.restore()


def draw_neckwear(canvas: skia.Canvas, body: MascotBody) -> None:
    """What lies round the neck, over head and torso."""
    name, half, top = body.spec.clothes, body.half, body.shoulder_y + 6
    dark = shade(body.cloth, 0.72)
    if name == "scarf":
        canvas.drawPath(
            polygon(
                [
                    (half * 0.3, top + 4),
                    (half * 0.74, top + 4),
                    (half * 0.7, top + 40),
                    (half * 0.28, top + 40),
                ]
            ),
            fill(shade(body.cloth, 0.84)),
        )
        canvas.drawPath(
            line([(half * 0.32, top + 32), (half * 0.68, top + 32)]), stroke(shade(body.cloth, 1.5), 3.4)
        )
        canvas.drawPath(rounded(-half * 0.94, top - 6, half * 0.94, top + 10, 8), fill(body.cloth))
        canvas.drawPath(line([(-half * 0.6, top + 3), (half * 0.5, top + 5)]), stroke(dark, 2.2))
    elif name == "bow tie":
        for side in (-1, 1):
            canvas.drawPath(
                polygon([(0, top + 6), (side * 18, top - 4), (side * 18, top + 16)]), fill(body.cloth)
            )
        canvas.drawCircle(0, top + 6, 5, fill(dark))
    elif name == "cape":
        canvas.drawPath(arc(-half * 0.86, top - 18, half * 0.86, top + 8, 5, 170), stroke(body.cloth, 7))
        canvas.drawCircle(0, top + 8, 5.4, fill((250, 214, 90)))
    elif name == "hoodie":
        canvas.drawPath(
            arc(-half * 0.96, top - 20, half * 0.96, top + 9, 5, 170), stroke(shade(body.cloth, 0.8), 9)
        )
        for side in (-1, 1):
            canvas.drawPath(line([(side * 7, top + 10), (side * 8, top + 24)]), stroke((250, 250, 246), 2.4))
