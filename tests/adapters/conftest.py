"""A randomly initialised Stable Diffusion pipeline of the embedded shape, and a host around it."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderTiny, LCMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from PIL import Image, ImageDraw
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
    PreTrainedTokenizerFast,
)

from castmark.bases.facts import BaseFacts
from castmark.bases.stable_diffusion import StableDiffusion
from castmark_adapters.layout import fresh_reference, reference_bytes
from castmark_adapters.lora import LoraWeights, attention_targets
from castmark_adapters.subject import Subject


def tiny_tokenizer(context: int = 48) -> PreTrainedTokenizerFast:
    """A byte-level tokenizer with CLIP's special tokens, padded to ``context``."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: i for i, token in enumerate([*alphabet, "<start>", "<end>"])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<start> $A <end>",
        special_tokens=[("<start>", vocabulary["<start>"]), ("<end>", vocabulary["<end>"])],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<start>",
        eos_token="<end>",
        pad_token="<end>",
        model_max_length=context,
    )


def tiny_pipeline(seed: int = 0, side: int = 16, width: int = 64) -> StableDiffusionPipeline:
    """The embedded base's form with random weights: x-prediction on 12-channel latents of ``side``."""
    torch.manual_seed(seed)
    tokenizer = tiny_tokenizer()
    text_encoder = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=192,
            intermediate_size=192,
            num_hidden_layers=1,
            num_attention_heads=6,
            max_position_embeddings=48,
            projection_dim=64,
            bos_token_id=256,
            eos_token_id=257,
            pad_token_id=257,
        )
    )
    vae = AutoencoderTiny(
        encoder_block_out_channels=(8,) * 4,
        decoder_block_out_channels=(8,) * 4,
        num_encoder_blocks=(0, 0, 1, 1),
        num_decoder_blocks=(1, 1, 0, 0),
        latent_channels=12,
    )
    with torch.no_grad():  # grey with some contrast: a black picture would hide every difference
        vae.decoder.layers[-1].weight.mul_(20)
        vae.decoder.layers[-1].bias.fill_(0.5)
    unet = UNet2DConditionModel(
        sample_size=side,
        in_channels=12,
        out_channels=12,
        block_out_channels=(width, 2 * width),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        layers_per_block=2,
        cross_attention_dim=192,
        attention_head_dim=width // 32,
        addition_embed_type="text",
        addition_embed_type_num_heads=6,
    )
    scheduler = LCMScheduler(
        prediction_type="sample",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        clip_sample=False,
        steps_offset=1,
    )
    pipeline = StableDiffusionPipeline(
        vae=vae,
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@dataclass
class TinyHost:
    """A host around a pipeline; its digest names the random weights it was made with."""

    pipeline: StableDiffusionPipeline
    digest: str
    call_arguments: dict[str, Any] = field(default_factory=dict[str, Any])
    slots: Any = None
    regions: Any = None

    @cached_property
    def model(self) -> StableDiffusion:
        side = self.pipeline.unet.config.sample_size * 8
        facts = BaseFacts(
            folder=Path(), family="StableDiffusionPipeline", name="tiny", licence=None, sizes=((side, side),)
        )
        return StableDiffusion(self.pipeline, facts)

    def draw(self, prompt: str | list[str] = "a red mug", seed: int = 7, **arguments: Any) -> torch.Tensor:
        """Pixels "b 3 128 128" under whatever is worn."""
        count = 1 if isinstance(prompt, str) else len(prompt)
        asked: dict[str, Any] = {"prompt": prompt}
        if self.regions is not None:
            each = [self.model.encode_text(region.text)["prompt_embeds"] for region in self.regions.regions]
            asked = {"prompt_embeds": torch.cat(each, 1).expand(count, -1, -1)}
        generators = [torch.Generator().manual_seed(seed + i) for i in range(count)]
        return self.pipeline(
            **asked,
            num_inference_steps=2,
            guidance_scale=1.0,
            generator=generators,
            output_type="pt",
            **(self.call_arguments | arguments),
        ).images


def make_host(seed: int = 0, side: int = 16, width: int = 64) -> TinyHost:
    return TinyHost(tiny_pipeline(seed, side, width), hashlib.sha256(f"tiny {seed}".encode()).hexdigest())


@pytest.fixture(scope="session")
def host() -> TinyHost:
    """One host for the whole run: every test must leave it exactly as it was."""
    return make_host()


@pytest.fixture(scope="session")
def small_host() -> TinyHost:
    """A smaller host (64 px), for the tests that learn."""
    return make_host(1, side=8, width=32)


@dataclass(frozen=True)
class Snapshot:
    """Everything about a host's UNet that an adapter could leave changed."""

    state: dict[str, torch.Tensor]
    modules: dict[str, int]
    processors: dict[str, int]
    trainable: dict[str, bool]
    training: bool
    attributes: set[str]
    config: dict[str, Any]
    kind: object
    arguments: dict[str, Any]

    @classmethod
    def of(cls, host: TinyHost) -> Snapshot:
        unet = host.pipeline.unet
        return cls(
            state={name: tensor.clone() for name, tensor in unet.state_dict().items()},
            modules={name: id(module) for name, module in unet.named_modules()},
            processors={name: id(processor) for name, processor in unet.attn_processors.items()},
            trainable={name: parameter.requires_grad for name, parameter in unet.named_parameters()},
            training=unet.training,
            attributes=set(unet.__dict__) | set(unet._modules),
            config=dict(unet.config),
            kind=unet.config.encoder_hid_dim_type,
            arguments=dict(host.call_arguments),
        )

    def assert_same(self, host: TinyHost) -> None:
        now = Snapshot.of(host)
        assert now.state.keys() == self.state.keys()
        assert [name for name in self.state if not torch.equal(self.state[name], now.state[name])] == []
        for field_name in ("modules", "processors", "trainable", "training", "attributes", "config", "kind"):
            assert getattr(now, field_name) == getattr(self, field_name), field_name
        assert now.arguments == self.arguments


@pytest.fixture
def untouched(request: pytest.FixtureRequest) -> Iterator[Snapshot]:
    """The test's host as it was before; afterwards it must be exactly that."""
    name = "small_host" if "small_host" in request.fixturenames else "host"
    host: TinyHost = request.getfixturevalue(name)
    before = Snapshot.of(host)
    yield before
    before.assert_same(host)


def random_lora(host: TinyHost, seed: int = 0, rank: int = 4) -> LoraWeights:
    """A LoRA that visibly changes the pixels."""
    generator = torch.Generator().manual_seed(seed)
    layers: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
    for name in attention_targets(host.model):
        linear = host.pipeline.unet.get_submodule(name)
        down = torch.randn(rank, linear.in_features, generator=generator) * 0.2
        layers[name] = (down, torch.randn(linear.out_features, rank, generator=generator) * 0.2)
    return LoraWeights(rank, layers)


def write_reference(folder: Path, host: TinyHost) -> Path:
    """A reference adapter as training ships it, with random weights."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        sizes = {"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
        config = CLIPVisionConfig(**sizes, image_size=64, patch_size=16, projection_dim=32)
        CLIPVisionModelWithProjection(config).half().save_pretrained(folder / "image_encoder")
        weights = fresh_reference(host.pipeline.unet, embed_dim=64, hidden=64, queries=4)
    (folder / "ip_adapter.safetensors").write_bytes(reference_bytes(weights))
    return folder


@pytest.fixture(scope="session")
def reference_folder(host: TinyHost, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reference adapter for ``host``."""
    return write_reference(tmp_path_factory.mktemp("reference"), host)


@pytest.fixture(scope="session")
def small_reference_folder(small_host: TinyHost, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reference adapter for ``small_host``."""
    return write_reference(tmp_path_factory.mktemp("small_reference"), small_host)


def picture(seed: int, size: tuple[int, int] = (96, 96)) -> Image.Image:
    """A subject-like thing: coloured shapes on a plain ground, different for every seed."""
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", size, (240, 240, 240))
    draw = ImageDraw.Draw(image)
    for _ in range(4):
        x, y = (int(v) for v in rng.integers(20, 50, 2))
        draw.ellipse((x, y, x + 25, y + 25), fill=tuple(int(v) for v in rng.integers(0, 200, 3)))
    return image


def png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


@pytest.fixture(scope="session")
def mira() -> Subject:
    return Subject.from_images("mira", [png(picture(i)) for i in range(3)], phrase="a red thing")


@pytest.fixture(scope="session")
def lora_bytes(host: TinyHost) -> bytes:
    """A random LoRA's file."""
    return random_lora(host).to_bytes()


@pytest.fixture(scope="session")
def make_lora(host: TinyHost) -> Callable[..., LoraWeights]:
    """Makes random LoRAs: ``make_lora(seed=..., rank=...)``."""
    return partial(random_lora, host)


@pytest.fixture(scope="session")
def references() -> list[bytes]:
    """Three PNG files of one subject-like thing."""
    return [png(picture(i)) for i in range(3)]


@pytest.fixture(scope="session")
def plain(host: TinyHost) -> torch.Tensor:
    """What the host draws with nothing worn."""
    return host.draw()
