"""Light of a place: the sky and what it does to colours, by time of day and weather."""

from __future__ import annotations

import numpy as np
import skia

from castmark_world.brush import box, fill, mix, shade
from castmark_world.vocabulary import RGB

SIDE = 256.0
HORIZON = 150.0

SKY: dict[str, tuple[RGB, RGB]] = {
    "day": ((120, 190, 240), (205, 232, 250)),
    "sunset": ((240, 130, 90), (252, 210, 140)),
    "night": ((22, 28, 66), (58, 66, 120)),
    "morning": ((150, 196, 232), (255, 222, 206)),
}
DIM = {"day": 1.0, "sunset": 0.86, "night": 0.5, "morning": 0.96}
VEIL: dict[str, RGB] = {"rain": (124, 134, 150), "fog": (206, 210, 214), "snow": (206, 214, 226)}
"""Colour of the clouds in a weather."""


class Light:
    """Time of day and weather; paints sky and ground."""

    def __init__(self, time: str, weather: str = "clear") -> None:
        self.time, self.weather = time, weather
        self.dim = DIM[time] * (0.9 if weather == "rain" else 1.0)
        self.indoor = 0.5 + 0.5 * self.dim

    @property
    def sky_colors(self) -> tuple[RGB, RGB]:
        """Colour of the sky at the top and at the horizon."""
        top, low = SKY[self.time]
        if self.weather == "clear":
            return top, low
        veil = shade(VEIL[self.weather], DIM[self.time])
        return mix(top, veil, 0.8), mix(low, veil, 0.7)

    def sky(self, canvas: skia.Canvas, rng: np.random.Generator, *, clouds: bool = True) -> None:
        """Sky with sun, moon, stars or clouds."""
        gradient(canvas, *self.sky_colors, 0, HORIZON + 20)
        x = float(rng.uniform(30, 226))
        if self.weather != "clear":
            self._overcast(canvas, rng)
        elif self.time == "night":
            for _ in range(9):
                canvas.drawCircle(
                    float(rng.uniform(0, 256)), float(rng.uniform(0, 90)), 1.6, fill((250, 245, 210))
                )
            canvas.drawCircle(x, 36, 15, fill((245, 240, 214)))
            canvas.drawCircle(x + 6, 32, 13, fill(SKY["night"][0]))
        elif self.time == "sunset":
            canvas.drawCircle(x, 112, 24, fill((255, 226, 130)))
        elif self.time == "morning":
            canvas.drawCircle(x, 92, 27, fill((255, 244, 206), 120))
            canvas.drawCircle(x, 92, 18, fill((255, 240, 176)))
        else:
            canvas.drawCircle(x, 36, 17, fill((255, 228, 110)))
            if clouds:
                for _ in range(2):
                    cx, cy = float(rng.uniform(10, 246)), float(rng.uniform(22, 70))
                    for dx, r in ((-14, 9), (0, 13), (14, 9)):
                        canvas.drawCircle(cx + dx, cy, r, fill((255, 255, 255), 230))

    def _overcast(self, canvas: skia.Canvas, rng: np.random.Generator) -> None:
        color = shade(mix(VEIL[self.weather], (90, 96, 110), 0.35), self.dim)
        for i in range(5):
            cx, cy = 26 + 52 * i + float(rng.uniform(-12, 12)), float(rng.uniform(6, 30))
            for dx, r in ((-22, 16), (0, 24), (22, 17)):
                canvas.drawCircle(cx + dx, cy, r, fill(color))

    def ground(self, canvas: skia.Canvas, color: RGB, y: float = HORIZON) -> None:
        """Everything below ``y``."""
        canvas.drawRect(skia.Rect.MakeLTRB(0, y, SIDE, SIDE), fill(self.of(color)))

    def of(self, color: RGB) -> RGB:
        """An outdoor colour in this light."""
        return shade(color, self.dim)

    def room(self, color: RGB) -> RGB:
        """An indoor colour in this light: lamps soften the night."""
        return shade(color, self.indoor)

    def walls(self, canvas: skia.Canvas, wall: RGB, floor: RGB, y: float = 190.0) -> None:
        """A room: a wall down to ``y`` and a floor with its skirting."""
        canvas.drawPath(box(0, 0, SIDE, y), fill(self.room(wall)))
        canvas.drawPath(box(0, y, SIDE, SIDE), fill(self.room(floor)))
        canvas.drawPath(box(0, y - 5, SIDE, y), fill(self.room(shade(wall, 0.86))))

    def window(self, canvas: skia.Canvas, x: float, y: float, w: float, h: float) -> None:
        """A window that shows the time of day."""
        canvas.drawRect(skia.Rect.MakeXYWH(x - 5, y - 5, w + 10, h + 10), fill((250, 246, 238)))
        sky = SKY[self.time][1] if self.time != "night" else SKY["night"][0]
        canvas.drawRect(skia.Rect.MakeXYWH(x, y, w, h), fill(sky))
        canvas.drawRect(skia.Rect.MakeXYWH(x + w / 2 - 2, y, 4, h), fill((250, 246, 238)))


def gradient(canvas: skia.Canvas, top: RGB, bottom: RGB, y0: float = 0.0, y1: float = SIDE) -> None:
    """A vertical gradient over the whole width."""
    paint = skia.Paint(
        Shader=skia.GradientShader.MakeLinear(
            points=[skia.Point(0, y0), skia.Point(0, y1)], colors=[skia.Color(*top), skia.Color(*bottom)]
        )
    )
    canvas.drawRect(skia.Rect.MakeLTRB(0, y0, SIDE, y1), paint)
