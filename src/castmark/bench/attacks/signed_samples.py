"""Signed pictures for the provenance suite: rendered scenes, whole claims with ingredients, a new key."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from PIL import Image

import castmark_world as world
from castmark import __version__
from castmark_provenance.authority import keygen
from castmark_provenance.claim import (
    Claim,
    FindingRecord,
    IngredientRecord,
    ModelRecord,
    PromptRecord,
    SafetyRecord,
    pixel_digest,
)
from castmark_provenance.keys import PemKey
from castmark_provenance.sign import sign

FORMATS: dict[str, tuple[str, dict[str, object]]] = {
    "PNG": ("image/png", {"compress_level": 1}),
    "JPEG": ("image/jpeg", {"quality": 92, "subsampling": 0}),
    "WEBP": ("image/webp", {"quality": 90, "method": 2}),
    "TIFF": ("image/tiff", {"compression": "tiff_lzw"}),
    "AVIF": ("image/avif", {"quality": 90, "speed": 8}),
}
"""Pillow's name of a format: media type, and how pictures are encoded."""
SEED = 61_000


@dataclass(frozen=True)
class Sample:
    """A picture as it was checked, encoded and claimed."""

    kind: str
    pixels: bytes
    encoded: bytes
    claim: Claim

    @property
    def media_type(self) -> str:
        """The encoded file's."""
        return FORMATS[self.kind][0]

    def signed(self, key: PemKey) -> bytes:
        """The signed file."""
        return sign(self.encoded, self.media_type, self.claim, key, pixels=self.pixels)


def new_key(folder: Path) -> PemKey:
    """A key and its root, made for this run."""
    return PemKey.load_folder(keygen(folder / "keys", name="Bench signer"))


def samples(count: int, side: int, kind: str) -> Iterator[Sample]:
    """``count`` rendered scenes of the test split, ``side`` pixels square; the same ones every time."""
    rng = np.random.default_rng(SEED)
    for _ in range(count):
        scene = world.sample_scene(rng, split="test")
        yield sample(Image.fromarray(world.render(scene, side)).convert("RGB"), kind)


def sample(image: Image.Image, kind: str) -> Sample:
    """One picture, encoded and claimed."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **FORMATS[kind][1])
    return Sample(kind, image.tobytes(), buffer.getvalue(), claim_about(image))


def claim_about(image: Image.Image) -> Claim:
    """What the studio would say about a picture with three references, a LoRA and the reference adapter."""
    references = tuple(
        IngredientRecord(title=f"reference {i}", role="reference", sha256=_digest(i), media_type="image/png")
        for i in range(3)
    )
    rungs = (
        ("L0 integrity", "finite"),
        ("L1 prompt", "weapon"),
        ("L2 image", "weapon"),
        ("L2 image", "alcohol"),
    )
    return Claim(
        title="bench",
        created=datetime.now(UTC),
        generator="Castmark",
        generator_version=__version__,
        shot_key=_digest("key"),
        prompt=PromptRecord.of("a picture", "salt"),
        seed=7,
        steps=4,
        width=image.width,
        height=image.height,
        base=ModelRecord(name="embedded", sha256=_digest("base"), licence="Apache-2.0"),
        ingredients=(
            *references,
            IngredientRecord(title="LoRA", role="lora", sha256=_digest("lora")),
            IngredientRecord(title="reference adapter", role="reference-adapter", sha256=_digest("adapter")),
        ),
        safety=SafetyRecord(
            pixel_sha256=pixel_digest(image.width, image.height, image.tobytes()),
            policy="general-audience",
            policy_sha256=_digest("policy"),
            checker_sha256=_digest("checker"),
            calibration_sha256=_digest("calibration"),
            domain="rendered illustrations",
            findings=tuple(
                FindingRecord(rung=rung, name=name, score=0.1, threshold=0.3, allowed=True)
                for rung, name in rungs
            ),
        ),
        settings={"dtype": "float32", "batch_size": 4, "torch": "2.9.0"},
    )


def _digest(text: object) -> str:
    return hashlib.sha256(str(text).encode()).hexdigest()
