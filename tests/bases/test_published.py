"""The sizes that `castmark doctor` reckons with are those of the published configurations, counted on a
device without memory.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import diffusers
import pytest
import torch
import transformers
from torch import nn

from castmark.bases import FAMILIES
from castmark.bases.published import BILLION, PUBLISHED, Published
from castmark.bench.random_bases import SANA_SPRINT, SD_TURBO, SDXL_TURBO, RandomBase

D: Any = diffusers
T: Any = transformers
Parts = tuple[Callable[[], nn.Module], ...]


def clip(width: int, layers: int, heads: int, kind: str = "CLIPTextModel") -> Callable[[], nn.Module]:
    return lambda: getattr(T, kind)(
        T.CLIPTextConfig(
            vocab_size=49408,
            hidden_size=width,
            intermediate_size=4 * width,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            projection_dim=width,
        )
    )


def autoencoder(channels: int) -> Callable[[], nn.Module]:
    return lambda: D.AutoencoderKL(
        block_out_channels=(128, 256, 512, 512),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=2,
        latent_channels=channels,
    )


def qwen() -> nn.Module:
    return T.Qwen3Model(
        T.Qwen3Config(
            vocab_size=151936,
            hidden_size=2560,
            intermediate_size=9728,
            num_hidden_layers=36,
            num_attention_heads=32,
            num_key_value_heads=8,
            head_dim=128,
        )
    )


def t5() -> nn.Module:
    return T.T5EncoderModel(
        T.T5Config(
            vocab_size=32128,
            feed_forward_proj="gated-gelu",
            d_model=4096,
            d_kv=64,
            d_ff=10240,
            num_layers=24,
            num_heads=64,
        )
    )


def klein() -> nn.Module:
    return D.Flux2Transformer2DModel(
        num_layers=5,
        num_single_layers=20,
        num_attention_heads=24,
        joint_attention_dim=7680,
        guidance_embeds=False,
    )


def gemma() -> nn.Module:
    return T.Gemma2Model(T.Gemma2Config())


def denoiser(base: RandomBase) -> Callable[[], nn.Module]:
    """As the GPU suite makes it."""

    def make() -> nn.Module:
        parts = base.pipeline(small=False, device="meta", dtype=torch.bfloat16).components
        return parts.get("unet") or parts["transformer"]

    return make


def deep() -> nn.Module:
    return SANA_SPRINT.pipeline(small=False, device="meta", dtype=torch.bfloat16).vae


BIG_G = clip(1280, 32, 20, "CLIPTextModelWithProjection")
PARTS: dict[str, Parts] = {
    "stabilityai/sd-turbo": (denoiser(SD_TURBO), clip(1024, 23, 16), autoencoder(4)),
    "stabilityai/sdxl-turbo": (denoiser(SDXL_TURBO), clip(768, 12, 12), BIG_G, autoencoder(4)),
    "Efficient-Large-Model/Sana_Sprint_1.6B_1024px_diffusers": (denoiser(SANA_SPRINT), gemma, deep),
    "black-forest-labs/FLUX.2-klein-4B": (klein, qwen, lambda: D.AutoencoderKLFlux2()),
    "Tongyi-MAI/Z-Image-Turbo": (lambda: D.ZImageTransformer2DModel(), qwen, autoencoder(16)),
    "black-forest-labs/FLUX.1-schnell": (
        lambda: D.FluxTransformer2DModel(),
        t5,
        clip(768, 12, 12),
        autoencoder(16),
    ),
}


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("one", PUBLISHED, ids=lambda one: one.base)
def test_sizes_are_those_of_the_published_configurations(one: Published) -> None:
    with torch.device("meta"):
        counted = [sum(p.numel() for p in make().parameters()) / BILLION for make in PARTS[one.base]]
    assert one.denoiser == pytest.approx(counted[0], rel=0.01)
    assert sorted(one.others) == pytest.approx(sorted(counted[1:]), rel=0.01)


def test_one_of_every_family_is_listed() -> None:
    assert len(PUBLISHED) == len(FAMILIES)
