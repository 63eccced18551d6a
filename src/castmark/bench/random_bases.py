"""Bases with random weights: true configurations, and small ones of the same classes for a CPU."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from castmark.bases.facts import BaseFacts

VOCABULARY = 258
_D: Any = diffusers
_T: Any = transformers
"""Their own annotations say one number where they take several, and one class where they take any."""


@dataclass(frozen=True, kw_only=True)
class RandomBase:
    """A base to measure: how its pipeline is made, and what is drawn with it."""

    name: str
    family: str
    make: Callable[[bool], Any]
    side: int
    steps: int
    small_side: int = 64

    def facts(self, small: bool) -> BaseFacts:
        """As of a folder; there are no files."""
        side = self.small_side if small else self.side
        return BaseFacts(
            folder=Path("random"),
            family=self.family,
            name=f"{self.name}, random weights",
            licence=None,
            sizes=((side, side),),
            steps=self.steps,
        )

    def pipeline(self, *, small: bool, device: str, dtype: torch.dtype) -> Any:
        """Made on the device itself, in its dtype."""
        before = torch.get_default_dtype()
        torch.manual_seed(0)
        try:
            torch.set_default_dtype(dtype)
            with torch.device(device):
                made = self.make(small)
        finally:
            torch.set_default_dtype(before)
        made.set_progress_bar_config(disable=True)
        return made


def _tokenizer(length: int) -> Any:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    numbers = {token: number for number, token in enumerate([*alphabet, "<start>", "<end>"])}
    inner = Tokenizer(models.BPE(vocab=numbers, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.post_processor = processors.TemplateProcessing(
        single="<start> $A <end>",
        special_tokens=[(token, numbers[token]) for token in ("<start>", "<end>")],
    )
    return _T.PreTrainedTokenizerFast(
        tokenizer_object=inner,
        bos_token="<start>",
        eos_token="<end>",
        pad_token="<end>",
        model_max_length=length,
    )


def _scheduler(kind: str, **settings: Any) -> Any:
    """On the CPU in float32, wherever the models are made: schedulers count with numpy."""
    before = torch.get_default_dtype()
    try:
        torch.set_default_dtype(torch.float32)
        with torch.device("cpu"):
            return getattr(_D, kind)(**settings)
    finally:
        torch.set_default_dtype(before)


def _clip(kind: Any, width: int, layers: int, heads: int, activation: str = "gelu") -> Any:
    return kind(
        _T.CLIPTextConfig(
            vocab_size=VOCABULARY,
            hidden_size=width,
            intermediate_size=4 * width,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            projection_dim=width,
            hidden_act=activation,
            bos_token_id=256,
            eos_token_id=257,
            pad_token_id=257,
        )
    )


def _autoencoder(small: bool, channels: int, shift: float | None = None) -> Any:
    widths = (8, 8, 8, 8) if small else (128, 256, 512, 512)
    return _D.AutoencoderKL(
        block_out_channels=widths,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1 if small else 2,
        norm_num_groups=4 if small else 32,
        latent_channels=channels,
        shift_factor=shift,
    )


def _sd_turbo(small: bool) -> Any:
    unet = _D.UNet2DConditionModel(
        sample_size=8 if small else 64,
        block_out_channels=(32, 64) if small else (320, 640, 1280, 1280),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D")
        if small
        else ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D")
        if small
        else ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
        layers_per_block=1 if small else 2,
        cross_attention_dim=32 if small else 1024,
        attention_head_dim=2 if small else (5, 10, 20, 20),
        use_linear_projection=True,
    )
    return _D.StableDiffusionPipeline(
        vae=_autoencoder(small, 4),
        text_encoder=_clip(_T.CLIPTextModel, 32, 1, 2) if small else _clip(_T.CLIPTextModel, 1024, 23, 16),
        tokenizer=_tokenizer(77),
        unet=unet,
        scheduler=_scheduler("EulerAncestralDiscreteScheduler", timestep_spacing="trailing", steps_offset=1),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def _sdxl_turbo(small: bool) -> Any:
    pooled, size_width = (32, 8) if small else (1280, 256)
    unet = _D.UNet2DConditionModel(
        sample_size=8 if small else 64,
        block_out_channels=(32, 64) if small else (320, 640, 1280),
        down_block_types=("DownBlock2D",) + ("CrossAttnDownBlock2D",) * (1 if small else 2),
        up_block_types=("CrossAttnUpBlock2D",) * (1 if small else 2) + ("UpBlock2D",),
        layers_per_block=1 if small else 2,
        transformer_layers_per_block=(1, 1) if small else (1, 2, 10),
        attention_head_dim=(1, 2) if small else (5, 10, 20),
        cross_attention_dim=64 if small else 2048,
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=size_width,
        projection_class_embeddings_input_dim=pooled + 6 * size_width,
    )
    first = _clip(_T.CLIPTextModel, 32, 2, 2) if small else _clip(_T.CLIPTextModel, 768, 12, 12, "quick_gelu")
    second = (32, 2, 2) if small else (1280, 32, 20)
    return _D.StableDiffusionXLPipeline(
        vae=_autoencoder(small, 4),
        text_encoder=first,
        text_encoder_2=_clip(_T.CLIPTextModelWithProjection, *second),
        tokenizer=_tokenizer(77),
        tokenizer_2=_tokenizer(77),
        unet=unet,
        scheduler=_scheduler("EulerAncestralDiscreteScheduler", timestep_spacing="trailing", steps_offset=1),
        add_watermarker=False,
    )


def _flux_schnell(small: bool) -> Any:
    sizes: dict[str, int] = (
        {"d_model": 32, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_heads": 2}
        if small
        else {"d_model": 4096, "d_kv": 64, "d_ff": 10240, "num_layers": 24, "num_heads": 64}
    )
    t5 = _T.T5Config(vocab_size=VOCABULARY, feed_forward_proj="gated-gelu", pad_token_id=257, **sizes)
    transformer = (
        _D.FluxTransformer2DModel(
            in_channels=16,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=32,
            pooled_projection_dim=32,
            axes_dims_rope=(4, 4, 8),
        )
        if small
        else _D.FluxTransformer2DModel()
    )
    clip = _clip(_T.CLIPTextModel, 32, 1, 2) if small else _clip(_T.CLIPTextModel, 768, 12, 12, "quick_gelu")
    return _D.FluxPipeline(
        scheduler=_scheduler("FlowMatchEulerDiscreteScheduler"),
        vae=_autoencoder(small, 4 if small else 16, 0.1159),
        text_encoder=clip,
        tokenizer=_tokenizer(77),
        text_encoder_2=_T.T5EncoderModel(t5),
        tokenizer_2=_tokenizer(512),
        transformer=transformer,
    )


def _sana_sprint(small: bool) -> Any:
    gemma: dict[str, int] = (
        {
            "hidden_size": 16,
            "intermediate_size": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "head_dim": 8,
        }
        if small
        else {}  # Gemma2Config's own values are those of the 2B model
    )
    special = {"bos_token_id": 256, "eos_token_id": 257, "pad_token_id": 257}
    blocks = 6
    vae = (
        _D.AutoencoderDC(
            in_channels=3,
            latent_channels=4,
            attention_head_dim=8,
            encoder_block_types=("ResBlock",) * blocks,
            decoder_block_types=("ResBlock",) * blocks,
            encoder_block_out_channels=(8,) * blocks,
            decoder_block_out_channels=(8,) * blocks,
            encoder_layers_per_block=(1,) * blocks,
            decoder_layers_per_block=(1,) * blocks,
            encoder_qkv_multiscales=((),) * blocks,
            decoder_qkv_multiscales=((),) * blocks,
        )
        if small
        else _D.AutoencoderDC(
            in_channels=3,
            latent_channels=32,
            encoder_block_types=("ResBlock",) * 3 + ("EfficientViTBlock",) * 3,
            decoder_block_types=("ResBlock",) * 3 + ("EfficientViTBlock",) * 3,
            encoder_layers_per_block=(2, 2, 2, 3, 3, 3),
            decoder_layers_per_block=(3, 3, 3, 3, 3, 3),
            encoder_qkv_multiscales=((), (), (), (5,), (5,), (5,)),
            decoder_qkv_multiscales=((), (), (), (5,), (5,), (5,)),
            downsample_block_type="Conv",
            upsample_block_type="interpolate",
        )
    )
    transformer: dict[str, Any] = (
        {
            "in_channels": 4,
            "out_channels": 4,
            "num_layers": 1,
            "num_attention_heads": 2,
            "attention_head_dim": 16,
            "num_cross_attention_heads": 2,
            "cross_attention_head_dim": 16,
            "cross_attention_dim": 32,
            "caption_channels": 16,
        }
        if small
        else {}  # SanaTransformer2DModel's own values are those of the 1.6B model
    )
    return _D.SanaSprintPipeline(
        tokenizer=_tokenizer(4096),
        text_encoder=_T.Gemma2Model(_T.Gemma2Config(vocab_size=VOCABULARY, **gemma, **special)),
        vae=vae,
        transformer=_D.SanaTransformer2DModel(
            **transformer, guidance_embeds=True, qk_norm="rms_norm_across_heads", timestep_scale=1000.0
        ),
        scheduler=_scheduler("SCMScheduler"),
    )


SD_TURBO = RandomBase(name="SD-Turbo", family="StableDiffusionPipeline", make=_sd_turbo, side=512, steps=1)
SDXL_TURBO = RandomBase(
    name="SDXL-Turbo", family="StableDiffusionXLPipeline", make=_sdxl_turbo, side=512, steps=1
)
FLUX_SCHNELL = RandomBase(
    name="FLUX.1-schnell", family="FluxPipeline", make=_flux_schnell, side=1024, steps=4
)
SANA_SPRINT = RandomBase(
    name="SANA-Sprint", family="SanaSprintPipeline", make=_sana_sprint, side=1024, steps=2
)
