"""The denoiser: a small text-conditioned UNet on 16 x 16 x 12 latents, shipped as a plain diffusers pipeline.

The model predicts the clean latents (x-prediction) on a variance-preserving path whose last step is pure
noise (zero terminal SNR, Lin et al. 2024, arXiv 2305.08891), so that `LCMScheduler` can draw in a few
steps. The loss is the velocity loss (Salimans & Ho 2022, arXiv 2202.00512, appendix D), which for
x-prediction is the squared error times SNR + 1; SNR is capped as in min-SNR (Hang et al. 2023, arXiv
2303.09556).

It is the teacher that a distilled student would learn from; no student is trained yet.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderTiny, LCMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, PreTrainedTokenizerFast

from castmark.training.autoencoder import LATENT_CHANNELS
from castmark.training.common import (
    Clock,
    TrainSettings,
    hardware,
    load_checkpoint,
    save_checkpoint,
    write_card,
)
from castmark.training.latents import LatentPool, make_shards
from castmark.training.tokenizer import CONTEXT, END, PAD, START, load_tokenizer

TEXT_WIDTH = 128
TEXT_LAYERS, TEXT_HEADS = 4, 4
LATENT_SIDE = 16
BATCH = 32
LEARNING_RATE = 1e-3
TEXT_RATE = 0.3
CAPTION_DROP = 0.1
SHARDS = 24
SNR_CAP = 8.0
EMA = 0.998
STUDENT_STEPS = (999, 759, 499, 259)


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
    """Text encoder and UNet as one model: noisy latents, timesteps and token ids to clean latents."""

    def __init__(self, text_encoder: CLIPTextModel, unet: UNet2DConditionModel) -> None:
        super().__init__()
        self.text_encoder, self.unet = text_encoder, unet

    def embed(self, ids: Tensor) -> Tensor:
        """Long "b 48" to Float "b 48 128"."""
        return self.text_encoder(ids)[0]

    def forward(self, noisy: Tensor, timesteps: Tensor, embeds: Tensor) -> Tensor:
        """Float "b 12 16 16", Long "b" and Float "b 48 128" to clean latents "b 12 16 16"."""
        return self.unet(noisy, timesteps, embeds, return_dict=False)[0]


class NoisePath:
    """The noising path: alpha and sigma by timestep, Float "1000"."""

    def __init__(self, device: str) -> None:
        product = new_scheduler().alphas_cumprod.to(device)
        self.alpha, self.sigma = product.sqrt(), (1 - product).sqrt()

    def at(self, timesteps: Tensor) -> tuple[Tensor, Tensor]:
        """Alpha and sigma "b 1 1 1"."""
        return self.alpha[timesteps][:, None, None, None], self.sigma[timesteps][:, None, None, None]


def sample_timesteps(count: int, generator: torch.Generator) -> Tensor:
    """Long "b": half uniform over what drawing uses (100 and up), a third the student's own, the rest 999."""
    uniform = torch.randint(100, 1000, (count,), generator=generator)
    own = torch.tensor(STUDENT_STEPS)[torch.randint(0, 4, (count,), generator=generator)]
    draw = torch.rand(count, generator=generator)
    return torch.where(draw < 0.6, uniform, torch.where(draw < 0.9, own, torch.full_like(own, 999)))


def teacher_loss(
    model: TextToLatents, path: NoisePath, clean: Tensor, ids: Tensor, generator: torch.Generator
) -> Tensor:
    """Velocity loss of one batch."""
    timesteps = sample_timesteps(len(clean), generator)
    alpha, sigma = path.at(timesteps)
    noise = torch.randn(clean.shape, generator=generator)
    predicted = model(alpha * clean + sigma * noise, timesteps, model.embed(ids))
    weight = (alpha / sigma).square().clamp(max=SNR_CAP) + 1
    return (weight * (predicted - clean).square()).mean()


def train(settings: TrainSettings, *, text_from: Path | None = None) -> None:
    """Train the teacher, or go on training, within the time budget; then write the pipeline to ``out``.

    Reads the autoencoder from ``out``/vae, and shards (`castmark.training.latents`) from ``work``/latents,
    where it makes ``SHARDS`` of them first. ``text_from`` is a judge's checkpoint, whose text tower the text
    encoder starts from; without one it goes on from the weights in ``out``, if there are any.
    """
    shards = settings.work / "latents"
    autoencoder = AutoencoderTiny.from_pretrained(settings.out / "vae")
    make_shards(shards, autoencoder, load_tokenizer(), SHARDS, settings.minutes)
    train_teacher(settings, shards, text_from)
    ship(settings, autoencoder, "denoiser.pt")


def train_teacher(settings: TrainSettings, latents: Path, text_from: Path | None) -> None:
    """The teacher's loop: checkpoints only."""
    torch.set_num_threads(settings.threads)
    torch.manual_seed(settings.seed)
    tokenizer = load_tokenizer()
    model = TextToLatents(new_text_encoder(tokenizer), new_unet()).to(memory_format=torch.channels_last)
    shipped = settings.out / "unet" / "config.json"
    judge = load_checkpoint(text_from) if text_from else None
    if judge:
        copy_text_tower(judge["model"], model.text_encoder)
    elif shipped.is_file():
        # A fresh work folder goes on from what was shipped last; only the optimiser starts anew.
        base = StableDiffusionPipeline.from_pretrained(settings.out, dtype=torch.float32)
        model.unet.load_state_dict(base.unet.state_dict())
        model.text_encoder.load_state_dict(base.text_encoder.state_dict())
    average = copy.deepcopy(model).requires_grad_(False)
    checkpoint_path = settings.work / "denoiser.pt"
    state = load_checkpoint(checkpoint_path)
    groups = [
        {"params": list(model.unet.parameters()), "scale": 1.0},
        {"params": list(model.text_encoder.parameters()), "scale": TEXT_RATE},
    ]
    optimiser = torch.optim.AdamW(groups, LEARNING_RATE, betas=(0.9, 0.98), weight_decay=1e-3, fused=True)
    step, spent = 0, 0.0
    if state:
        model.load_state_dict(state["model"])
        average.load_state_dict(state["average"])
        optimiser.load_state_dict(state["optimiser"])
        step, spent = state["step"], state["minutes"]
    generator = torch.Generator().manual_seed(settings.seed * 1_000_003 + step)
    pool = LatentPool(latents, np.random.default_rng([settings.seed, step]))
    path, clock = NoisePath("cpu"), Clock(settings.minutes)
    empty = torch.tensor(tokenizer("", padding="max_length", max_length=CONTEXT)["input_ids"])
    start, running = step, 0.0

    def checkpoint() -> None:
        save_checkpoint(
            checkpoint_path,
            {
                "model": model.state_dict(),
                "average": average.state_dict(),
                "optimiser": optimiser.state_dict(),
                "step": step,
                "minutes": spent + clock.spent / 60,
            },
        )

    while (fraction := clock.fraction) < 1:
        warm = min(1.0, (step + 1) / 300)
        rate = LEARNING_RATE * warm * (0.05 + 0.95 * 0.5 * (1 + np.cos(np.pi * fraction)))
        for group in optimiser.param_groups:
            group["lr"] = float(rate * group["scale"])
        clean, ids = pool.batch(BATCH)
        dropped = torch.rand(BATCH, generator=generator) < CAPTION_DROP
        ids = torch.where(dropped[:, None], empty, ids)
        loss = teacher_loss(model, path, clean, ids, generator)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        follow(average, model, min(EMA, (1 + step) / (10 + step)))
        step += 1
        value = float(loss.detach())
        running = 0.98 * running + 0.02 * value if step > start + 1 else value
        if step % 50 == 0:
            images = (step - start) * BATCH / clock.spent
            print(f"teacher step {step} loss {running:.4f} {images:.1f}/s pool {len(pool)}", flush=True)  # noqa: T201
            pool.refresh()
        if clock.checkpoint_due():
            checkpoint()
    checkpoint()


@torch.no_grad()
def follow(average: nn.Module, model: nn.Module, decay: float) -> None:
    """Exponential moving average of the parameters."""
    for ours, theirs in zip(average.parameters(), model.parameters(), strict=True):
        ours.lerp_(theirs, 1 - decay)


def copy_text_tower(judge: dict[str, Tensor], text_encoder: CLIPTextModel) -> None:
    """Start from the text tower of an open_clip model of the same width and depth, given its state dict.

    Raises:
        ValueError: the towers differ in shape.
    """
    prefix = "" if "token_embedding.weight" in judge else "text."
    own = "text_model." if any(key.startswith("text_model.") for key in text_encoder.state_dict()) else ""
    renamed: dict[str, Tensor] = {
        "embeddings.token_embedding.weight": judge[f"{prefix}token_embedding.weight"],
        "embeddings.position_embedding.weight": judge[f"{prefix}positional_embedding"],
        "final_layer_norm.weight": judge[f"{prefix}ln_final.weight"],
        "final_layer_norm.bias": judge[f"{prefix}ln_final.bias"],
    }
    for index in range(TEXT_LAYERS):
        ours, theirs = f"encoder.layers.{index}.", f"{prefix}transformer.resblocks.{index}."
        for kind in ("weight", "bias"):
            joined = judge[f"{theirs}attn.in_proj_{kind}"].chunk(3)
            for name, part in zip(("q_proj", "k_proj", "v_proj"), joined, strict=True):
                renamed[f"{ours}self_attn.{name}.{kind}"] = part
            renamed[f"{ours}self_attn.out_proj.{kind}"] = judge[f"{theirs}attn.out_proj.{kind}"]
            renamed[f"{ours}layer_norm1.{kind}"] = judge[f"{theirs}ln_1.{kind}"]
            renamed[f"{ours}layer_norm2.{kind}"] = judge[f"{theirs}ln_2.{kind}"]
            renamed[f"{ours}mlp.fc1.{kind}"] = judge[f"{theirs}mlp.c_fc.{kind}"]
            renamed[f"{ours}mlp.fc2.{kind}"] = judge[f"{theirs}mlp.c_proj.{kind}"]
    result = text_encoder.load_state_dict({own + k: v.float() for k, v in renamed.items()}, strict=False)
    left = [key for key in result.missing_keys if not key.endswith("position_ids")]
    if left or result.unexpected_keys:
        raise ValueError(f"the judge's text tower does not fit ({left[:3]}, {result.unexpected_keys[:3]})")


def ship(
    settings: TrainSettings, autoencoder: AutoencoderTiny, checkpoint: str, weights: str = "model"
) -> None:
    """Write the pipeline folder (safetensors) and its card from a checkpoint's "model" or "average" weights.

    Raises:
        FileNotFoundError: there is no such checkpoint.
    """
    tokenizer = load_tokenizer()
    model = TextToLatents(new_text_encoder(tokenizer), new_unet())
    state = load_checkpoint(settings.work / checkpoint)
    if state is None:
        raise FileNotFoundError(f"{settings.work}: no {checkpoint}; run `castmark train denoiser` first")
    model.load_state_dict(state[weights])
    model.eval()
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
    facts = {k: v for k, v in json.loads(vae_config.read_text()).items() if k != "_name_or_path"}
    vae_config.write_text(json.dumps(facts, indent=2) + "\n")
    write_card(
        settings.out,
        {
            "model": "Castmark embedded base",
            "class": "diffusers.StableDiffusionPipeline",
            "data": "castmark_world, split train, captions by its grammar, 128 px",
            "distilled": False,
            "seed": settings.seed,
            "steps": state["step"],
            "batch": BATCH,
            "minutes": round(state["minutes"], 1),
            "hardware": hardware(settings.device, settings.threads),
            "parameters": {
                "unet": sum(p.numel() for p in model.unet.parameters()),
                "text_encoder": sum(p.numel() for p in model.text_encoder.parameters()),
            },
            "licence": "Apache-2.0",
        },
    )
