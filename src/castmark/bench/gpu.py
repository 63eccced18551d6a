"""Real bases on a GPU: against stock diffusers in the same run, checked and signed, and from a cold start.

True configurations with random weights: a model's speed does not depend on what its numbers are. Without a
GPU small models of the same classes run on the CPU, which shows that the suite is whole and nothing else; its
first figure then says that the GPU figures are still to be taken.
"""

from __future__ import annotations

import gc
import itertools
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from castmark.bases import family_of
from castmark.bases.diffusers_base import DiffusersBase
from castmark.bases.fast import DTYPES
from castmark.bench.gpu_check import CostOfACheck
from castmark.bench.harness import Figure, median
from castmark.bench.random_bases import FLUX_SCHNELL, SANA_SPRINT, SD_TURBO, SDXL_TURBO, RandomBase
from castmark.errors import CastmarkError
from castmark.shot import Shot
from castmark.studio.studio import Studio
from castmark.studio.wardrobe import EngineWardrobe
from castmark.take import SignedImage
from castmark_adapters.lora import LoraAdapter, LoraWeights, attention_targets
from castmark_provenance.authority import keygen
from castmark_provenance.keys import PemKey

ROUNDS = 20
AGAINST_STOCK = ((SDXL_TURBO, 2.0), (FLUX_SCHNELL, 2.0), (SANA_SPRINT, 1.5))
"""Bases, and how many times faster than stock diffusers each is to be."""
STREAM_DIFFUSION = 106.0
"""Images a second that StreamDiffusion states for SD-Turbo in one step on a 4090, generation alone."""
BATCHES = (1, 4, 8)
PROMPT = "a red mug on an oak table, morning light"


@dataclass(frozen=True)
class Bench:
    """Where it runs and how much."""

    rounds: int
    device: str
    folder: Path

    @property
    def small(self) -> bool:
        """Small models on a CPU."""
        return self.device == "cpu"

    def open(self, base: RandomBase) -> DiffusersBase:
        """The base as Castmark draws with it here."""
        facts = base.facts(self.small)
        return DiffusersBase(facts, family_of(facts), self.device, exact=False, pipeline=self.stock(base))

    def stock(self, base: RandomBase) -> Any:
        """The same as plain diffusers has it."""
        dtype = DTYPES["float32" if self.small else "bfloat16"]
        return base.pipeline(small=self.small, device=self.device, dtype=dtype)

    def timed(self, work: Callable[[], object]) -> float:
        """Seconds until the device is done."""
        self.wait()
        begun = time.perf_counter()
        work()
        self.wait()
        return time.perf_counter() - begun

    def wait(self) -> None:
        """For everything in flight."""
        if not self.small:
            torch.cuda.synchronize()

    def target(self, value: float) -> float | None:
        """A target for a GPU; small models on a CPU have none."""
        return None if self.small else value


def run(*, n: int | None = None, threads: int | None = None) -> list[Figure]:
    """Every part, scaled by ``n`` rounds.

    Raises:
        CastmarkError: a base cannot be opened, or not one image was signed.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(n or ROUNDS, device, Path(folder))
        figures = [_where(bench)]
        for base, gain in AGAINST_STOCK:
            figures += against_stock(bench, base, gain)
            _forget(bench)
        figures += signed(bench)
        _forget(bench)
        figures += swaps(bench)
        _forget(bench)
        return figures + ([] if bench.small else cold_starts(bench))


def _where(bench: Bench) -> Figure:
    name = "GPUs: 0, small random weights on the CPU; the GPU figures are still to be taken"
    if not bench.small:
        name = f"GPUs: {torch.cuda.get_device_name()}, true configurations, random weights"
    count = torch.cuda.device_count()
    return Figure(name=name, value=count, low=count, high=count, n=1)


def against_stock(bench: Bench, base: RandomBase, gain: float) -> list[Figure]:
    """Latency of one image and images a second by batch size, stock diffusers and ours in one run.

    Stock diffusers is given the prompt, as one calls it; and once more its embeddings, which ours remembers.
    """
    facts = base.facts(bench.small)
    side = facts.sizes[0][0]
    stock = bench.stock(base)
    family = family_of(facts)(stock, facts)
    fixed: dict[str, Any] = {"width": side, "height": side, "num_inference_steps": base.steps}
    fixed |= {**family.call_arguments({}, 1), "output_type": "pt"}
    remembered = family.together(family.encode_texts([PROMPT]))
    asked: dict[str, dict[str, Any]] = {"stock": {"prompt": PROMPT}, "stock, given embeddings": remembered}
    times = {name: _latency(bench, stock, {**fixed, **words}) for name, words in asked.items()}
    del family, stock
    _forget(bench)
    ours = bench.open(base)
    warm = ours.warm_up(BATCHES[:1] if bench.small else BATCHES)
    shots = [ours.resolve(Shot(PROMPT, seed=seed)) for seed in range(max(BATCHES))]
    times["ours"] = [bench.timed(lambda: ours.draw(shots[:1])) for _ in range(bench.rounds)]
    title = f"{base.name}, {base.steps} steps, {side} px"
    ratios = [a / b for a, b in zip(times["stock"], times["ours"], strict=True)]
    figures = [median(f"{title}: against stock", ratios, "x", target=bench.target(gain), better="higher")]
    for name, seconds in times.items():
        taken = [1000 * each for each in seconds]
        figures.append(median(f"{title}, latency: {name}", taken, "ms"))
        last = sorted(taken)[math.ceil(0.95 * len(taken)) - 1]
        figures.append(_one(f"{title}, p95: {name}", last, len(taken), "ms"))
    for count in BATCHES:
        rounds = max(1, bench.rounds // 4)
        rate = [count / bench.timed(lambda count=count: ours.draw(shots[:count])) for _ in range(rounds)]
        figures.append(median(f"{title}, images a second: batches of {count}", rate, "/s", better="higher"))
    return [*figures, _one(f"{title}, warm-up", sum(warm.values()), 1, "s")]


def _latency(bench: Bench, pipeline: Any, arguments: dict[str, Any]) -> list[float]:
    """Seconds of single images, after two that are not counted."""
    for _ in range(2):
        pipeline(**arguments)
    return [bench.timed(lambda: pipeline(**arguments)) for _ in range(bench.rounds)]


def _one(name: str, value: float, n: int, unit: str, target: float | None = None) -> Figure:
    """A figure without an interval."""
    return Figure(name=name, value=value, low=value, high=value, n=n, unit=unit, target=target)


def signed(bench: Bench) -> list[Figure]:
    """SD-Turbo, one step: checked and signed images a second, and what check and signing add to drawing."""
    base = bench.open(SD_TURBO)
    key = PemKey.load_folder(keygen(bench.folder / "keys"))
    checker = CostOfACheck(bench.device, small=bench.small)
    studio = Studio(base=base, checker=checker, wardrobe=EngineWardrobe(), key=key, batch_size=max(BATCHES))
    studio.warm_up()
    count = max(2, bench.rounds) * studio.batch_size
    shots = [Shot(PROMPT, seed=seed) for seed in range(count)]
    list(studio.shoot_all(shots[: studio.batch_size]))
    begun = time.perf_counter()
    takes = list(studio.shoot_all(shots))
    whole = time.perf_counter() - begun
    if not all(isinstance(take, SignedImage) for take in takes):
        raise CastmarkError(f"an image was not signed, so nothing was measured; {takes[0].explain()}")
    resolved = [base.resolve(shot) for shot in shots]

    def draw_all() -> None:
        for start in range(0, count, studio.batch_size):
            base.draw(resolved[start : start + studio.batch_size])

    raw = bench.timed(draw_all)
    rate, share = count / whole, whole / raw
    rate_name = "SD-Turbo, 1 step: checked and signed images a second"
    share_name = "SD-Turbo, 1 step: time checked and signed against drawn alone, overlapped"
    found = _one(rate_name, rate, count, "/s", bench.target(STREAM_DIFFUSION))
    return [
        found.model_copy(update={"better": "higher"}),
        _one(share_name, share, count, "x", bench.target(1.05)),
    ]


def swaps(bench: Bench) -> list[Figure]:
    """Putting another subject's LoRA on, and how often that compiled anything again."""
    base = bench.open(SDXL_TURBO)
    base.warm_up((1,))
    shot = base.resolve(Shot(PROMPT))
    pair = [_lora(base, seed) for seed in (1, 2)]
    for adapter in pair:
        with adapter.worn(base):
            base.draw([shot])
    compiled = _compiled()
    taken: list[float] = []
    for adapter in itertools.islice(itertools.cycle(pair), max(2, bench.rounds)):
        worn = adapter.worn(base)
        taken.append(1000 * bench.timed(worn.__enter__))
        base.draw([shot])
        worn.__exit__(None, None, None)
    figures = [median("LoRA swap on SDXL-Turbo", taken, "ms", target=bench.target(50.0))]
    if base.plan.compiled != "no":
        again = _compiled() - compiled
        figures.append(_one("recompiles over the swaps", again, len(taken), "", 0.0))
    return figures


def cold_starts(bench: Bench) -> list[Figure]:
    """Seconds from a new process to the first image, with an empty compile cache and with the one left."""
    figures: list[Figure] = []
    environment = os.environ | {"TORCHINDUCTOR_CACHE_DIR": str(bench.folder / "compiled")}
    for cache in ("empty", "kept"):
        begun = time.perf_counter()
        subprocess.run([sys.executable, "-m", __name__], check=True, env=environment, capture_output=True)
        taken = time.perf_counter() - begun
        name = f"cold start to first image, SDXL-Turbo: compile cache {cache}"
        figures.append(_one(name, taken, 1, "s"))
    return figures


def _lora(base: DiffusersBase, seed: int) -> LoraAdapter:
    generator = torch.Generator().manual_seed(seed)
    layers: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
    for name in attention_targets(base.model):
        linear: Any = base.model.denoiser.get_submodule(name)
        inner = linear.get_base_layer() if hasattr(linear, "get_base_layer") else linear
        down = torch.randn(8, inner.in_features, generator=generator) * 0.01
        layers[name] = (down, torch.randn(inner.out_features, 8, generator=generator) * 0.01)
    data = LoraWeights(8, layers, base.model.lora_prefix).to_bytes()
    return LoraAdapter(data, title=f"LoRA {seed}", base=base.digest)


def _compiled() -> int:
    """Graphs that were compiled in this process so far."""
    from torch._dynamo.utils import counters

    return int(counters["stats"]["unique_graphs"])


def _forget(bench: Bench) -> None:
    """Give the device's memory back before the next base."""
    gc.collect()
    if not bench.small:
        torch.cuda.empty_cache()


def main() -> None:
    """A new process up to its first image; see `cold_starts`."""
    with tempfile.TemporaryDirectory() as folder:
        base = Bench(1, "cuda" if torch.cuda.is_available() else "cpu", Path(folder)).open(SDXL_TURBO)
        base.draw([base.resolve(Shot(PROMPT))])


if __name__ == "__main__":
    main()
