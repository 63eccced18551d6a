"""Legs, shoes and what is worn below the waist."""

from __future__ import annotations

import skia

from castmark_world.brush import box, fill, line, polygon, rounded, shade, smooth, stroke
from castmark_world.people.body import Body
from castmark_world.vocabulary import RGB, SHOES

BARE = ("shorts", "skirt")
"""Bottoms that leave the legs bare."""
WIDTH = {"wide trousers": 21.0}
DENIM: RGB = (70, 104, 160)


def draw_legs(canvas: skia.Canvas, body: Body) -> None:
    """Legs with shoes, and the bottom over them."""
    spec = body.spec
    dress = spec.top == "dress"
    color = _cloth(body)
    bare = dress or spec.bottom in (*BARE, "long skirt")
    if body.sits:
        _crossed_legs(canvas, body, body.skin if bare else color)
    else:
        stride = 9.0 if body.scene.pose == "walking" else 0.0
        for side in (-1, 1):
            hip = (side * body.half * 0.45, body.hip_y)
            foot = (side * (body.half * 0.5 + stride), -6.0 - body.lift)
            points = [hip, foot]
            if body.lift:
                points = [hip, (side * body.half * 0.95, (hip[1] + foot[1]) / 2), foot]
            width = 15.0 if bare else WIDTH.get(spec.bottom, 15.0)
            canvas.drawPath(line(points), stroke(body.skin if bare else color, width))
            if spec.bottom == "shorts" and not dress:
                knee = (hip[0] + (foot[0] - hip[0]) * 0.45, hip[1] + (foot[1] - hip[1]) * 0.45)
                canvas.drawPath(line([hip, knee]), stroke(color, 18))
            if body.full and not bare:
                _hem(canvas, body, foot, width)
            _shoe(canvas, body, foot[0], foot[1] + 6)
    if dress:
        return
    if spec.bottom in ("skirt", "long skirt"):
        _skirt(canvas, body, color)
    else:
        canvas.drawPath(
            rounded(-body.half * 0.92, body.hip_y - 10, body.half * 0.92, body.hip_y + 9, 6), fill(color)
        )


def _cloth(body: Body) -> RGB:
    """The bottom's colour; jeans keep a touch of denim."""
    if body.spec.bottom != "jeans":
        return body.bottom
    return body.bottom if body.spec.bottom_color != "white" else shade(body.bottom, 0.95)


def _hem(canvas: skia.Canvas, body: Body, foot: tuple[float, float], width: float) -> None:
    """Turn-ups of jeans, the edge of wide trousers."""
    if body.spec.bottom == "jeans":
        cuff = rounded(foot[0] - 9.5, foot[1] - 9, foot[0] + 9.5, foot[1] - 2, 2)
        canvas.drawPath(cuff, fill(shade(body.bottom, 1.35)))
        for side in (-1, 1):
            seam = [(side * body.half * 0.5, body.hip_y + 10), (foot[0], foot[1] - 10)]
            if side * foot[0] > 0:
                canvas.drawPath(line(seam), stroke((240, 190, 90), 1.4, 200))
    elif body.spec.bottom == "wide trousers":
        edge = polygon(
            [
                (foot[0] - 9, foot[1] - 24), (foot[0] + 9, foot[1] - 24),
                (foot[0] + 14.5, foot[1] - 1), (foot[0] - 14.5, foot[1] - 1),
            ]
        )  # fmt: skip
        canvas.drawPath(edge, fill(_cloth(body)))


def _shoe(canvas: skia.Canvas, body: Body, x: float, ground: float) -> None:
    color = SHOES[body.spec.shoes]
    canvas.drawPath(rounded(x - 10, ground - 11, x + 10, ground, 5), fill(color))
    if body.full:
        sole = (244, 242, 236) if body.spec.shoes != "white" else (150, 150, 156)
        canvas.drawPath(rounded(x - 10.5, ground - 3.4, x + 10.5, ground, 1.7), fill(sole))


def _crossed_legs(canvas: skia.Canvas, body: Body, color: RGB) -> None:
    """Sitting on the ground: knees out, feet in the middle."""
    for side in (-1, 1):
        knee = (side * (body.half * 1.0 + 16), -11.0)
        shin = [(side * body.half * 0.4, body.hip_y + 2), knee, (-side * 5.0, -7.0)]
        canvas.drawPath(line(shin), stroke(color, 15))
        foot = -side * 11.0
        canvas.drawPath(rounded(foot - 9, -12, foot + 9, -1, 5), fill(SHOES[body.spec.shoes]))


def _skirt(canvas: skia.Canvas, body: Body, color: RGB) -> None:
    half, top = body.half, body.hip_y - 6
    if body.sits:
        spread = half * 1.5 if body.spec.bottom == "skirt" else half * 1.9
        canvas.drawPath(
            smooth(
                [
                    (-half * 0.7, top),
                    (half * 0.7, top),
                    (spread, -12),
                    (spread * 0.7, -2),
                    (-spread * 0.7, -2),
                    (-spread, -12),
                ]
            ),
            fill(color),
        )
        return
    if body.spec.bottom == "skirt":
        hem = body.hip_y + body.legs * 0.45
        canvas.drawPath(
            polygon([(-half * 0.9, top), (half * 0.9, top), (half * 1.35, hem), (-half * 1.35, hem)]),
            fill(color),
        )
        return
    hem = body.hip_y + body.legs * 0.82
    canvas.drawPath(
        polygon([(-half * 0.9, top), (half * 0.9, top), (half * 1.5, hem), (-half * 1.5, hem)]), fill(color)
    )
    for x in (-0.5, 0.0, 0.5):
        canvas.drawPath(line([(x * half, top + 14), (x * half * 1.6, hem - 3)]), stroke(shade(color, 0.8), 2))
    canvas.drawPath(box(-half * 1.48, hem - 4, half * 1.48, hem), fill(shade(color, 0.8)))
