"""Rain, fog and snow, in layers behind the subjects and before them."""

from __future__ import annotations

import numpy as np
import skia

from castmark_world.brush import box, ellipse, fill, shade, stroke
from castmark_world.places.light import DIM, SIDE, VEIL


def draw_behind(canvas: skia.Canvas, weather: str, time: str, seed: int) -> None:
    """What lies between the place and the subjects: fog, puddles, settled snow."""
    rng = np.random.default_rng((seed, 1))
    dim = DIM[time]
    if weather == "fog":
        canvas.drawPath(box(0, 0, SIDE, SIDE), fill(shade(VEIL["fog"], dim), 120))
        for y in (96, 128, 158):
            wide = float(rng.uniform(90, 150))
            x = float(rng.uniform(40, 216))
            canvas.drawPath(ellipse(x, y, wide, 15), fill(shade((236, 238, 240), dim), 120))
    elif weather == "rain":
        for _ in range(3):
            x, y = float(rng.uniform(10, 246)), float(rng.uniform(214, 250))
            canvas.drawPath(ellipse(x, y, 30, 5), fill(shade((150, 186, 214), dim), 150))
    elif weather == "snow":
        canvas.drawPath(box(0, 196, SIDE, SIDE), fill(shade((246, 250, 255), 0.4 + 0.6 * dim), 190))


def draw_before(canvas: skia.Canvas, weather: str, time: str, seed: int) -> None:
    """What lies before the subjects: falling rain and snow, a last breath of fog."""
    rng = np.random.default_rng((seed, 2))
    path = skia.Path()
    if weather == "rain":
        for x, y in rng.uniform(-20, 266, (44, 2)):
            path.moveTo(float(x), float(y))
            path.lineTo(float(x) - 5, float(y) + 15)
        canvas.drawPath(path, stroke((214, 230, 246), 1.6, 170))
    elif weather == "snow":
        for x, y, radius in rng.uniform((0, 0, 1.6), (256, 256, 3.4), (46, 3)):
            path.addCircle(float(x), float(y), float(radius))
        canvas.drawPath(path, fill((255, 255, 255), 235))
    elif weather == "fog":
        low = ellipse(float(rng.uniform(60, 196)), 226, 170, 22)
        canvas.drawPath(low, fill(shade((240, 242, 244), DIM[time]), 80))
