"""Where a first image's time goes: ``python -m castmark.bench.cold_start KEYS`` prints seconds as JSON."""

from __future__ import annotations

import time

_BEGAN = time.perf_counter()

import json  # noqa: E402
import sys  # noqa: E402
from itertools import pairwise  # noqa: E402
from pathlib import Path  # noqa: E402


def main() -> None:
    """Import, load and draw, each timed."""
    marks = {"start": _BEGAN}
    import diffusers  # noqa: F401  # pyright: ignore[reportUnusedImport]
    import open_clip  # noqa: F401  # pyright: ignore[reportUnusedImport]
    import torch  # noqa: F401  # pyright: ignore[reportUnusedImport]

    from castmark.shot import Shot
    from castmark.studio.studio import Studio

    marks["imports"] = time.perf_counter()
    studio = Studio.open(key=Path(sys.argv[1]))
    marks["base, judge and key"] = time.perf_counter()
    studio.shoot(Shot("a red mug on a plain background", seed=1, steps=1))
    marks["first image"] = time.perf_counter()
    spans = {name: marks[name] - marks[before] for before, name in pairwise(marks)}
    sys.stdout.write(json.dumps(spans) + "\n")


if __name__ == "__main__":
    main()
