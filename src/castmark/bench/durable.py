"""Suite ``durable``: does the watermark outlive what copies go through, and do copies lead to manifests.

Pictures: ``n`` that the embedded base draws in one step, and the 22 photographs that scikit-image,
scikit-learn and matplotlib carry, at 512 px at most (nine of them grey). Each carries an id of its own and is
changed in four ways (`copies`).

Unmarked pictures are 10 n renders of the world's test split and 10 n random crops of the photographs. The
registry of 100,000 holds made-up entries besides the signed pictures: random fingerprints, manifests of 1 KB.
"""

from __future__ import annotations

import functools
import io
import math
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

import numpy as np
from PIL import Image

from castmark.bench import harness
from castmark.bench.copies import CHANGES, FIRST_SEED, cropped, drawn, photos, rendered
from castmark.bench.harness import Figure, median
from castmark.machine.threads import calm_numpy
from castmark_provenance.authority import keygen
from castmark_provenance.claim import (
    Claim,
    FindingRecord,
    ModelRecord,
    PromptRecord,
    SafetyRecord,
    pixel_digest,
)
from castmark_provenance.durable.fingerprint import COPY, FRAMED, distance, distances, fingerprint, in_frame
from castmark_provenance.durable.layer import DurableLayer
from castmark_provenance.durable.plane import Pixels
from castmark_provenance.durable.recovery import match
from castmark_provenance.durable.registry import Entry, now
from castmark_provenance.durable.watermark import FALSE_POSITIVE_BOUND, ID_BITS, embed, read
from castmark_provenance.keys import PemKey
from castmark_provenance.sign import sign

if TYPE_CHECKING:
    from castmark_provenance.keys import Key

Item = TypeVar("Item")
Found = TypeVar("Found")

DRAWINGS = 500
REGISTERED = 100_000
TIMED = 20
TARGETS = {
    "decoded exactly": 0.99,
    "PSNR": 40.0,
    "false positives": 0.0,
    "embedding": 30.0,
    "decoding": 250.0,
    "recovered": 0.99,
    "recovery": 50.0,
}
"""Shares, dB, a count, and milliseconds on one CPU core."""


def run(*, n: int | None = None, threads: int | None = None) -> list[Figure]:
    """Every figure, with ``n`` drawings; ``threads`` processes (one by default) mark and read them.

    Raises:
        CastmarkError: the packages that carry the photographs are not installed.
    """
    calm_numpy()
    count, processes = n or DRAWINGS, threads or 1
    photographs = list(dict(photos()).values())
    drawings = list(drawn(count))
    return [
        *survival(drawings, photographs, processes),
        *silence(count, processes),
        *cost(),
        *recoveries(drawings[: max(1, count // 5)], REGISTERED if count >= 100 else 100 * count),
    ]


def psnr(one: Pixels, other: Pixels) -> float:
    """Peak signal-to-noise ratio over RGB, dB."""
    return float(10 * np.log10(255**2 / np.mean((one.astype(np.float64) - other) ** 2)))


@dataclass(frozen=True)
class Trial:
    """One picture, marked and changed: by change, was the id read, and how far did the fingerprint go."""

    exact: dict[str, bool]
    drift: dict[str, int]
    framed: tuple[int, ...]
    """Bits, of copies put back into their frame."""
    quality: float
    looks: bytes


def trial(numbered: tuple[int, Pixels]) -> Trial:
    """Mark a picture, change it in every way, read the mark."""
    place, pixels = numbered
    rng = np.random.default_rng(place)
    identifier = int(rng.integers(0, 1 << ID_BITS))
    marked = embed(pixels, identifier)
    looks = fingerprint(marked)
    exact: dict[str, bool] = {}
    drift: dict[str, int] = {}
    framed: list[int] = []
    for change, make in CHANGES.items():
        copy = make(marked, rng)
        mark = read(copy)
        exact[change] = mark is not None and mark.identifier == identifier
        drift[change] = distance(looks, fingerprint(copy))
        if mark is not None and exact[change] and change in ("10% crop", "screenshot"):
            placed = in_frame(copy, mark, (marked.shape[0], marked.shape[1]))
            framed.append(min((distance(looks, each) for each in placed), default=256))
    return Trial(exact, drift, tuple(framed), psnr(pixels, marked), looks)


def spread(work: Callable[[Item], Found], over: Sequence[Item], processes: int) -> Iterator[Found]:
    """``work`` over every item, in order."""
    if processes == 1:
        yield from map(work, over)
        return
    with ProcessPoolExecutor(processes, get_context("spawn"), initializer=calm_numpy) as pool:
        yield from pool.map(work, over, chunksize=16)


def survival(drawings: list[Pixels], photographs: list[Pixels], processes: int) -> list[Figure]:
    """How often the id is read exactly, the mark's PSNR, and how far fingerprints of copies drift."""
    trials = list(spread(trial, list(enumerate([*drawings, *photographs])), processes))
    of_photos = trials[len(drawings) :]
    quality = [each.quality for each in trials]
    framed = [away for each in trials for away in each.framed]
    prints = [each.looks for each in trials]
    packed = b"".join(prints)
    others = np.concatenate([np.delete(distances(each, packed), at) for at, each in enumerate(prints)])
    figures = [
        share(f"watermark decoded exactly: {change}", [each.exact[change] for each in trials],
              TARGETS["decoded exactly"])
        for change in CHANGES
    ]  # fmt: skip
    figures += [
        share(f"of these, photographs: {change}", [each.exact[change] for each in of_photos])
        for change in CHANGES
    ]
    low = min(quality)
    return [
        *figures,
        Figure(name="PSNR, the lowest", value=low, low=low, high=low, n=len(quality), target=TARGETS["PSNR"],
               better="higher", unit="dB"),
        median("PSNR", quality, "dB", better="higher"),
        *(median(f"fingerprint drift: {change}", [each.drift[change] for each in trials], "bits")
          for change in CHANGES),
        share(f"copies (JPEG, half size) within {COPY} bits",
              [each.drift[change] <= COPY for each in trials for change in ("JPEG 75", "half size")]),
        share(f"other pictures within {COPY} bits", [bool(away <= COPY) for away in others], better="lower"),
        share(f"crops and screenshots put into their frame within {FRAMED} bits",
              [away <= FRAMED for away in framed]),
        share(f"other pictures within {FRAMED} bits", [bool(away <= FRAMED) for away in others],
              better="lower"),
    ]  # fmt: skip


def unmarked(at: int) -> int:
    """How many of two unmarked pictures yield an id: a render, and a crop of a photograph."""
    photographs = _photographs()
    rng = np.random.default_rng(at)
    part = cropped(photographs[at % len(photographs)], rng.uniform(0.4, 1), rng.uniform(0.4, 1), rng)
    return sum(read(pixels) is not None for pixels in (rendered(FIRST_SEED + 100_000 + at), part))


@functools.cache
def _photographs() -> list[Pixels]:
    return list(dict(photos()).values())


def silence(count: int, processes: int) -> list[Figure]:
    """False positives, and the computed bound beside them."""
    found = list(spread(unmarked, range(10 * count), processes))
    total = sum(found)
    high = -math.log(0.05) if total == 0 else total + 1.96 * math.sqrt(total)
    bound = FALSE_POSITIVE_BOUND
    return [
        Figure(name="false positives on unmarked pictures", value=total, low=max(0.0, 2 * total - high),
               high=high, n=2 * len(found), target=TARGETS["false positives"]),
        Figure(name="false positives, computed bound for each picture", value=bound, low=0, high=bound, n=1),
    ]  # fmt: skip


def cost() -> list[Figure]:
    """Milliseconds to draw and to read at 512 x 512, one thread."""
    pixels = np.asarray(Image.fromarray(dict(photos())["coffee.png"]).resize((512, 512)))
    marked = embed(pixels, 1)
    part = marked[51:, 51:]
    return [
        median("embedding, 512 px, CPU", timed(lambda: embed(pixels, 1)), "ms", target=TARGETS["embedding"]),
        median("decoding, 512 px, whole, CPU", timed(lambda: read(marked)), "ms", target=TARGETS["decoding"]),
        median("decoding, 512 px, cropped, CPU", timed(lambda: read(part)), "ms", target=TARGETS["decoding"]),
        median(
            "decoding, 512 px, unmarked, CPU", timed(lambda: read(pixels)), "ms", target=TARGETS["decoding"]
        ),
    ]


def recoveries(pictures: list[Pixels], size: int) -> list[Figure]:
    """Stripped, re-encoded copies against a registry of ``size``: how often right, how fast."""
    with tempfile.TemporaryDirectory() as folder:
        key = PemKey.load_folder(keygen(Path(folder) / "keys"))
        layer = DurableLayer.open(Path(folder) / "registry.sqlite")
        layer.registry.add_all(filler(size - len(pictures)))
        copies: list[tuple[str, Pixels]] = []
        for place, pixels in enumerate(pictures):
            name = f"picture {place}"
            marked, identifier = layer.mark(pixels, name)
            layer.register(
                signed(layer, marked, identifier, name, key), "image/png", marked, identifier, name
            )
            changes = list(CHANGES.values())
            copies.append((name, changes[place % len(changes)](marked, np.random.default_rng(place))))
        right: list[bool] = []
        took: list[float] = []
        looked: list[float] = []
        for name, copy in copies:
            mark = read(copy)
            start = time.perf_counter()
            found = match(copy, mark, layer.registry, key.anchors).recovery
            took.append(1000 * (time.perf_counter() - start))
            right.append(found is not None and found.entry.title == name)
            start = time.perf_counter()
            layer.registry.nearest(fingerprint(copy), COPY)
            looked.append(1000 * (time.perf_counter() - start))
        layer.registry.close()
    return [
        share(f"recovered from stripped, re-encoded copies, registry of {size}", right, TARGETS["recovered"]),
        median("recovery after decoding, by watermark", took, "ms", target=TARGETS["recovery"]),
        median("look-up by fingerprint", looked, "ms", target=TARGETS["recovery"]),
    ]


def filler(count: int) -> Iterator[Entry]:
    """Made-up entries."""
    rng = np.random.default_rng(1)
    for at in range(count):
        yield Entry(
            manifest=rng.bytes(1024), fingerprint=rng.bytes(32), watermark=int(rng.integers(0, 1 << ID_BITS)),
            width=256, height=256, pixel_sha256=f"{at:064x}", media_type="image/png", registered=now(),
        )  # fmt: skip


def signed(layer: DurableLayer, pixels: Pixels, identifier: int | None, title: str, key: Key) -> bytes:
    """The pixels as a PNG signed with a made-up check, its soft bindings declared."""
    height, width, _ = pixels.shape
    zero = "0" * 64
    rungs = ("L0 integrity", "L1 prompt", "L2 image")
    findings = tuple(FindingRecord(rung=r, name="bench", score=0, threshold=1, allowed=True) for r in rungs)
    claim = Claim(
        title=title, created=now(), generator="castmark bench", generator_version="1", shot_key=zero,
        prompt=PromptRecord.of("bench", zero), seed=0, steps=1, width=width, height=height,
        base=ModelRecord(name="bench", sha256=zero),
        safety=SafetyRecord(
            pixel_sha256=pixel_digest(width, height, pixels.tobytes()), policy="bench", policy_sha256=zero,
            checker_sha256=zero, calibration_sha256=zero, domain="bench", findings=findings,
        ),
    )  # fmt: skip
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return sign(buffer.getvalue(), "image/png", claim, key, additions=layer.additions(pixels, identifier))


def timed(work: Callable[[], object]) -> list[float]:
    """CPU milliseconds of each of `TIMED` calls, after one to warm up: their time on a core of their own."""
    work()
    samples: list[float] = []
    for _ in range(TIMED):
        start = time.process_time()
        work()
        samples.append(1000 * (time.process_time() - start))
    return samples


def share(
    name: str,
    hits: list[bool],
    target: float | None = None,
    *,
    better: Literal["lower", "higher"] = "higher",
) -> Figure:
    """The share of hits."""
    return harness.share(name, sum(hits), len(hits), target=target, better=better)
