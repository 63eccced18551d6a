"""How much of its path a drawing from a start image goes: the steps asked for, whatever the strength.

diffusers is told the steps of the whole path and a strength, takes their product, and rounds it as the
pipeline pleases: to none at all, or to the whole path, on which the start is lost in noise.
"""

from __future__ import annotations

FINEST = 1000
"""Steps of a whole path at most: as many as schedulers of trained times have."""


def whole_steps(steps: int, strength: float) -> int:
    """Steps of the whole path of which the last ``steps`` are about ``strength``; more than those, below 1.

    >>> [whole_steps(4, strength) for strength in (0.3, 0.5, 0.9, 1)]
    [13, 8, 5, 4]
    """
    return steps if strength == 1 else max(steps + 1, min(FINEST, round(steps / strength)))


def share_taken(steps: int, whole: int, rounding: float) -> float:
    """The strength at which a pipeline takes exactly ``steps`` of ``whole``: half a step to the side that its
    ``rounding`` (0.5 where it rounds the steps down, -0.5 where the ones before them) takes away.
    """
    return 1.0 if whole == steps else (steps + rounding) / whole
