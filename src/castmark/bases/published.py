"""Bases that are published and run here, with their sizes: to say which fit a machine before one is fetched.

What was looked up, and where:

- Parameters: counted on models of the published configurations, text models included, with no weights; a test
  counts them again. Text models: CLIP L, H and bigG; T5 v1.1 XXL; Gemma 2 2B; Qwen3 4B.
- Sides, steps and guidance: model cards and diffusers' documentation. Z-Image-Turbo takes 8 steps,
  which its card asks for as 9, because diffusers' loop then had one that did nothing.
- Licences: as the model cards name them. SD-Turbo's card names none; its licence file is Stability AI's
  community licence. SANA-Sprint was published under NVIDIA's NSCL, and has gone by its open model licence
  since; the card of the copy at hand decides what is recorded.

Not looked up: sizes of files, and commits; a base is opened at the commit that the hub, or you, name.
"""

from __future__ import annotations

from dataclasses import dataclass

from castmark.bases.sizing import Weights

BILLION = 1_000_000_000


@dataclass(frozen=True, kw_only=True)
class Published:
    """A hub id, and what there is to load, in billions of parameters."""

    base: str
    denoiser: float
    others: tuple[float, ...]
    """Text models and the autoencoder."""
    side: int
    """Pixels a side of its native pictures."""
    steps: int
    licence: str
    repeated_blocks: bool = True

    @property
    def parameters(self) -> float:
        """Of all parts, in billions."""
        return self.denoiser + sum(self.others)

    @property
    def weights(self) -> Weights:
        """As plans are made for."""
        return Weights(
            denoiser=round(self.denoiser * BILLION),
            others=tuple(round(part * BILLION) for part in self.others),
            repeated_blocks=self.repeated_blocks,
        )


PUBLISHED = (
    Published(
        base="stabilityai/sd-turbo",
        denoiser=0.866,
        others=(0.340, 0.084),
        side=512,
        steps=1,
        licence="Stability AI Community License",
        repeated_blocks=False,
    ),
    Published(
        base="stabilityai/sdxl-turbo",
        denoiser=2.567,
        others=(0.123, 0.695, 0.084),
        side=512,
        steps=1,
        licence="sai-nc-community",
        repeated_blocks=False,
    ),
    Published(
        base="Efficient-Large-Model/Sana_Sprint_1.6B_1024px_diffusers",
        denoiser=1.610,
        others=(2.614, 0.312),
        side=1024,
        steps=2,
        licence="NVIDIA's; read the card",
        repeated_blocks=False,
    ),
    Published(
        base="black-forest-labs/FLUX.2-klein-4B",
        denoiser=3.876,
        others=(4.022, 0.084),
        side=1024,
        steps=4,
        licence="apache-2.0",
    ),
    Published(
        base="Tongyi-MAI/Z-Image-Turbo",
        denoiser=6.155,
        others=(4.022, 0.084),
        side=1024,
        steps=8,
        licence="apache-2.0",
    ),
    Published(
        base="black-forest-labs/FLUX.1-schnell",
        denoiser=11.891,
        others=(4.762, 0.123, 0.084),
        side=1024,
        steps=4,
        licence="apache-2.0",
    ),
)
