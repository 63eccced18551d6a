"""The places, each with its own variation, by time of day and in every weather."""

from __future__ import annotations

import numpy as np
import skia
from numpy.typing import NDArray

from castmark_world.places.home import HOME
from castmark_world.places.light import Light
from castmark_world.places.nature import NATURE
from castmark_world.places.sets import SETS
from castmark_world.places.town import TOWN
from castmark_world.places.work import WORK

PLACES = {**NATURE, **TOWN, **HOME, **WORK, **SETS}
OUTDOORS = frozenset((*NATURE, *TOWN))


def draw_place(canvas: skia.Canvas, place: str, time: str, seed: int, weather: str = "clear") -> None:
    """Paint the whole canvas with a place."""
    rng = np.random.default_rng(seed)
    PLACES[place](canvas, Light(time, weather), rng)


def chances(seed: int, count: int) -> NDArray[np.float64]:
    """The first of the chances, in [0, 1), that decide how a place of this seed varies: Float64 "count"."""
    first = np.random.default_rng(seed).integers(2**32) / 2**32  # what a choice among a few is made of
    return np.array([first, *np.random.default_rng(seed).random(count - 1)])
