"""Sizes a model draws well: its native area in the usual aspect ratios."""

from __future__ import annotations

ASPECTS = ((1, 1), (5, 4), (4, 5), (4, 3), (3, 4), (3, 2), (2, 3), (16, 9), (9, 16), (21, 9), (9, 21))


def native_sizes(side: int, multiple: int) -> list[tuple[int, int]]:
    """Widths and heights of about ``side`` squared pixels, in multiples of ``multiple``; the square first.

    >>> native_sizes(1024, 64)[:3]
    [(1024, 1024), (1152, 896), (896, 1152)]
    """

    def snapped(length: float) -> int:
        return max(multiple, round(length / multiple) * multiple)

    ratios = [across / down for across, down in ASPECTS]
    return list(dict.fromkeys((snapped(side * r**0.5), snapped(side / r**0.5)) for r in ratios))


def nearest_size(sizes: list[tuple[int, int]], width: int, height: int) -> tuple[int, int]:
    """The size whose aspect is nearest to width : height; of several, the first."""
    wanted = width / height
    return min(sizes, key=lambda size: max(size[0] / size[1] / wanted, wanted / (size[0] / size[1])))
