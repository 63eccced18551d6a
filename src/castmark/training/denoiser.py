"""The denoiser: a small text-conditioned UNet on 16 x 16 x 16 latents, shipped as a plain diffusers pipeline.

The model predicts the clean latents (x-prediction) on a variance-preserving path whose last step is pure
noise (zero terminal SNR, Lin et al. 2024, arXiv 2305.08891), so that `LCMScheduler` can draw in a few steps.
`castmark.training.teacher` trains it, `castmark.training.student` distils it; this file holds the model, its
path and how it ships.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from diffusers import AutoencoderTiny, LCMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, PreTrainedTokenizerFast

from castmark.training.autoencoder import LATENT_CHANNELS, SIZE
from castmark.training.common import TrainSettings, hardware, load_checkpoint, write_card
from castmark.training.tokenizer import CONTEXT, END, PAD, START, load_tokenizer

TEXT_WIDTH = 128
TEXT_LAYERS, TEXT_HEADS = 4, 4
LATENT_SIDE = 16
DRAWING_STEPS = 4
FACTS = {
    "name": "castmark-embedded",
    "licence": "Apache-2.0",
    "sizes": [[SIZE, SIZE]],
    "steps": DRAWING_STEPS,
}
"""What `castmark.bases` reads beside the pipeline."""


def new_scheduler() -> LCMScheduler:
    """Clean-latent prediction, zero terminal SNR, timesteps 999 / 759 / 499 / 259 for 4 steps."""
    return LCMScheduler(
        prediction_type="sample",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        clip_sample=False,
        steps_offset=1,
    )


def new_text_encoder(tokenizer: PreTrainedTokenizerFast) -> CLIPTextModel:
    """The untrained text encoder."""
    names = {"bos_token_id": START, "eos_token_id": END, "pad_token_id": PAD}
    special: dict[str, Any] = {name: tokenizer.convert_tokens_to_ids(token) for name, token in names.items()}
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=TEXT_WIDTH,
            intermediate_size=TEXT_WIDTH * 4,
            num_hidden_layers=TEXT_LAYERS,
            num_attention_heads=TEXT_HEADS,
            max_position_embeddings=CONTEXT,
            hidden_act="gelu",
            **special,
        )
    )


def new_unet() -> UNet2DConditionModel:
    """The untrained UNet: cross-attention at 8 x 8, pooled text joined to the time embedding."""
    return UNet2DConditionModel(
        sample_size=LATENT_SIDE,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        block_out_channels=(64, 128),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        layers_per_block=2,
        cross_attention_dim=TEXT_WIDTH,
        attention_head_dim=2,
        addition_embed_type="text",
        addition_embed_type_num_heads=4,
        norm_num_groups=16,
    )


class TextToLatents(nn.Module):
    """Text encoder and UNet as one model: noisy latents, timesteps and token ids to clean latents.

    Attention is the plain product of matrices, whose backward is quicker at this size than the fused one's.
    """

    def __init__(self, text_encoder: CLIPTextModel, unet: UNet2DConditionModel) -> None:
        super().__init__()
        self.text_encoder, self.unet = text_encoder, unet
        unet.set_attn_processor(AttnProcessor())
        text_encoder.set_attn_implementation("eager")

    def embed(self, ids: Tensor) -> Tensor:
        """Long "b 48" to Float "b 48 128"."""
        return self.text_encoder(ids)[0]

    def forward(self, noisy: Tensor, timesteps: Tensor, embeds: Tensor) -> Tensor:
        """Float "b 16 16 16", Long "b" and Float "b 48 128" to clean latents "b 16 16 16"."""
        return self.unet(noisy, timesteps, embeds, return_dict=False)[0]


class NoisePath:
    """The noising path: alpha and sigma by timestep, Float "1000"."""

    def __init__(self, device: str) -> None:
        scheduler = new_scheduler()
        product = scheduler.alphas_cumprod.to(device)
        scheduler.set_timesteps(DRAWING_STEPS)
        self.drawn_at = scheduler.timesteps.to(device)
        """Timesteps of drawing in `DRAWING_STEPS`, Long "4", from pure noise down."""
        self.alpha, self.sigma = product.sqrt(), (1 - product).sqrt()

    def at(self, timesteps: Tensor) -> tuple[Tensor, Tensor]:
        """Alpha and sigma "b 1 1 1"."""
        return self.alpha[timesteps][:, None, None, None], self.sigma[timesteps][:, None, None, None]


def start_from_shipped(model: TextToLatents, folder: Path) -> None:
    """Copy what was shipped last into the model, as far as shapes agree; nothing, if nothing was shipped."""
    if not (folder / "unet" / "config.json").is_file():
        return
    unet = UNet2DConditionModel.from_pretrained(folder / "unet")
    text_encoder = CLIPTextModel.from_pretrained(folder / "text_encoder")
    for ours, theirs in ((model.unet, unet), (model.text_encoder, text_encoder)):
        shapes = {name: value.shape for name, value in ours.state_dict().items()}
        fitting = {k: v for k, v in theirs.state_dict().items() if shapes.get(k) == v.shape}
        ours.load_state_dict(fitting, strict=False)


def ship(settings: TrainSettings, checkpoint: str, facts: dict[str, Any]) -> None:
    """Write the pipeline folder (safetensors) and its card from a checkpoint, around ``out``/vae.

    ``facts`` go into the card: what was trained how.

    Raises:
        FileNotFoundError: there is no such checkpoint.
    """
    tokenizer = load_tokenizer()
    model = TextToLatents(new_text_encoder(tokenizer), new_unet())
    state = load_checkpoint(settings.work / checkpoint)
    if state is None:
        raise FileNotFoundError(f"{settings.work}: no {checkpoint}; run `castmark train teacher` first")
    model.load_state_dict(state["model"])
    model.eval()
    autoencoder = AutoencoderTiny.from_pretrained(settings.out / "vae")
    # The signature names the classes of SD 1.5; any of their kind will do.
    parts: dict[str, Any] = {
        "vae": autoencoder,
        "text_encoder": model.text_encoder,
        "tokenizer": tokenizer,
        "unet": model.unet,
        "scheduler": new_scheduler(),
        "safety_checker": None,
        "feature_extractor": None,
    }
    pipeline = StableDiffusionPipeline(**parts, requires_safety_checker=False)
    # A folder is loaded in the precision of its files: fp32, so that it draws on a CPU as it is.
    autoencoder.float()
    pipeline.save_pretrained(settings.out, safe_serialization=True)
    # Diffusers notes the folder that the autoencoder was read from: of no use to anybody else.
    vae_config = settings.out / "vae" / "config.json"
    config = {k: v for k, v in json.loads(vae_config.read_text()).items() if k != "_name_or_path"}
    vae_config.write_text(json.dumps(config, indent=2) + "\n")
    (settings.out / "castmark.json").write_text(json.dumps(FACTS) + "\n")
    write_card(
        settings.out,
        {
            "model": "Castmark embedded base",
            "class": "diffusers.StableDiffusionPipeline",
            "data": "castmark_world, split train, captions by its grammar, 256 px",
            "seed": settings.seed,
            "steps": state["step"],
            "minutes": round(state["minutes"], 1),
            "hardware": hardware(settings.device, settings.threads),
            "parameters": {
                "unet": sum(p.numel() for p in model.unet.parameters()),
                "text_encoder": sum(p.numel() for p in model.text_encoder.parameters()),
            },
            "licence": "Apache-2.0",
            **facts,
        },
    )
