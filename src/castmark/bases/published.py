"""Bases that are published and run here, with their sizes: to say which fit a machine before one is fetched.

Parameters are counted over all parts, text models included, and rounded.
"""

from __future__ import annotations

from dataclasses import dataclass

from castmark.bases.speed import Weights

BILLION = 1_000_000_000


@dataclass(frozen=True, kw_only=True)
class Published:
    """A hub id, and what there is to load. ``denoiser`` and ``rest`` are billions of parameters."""

    base: str
    denoiser: float
    rest: float
    largest: float
    """Of its parts; a text model may be larger than the denoiser."""
    side: int
    """Pixels a side of its native pictures."""
    steps: int
    repeated_blocks: bool = True

    @property
    def weights(self) -> Weights:
        """As plans are made for."""
        return Weights(
            parameters=round((self.denoiser + self.rest) * BILLION),
            largest=round(self.largest * BILLION),
            repeated_blocks=self.repeated_blocks,
        )


PUBLISHED = (
    Published(
        base="stabilityai/sd-turbo",
        denoiser=0.87,
        rest=0.42,
        largest=0.87,
        side=512,
        steps=1,
        repeated_blocks=False,
    ),
    Published(
        base="stabilityai/sdxl-turbo",
        denoiser=2.57,
        rest=0.90,
        largest=2.57,
        side=512,
        steps=1,
        repeated_blocks=False,
    ),
    Published(
        base="Efficient-Large-Model/Sana_Sprint_1.6B_1024px_diffusers",
        denoiser=1.6,
        rest=2.93,
        largest=2.61,
        side=1024,
        steps=2,
        repeated_blocks=False,
    ),
    Published(
        base="black-forest-labs/FLUX.2-klein-4B", denoiser=3.9, rest=4.1, largest=4.02, side=1024, steps=4
    ),
    Published(base="Tongyi-MAI/Z-Image-Turbo", denoiser=6.15, rest=4.1, largest=6.15, side=1024, steps=8),
    Published(
        base="black-forest-labs/FLUX.1-schnell",
        denoiser=11.9,
        rest=4.97,
        largest=11.9,
        side=1024,
        steps=4,
    ),
)
