"""Bases of every family in a small size: the true classes of diffusers and transformers, random weights.

Pictures are 64 px; every text model is a few layers of 16 to 32 wide over one tokenizer of bytes.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import (
    AutoencoderDC,
    AutoencoderKL,
    AutoencoderKLFlux2,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    Flux2KleinPipeline,
    Flux2Transformer2DModel,
    FluxPipeline,
    FluxTransformer2DModel,
    SanaSprintPipeline,
    SanaTransformer2DModel,
    SCMScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
    ZImagePipeline,
    ZImageTransformer2DModel,
)
from PIL import Image, ImageDraw
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    Gemma2Config,
    Gemma2Model,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3ForCausalLM,
    Qwen3Model,
    T5Config,
    T5EncoderModel,
)

SIDE = 64
CHAT = "{% for message in messages %}<start>{{ message['content'] }}<end>{% endfor %}"


def tokenizer(context: int = 48) -> PreTrainedTokenizerFast:
    """A byte-level tokenizer with CLIP's special tokens, padded to ``context``."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: i for i, token in enumerate([*alphabet, "<start>", "<end>"])}
    inner = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.post_processor = processors.TemplateProcessing(
        single="<start> $A <end>",
        special_tokens=[("<start>", vocabulary["<start>"]), ("<end>", vocabulary["<end>"])],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        bos_token="<start>",
        eos_token="<end>",
        pad_token="<end>",
        model_max_length=context,
    )


def chatting() -> PreTrainedTokenizerFast:
    """The same with a chat template, as Qwen's has."""
    found = tokenizer(512)
    found.chat_template = CHAT
    return found


def clip(
    kind: type[CLIPTextModel] | type[CLIPTextModelWithProjection] = CLIPTextModel, width: int = 32
) -> Any:
    return kind(
        CLIPTextConfig(
            vocab_size=258,
            hidden_size=width,
            intermediate_size=width,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=48,
            projection_dim=width,
            bos_token_id=256,
            eos_token_id=257,
            pad_token_id=257,
        )
    )


def qwen(kind: Any, layers: int) -> Any:
    return kind(
        Qwen3Config(
            vocab_size=258,
            hidden_size=16,
            intermediate_size=16,
            num_hidden_layers=layers,
            num_attention_heads=2,
            num_key_value_heads=1,
            head_dim=8,
            max_position_embeddings=512,
            bos_token_id=256,
            eos_token_id=257,
            pad_token_id=257,
        )
    )


def autoencoder(channels: int, **more: Any) -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(8,) * 4,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        norm_num_groups=4,
        latent_channels=channels,
        mid_block_add_attention=False,
        use_quant_conv=not more,
        use_post_quant_conv=not more,
        **more,
    )


def unet(**more: Any) -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=SIDE // 8,
        block_out_channels=(32, 64),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        **more,
    )


def sd_turbo() -> StableDiffusionPipeline:
    return StableDiffusionPipeline(
        vae=autoencoder(4),
        text_encoder=clip(),
        tokenizer=tokenizer(),
        unet=unet(cross_attention_dim=32, attention_head_dim=2),
        scheduler=EulerDiscreteScheduler(timestep_spacing="trailing", steps_offset=1),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def sdxl_turbo() -> StableDiffusionXLPipeline:
    return StableDiffusionXLPipeline(
        vae=autoencoder(4),
        text_encoder=clip(),
        text_encoder_2=clip(CLIPTextModelWithProjection),
        tokenizer=tokenizer(),
        tokenizer_2=tokenizer(),
        unet=unet(
            cross_attention_dim=64,
            attention_head_dim=(1, 2),
            transformer_layers_per_block=(1, 2),
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=32 + 6 * 8,
        ),
        scheduler=EulerDiscreteScheduler(timestep_spacing="trailing", steps_offset=1),
        add_watermarker=False,
    )


def flow(**more: Any) -> FlowMatchEulerDiscreteScheduler:
    return FlowMatchEulerDiscreteScheduler(**more)


def flux_schnell() -> FluxPipeline:
    t5 = T5Config(vocab_size=258, d_model=32, d_kv=8, d_ff=32, num_layers=1, num_heads=2, pad_token_id=257)
    return FluxPipeline(
        scheduler=flow(),
        vae=autoencoder(4, shift_factor=0.1),
        text_encoder=clip(),
        tokenizer=tokenizer(),
        text_encoder_2=T5EncoderModel(t5),
        tokenizer_2=tokenizer(512),
        transformer=FluxTransformer2DModel(
            in_channels=16,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=32,
            pooled_projection_dim=32,
            axes_dims_rope=(4, 4, 8),
            guidance_embeds=False,
        ),
    )


def flux2_klein() -> Flux2KleinPipeline:
    return Flux2KleinPipeline(
        scheduler=flow(use_dynamic_shifting=True, time_shift_type="exponential"),
        vae=AutoencoderKLFlux2(
            block_out_channels=(8,) * 4,
            decoder_block_out_channels=(8,) * 4,
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            layers_per_block=1,
            norm_num_groups=4,
            latent_channels=4,
            mid_block_add_attention=False,
        ),
        text_encoder=qwen(Qwen3ForCausalLM, 27),
        tokenizer=chatting(),
        transformer=Flux2Transformer2DModel(
            in_channels=16,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=48,
            timestep_guidance_channels=32,
            axes_dims_rope=(4, 4, 4, 4),
            guidance_embeds=False,
        ),
        is_distilled=True,
    )


def sana_sprint() -> SanaSprintPipeline:
    gemma = Gemma2Config(
        vocab_size=258,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
        bos_token_id=256,
        eos_token_id=257,
        pad_token_id=257,
    )
    blocks = 6
    return SanaSprintPipeline(
        tokenizer=tokenizer(4096),
        text_encoder=Gemma2Model(gemma),
        vae=AutoencoderDC(
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
            scaling_factor=0.41407,
        ),
        transformer=SanaTransformer2DModel(
            in_channels=4,
            out_channels=4,
            num_layers=1,
            num_attention_heads=2,
            attention_head_dim=16,
            num_cross_attention_heads=2,
            cross_attention_head_dim=16,
            cross_attention_dim=32,
            caption_channels=16,
            sample_size=32,
            guidance_embeds=True,
            qk_norm="rms_norm_across_heads",
            timestep_scale=1000.0,
        ),
        scheduler=SCMScheduler(),
    )


def z_image_turbo() -> ZImagePipeline:
    return ZImagePipeline(
        scheduler=flow(shift=3.0),
        vae=autoencoder(4, shift_factor=0.1),
        text_encoder=qwen(Qwen3Model, 2),
        tokenizer=chatting(),
        transformer=ZImageTransformer2DModel(
            in_channels=4,
            dim=32,
            n_layers=1,
            n_refiner_layers=1,
            n_heads=2,
            n_kv_heads=2,
            cap_feat_dim=16,
            axes_dims=[4, 4, 8],
            axes_lens=[512, 64, 64],
        ),
    )


TINY: dict[str, Callable[[], Any]] = {
    "sd-turbo": sd_turbo,
    "sdxl-turbo": sdxl_turbo,
    "flux-schnell": flux_schnell,
    "flux2-klein": flux2_klein,
    "sana-sprint": sana_sprint,
    "z-image-turbo": z_image_turbo,
}


def write_tiny(name: str, folder: Path, seed: int = 0, **stated: Any) -> Path:
    """A base folder of this family. Its pictures have some contrast: plain grey would hide differences."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        pipeline = TINY[name]()
        out = pipeline.vae.decoder.conv_out
        with torch.no_grad():
            (out.conv if hasattr(out, "conv") else out).weight.mul_(4)
        pipeline.save_pretrained(folder, safe_serialization=True)
    facts = {"name": f"tiny {name}", "licence": "Apache-2.0"}
    facts |= {"steps": 2, "sizes": [[SIDE, SIDE]], **stated}
    (folder / "castmark.json").write_text(json.dumps(facts))
    return folder


def state(module: torch.nn.Module) -> str:
    """sha256 over names and bits of everything in a network."""
    total = hashlib.sha256()
    for name, tensor in module.state_dict().items():
        total.update(name.encode() + tensor.contiguous().view(torch.uint8).numpy().tobytes())
    return total.hexdigest()


def write_encoder(folder: Path) -> Path:
    """An image encoder as IP-Adapters come with: 64 wide, embeddings of 32."""
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    sizes = {"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = CLIPVisionConfig(**sizes, image_size=64, patch_size=16, projection_dim=32)
    CLIPVisionModelWithProjection(config).save_pretrained(folder / "image_encoder")
    return folder


def write_reference(folder: Path, pipeline: Any) -> Path:
    """An IP-Adapter of the Plus form for a UNet, with random weights that are seen."""
    from castmark_adapters.layout import fresh_reference, reference_bytes

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        write_encoder(folder)
        weights = fresh_reference(pipeline.unet, embed_dim=64, hidden=64, queries=4)
    (folder / "ip_adapter.safetensors").write_bytes(reference_bytes(weights, torch.float32))
    return folder


def write_flux_reference(folder: Path, pipeline: Any) -> Path:
    """An IP-Adapter of the form that is published for FLUX.1, with random weights that are seen."""
    from safetensors.torch import save_file

    transformer = pipeline.transformer
    width, inner = transformer.config.joint_attention_dim, transformer.inner_dim
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        write_encoder(folder)
        tensors = {
            "ip_adapter_proj_model.proj.weight": torch.randn(4 * width, 32) * 0.2,
            "ip_adapter_proj_model.proj.bias": torch.zeros(4 * width),
            "ip_adapter_proj_model.norm.weight": torch.ones(width),
            "ip_adapter_proj_model.norm.bias": torch.zeros(width),
        }
        for block in range(transformer.config.num_layers):
            for part in "kv":
                name = f"double_blocks.{block}.processor.ip_adapter_double_stream_{part}_proj"
                tensors |= {f"{name}.weight": torch.randn(inner, width), f"{name}.bias": torch.zeros(inner)}
    save_file(tensors, folder / "ip_adapter.safetensors")
    return folder


def picture(seed: int) -> bytes:
    """A PNG of coloured shapes on a plain ground, different for every seed."""
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", (64, 64), (240, 240, 240))
    draw = ImageDraw.Draw(image)
    for _ in range(3):
        x, y = (int(v) for v in rng.integers(10, 40, 2))
        draw.ellipse((x, y, x + 18, y + 18), fill=tuple(int(v) for v in rng.integers(0, 200, 3)))
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()
