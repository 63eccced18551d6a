"""The denoiser: a small text-conditioned UNet on 16 x 16 x 16 latents, shipped as a plain diffusers pipeline.

The model predicts the clean latents (x-prediction) on a variance-preserving path whose last step is pure
noise (zero terminal SNR, Lin et al. 2024, arXiv 2305.08891), so that `DDIMScheduler` can draw in a few steps.
`castmark.training.teacher` trains it, `castmark.training.student` distils it, both together with its
reference adapter (`castmark.training.reading`); this file holds the model, its path and how it ships.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from diffusers import AutoencoderTiny, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor, AttnProcessor2_0
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, PreTrainedTokenizerFast

from castmark.bases.loaded import PRIOR
from castmark.bases.prior import CONFIG, Telling, read_columns, told_by
from castmark.bases.words import write_words
from castmark.training.autoencoder import LATENT_CHANNELS, PLAN_CHANNELS, SIZE, grown, taken
from castmark.training.common import TrainSettings, forget_path, hardware, load_checkpoint, write_card
from castmark.training.reading import QUERIES, reader
from castmark.training.subject_encoder import untrained_encoder
from castmark.training.tokenizer import END, PAD, START, load_tokenizer, sampled_captions
from castmark.training.told import told_columns
from castmark_adapters.encoder import SubjectEncoder
from castmark_adapters.layout import processor_state, reference_bytes, resampler_state
from castmark_adapters.reference import ENCODER, WEIGHTS, ReferenceAdapter
from castmark_adapters.subject import sha256
from castmark_world import DEFAULT

TEXT_WIDTH = 128
TEXT_LAYERS, TEXT_HEADS = 4, 4
TEXT_TOKENS = 48
"""Tokens of a prompt that are read."""
WIDTHS = (80, 160) if DEFAULT.planned else (64, 128)
"""Channels at 16 x 16 and at 8 x 8: more where there is more to draw."""
HEADS = 2
LATENT_SIDE = 16
DRAWING_STEPS = 4
FACTS = {
    "name": "castmark-embedded",
    "licence": "Apache-2.0",
    "sizes": [[SIZE, SIZE]],
    "steps": DRAWING_STEPS,
}
"""What `castmark.bases` reads beside the pipeline."""


def new_scheduler() -> DDIMScheduler:
    """Clean-latent prediction, zero terminal SNR, timesteps 999 / 749 / 499 / 249 for 4 steps.

    The path is the one the student learned from, whose noise stays the same from step to step: adding it anew
    (LCM) would lead off it.
    """
    return DDIMScheduler(
        beta_schedule="scaled_linear",
        beta_start=0.00085,
        beta_end=0.012,
        prediction_type="sample",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        clip_sample=False,
        steps_offset=1,
    )


def prompt_tokenizer() -> PreTrainedTokenizerFast:
    """The judge's tokenizer, with the base's length."""
    tokenizer = load_tokenizer()
    tokenizer.model_max_length = TEXT_TOKENS
    return tokenizer


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
            max_position_embeddings=TEXT_TOKENS,
            hidden_act="gelu",
            **special,
        )
    )


def new_unet() -> UNet2DConditionModel:
    """The untrained UNet: attention at both sizes, pooled text joined to the time embedding.

    A cell of 8 x 8 is as large as a head: words of glasses, hair and hat are told apart at 16 x 16.
    """
    return UNet2DConditionModel(
        sample_size=LATENT_SIDE,
        in_channels=LATENT_CHANNELS + PLAN_CHANNELS,
        out_channels=LATENT_CHANNELS + PLAN_CHANNELS,
        block_out_channels=WIDTHS,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        layers_per_block=2,
        cross_attention_dim=TEXT_WIDTH,
        attention_head_dim=HEADS,  # in diffusers' UNets the number of heads
        addition_embed_type="text",
        addition_embed_type_num_heads=4,
        norm_num_groups=16,
    )


class TextToLatents(nn.Module):
    """Text encoder, UNet and reference adapter as one model: noisy latents, timesteps, token ids and what the
    subject encoder sees to clean latents.

    Where its base has a prior, what words leave open is told beside them. On a CPU attention is the plain
    product of matrices, whose backward is quicker at this size than the fused one's; on a GPU it is fused.
    """

    def __init__(
        self,
        text_encoder: CLIPTextModel,
        unet: UNet2DConditionModel,
        encoder: SubjectEncoder,
        shipped: ReferenceAdapter | None = None,
        telling: Telling | None = None,
    ) -> None:
        super().__init__()
        self.text_encoder, self.unet, self.telling = text_encoder, unet, telling
        readings, self.resampler = reader(unet, encoder, shipped)
        self.readings = readings
        self.attend(fused=False)
        text_encoder.set_attn_implementation("eager")

    def attend(self, *, fused: bool) -> None:
        """Choose how attention is computed."""
        plain = AttnProcessor2_0() if fused else AttnProcessor()
        both: Any = {name: self.readings.get(name, plain) for name in self.unet.attn_processors}
        self.unet.set_attn_processor(both)

    def embed(self, ids: Tensor, told: Tensor | None = None) -> Tensor:
        """Long "b 48" to Float "b 48 128"; with what there is to tell besides, Float "b k", to "b 64 128"."""
        text = self.text_encoder(ids)[0]
        if self.telling is None or told is None:
            return text
        return torch.cat([text, self.telling(told).to(text.dtype)], 1)

    def look(self, seen: Tensor, count: int) -> Images:
        """Image tokens for ``count`` pictures, of which the first have references.

        ``seen`` is Float "r refs 65 128"; the last ``count - r`` pictures have none.
        """
        given, references = seen.shape[:2]
        tokens = self.resampler(seen.flatten(0, 1)) if given else seen.new_zeros(0, QUERIES, TEXT_WIDTH)
        tokens = tokens.reshape(given, references * QUERIES, TEXT_WIDTH)
        blank = tokens.new_zeros(count - given, *tokens.shape[1:])
        shown = torch.arange(count) < given
        return Images(torch.cat([tokens, blank]), shown.to(tokens))

    def forward(self, noisy: Tensor, timesteps: Tensor, embeds: Tensor, images: Images) -> Tensor:
        """Float "b 16 16 16", Long "b" and Float "b t 128" to clean latents "b 16 16 16"."""
        read = {"ip_hidden_states": images.tokens, "ip_adapter_masks": images.shown}
        return self.unet(noisy, timesteps, embeds, cross_attention_kwargs=read, return_dict=False)[0]


class Images(NamedTuple):
    """References of a batch, as the denoiser reads them."""

    tokens: Tensor
    """Float "b i 128"."""
    shown: Tensor
    """1 where a picture has references, else 0; Float "b"."""


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

    def onward(self, noisy: Tensor, clean: Tensor, now: int, after: int) -> Tensor:
        """From one timestep to a later one under the same noise (DDIM, arXiv 2010.02502), given the clean
        latents found there: "b 16 16 16" each.
        """
        direction = (noisy - self.alpha[now] * clean) / self.sigma[now]
        return self.alpha[after] * clean + self.sigma[after] * direction


def new_model(base: Path, reference: Path) -> TextToLatents:
    """The model with what was shipped last, as far as shapes agree; part by part untrained where nothing
    was shipped.

    Args:
        base: the pipeline folder.
        reference: the reference adapter's, or the subject encoder alone, or nothing yet.

    Raises:
        AdapterError: the subject encoder is damaged.
    """
    if (reference / WEIGHTS).is_file():
        shipped = ReferenceAdapter.load(reference)
        encoder = shipped.encoder
    elif (reference / ENCODER).is_dir():
        shipped, encoder = None, SubjectEncoder.load(reference / ENCODER)
    else:  # it is still learning: of it only the width matters here
        shipped, encoder = None, untrained_encoder()
    unet, text_encoder = new_unet(), new_text_encoder(prompt_tokenizer())
    if (base / "unet" / "config.json").is_file():
        taken(unet, UNet2DConditionModel.from_pretrained(base / "unet"))
    if (base / "text_encoder" / "config.json").is_file():
        taken(text_encoder, CLIPTextModel.from_pretrained(base / "text_encoder"))
    telling = shipped_telling(base / PRIOR) if DEFAULT.decided else None
    return TextToLatents(text_encoder, unet, encoder, shipped, telling)


def shipped_telling(folder: Path) -> Telling:
    """What the prior in a folder tells, if its columns are this scope's; else, untrained."""
    made = Telling(told_columns(), TEXT_WIDTH)
    if (folder / CONFIG).is_file():
        columns, width, _ = read_columns(folder)
        if (told_by(columns), width) == (told_by(made.columns), TEXT_WIDTH):
            made.load_state_dict(Telling.load(folder).state_dict())
    return made


def learning_model(settings: TrainSettings) -> TextToLatents:
    """The model with what lies in ``out``, where it learns."""
    model = new_model(settings.out, reference_folder(settings.out))
    model.attend(fused=settings.on_gpu)
    return model.to(settings.device).to(memory_format=torch.channels_last)


def reference_folder(out: Path) -> Path:
    """Where the reference adapter of the base in ``out`` lies, and its subject encoder."""
    return out.parent / "reference"


def ship(settings: TrainSettings, checkpoint: str, facts: dict[str, Any]) -> None:
    """Write the pipeline folder and the reference adapter (safetensors), and their cards, from a checkpoint,
    around ``out``/vae.

    ``facts`` go into the cards: what was trained how.

    Raises:
        FileNotFoundError: there is no such checkpoint.
    """
    state = load_checkpoint(settings.work / checkpoint)
    if state is None:
        raise FileNotFoundError(f"{settings.work}: no {checkpoint}; run `castmark train teacher` first")
    reference = reference_folder(settings.out)
    model = new_model(settings.out, reference)
    model.load_state_dict(state["model"])
    model.eval()
    learned = reference_bytes(
        {
            "image_proj": resampler_state(model.resampler),
            "ip_adapter": processor_state(model.unet.attn_processors),
        }
    )
    (reference / WEIGHTS).write_bytes(learned)
    model.unet.set_attn_processor(AttnProcessor())  # the base itself knows no references
    _save_pipeline(model, settings.out)
    card = {
        "data": "castmark_world, split train, captions by its grammar, 256 px, four views a subject",
        "seed": settings.seed,
        "steps": state["step"],
        "minutes": round(state["minutes"], 1),
        "hardware": hardware(settings.device, settings.threads),
        "licence": "Apache-2.0",
        **facts,
    }
    parts = {"unet": model.unet, "text_encoder": model.text_encoder}
    about = {
        "model": "Castmark embedded base",
        "class": "diffusers.StableDiffusionPipeline",
        "parameters": {name: sum(p.numel() for p in part.parameters()) for name, part in parts.items()},
    }
    write_card(settings.out, card | about)
    about = {
        "model": "reference adapter (IP-Adapter Plus layout), trained together with the base",
        "encoder": SubjectEncoder.load(reference / ENCODER).digest,
        "sha256": sha256(learned),
    }
    write_card(reference, card | about)


def _save_pipeline(model: TextToLatents, out: Path) -> None:
    autoencoder = grown(AutoencoderTiny.from_pretrained(out / "vae"))
    # The signature names the classes of SD 1.5; any of their kind will do.
    parts: dict[str, Any] = {
        "vae": autoencoder,
        "text_encoder": model.text_encoder,
        "tokenizer": prompt_tokenizer(),
        "unet": model.unet,
        "scheduler": new_scheduler(),
        "safety_checker": None,
        "feature_extractor": None,
    }
    pipeline = StableDiffusionPipeline(**parts, requires_safety_checker=False)
    # Half the files: diffusers reads its models as float32, however they are stored, transformers as their
    # configuration says, which is written before its weights are halved.
    model.unet.half()
    cast("Any", autoencoder).half()
    pipeline.save_pretrained(out, safe_serialization=True)
    words = out / "text_encoder" / "model.safetensors"
    halves = {name: v.half() if v.is_floating_point() else v for name, v in load_file(words).items()}
    save_file(halves, words, {"format": "pt"})
    shutil.rmtree(out / PRIOR, ignore_errors=True)  # its reading was of another text encoder
    if model.telling is not None:
        model.telling.save(out / PRIOR)
    forget_path(out / "vae" / "config.json")
    (out / "castmark.json").write_text(json.dumps(FACTS) + "\n")
    write_words(out, sampled_captions(20_000))
