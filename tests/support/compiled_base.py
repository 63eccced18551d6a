"""A compiled base put through what a studio does with one; prints how often anything was compiled, as JSON.

Run as a program, because what torch compiles stays compiled for the process: FOLDER BACKEND PART... It draws
on a thread of its own, as a studio does. BACKEND "count" compiles to the same Python, which is quick;
"inductor" to C++.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from tiny_bases import write_flux_reference, write_reference
from torch._dynamo.utils import counters

from castmark.bases import open_base
from castmark.bases.diffusers_base import DiffusersBase
from castmark.bases.fast import make_fast
from castmark.bases.speed import SpeedSettings
from castmark.shot import ResolvedShot, Shot
from castmark_adapters.errors import HostError
from castmark_adapters.learn import LearnSettings, learn
from castmark_adapters.lora import LoraAdapter, LoraWeights, attention_targets
from castmark_adapters.mixed import MixedLoras
from castmark_adapters.regions import Region, Regions
from castmark_adapters.subject import Subject

MANY = 10
"""More shapes than torch keeps by itself."""


def compiled() -> int:
    """Graphs so far."""
    return int(counters["stats"]["unique_graphs"])


def lora(base: DiffusersBase, seed: int, rank: int) -> LoraAdapter:
    generator = torch.Generator().manual_seed(seed)
    layers: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
    for name in attention_targets(base.model):
        linear: Any = base.model.denoiser.get_submodule(name)
        down = torch.randn(rank, linear.in_features, generator=generator) * 0.5
        layers[name] = (down, torch.randn(linear.out_features, rank, generator=generator) * 0.5)
    data = LoraWeights(rank, layers, base.model.lora_prefix).to_bytes()
    return LoraAdapter(data, title=f"LoRA {seed}", base=base.digest)


def subject(name: str, seed: int) -> Subject:
    rng = np.random.default_rng(seed)
    images: list[str | Path | bytes] = []
    folder = Path(tempfile.mkdtemp())
    for index in range(2):
        path = folder / f"{index}.png"
        Image.fromarray(rng.integers(0, 255, (32, 32, 3), dtype=np.uint8)).save(path)
        images.append(path)
    return Subject.from_images(name, images, phrase="a thing")


class Trial:
    """One compiled base and one that is not."""

    def __init__(self, folder: Path, backend: str) -> None:
        self.plain = open_base(folder)
        if backend == "inductor":
            settings = SpeedSettings(compile="on", largest_batch=2)
            self.base = open_base(folder, exact=False, settings=settings)
        else:
            from torch._dynamo.testing import CompileCounter

            settings = SpeedSettings(compile="on", largest_batch=MANY)
            self.base = open_base(folder, exact=True)
            planned = open_base(folder, exact=False, settings=settings).plan
            self.base.plan = planned
            self.base.slots = make_fast(
                self.base.model, self.base.pipeline, planned, backend=CompileCounter()
            )
        self.found: dict[str, int | bool | str] = {}

    def shots(self, seeds: Iterable[int], text: str = "a red mug") -> list[ResolvedShot]:
        return [self.plain.resolve(Shot(text, seed=seed)) for seed in seeds]

    def pixels(self, base: DiffusersBase, seeds: Iterable[int] = (1,)) -> np.ndarray[Any, Any]:
        return np.stack([draft.pixels for draft in base.draw(self.shots(seeds))]).astype(int)

    def swaps(self) -> None:
        first, second = lora(self.plain, 1, 4), lora(self.plain, 2, 8)
        bare = self.pixels(self.plain)
        with first.worn(self.plain):
            wanted = self.pixels(self.plain)
        self.base.warm_up((1, 2))
        warm = compiled()
        self.found["warm"] = warm
        self.found["bare off by"] = int(np.abs(self.pixels(self.base) - bare).max())
        mine = self.pixels(self.base)
        for _ in range(2):
            with first.worn(self.base):
                self.found["worn off by"] = int(np.abs(self.pixels(self.base) - wanted).max())
            with second.worn(self.base):
                self.pixels(self.base, (1, 2))
        self.found["swaps"] = compiled() - warm
        self.found["comes off"] = bool(np.array_equal(self.pixels(self.base), mine))
        try:
            with MixedLoras([first, second]).worn(self.base):
                pass
        except HostError as error:
            self.found["mixed"] = str(error)

    def grows(self) -> None:
        before = compiled()
        for seed in (3, 4):
            with lora(self.plain, seed, 12).worn(self.base):
                self.pixels(self.base)
            if seed == 3:
                self.found["grown"] = compiled() - before
        self.found["after it grew"] = compiled() - before - int(self.found["grown"])

    def references(self) -> None:
        write = write_flux_reference if self.base.model.lora_prefix == "transformer" else write_reference
        source = self.base.open_reference(write(Path(tempfile.mkdtemp()) / "reference", self.base.pipeline))
        assert source is not None
        bare, before = self.pixels(self.base), compiled()
        for seed in (5, 6, 7):
            with source.of(subject(f"s{seed}", seed)).worn(self.base):
                self.pixels(self.base)
            if seed == 5:
                self.found["first reference"] = compiled() - before
        self.found["further references"] = compiled() - before - int(self.found["first reference"])
        self.found["references come off"] = bool(np.array_equal(self.pixels(self.base), bare))

    def learning(self) -> None:
        before = compiled()
        learned = learn(
            subject("mira", 8),
            self.base,
            LearnSettings(steps=2, batch=2, rank=2, views=1, others=1, drawing_steps=2),
        )
        self.found["learning"] = compiled() - before
        with LoraAdapter.of(learned).worn(self.base):
            self.pixels(self.base)
        self.found["what was learned"] = compiled() - before

    def regions(self) -> None:
        if not self.base.model.draws_in_regions:
            return
        before = compiled()
        parts = [Region([lora(self.plain, seed, 4)], "a mug", box) for seed, box in ((1, L), (2, R))]
        with Regions(parts).worn(self.base):
            self.pixels(self.base)
        self.found["regions"] = compiled() - before

    def shapes(self) -> None:
        """Every batch size once, and again: what was compiled for one is kept."""
        for seeds in (range(count) for count in range(1, MANY + 1)):
            self.pixels(self.base, seeds)
        before = compiled()
        for seeds in (range(count) for count in range(1, MANY + 1)):
            self.pixels(self.base, seeds)
        self.found["shapes again"] = compiled() - before
        self.found["shapes"] = before

    def lengths(self) -> None:
        before = compiled()
        for words in (1, 4, 9, 16, 25):
            self.base.draw(self.shots((1,), "mug " * words))
        self.found["lengths"] = compiled() - before


L, R = (0.0, 0.0, 0.5, 1.0), (0.5, 0.0, 1.0, 1.0)


def main() -> None:
    folder, backend, *parts = sys.argv[1:]
    trial = Trial(Path(folder), backend)
    with ThreadPoolExecutor(1) as drawing:
        for part in parts:
            drawing.submit(getattr(trial, part)).result()
    sys.stdout.write(json.dumps(trial.found) + "\n")


if __name__ == "__main__":
    main()
