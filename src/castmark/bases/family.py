"""A family of diffusion models: what differs between one kind of pipeline and another, and nothing else.

A family says how words become what its denoiser reads, on which path it goes from noise to picture, what its
pipeline is called with, which sizes it draws, and what it can wear. Drawing itself is the same for all of
them (`castmark.bases.diffusers_base`). To add one: a subclass in a file of its own, named in
`castmark.bases.FAMILIES`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal, cast

import torch
from jaxtyping import Float, Shaped
from PIL import Image
from torch import Tensor, nn

from castmark.bases.facts import BaseFacts
from castmark.bases.partway import share_taken, whole_steps
from castmark.bases.reading import Window
from castmark.bases.sizes import native_sizes
from castmark.bases.sizing import Form
from castmark.errors import BaseError
from castmark_adapters.host import ReferenceSource, Words
from castmark_adapters.lora import TARGETS
from castmark_adapters.material import encode_images
from castmark_adapters.schedule import NoisePath

SKETCHED_AT_ONCE = 4


class Family(ABC):
    """A loaded pipeline, and how to speak to it. A `castmark_adapters.host.Model`.

    Args:
        pipeline: of the family's class, loaded.
        facts: what the base's folder says of itself.
    """

    lora_prefix: str = "transformer"
    lora_targets: Sequence[str] = TARGETS
    multiple: ClassVar[int] = 16
    """Sides of its pictures, in pixels, are multiples of this."""
    few_steps: ClassVar[int] = 4
    """Denoising steps of the family's distilled models, where the folder states none."""
    repeated_blocks: ClassVar[bool] = True
    """Whether the denoiser is a stack of like blocks, which compile as one; else it is compiled whole."""
    lengths_vary: ClassVar[bool] = False
    """Whether what the denoiser reads differs in length from one call to another, other than by size."""
    draft_decoder: ClassVar[bool] = True
    """Whether an ``AutoencoderTiny`` can stand in for its autoencoder."""
    plane_latents: ClassVar[bool] = False
    """Whether latents come out of its pipeline as the autoencoder reads them, but for a factor."""
    draws_in_regions: bool = False
    """Whether several subjects of one picture can be drawn in regions of it."""
    words_kept: ClassVar[int] = 256
    """Encoded prompts kept in memory."""
    image_class: ClassVar[Any] = None
    """diffusers' image-to-image pipeline, made over the very parts of this one."""
    image_class_arguments: ClassVar[Mapping[str, Any]] = {}
    start_rounding: ClassVar[float] = -0.5
    """How that pipeline rounds where it begins (`castmark.bases.partway.share_taken`)."""

    def __init__(self, pipeline: Any, facts: BaseFacts) -> None:
        self.pipeline = pipeline
        self.facts = facts

    @classmethod
    def load_arguments(cls) -> dict[str, Any]:
        """Arguments for ``from_pretrained`` besides folder and dtype; parts that are None are not loaded."""
        return {}

    @classmethod  # noqa: B027 - most have nothing to look for
    def check(cls, facts: BaseFacts) -> None:
        """Look at a folder's configuration, before its weights are fetched or read.

        Raises:
            BaseError: a base of this kind of pipeline that cannot be drawn with here.
        """

    @classmethod
    def form(cls) -> Form:
        """What plans for speed are made from."""
        return Form(
            denoiser=cls.lora_prefix,
            repeated_blocks=cls.repeated_blocks,
            lengths_vary=cls.lengths_vary,
            left_out=frozenset(name for name, value in cls.load_arguments().items() if value is None),
        )

    @property
    def denoiser(self) -> nn.Module:
        """The network that LoRAs are worn on."""
        return cast("nn.Module", getattr(self.pipeline, self.lora_prefix))

    @property
    def dtype(self) -> torch.dtype:
        """Of the denoiser's weights."""
        return cast("Any", self.denoiser).dtype

    @cached_property
    def device(self) -> torch.device:
        """Where the denoiser runs. diffusers looks through every layer for it, at each ask."""
        return cast("torch.device", self.pipeline._execution_device)

    @property
    @abstractmethod
    def native_side(self) -> int:
        """Pixels a side of the square pictures it was trained on."""

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """Widths and heights it draws, in pixels; the first is the default."""
        return list(self.facts.sizes) or native_sizes(self.native_side, self.multiple)

    @property
    def steps(self) -> int:
        """Denoising steps when a shot names none."""
        return self.facts.steps or self.few_steps

    @property
    def side(self) -> int:
        """Pixels a side of the square pictures a LoRA is learned from."""
        return min(self.sizes[0])

    def native_references(self) -> ReferenceSource | None:
        """How it is shown reference images without an adapter; None where it cannot be."""
        return None

    def open_reference(self, source: str | Path) -> ReferenceSource:
        """The reference adapter at ``source`` (`castmark.bases.reference_files`), for this family.

        Raises:
            BaseError: there is none for the family, or none there.
            AdapterError: its files are damaged.
        """
        raise BaseError(
            f"{self.facts.name}: there are no reference adapters for {self.facts.family}; "
            f"{self.keeps_subjects}"
        )

    @property
    def keeps_subjects(self) -> str:
        """What keeps a subject the same on this base, for whoever has none of it."""
        return "learn the subject on it (castmark learn NAME --base ...), or use a base that reads references"

    @abstractmethod
    def encode_text(self, text: str) -> Words:
        """One text as the denoiser reads it."""

    def one_scene(self) -> AbstractContextManager[None]:
        """For as long, what `completed` is asked for is several subjects of the same pictures."""
        return nullcontext()

    def completed(
        self, words: Sequence[Words], seeds: Sequence[int], *, worn: bool, begun: bool = False
    ) -> Sequence[Words]:
        """Texts with what they leave open decided, each by its seed, where the base has a prior for that.

        Args:
            worn: whether subjects are worn, who show what is their own.
            begun: whether an image is drawn from, which decides the rest.
        """
        return words

    def encode_texts(self, texts: Sequence[str]) -> list[Words]:
        """Every text as the denoiser reads it."""
        with torch.no_grad():
            return [self.encode_text(text) for text in texts]

    def unread(self, text: str) -> str:
        """The end of a text that is cut off before the denoiser reads it. Any thread may ask."""
        return self.window.unread(text)

    @cached_property
    def window(self) -> Window:
        """The tokens of a text that are read."""
        return Window(*self.reads())

    @abstractmethod
    def reads(self) -> tuple[Any, int]:
        """The tokenizer of its text model, and how many tokens that takes."""

    def together(self, words: Sequence[Words]) -> dict[str, Any]:
        """Several texts as one batch, by the names of the pipeline's arguments."""
        return {name: torch.cat([each[name] for each in words]) for name in words[0]}

    def call_arguments(self, worn: Mapping[str, Any], batch: int) -> dict[str, Any]:
        """What every call of the pipeline is given besides words, size, steps and noise: guidance off, and
        what adapters added (``worn``).
        """
        return {"guidance_scale": 1.0, **worn}

    @abstractmethod
    def path(self, drawing_steps: int) -> NoisePath:
        """Its way from noise to picture."""

    @abstractmethod
    def predict(
        self,
        x_t: Float[Tensor, "b c h w"],
        t: Shaped[Tensor, " b"],
        words: Sequence[Words],
        extra: Mapping[str, Any],
    ) -> Float[Tensor, "b c h w"]:
        """The denoiser's output at x_t, as its path reads it."""

    def encode_images(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c h w"]:
        """Images in [0, 1] as the denoiser's latents."""
        return encode_images(self.pipeline, images)

    def sketch(self, texts: Sequence[str], steps: int, seed: int) -> Float[Tensor, "n c h w"]:
        """Clean latents that the model draws itself, `SKETCHED_AT_ONCE` at a time."""
        drawn: list[Tensor] = []
        for begin in range(0, len(texts), SKETCHED_AT_ONCE):
            some = texts[begin : begin + SKETCHED_AT_ONCE]
            seeds = [seed + begin + i for i in range(len(some))]
            words = self.completed(self.encode_texts(some), seeds, worn=False)
            latents = self.run(words, (self.side, self.side), steps, seeds, {}, output="latent")
            drawn.append(self.unpacked(latents))
        return torch.cat(drawn)

    def unpacked(self, latents: Tensor) -> Float[Tensor, "b c h w"]:
        """Latents of the pipeline's output, of a picture of `side`, as the denoiser's plane of them."""
        return latents

    def run(
        self,
        words: Sequence[Words],
        size: tuple[int, int],
        steps: int,
        seeds: Sequence[int],
        worn: Mapping[str, Any],
        output: Literal["pt", "latent"] = "pt",
    ) -> Tensor:
        """One call of the pipeline: pictures "b 3 h w" in [0, 1], or latents. One CPU generator an image."""
        found = self.pipeline(
            **self.together(words),
            width=size[0],
            height=size[1],
            num_inference_steps=steps,
            generator=[torch.Generator("cpu").manual_seed(seed) for seed in seeds],
            output_type=output,
            return_dict=False,
            **self.call_arguments(worn, len(seeds)),
        )
        return cast("Tensor", found[0])

    def run_from(
        self,
        images: Sequence[Image.Image],
        strength: float,
        words: Sequence[Words],
        size: tuple[int, int],
        steps: int,
        seeds: Sequence[int],
        worn: Mapping[str, Any],
    ) -> Float[Tensor, "b 3 h w"]:
        """Pictures drawn from images of ``size`` (SDEdit, arXiv 2108.01073). ``steps`` are taken, the last of
        a path of which they are about ``strength``; where that is below 1, at least one before them is not.
        """
        assert self.image_class is not None, "a family without one draws from images itself"
        pipeline = self.image_class(**self.pipeline.components, **self.image_class_arguments)
        pipeline.set_progress_bar_config(disable=True)
        whole = whole_steps(steps, strength)
        found = pipeline(
            **self.together(words),
            **self.image_arguments(images, size),
            **self.image_steps(whole),
            strength=share_taken(steps, whole, self.start_rounding),
            num_inference_steps=whole,
            generator=[torch.Generator("cpu").manual_seed(seed) for seed in seeds],
            output_type="pt",
            return_dict=False,
            **self.call_arguments(worn, len(seeds)),
        )
        return cast("Tensor", found[0])

    def image_arguments(self, images: Sequence[Image.Image], size: tuple[int, int]) -> dict[str, Any]:
        """How the image-to-image pipeline takes its images."""
        return {"image": list(images), "width": size[0], "height": size[1]}

    def image_steps(self, steps: int) -> dict[str, Any]:
        """Further arguments of the image-to-image pipeline for so many steps of the whole path."""
        return {}
