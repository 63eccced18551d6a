"""Eyes and mouths of mascots, by expression."""

from __future__ import annotations

import skia

from castmark_world.brush import arc, bowl, ellipse, fill, line, luminance, smooth, stroke
from castmark_world.mascots.body import MascotBody
from castmark_world.vocabulary import EYE_COLORS, RGB


def _ink(body: MascotBody, y: float) -> RGB:
    """A line that is seen on the face."""
    pale = body.spec.species in ("fox", "robot", "frog", "cat", "rabbit", "bear")
    return (40, 34, 38) if (pale and y > body.head_y) or luminance(body.color) > 90 else (244, 238, 232)


def draw_eyes(
    canvas: skia.Canvas, body: MascotBody, y: float, *, spacing: float | None = None, large: float = 1.0
) -> None:
    """Both eyes, with brows where the expression needs them."""
    spec, expression = body.spec, body.scene.expression
    apart = body.head_rx * (0.42 + 0.07 * spec.eye_spacing) if spacing is None else spacing
    radius = 6.0 * (1 + 0.2 * spec.eye_size) * large
    robot = spec.species == "robot"
    for side in (-1, 1):
        x = side * apart
        if expression == "laughing":
            ink = (40, 34, 38) if robot else _ink(body, y)
            canvas.drawPath(
                arc(x - radius - 1, y - radius * 0.7, x + radius + 1, y + radius * 1.4, 195, 150),
                stroke(ink, 3.6),
            )
        else:
            white = radius + 3.4 + (1.4 if expression == "surprised" else 0.0)
            canvas.drawPath(ellipse(x, y, white * 0.94, white), fill((254, 254, 252)))
            canvas.drawCircle(x, y + 1, radius, fill(EYE_COLORS[spec.eye_color]))
            canvas.drawCircle(x, y + 1, radius * 0.6, fill((24, 20, 24)))
            canvas.drawCircle(x + radius * 0.34, y - radius * 0.3, radius * 0.32, fill((255, 255, 255)))
            if expression in ("sad", "serious"):
                slant = 4.0 if expression == "sad" else -2.5
                lid = [
                    (x - side * white, y - white * 0.9 - slant),
                    (x + side * white, y - white * 0.9 + slant),
                ]
                canvas.drawPath(
                    line(lid),
                    stroke((40, 34, 38) if luminance(body.color) > 90 or robot else (244, 238, 232), 3.4),
                )
        if spec.blush > 0:
            cheek = ellipse(side * body.head_rx * 0.72, body.head_y + 12, 7, 4.6)
            canvas.drawPath(cheek, fill((240, 104, 110), int(160 * spec.blush)))
    if expression == "sad":
        x = -apart - 4
        tear = smooth([(x, y + 6), (x + 4.4, y + 18), (x, y + 22), (x - 4.4, y + 18)])
        canvas.drawPath(tear, fill((110, 190, 244)))


def draw_mouth(canvas: skia.Canvas, body: MascotBody, y: float, half: float) -> None:
    """The mouth about (0, y), ``half`` as wide."""
    expression = body.scene.expression
    pen = stroke(_ink(body, y), 3)
    if expression == "smiling":
        canvas.drawPath(arc(-half, y - half * 0.7, half, y + half * 0.7, 15, 150), pen)
    elif expression == "laughing":
        mouth = bowl(-half, y - half * 0.9, half, y + half * 0.9)
        canvas.drawPath(mouth, fill((120, 30, 38)))
        canvas.drawPath(ellipse(0, y + half * 0.55, half * 0.5, half * 0.26), fill((234, 110, 116)))
        canvas.drawPath(mouth, pen)
    elif expression == "surprised":
        canvas.drawPath(ellipse(0, y + 3, 5, 6.4), fill((120, 30, 38)))
    elif expression == "sad":
        canvas.drawPath(arc(-half, y, half, y + half * 1.2, 200, 140), pen)
    else:
        canvas.drawPath(line([(-half * 0.8, y + 2), (half * 0.8, y + 2)]), pen)
