"""What an adapter needs from a base, and what a base may expect of an adapter.

with wearing(host, [ReferenceAdapter..., LoraAdapter...]):
    base.draw(shots)              # under both
# here the base is bit for bit what it was

A `Host` is enough to wear something; what learning needs besides is its `Model`: the denoiser, its way from
noise to picture, and how words and pictures become what it reads. Every family of base brings one.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor, nn

    from castmark_adapters.regions import Regions
    from castmark_adapters.schedule import NoisePath
    from castmark_adapters.slots import LoraSlots
    from castmark_adapters.subject import Subject

Words: TypeAlias = "Mapping[str, Tensor]"
"""One text as a family's denoiser reads it: tensors with a leading dimension of 1, by the names of the
pipeline's arguments."""


class Model(Protocol):
    """A diffusion model as learning sees it. Latents are scaled as the denoiser reads them."""

    @property
    def denoiser(self) -> nn.Module:
        """The network that LoRAs are worn on."""
        ...

    @property
    def lora_prefix(self) -> str:
        """Name of the denoiser in LoRA files, as diffusers' loader wants it: "unet" or "transformer"."""
        ...

    @property
    def lora_targets(self) -> Sequence[str]:
        """Ends of the names of the projections a LoRA changes."""
        ...

    @property
    def draws_in_regions(self) -> bool:
        """Whether the denoiser can be asked for parts of a picture, each in its own words."""
        ...

    @property
    def side(self) -> int:
        """Pixels a side of the square pictures it learns from."""
        ...

    def path(self, drawing_steps: int) -> NoisePath:
        """Its way from noise to picture, with the times it draws at in that many steps.

        Raises:
            HostError: a scheduler that nothing can be learned on.
        """
        ...

    def encode_texts(self, texts: Sequence[str]) -> list[Words]:
        """Every text as the denoiser reads it."""
        ...

    def completed(
        self, words: Sequence[Words], seeds: Sequence[int], *, worn: bool, begun: bool = False
    ) -> Sequence[Words]:
        """Words with what they leave open beside them, where the model decides that first, by seed.

        Args:
            worn: what is the subject's own is left to what is worn.
            begun: an image is drawn from, which decides the rest.
        """
        ...

    def encode_images(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c h w"]:
        """Images in [0, 1] as latents: the mean, where the autoencoder gives a distribution."""
        ...

    def predict(
        self,
        x_t: Float[Tensor, "b c h w"],
        t: Float[Tensor, " b"],
        words: Sequence[Words],
        extra: Mapping[str, Any],
    ) -> Float[Tensor, "b c h w"]:
        """The denoiser's output at x_t, as its path reads it. ``extra`` is what adapters add to the call."""
        ...

    def sketch(self, texts: Sequence[str], steps: int, seed: int) -> Float[Tensor, "n c h w"]:
        """Clean latents that the model itself draws, the first from ``seed``."""
        ...


class Host(Protocol):
    """A base as an adapter sees it."""

    regions: Regions | None
    """What pictures are drawn in the regions of, while they are: the words of a picture then are those of
    each region, one region's tokens after another's."""

    @property
    def digest(self) -> str:
        """sha256 over the base's weights: what a LoRA was learned on."""
        ...

    @property
    def pipeline(self) -> Any:
        """The diffusers pipeline that draws."""
        ...

    @property
    def model(self) -> Model:
        """What learning and LoRAs need of it."""
        ...

    @property
    def slots(self) -> LoraSlots | None:
        """Where LoRAs are copied into, if the denoiser is compiled; None to put them in front of layers."""
        ...

    @property
    def call_arguments(self) -> dict[str, Any]:
        """Extra keyword arguments for every pipeline call; adapters add theirs while worn.

        ``ip_adapter_image_embeds`` holds one tensor "1 refs seq dim" per reference adapter, positives only:
        draw with guidance off. It is repeated over the batch when drawing. ``image`` holds reference
        pictures, where the base reads them natively.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Ingredient:
    """Something an adapter brings into the image, bound by the sha256 of its bytes."""

    title: str
    role: Literal["reference", "lora", "reference-adapter", "start"]
    sha256: str
    media_type: str = "application/octet-stream"


class Adapter(Protocol):
    """Something a base wears while it draws, for one subject."""

    @property
    def ingredients(self) -> tuple[Ingredient, ...]:
        """What it was made from, for the provenance record."""
        ...

    def worn(self, host: Host) -> AbstractContextManager[None]:
        """Put it on; on exit, also after an exception, the host is exactly what it was.

        Raises:
            HostError: the base cannot wear it.
        """
        ...


class ReferenceSource(Protocol):
    """Shows a base a subject's reference images."""

    @property
    def sha256(self) -> str:
        """Digest of what decides how: an adapter's weights, or the name of the base's own way."""
        ...

    def of(self, subject: Subject) -> Adapter:
        """What to wear for this subject.

        Raises:
            SubjectError: the subject has no reference at hand.
        """
        ...

    def of_each(self, subjects: Sequence[Subject]) -> Adapter:
        """What to wear for a batch of images, each of its own subject, in this order.

        Raises:
            SubjectError: a subject has no reference at hand, or they cannot be drawn together.
        """
        ...


@contextmanager
def wearing(host: Host, adapters: Iterable[Adapter]) -> Generator[None]:
    """Wear several adapters at once; they come off in reverse order.

    Raises:
        HostError: the base cannot wear one of them; those already on are taken off.
    """
    with ExitStack() as stack:
        for adapter in adapters:
            stack.enter_context(adapter.worn(host))
        yield
