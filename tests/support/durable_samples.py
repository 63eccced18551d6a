"""Pictures for the durable layer's tests, signed and stripped."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from provenance_samples import claim_for

import castmark_world as world
from castmark_provenance.durable.layer import DurableLayer
from castmark_provenance.keys import Key
from castmark_provenance.sign import sign

Pixels = NDArray[np.uint8]


def drawing(seed: int, size: int = 256) -> Pixels:
    """A flat illustration, such as the embedded base draws."""
    return world.render(world.sample_scene(np.random.default_rng(seed)), size)


def encoded(pixels: Pixels, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def decoded(data: bytes) -> Pixels:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def jpeg(pixels: Pixels, quality: int = 75) -> Pixels:
    return decoded(encoded(pixels, "JPEG", quality=quality))


def scaled(pixels: Pixels, factor: float) -> Pixels:
    height, width = pixels.shape[:2]
    image = Image.fromarray(pixels).resize((round(width * factor), round(height * factor)))
    return np.asarray(image)


def screenshot(pixels: Pixels) -> Pixels:
    """Scaled, cropped on every side, and a JPEG."""
    large = scaled(pixels, 1.21)
    height, width = large.shape[:2]
    return jpeg(large[round(0.04 * height) : round(0.93 * height), round(0.06 * width) :], 80)


def signed_and_registered(layer: DurableLayer, key: Key, pixels: Pixels, name: str) -> tuple[Pixels, bytes]:
    """Marked pixels, and the signed PNG whose manifest the layer registered."""
    marked, identifier = layer.mark(pixels, f"shot key of {name}")
    image = Image.fromarray(marked)
    additions = layer.additions(marked, identifier)
    data = sign(encoded(marked), "image/png", claim_for(image, title=name), key, additions=additions)
    layer.register(data, "image/png", marked, identifier, name)
    return marked, data
