"""Arms and hands, with what the right one holds."""

from __future__ import annotations

import skia

from castmark_world.brush import fill, line, shade, stroke
from castmark_world.items import draw_item
from castmark_world.people.body import Body
from castmark_world.people.gear import draw_tool
from castmark_world.people.tops import sleeves
from castmark_world.vocabulary import CATALOGUE


def draw_arms(canvas: skia.Canvas, body: Body) -> None:
    """Both arms, over everything else."""
    color, length = sleeves(body)
    for side in (-1, 1):
        shoulder, elbow, hand = body.shoulder(side), body.elbow(side), body.hand(side)
        covered = length == "long"
        canvas.drawPath(line([shoulder, elbow, hand]), stroke(color if covered else body.skin, 12))
        if length == "short":
            mid = ((shoulder[0] + elbow[0]) / 2, (shoulder[1] + elbow[1]) / 2)
            canvas.drawPath(line([shoulder, mid]), stroke(color, 14))
        elif covered and body.full:
            # The cuff.
            near = (hand[0] + (elbow[0] - hand[0]) * 0.3, hand[1] + (elbow[1] - hand[1]) * 0.3)
            far = (hand[0] + (elbow[0] - hand[0]) * 0.38, hand[1] + (elbow[1] - hand[1]) * 0.38)
            canvas.drawPath(line([near, far]), stroke(shade(color, 0.8), 13))
        item = body.scene.item
        if side == 1 and item and CATALOGUE[item].on == "hand":
            canvas.save()
            canvas.translate(*hand)
            draw_item(canvas, item)
            canvas.restore()
        if side == -1 and body.spec.occupation != "none":
            draw_tool(canvas, body, hand)
        glove = (246, 214, 70) if body.spec.occupation == "cleaner" else body.skin
        canvas.drawCircle(*hand, 7.5, fill(glove))
