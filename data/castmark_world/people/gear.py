"""What an occupation carries: round the neck, and in or at the left hand."""

from __future__ import annotations

from collections.abc import Callable

import skia

from castmark_world.brush import Point, arc, ellipse, fill, line, polygon, rounded, smooth, stroke
from castmark_world.people.body import Body


def draw_gear(canvas: skia.Canvas, body: Body) -> None:
    """What hangs over the top."""
    half, top = body.half, body.shoulder_y
    if body.spec.occupation == "doctor":
        tube = stroke((44, 48, 60), 3.4)
        loop = [
            (-half * 0.44, top - 2),
            (-half * 0.5, top + 18),
            (-half * 0.1, top + 33),
            (half * 0.3, top + 22),
            (half * 0.44, top - 2),
        ]
        canvas.drawPath(smooth(loop, closed=False), tube)
        canvas.drawPath(line([(-half * 0.1, top + 28), (-half * 0.1, top + 40)]), tube)
        canvas.drawCircle(-half * 0.1, top + 43, 5.4, fill((196, 204, 214)))
        canvas.drawCircle(-half * 0.1, top + 43, 2.6, fill((110, 118, 130)))
    elif body.spec.occupation == "farmer":
        canvas.drawPath(line([(9, body.head_y + 24), (30, body.head_y + 30)]), stroke((226, 190, 90), 2.6))
    elif body.spec.occupation == "teacher":
        pencil = [(body.head_rx * 0.78, body.head_y - 8), (body.head_rx * 1.3, body.head_y - 18)]
        canvas.drawPath(line(pencil), stroke((246, 190, 60), 4.4))


def draw_tool(canvas: skia.Canvas, body: Body, hand: Point) -> None:
    """What the left hand has, about the hand."""
    tool = _TOOLS.get(body.spec.occupation)
    if tool is not None:
        canvas.save()
        canvas.translate(*hand)
        tool(canvas)
        canvas.restore()


def _books(canvas: skia.Canvas) -> None:
    for dy, color in ((-12, (196, 60, 60)), (-5, (60, 110, 180)), (2, (80, 150, 90))):
        canvas.drawPath(rounded(-15, dy, 14, dy + 7, 1.5), fill(color))
        canvas.drawPath(rounded(9, dy + 1.6, 14, dy + 5.4, 0.5), fill((250, 246, 232)))


def _blueprint(canvas: skia.Canvas) -> None:
    canvas.drawPath(line([(-9, -24), (9, 20)]), stroke((90, 140, 214), 11))
    canvas.drawPath(line([(-6, -17), (6, 13)]), stroke((214, 230, 250), 2))
    canvas.drawCircle(-9.5, -25, 3, fill((236, 244, 254)))


def _briefcase(canvas: skia.Canvas) -> None:
    canvas.drawPath(rounded(-7, -3, 7, 8, 3), stroke((84, 52, 34), 3.4))
    canvas.drawPath(rounded(-17, 4, 17, 28, 3), fill((126, 80, 48)))
    canvas.drawPath(rounded(-17, 12, 17, 15, 0), fill((84, 52, 34)))
    canvas.drawPath(rounded(-3, 10, 3, 18, 1), fill((240, 206, 110)))


def _palette(canvas: skia.Canvas) -> None:
    shape = smooth([(-26, -10), (-4, -22), (14, -12), (14, 8), (2, 8), (-2, 14), (-22, 12)])
    canvas.drawPath(shape, fill((222, 176, 120)))
    for x, y, color in (
        (-15, -6, (222, 60, 60)),
        (-6, -13, (246, 204, 60)),
        (5, -10, (70, 160, 90)),
        (-16, 4, (60, 110, 210)),
    ):
        canvas.drawCircle(x, y, 3.4, fill(color))


def _tube(canvas: skia.Canvas) -> None:
    canvas.drawPath(rounded(-5.5, -34, 5.5, 4, 5), fill((226, 242, 248)))
    canvas.drawPath(rounded(-5.5, -18, 5.5, 4, 5), fill((90, 210, 120)))
    canvas.drawPath(line([(-8, -34), (8, -34)]), stroke((150, 180, 196), 3))
    for x, y in ((-4, -42), (4, -48), (1, -39)):
        canvas.drawCircle(x, y, 2.6, fill((90, 210, 120)))


def _mop(canvas: skia.Canvas) -> None:
    canvas.drawPath(line([(0, -52), (0, 34)]), stroke((196, 150, 92), 4.6))
    for x in (-12, -6, 0, 6, 12):
        canvas.drawPath(line([(0, 32), (x, 46)]), stroke((240, 240, 236), 5.4))
    canvas.drawPath(rounded(-8, 27, 8, 34, 2), fill((60, 120, 190)))


def _tray(canvas: skia.Canvas) -> None:
    canvas.drawPath(ellipse(-4, -7, 26, 5.4), fill((190, 196, 206)))
    canvas.drawPath(ellipse(-4, -9, 26, 5.4), fill((226, 230, 236)))
    for x in (-15, 2):
        canvas.drawPath(
            polygon([(x - 6, -22), (x + 6, -22), (x + 4, -9), (x - 4, -9)]), fill((252, 252, 250))
        )
        canvas.drawPath(ellipse(x, -22, 6, 1.8), fill((126, 82, 52)))


def _watering_can(canvas: skia.Canvas) -> None:
    canvas.drawPath(arc(-13, -2, 13, 22, 180, 180), stroke((70, 130, 80), 3.6))
    canvas.drawPath(rounded(-13, 9, 11, 28, 3), fill((90, 160, 100)))
    canvas.drawPath(line([(-12, 22), (-26, 8)]), stroke((90, 160, 100), 4.6))
    canvas.drawPath(line([(-30, 11), (-22, 4)]), stroke((70, 130, 80), 4))


_TOOLS: dict[str, Callable[[skia.Canvas], None]] = {
    "teacher": _books,
    "engineer": _blueprint,
    "manager": _briefcase,
    "artist": _palette,
    "scientist": _tube,
    "cleaner": _mop,
    "waiter": _tray,
    "farmer": _watering_can,
}
