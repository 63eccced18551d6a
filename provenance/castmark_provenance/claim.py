"""Claim: what we assert about one image (frozen), and the privacy profile that decides what is public."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

Sha256 = Field(pattern=r"^[0-9a-f]{64}$")


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ModelRecord(_Record):
    """A base model: name, digest over its weights, and licence.

    ``revision`` is the commit of the hub's repository it came from; ``files`` is the sha256 of every file
    that decides the pixels, by name: ``sha256`` is over these.
    """

    name: str
    sha256: str = Sha256
    licence: str | None = None
    non_commercial: bool = False
    revision: str | None = None
    files: dict[str, str] = {}


class IngredientRecord(_Record):
    """Something the image was made from, bound by the digest of its bytes.

    ``start`` is the image that the drawing began from: the manifest's parent.
    """

    title: str
    role: Literal["reference", "lora", "reference-adapter", "model", "start"]
    sha256: str = Sha256
    media_type: str = "application/octet-stream"


REQUIRED_RUNGS = frozenset({"L0 integrity", "L1 prompt", "L2 image"})
"""A check without a finding on each of these rungs is not complete."""


class FindingRecord(_Record):
    """One rung of the check. A non-finite score is not representable: such an image is never signed."""

    rung: str
    name: str
    score: float = Field(allow_inf_nan=False)
    threshold: float = Field(allow_inf_nan=False)
    allowed: bool
    binding: bool = True


class SafetyRecord(_Record):
    """The check's complete record, bound to the pixels."""

    pixel_sha256: str = Sha256
    policy: str
    policy_sha256: str = Sha256
    checker_sha256: str = Sha256
    calibration_sha256: str = Sha256
    domain: str
    findings: tuple[FindingRecord, ...] = Field(min_length=1)


class PromptRecord(_Record):
    """The prompt as the manifest carries it: by default a salted hash, on request the text.

    The salt and the text stay in the run's ledger, so that their owner can prove the prompt later.
    """

    salted_sha256: str = Sha256
    text: str | None = None

    @classmethod
    def of(cls, prompt: str, salt: str, *, disclose: bool = False) -> PromptRecord:
        """Record of ``prompt``: sha256(salt || prompt), with the text only if ``disclose``."""
        return cls(salted_sha256=salted(salt, prompt), text=prompt if disclose else None)


class Claim(_Record):
    """Everything Castmark asserts about one image, before it is put into C2PA's words.

    ``created`` is timezone-aware. ``settings`` holds what decides the pixels (batch size, dtype, device,
    versions).
    """

    title: str
    created: datetime
    generator: str
    generator_version: str
    shot_key: str = Sha256
    """sha256(salt || key): the key itself would let anybody test a guess at the prompt."""
    prompt: PromptRecord
    seed: int
    steps: int
    width: int
    height: int
    base: ModelRecord
    ingredients: tuple[IngredientRecord, ...] = ()
    safety: SafetyRecord
    settings: dict[str, str | int | float] = {}
    training_mining: Literal["allowed", "notAllowed"] = "notAllowed"

    @field_validator("created")
    @classmethod
    def _aware(cls, created: datetime) -> datetime:
        if created.tzinfo is None:
            raise ValueError("created must carry a time zone")
        return created


def salted(salt: str, text: str) -> str:
    """sha256(salt || text): publishes nothing that a guess could be tested against without the salt."""
    return hashlib.sha256(f"{salt}{text}".encode()).hexdigest()


def new_salt() -> str:
    """A fresh 128-bit salt, in hex."""
    return secrets.token_hex(16)


def pixel_digest(width: int, height: int, rgb: bytes) -> str:
    """sha256 of "WxHx3:" and the row-major 8-bit RGB bytes: the identity of decoded pixels."""
    digest = hashlib.sha256(f"{width}x{height}x3:".encode())
    digest.update(rgb)  # not joined: a picture's bytes are not copied to be hashed
    return digest.hexdigest()
