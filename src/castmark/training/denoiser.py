"""The denoiser: a small text-conditioned UNet on 16 x 16 x 12 latents, shipped as a plain diffusers pipeline.

The model predicts the clean latents (x-prediction) on a variance-preserving path whose last step is pure noise
(zero terminal SNR, Lin et al. 2024, arXiv 2305.08891), so that `LCMScheduler` can draw in 1 to 4 steps. The loss
is the velocity loss (Salimans & Ho 2022, arXiv 2202.00512, appendix D), which for x-prediction is the squared
error times SNR + 1; SNR is capped as in min-SNR (Hang et al. 2023, arXiv 2303.09556).

Two stages. The *teacher* learns from scenes. The *student* starts as the teacher and learns, at the few
timesteps it will draw with, to give at once what the teacher reaches with guidance over several deterministic
steps (regression on teacher trajectories, as in progressive distillation), so that guidance is baked in.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
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
from castmark.training.latents import LatentPool
from castmark.training.tokenizer import CONTEXT, load_tokenizer

TEXT_WIDTH = 128
TEXT_LAYERS, TEXT_HEADS = 4, 4
LATENT_SIDE = 16
BATCH = 32
LEARNING_RATE = 1e-3
TEXT_RATE = 0.3
CAPTION_DROP = 0.1
SNR_CAP = 8.0
EMA = 0.998
STUDENT_STEPS = (999, 759, 499, 259)
STUDENT_GUIDANCE = 2.0
STUDENT_RATE = 2e-4
HUBER = 0.03


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
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=TEXT_WIDTH,
            intermediate_size=TEXT_WIDTH * 4,
            num_hidden_layers=TEXT_LAYERS,
            num_attention_heads=TEXT_HEADS,
            max_position_embeddings=CONTEXT,
            hidden_act="gelu",
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
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


@torch.no_grad()
def teacher_target(
    teacher: TextToLatents,
    path: NoisePath,
    noisy: Tensor,
    start: int,
    embeds: Tensor,
    empty: Tensor,
    steps: int,
    guidance: float,
) -> Tensor:
    """Where the guided teacher's deterministic path (DDIM, Song et al. 2021, eq. 12) ends: clean latents."""
    times = [int(t) for t in np.linspace(start, 0, steps + 1)[:-1]]
    clean = noisy
    both = torch.cat([embeds, empty.expand_as(embeds)])
    for index, time in enumerate(times):
        timesteps = torch.full((2 * len(noisy),), time)
        guided, free = teacher(torch.cat([noisy, noisy]), timesteps, both).chunk(2)
        clean = free + guidance * (guided - free)
        if index + 1 < len(times):
            noise = (noisy - path.alpha[time] * clean) / path.sigma[time]
            noisy = path.alpha[times[index + 1]] * clean + path.sigma[times[index + 1]] * noise
    return clean


def train(settings: TrainSettings, *, latents: Path, text_from: Path | None = None) -> None:
    """Train the teacher, or go on training, within the time budget; checkpoints only.

    ``latents`` is the folder of shards (`castmark.training.latents`); ``text_from`` a judge's checkpoint, whose
    text tower the text encoder starts from.
    """
    torch.set_num_threads(settings.threads)
    torch.manual_seed(settings.seed)
    tokenizer = load_tokenizer()
    model = TextToLatents(new_text_encoder(tokenizer), new_unet()).to(memory_format=torch.channels_last)
    judge = load_checkpoint(text_from) if text_from else None
    if judge:
        copy_text_tower(judge["model"], model.text_encoder)
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


def distil(settings: TrainSettings, *, latents: Path) -> None:
    """Train the student from the teacher's checkpoint within the time budget; checkpoints only."""
    torch.set_num_threads(settings.threads)
    tokenizer = load_tokenizer()
    teacher = TextToLatents(new_text_encoder(tokenizer), new_unet()).to(memory_format=torch.channels_last)
    teacher_state = load_checkpoint(settings.work / "denoiser.pt")
    if teacher_state is None:
        raise FileNotFoundError(f"{settings.work}: no teacher checkpoint; run `castmark train denoiser` first")
    teacher.load_state_dict(teacher_state["average"])
    teacher.requires_grad_(False)
    student = copy.deepcopy(teacher)
    student.unet.requires_grad_(True)
    average = copy.deepcopy(student).requires_grad_(False)
    optimiser = torch.optim.AdamW(student.unet.parameters(), STUDENT_RATE, betas=(0.9, 0.98), fused=True)
    checkpoint_path = settings.work / "student.pt"
    state = load_checkpoint(checkpoint_path)
    step, spent = 0, 0.0
    if state and state["teacher_steps"] == teacher_state["step"]:
        student.load_state_dict(state["model"])
        average.load_state_dict(state["average"])
        optimiser.load_state_dict(state["optimiser"])
        step, spent = state["step"], state["minutes"]
    generator = torch.Generator().manual_seed(settings.seed * 1_000_003 + 500_009 + step)
    pool = LatentPool(latents, np.random.default_rng([settings.seed, 1, step]))
    path, clock = NoisePath("cpu"), Clock(settings.minutes)
    empty_ids = torch.tensor([tokenizer("", padding="max_length", max_length=CONTEXT)["input_ids"]])
    with torch.no_grad():
        empty = teacher.embed(empty_ids)
    start, running = step, 0.0

    def checkpoint() -> None:
        save_checkpoint(
            checkpoint_path,
            {
                "model": student.state_dict(),
                "average": average.state_dict(),
                "optimiser": optimiser.state_dict(),
                "step": step,
                "teacher_steps": teacher_state["step"],
                "minutes": spent + clock.spent / 60,
            },
        )

    while (fraction := clock.fraction) < 1:
        for group in optimiser.param_groups:
            group["lr"] = STUDENT_RATE * min(1.0, (step + 1) / 50) * (0.05 + 0.95 * (1 - fraction))
        clean, ids = pool.batch(BATCH)
        # Half of the work at pure noise, where everything is decided; one timestep a batch.
        index = int(torch.randint(0, 6, (1,), generator=generator))
        time = STUDENT_STEPS[max(0, index - 2)]
        noise = torch.randn(clean.shape, generator=generator)
        noisy = path.alpha[time] * clean + path.sigma[time] * noise
        with torch.no_grad():
            embeds = teacher.embed(ids)
        steps = {999: 8, 759: 6, 499: 4, 259: 2}[time]
        target = teacher_target(teacher, path, noisy, time, embeds, empty, steps, STUDENT_GUIDANCE)
        predicted = student(noisy, torch.full((len(clean),), time), embeds)
        loss = (((predicted - target).square() + HUBER**2).sqrt() - HUBER).mean()
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(student.unet.parameters(), 1.0)
        optimiser.step()
        follow(average, student, min(0.99, (1 + step) / (10 + step)))
        step += 1
        value = float(loss.detach())
        running = 0.95 * running + 0.05 * value if step > start + 1 else value
        if step % 20 == 0:
            images = (step - start) * BATCH / clock.spent
            print(f"student step {step} loss {running:.4f} {images:.1f}/s", flush=True)  # noqa: T201
        if clock.checkpoint_due():
            checkpoint()
    checkpoint()


@torch.no_grad()
def follow(average: nn.Module, model: nn.Module, decay: float) -> None:
    """Exponential moving average of the parameters."""
    pairs = zip(average.parameters(), model.parameters(), strict=True)
    ours, theirs = zip(*pairs, strict=True)
    torch._foreach_lerp_(list(ours), list(theirs), 1 - decay)


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


def ship(settings: TrainSettings, *, autoencoder: Path, student: bool) -> None:
    """Write the pipeline folder (fp16 safetensors) and its card from the newest checkpoint."""
    tokenizer = load_tokenizer()
    model = TextToLatents(new_text_encoder(tokenizer), new_unet())
    name = "student.pt" if student else "denoiser.pt"
    state = load_checkpoint(settings.work / name)
    teacher = load_checkpoint(settings.work / "denoiser.pt")
    if state is None or teacher is None:
        raise FileNotFoundError(f"{settings.work}: no {name}; run `castmark train denoiser` first")
    model.load_state_dict(state["average"])
    pipeline = StableDiffusionPipeline(
        vae=AutoencoderTiny.from_pretrained(autoencoder),
        text_encoder=model.text_encoder,
        tokenizer=tokenizer,
        unet=model.unet,
        scheduler=new_scheduler(),
        safety_checker=None,  # pyright: ignore[reportArgumentType]
        feature_extractor=None,  # pyright: ignore[reportArgumentType]
        requires_safety_checker=False,
    )
    pipeline.to(torch.float16)
    pipeline.save_pretrained(settings.out, safe_serialization=True)
    card: dict[str, Any] = {
        "model": "Castmark embedded base",
        "class": "diffusers.StableDiffusionPipeline",
        "data": "castmark_world, split train, captions by its grammar",
        "seed": settings.seed,
        "teacher": {
            "steps": teacher["step"],
            "batch": BATCH,
            "minutes": round(teacher["minutes"], 1),
        },
        "hardware": hardware(settings.device, settings.threads),
        "parameters": {
            "unet": sum(p.numel() for p in model.unet.parameters()),
            "text_encoder": sum(p.numel() for p in model.text_encoder.parameters()),
        },
        "licence": "Apache-2.0",
    }
    if student:
        card["student"] = {
            "steps": state["step"],
            "batch": BATCH,
            "minutes": round(state["minutes"], 1),
            "guidance": STUDENT_GUIDANCE,
        }
    write_card(settings.out, card)


def velocity_error(model: TextToLatents, clean: Tensor, ids: Tensor, seed: int = 0) -> float:
    """Held-out figure: the velocity loss at the student's own timesteps, mean over "b"."""
    path, generator = NoisePath("cpu"), torch.Generator().manual_seed(seed)
    total = 0.0
    for time in STUDENT_STEPS:
        timesteps = torch.full((len(clean),), time)
        alpha, sigma = path.at(timesteps)
        noise = torch.randn(clean.shape, generator=generator)
        with torch.no_grad():
            predicted = model(alpha * clean + sigma * noise, timesteps, model.embed(ids))
        total += float(F.mse_loss(predicted, clean))
    return total / len(STUDENT_STEPS)
