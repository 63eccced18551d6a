"""Real pictures, claims and signed bytes for the provenance tests, and knives to cut PNG files with."""

from __future__ import annotations

import hashlib
import io
import random
import zlib
from datetime import UTC, datetime

from PIL import Image

from castmark_provenance.claim import (
    Claim,
    FindingRecord,
    IngredientRecord,
    ModelRecord,
    PromptRecord,
    SafetyRecord,
    pixel_digest,
)
from castmark_provenance.keys import Key
from castmark_provenance.sign import sign

PROMPT = "a very secret prompt about mira at the beach"
SALT = "0123456789abcdef0123456789abcdef"


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def picture(seed: int = 0, size: tuple[int, int] = (48, 32)) -> Image.Image:
    """A smooth picture with a few random blocks: distinct per seed, and kind to JPEG."""
    rng = random.Random(seed)
    image = Image.linear_gradient("L").resize(size).convert("RGB")
    for _ in range(6):
        x, y = rng.randrange(size[0]), rng.randrange(size[1])
        image.paste(tuple(rng.randrange(256) for _ in range(3)), (x, y, x + 12, y + 12))
    return image


def encode(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    plain = kind in ("PNG", "GIF", "TIFF")
    image.save(buffer, kind, **({} if plain else {"quality": 92}) | options)
    return buffer.getvalue()


def claim_for(image: Image.Image, **changes: object) -> Claim:
    findings = (
        FindingRecord(rung="L0 integrity", name="contrast", score=0.1 + 0.2, threshold=0.01, allowed=True),
        FindingRecord(
            rung="L1 prompt", name="weapon", score=0.1234567890123456, threshold=0.31, allowed=True
        ),
        FindingRecord(rung="L2 image", name="alcohol", score=-1.5e-7, threshold=0.25, allowed=True),
        FindingRecord(
            rung="L3 subject", name="identity", score=0.5, threshold=0.6, allowed=False, binding=False
        ),
    )
    body = {
        "title": "beach 7",
        "created": datetime(2026, 11, 21, 3, 4, 5, 678901, tzinfo=UTC),
        "generator": "Castmark",
        "generator_version": "0.1.0",
        "shot_key": digest("shot"),
        "prompt": PromptRecord.of(PROMPT, SALT),
        "seed": 2**63 - 1,
        "steps": 4,
        "width": image.width,
        "height": image.height,
        "base": ModelRecord(name="embedded", sha256=digest("base"), licence="Apache-2.0"),
        "ingredients": (
            IngredientRecord(
                title="reference_1.png", role="reference", sha256=digest("ref 1"), media_type="image/png"
            ),
            IngredientRecord(
                title="reference_2.png", role="reference", sha256=digest("ref 2"), media_type="image/png"
            ),
            IngredientRecord(title="mira LoRA", role="lora", sha256=digest("lora")),
            IngredientRecord(title="reference adapter", role="reference-adapter", sha256=digest("adapter")),
        ),
        "safety": SafetyRecord(
            pixel_sha256=pixel_digest(image.width, image.height, image.tobytes()),
            policy="default",
            policy_sha256=digest("policy"),
            checker_sha256=digest("checker"),
            calibration_sha256=digest("calibration"),
            domain="rendered illustrations",
            findings=findings,
        ),
        "settings": {"dtype": "float32", "batch": 4, "eta": 0.1, "torch": "2.9.0", "whole": 1.0},
    }
    return Claim.model_validate(body | changes)


MEDIA = {
    "PNG": "image/png",
    "JPEG": "image/jpeg",
    "WEBP": "image/webp",
    "TIFF": "image/tiff",
    "AVIF": "image/avif",
}


def signed(key: Key, seed: int = 0, kind: str = "PNG", **options: object) -> bytes:
    """A signed picture; the same seed has the same pixels in every kind."""
    image = picture(seed)
    return sign(encode(image, kind, **options), MEDIA[kind], claim_for(image), key, pixels=image.tobytes())


def chunks(png: bytes) -> list[tuple[bytes, bytes]]:
    """Type and body of every chunk."""
    found, at = [], 8
    while at < len(png):
        size = int.from_bytes(png[at : at + 4], "big")
        found.append((png[at + 4 : at + 8], png[at + 8 : at + 8 + size]))
        at += 12 + size
    return found


def join(parts: list[tuple[bytes, bytes]]) -> bytes:
    """A PNG of these chunks, with right CRCs."""
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")
        for kind, body in parts
    )


def store_of(png: bytes) -> bytes:
    """The manifest store of a signed PNG."""
    return next(body for kind, body in chunks(png) if kind == b"caBX")


def with_store(png: bytes, store: bytes) -> bytes:
    """The PNG with another manifest store, its CRC right."""
    return join([(kind, store if kind == b"caBX" else body) for kind, body in chunks(png)])


def edit_store(png: bytes, old: bytes, new: bytes) -> bytes:
    """The PNG with ``old`` replaced once in its store by as many bytes, its CRC right."""
    store = store_of(png)
    assert len(old) == len(new)
    assert old in store
    return with_store(png, store.replace(old, new, 1))
