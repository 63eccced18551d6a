"""What the suite ``durable`` marks, and what copies go through.

JPEG 75       Pillow's, 4:2:0
half size     bicubic
10% crop      a tenth of height and of width cut off, split at random between the sides
screenshot    scaled by 0.67 to 1.5, 3 to 20% of height and of width cut off, JPEG 75 to 90
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image

import castmark_world as world
from castmark.errors import CastmarkError
from castmark_provenance.durable.plane import Pixels

FIRST_SEED = 1_000_000
BATCH = 8
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


def drawn(count: int) -> Iterator[Pixels]:
    """What the embedded base draws in one step of the words of ``count`` held-out scenes."""
    from castmark.bases import open_base
    from castmark.bench.base_words import words
    from castmark.shot import Shot

    base = open_base(None)
    rng = np.random.default_rng(FIRST_SEED)
    scenes = [world.sample_scene(rng, split="test") for _ in range(count)]
    shots = [base.resolve(Shot(words(scene), seed=seed, steps=1)) for seed, scene in enumerate(scenes)]
    for start in range(0, count, BATCH):
        yield from (draft.pixels for draft in base.draw(shots[start : start + BATCH]))


def rendered(seed: int) -> Pixels:
    """A render of the world's test split, 256 px."""
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
