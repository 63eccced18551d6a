"""Suite ``durable``: does the watermark outlive what copies go through, and do copies lead to manifests.

Pictures: ``n`` illustrations of the rendered world's test split at 256 px (what the embedded base draws is
made to look like), and the 22 photographs that scikit-image, scikit-learn and matplotlib carry, at 512 px at
most (nine of them grey). Each carries an id of its own and is changed in four ways:

    JPEG 75       Pillow's, 4:2:0
    half size     bicubic
    10% crop      a tenth of height and of width cut off, split at random between the sides
    screenshot    scaled by 0.67 to 1.5, 3 to 20% of height and of width cut off, JPEG 75 to 90

Unmarked pictures are 10 n further illustrations and 10 n random crops of the photographs. The registry of
100,000 holds made-up entries besides the signed pictures: random fingerprints, manifests of 1 KB.
"""

from __future__ import annotations

import io
import math
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

import castmark_world as world
from castmark.bench.harness import Figure, median
from castmark.errors import CastmarkError
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

ILLUSTRATIONS = 500
FIRST_SEED = 1_000_000
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
PHOTOGRAPHS = {
    "skimage": (
        "data",
        "astronaut.png brick.png camera.png cell.png chelsea.png clock_motion.png coffee.png coins.png "
        "grass.png gravel.png hubble_deep_field.jpg ihc.png moon.png motorcycle_left.png "
        "motorcycle_right.png page.png retina.jpg rocket.jpg text.png",
    ),
    "sklearn": ("datasets/images", "china.jpg flower.jpg"),
    "matplotlib": ("mpl-data/sample_data", "grace_hopper.jpg"),
}


def run(*, n: int | None = None, threads: int | None = None) -> list[Figure]:
    """Every figure, with ``n`` illustrations. It runs on one thread whatever ``threads`` is.

    Raises:
        CastmarkError: the packages that carry the photographs are not installed.
    """
    count = n or ILLUSTRATIONS
    photographs = dict(photos())
    drawings = {f"illustration {seed}": drawing(seed) for seed in range(FIRST_SEED, FIRST_SEED + count)}
    figures = survival({**drawings, **photographs}, set(photographs))
    figures += silence(count, list(photographs.values()))
    figures += cost(photographs)
    figures += recoveries(
        list(drawings.values())[: max(1, count // 5)], REGISTERED if count >= 100 else 100 * count
    )
    return figures


def drawing(seed: int) -> Pixels:
    """An illustration of the test split, 256 px."""
    return world.render(world.sample_scene(np.random.default_rng(seed), split="test"), 256)


def photos(largest: int = 512) -> Iterator[tuple[str, Pixels]]:
    """The photographs by name, RGB.

    Raises:
        CastmarkError: a package is not installed.
    """
    for package, (folder, names) in PHOTOGRAPHS.items():
        found = find_spec(package)
        if found is None or found.origin is None:
            raise CastmarkError(
                f"the photographs of {package} are not there; install them with: pip install 'castmark[dev]'"
            )
        for name in names.split():
            with Image.open(Path(found.origin).parent / folder / name) as image:
                image = image.convert("RGB")
                image.thumbnail((largest, largest), Image.Resampling.BICUBIC)
                yield name, np.asarray(image)


def jpeg(pixels: Pixels, quality: int = 75) -> Pixels:
    """The pixels after JPEG."""
    return decoded(encoded(pixels, quality))


def encoded(pixels: Pixels, quality: int = 75) -> bytes:
    """A JPEG file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def decoded(data: bytes) -> Pixels:
    """Pixels of an image file."""
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


def scaled(pixels: Pixels, factor: float) -> Pixels:
    """Bicubic, rounded to whole pixels."""
    height, width = pixels.shape[:2]
    size = (round(width * factor), round(height * factor))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC))


def cropped(pixels: Pixels, tall: float, wide: float, rng: np.random.Generator) -> Pixels:
    """A random part with these shares of height and width."""
    height, width = pixels.shape[:2]
    rows, columns = round(height * tall), round(width * wide)
    top, left = rng.integers(0, height - rows + 1), rng.integers(0, width - columns + 1)
    return pixels[top : top + rows, left : left + columns]


def screenshot(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Scaled, cropped, JPEG: each by a random amount."""
    factor = math.exp(rng.uniform(math.log(0.67), math.log(1.5)))
    part = cropped(scaled(pixels, factor), rng.uniform(0.8, 0.97), rng.uniform(0.8, 0.97), rng)
    return jpeg(part, int(rng.integers(75, 91)))


CHANGES: dict[str, Callable[[Pixels, np.random.Generator], Pixels]] = {
    "JPEG 75": lambda pixels, _: jpeg(pixels),
    "half size": lambda pixels, _: scaled(pixels, 0.5),
    "10% crop": lambda pixels, rng: cropped(pixels, 0.9, 0.9, rng),
    "screenshot": screenshot,
}


def psnr(one: Pixels, other: Pixels) -> float:
    """Peak signal-to-noise ratio over RGB, dB."""
    return float(10 * np.log10(255**2 / np.mean((one.astype(np.float64) - other) ** 2)))


def survival(pictures: dict[str, Pixels], photographs: set[str]) -> list[Figure]:
    """How often the id is read exactly, the mark's PSNR, and how far fingerprints of copies drift."""
    exact: dict[str, list[bool]] = {change: [] for change in CHANGES}
    exact_photos: dict[str, list[bool]] = {change: [] for change in CHANGES}
    drift: dict[str, list[float]] = {change: [] for change in CHANGES}
    framed: list[float] = []
    quality: list[float] = []
    prints: list[bytes] = []
    for place, (name, pixels) in enumerate(pictures.items()):
        rng = np.random.default_rng(place)
        identifier = int(rng.integers(0, 1 << ID_BITS))
        marked = embed(pixels, identifier)
        quality.append(psnr(pixels, marked))
        prints.append(fingerprint(marked))
        for change, make in CHANGES.items():
            copy = make(marked, rng)
            mark = read(copy)
            right = mark is not None and mark.identifier == identifier
            (exact_photos if name in photographs else exact)[change].append(right)
            drift[change].append(distance(prints[-1], fingerprint(copy)))
            if mark is not None and right and change in ("10% crop", "screenshot"):
                placed = in_frame(copy, mark, (marked.shape[0], marked.shape[1]))
                framed.append(min((distance(prints[-1], each) for each in placed), default=256))
    packed = b"".join(prints)
    others = np.concatenate([np.delete(distances(each, packed), at) for at, each in enumerate(prints)])
    figures = [
        share(
            f"watermark decoded exactly: {change}",
            exact[change] + exact_photos[change],
            TARGETS["decoded exactly"],
        )
        for change in CHANGES
    ]
    figures += [share(f"of these, photographs: {change}", exact_photos[change]) for change in CHANGES]
    low = min(quality)
    return [
        *figures,
        Figure(name="PSNR, the lowest", value=low, low=low, high=low, n=len(quality), target=TARGETS["PSNR"],
               better="higher", unit="dB"),
        median("PSNR", quality, "dB", better="higher"),
        *(median(f"fingerprint drift: {change}", drift[change], "bits") for change in CHANGES),
        share(f"copies (JPEG, half size) within {COPY} bits",
              [away <= COPY for change in ("JPEG 75", "half size") for away in drift[change]]),
        share(f"other pictures within {COPY} bits", [bool(away <= COPY) for away in others], better="lower"),
        share(f"crops and screenshots put into their frame within {FRAMED} bits",
              [away <= FRAMED for away in framed]),
        share(f"other pictures within {FRAMED} bits", [bool(away <= FRAMED) for away in others],
              better="lower"),
    ]  # fmt: skip


def unmarked(count: int, photographs: list[Pixels]) -> Iterator[Pixels]:
    """2 x 10 x ``count`` pictures without a mark."""
    for at in range(10 * count):
        yield drawing(FIRST_SEED + 100_000 + at)
        rng = np.random.default_rng(at)
        yield cropped(photographs[at % len(photographs)], rng.uniform(0.4, 1), rng.uniform(0.4, 1), rng)


def silence(count: int, photographs: list[Pixels]) -> list[Figure]:
    """False positives, and the computed bound beside them."""
    found = [read(pixels) is not None for pixels in unmarked(count, photographs)]
    total = sum(found)
    high = -math.log(0.05) if total == 0 else total + 1.96 * math.sqrt(total)
    bound = FALSE_POSITIVE_BOUND
    return [
        Figure(name="false positives on unmarked pictures", value=total, low=max(0.0, 2 * total - high),
               high=high, n=len(found), target=TARGETS["false positives"]),
        Figure(name="false positives, computed bound for each picture", value=bound, low=0, high=bound, n=1),
    ]  # fmt: skip


def cost(photographs: dict[str, Pixels]) -> list[Figure]:
    """Milliseconds to draw and to read at 512 x 512, one thread."""
    pixels = np.asarray(Image.fromarray(photographs["coffee.png"]).resize((512, 512)))
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


def share(name: str, hits: list[bool], target: float | None = None, *, better: str = "higher") -> Figure:
    """The share of hits with its 95% Wilson interval."""
    n = len(hits)
    value = statistics.fmean(hits) if hits else 0.0
    z = 1.96
    centre = (value + z * z / (2 * max(n, 1))) / (1 + z * z / max(n, 1))
    reach = (
        z
        * math.sqrt(value * (1 - value) / max(n, 1) + z * z / (4 * max(n, 1) ** 2))
        / (1 + z * z / max(n, 1))
    )
    side = "lower" if better == "lower" else "higher"
    return Figure(
        name=name, value=value, low=max(0.0, centre - reach), high=min(1.0, centre + reach), n=n,
        target=target, better=side,
    )  # fmt: skip
