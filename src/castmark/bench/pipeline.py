"""Suite ``pipeline``: how fast shots become signed images, warm, and where the time of one image goes."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

import castmark_world as world
from castmark.bench.harness import Figure, median
from castmark.errors import CastmarkError
from castmark.shot import Shot
from castmark.studio import Studio
from castmark.take import SignedImage, Take
from castmark_provenance.authority import keygen

SHOTS = 16
WARM_UP = 2
STAGES = ("draw", "check", "encode", "sign")
TARGETS = {"one image, warm": 1000.0, "check and signing, share of the time": 0.5}
"""Milliseconds, and a fraction of 1: asked of two CPU cores, at the embedded base's own steps."""


def run(*, n: int | None = None, threads: int | None = None) -> list[Figure]:
    """Draw ``n`` captioned scenes of the test split, one by one and in batches, and time every stage.

    Raises:
        CastmarkError: the studio cannot be opened, or not one image was signed.
    """
    count = n or SHOTS
    rng = np.random.default_rng(0)
    prompts = [world.caption(world.sample_scene(rng, split="test"), rng) for _ in range(count)]
    with tempfile.TemporaryDirectory() as folder:
        studio = Studio.open(key=keygen(Path(folder) / "keys"), threads=threads)
        list(studio.shoot_all(Shot(prompts[0], seed=seed) for seed in range(WARM_UP)))
        singles: list[Take] = []
        walls: list[float] = []
        for seed, prompt in enumerate(prompts):
            start = time.perf_counter()
            (take,) = studio.shoot_all([Shot(prompt, seed=seed)])
            walls.append(time.perf_counter() - start)
            singles.append(take)
        start = time.perf_counter()
        batched = list(studio.shoot_all(Shot(prompt, seed=seed) for seed, prompt in enumerate(prompts)))
        elapsed = time.perf_counter() - start
    signed = [take for take in singles if isinstance(take, SignedImage)]
    if not signed:
        raise CastmarkError(
            f"not one of {count} shots was signed, so nothing was measured; {singles[0].explain()}"
        )
    warm = [1000 * wall for wall, take in zip(walls, singles, strict=True) if take.ok]
    shares = [
        sum(take.timings[s] for s in STAGES[1:]) / sum(take.timings[s] for s in STAGES) for take in signed
    ]
    rate = sum(take.ok for take in batched) / elapsed
    refused = 1 - statistics.fmean(take.ok for take in singles)
    return [
        median("one image, warm", warm, "ms", target=TARGETS["one image, warm"]),
        *(median(f"one image: {s}", [1000 * take.timings[s] for take in signed], "ms") for s in STAGES),
        median(
            "check and signing, share of the time",
            shares,
            "",
            target=TARGETS["check and signing, share of the time"],
        ),
        Figure(
            name=f"images a second, batches of {studio.batch_size}",
            value=rate,
            low=rate,
            high=rate,
            n=count,
            better="higher",
            unit="/s",
        ),
        Figure(name="refused or failed", value=refused, low=refused, high=refused, n=count),
    ]
