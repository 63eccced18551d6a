"""What an adapter needs from a base, and what a base may expect of an adapter.

with wearing(host, [ReferenceAdapter..., LoraAdapter...]):
    base.draw(shots)              # under both
# here the base is bit for bit what it was
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from diffusers import StableDiffusionPipeline


class Host(Protocol):
    """A base as an adapter sees it."""

    @property
    def digest(self) -> str:
        """sha256 over the base's weights: what a LoRA was learned on."""
        ...

    @property
    def pipeline(self) -> StableDiffusionPipeline:
        """The diffusers pipeline that draws."""
        ...

    @property
    def call_arguments(self) -> dict[str, Any]:
        """Extra keyword arguments for every pipeline call; adapters add theirs while worn.

        ``ip_adapter_image_embeds`` holds one tensor "1 refs seq dim" per reference adapter, positives only:
        draw with guidance off. The pipeline repeats it over the batch itself.
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
