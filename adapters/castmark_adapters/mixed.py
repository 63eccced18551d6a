"""Mixed batches: one batch of images, each with its own subject's LoRA and references.

A catalogue of many subjects is then not drawn one by one. Every image of the batch has its own A and B, and
all are multiplied at once (as S-LoRA does for text, arXiv 2311.03285): y_i = W x_i + B_i A_i x_i. The images
equal those drawn one at a time up to the rounding of another order of sums, about 1e-6.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from castmark_adapters.errors import HostError
from castmark_adapters.host import Host, Ingredient
from castmark_adapters.lora import LoraAdapter, LoraWeights, replaced, wrapped_by
from castmark_adapters.running import running_device


class MixedLora(nn.Module):
    """A layer of the base with a LoRA of its own for every image of a batch.

    Args:
        base_layer: a linear layer, or a convolution without groups.
        down: "n rank in", or "n rank in k k" over a convolution.
        up: "n out rank", or "n out rank 1 1".
    """

    def __init__(self, base_layer: nn.Module, down: Tensor, up: Tensor) -> None:
        super().__init__()
        self.base_layer = base_layer
        self.register_buffer("down", down, persistent=False)
        self.register_buffer("up", up, persistent=False)

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """The layer's output "b ...", where b is n, or a multiple of it (whole batches one after another).

        Raises:
            HostError: a batch of another size than the one the LoRAs were lined up for.
        """
        out = cast("Tensor", self.base_layer(x, *args, **kwargs))
        down, up = cast("Tensor", self.down), cast("Tensor", self.up)
        times, rest = divmod(len(x), len(down))
        if rest or not times:
            raise HostError(f"a batch of {len(x)} images with LoRAs for {len(down)}; draw the whole batch")
        down, up = (m.repeat(times, *[1] * (m.ndim - 1)) for m in (down, up))
        if down.ndim == 3:
            flat = x.reshape(len(x), -1, x.shape[-1])
            return out + torch.bmm(torch.bmm(flat, down.mT), up.mT).view_as(out)
        return out + self._convolved(x, down, up).view_as(out)

    def _convolved(self, x: Tensor, down: Tensor, up: Tensor) -> Tensor:
        """Every image by its own kernels, as the groups of one convolution."""
        layer, n = cast("nn.Conv2d", _innermost(self.base_layer)), len(x)
        one = x.reshape(1, -1, *x.shape[2:])
        padding = cast("tuple[int, int]", layer.padding)
        inner = F.conv2d(one, down.flatten(0, 1), None, layer.stride, padding, groups=n)
        return F.conv2d(inner, up.flatten(0, 1), groups=n)


class MixedLoras:
    """LoRAs of a batch, one an image; None where an image's subject has none.

    Raises:
        HostError: (on wearing) one was learned on another base.
    """

    def __init__(self, adapters: Sequence[LoraAdapter | None]) -> None:
        self.adapters = tuple(adapters)

    @property
    def ingredients(self) -> tuple[Ingredient, ...]:
        """Every LoRA's; what one image was drawn with is its own subject's alone."""
        return tuple(item for adapter in self.adapters if adapter for item in adapter.ingredients)

    @contextmanager
    def worn(self, host: Host) -> Generator[None]:
        """Wear them for batches of exactly as many images; on exit the base's own modules are back.

        Raises:
            HostError: another base, one without the layers they change, or a compiled one (its slots hold one
                LoRA, and other modules would be compiled for every batch).
        """
        if host.slots is not None:
            raise HostError("a compiled base wears one subject's LoRA at a time; draw subjects apart")
        for adapter in self.adapters:
            if adapter is not None:
                adapter.check(host)
        denoiser = host.model.denoiser
        with replaced(denoiser, mixed_layers(denoiser, self.adapters)):
            yield


def mixed_layers(denoiser: nn.Module, adapters: Sequence[LoraAdapter | None]) -> dict[str, nn.Module]:
    """Layers for a batch over the base's own, not yet in place: ranks are filled up with zeros.

    Raises:
        HostError: a layer is missing or of another size.
    """
    worn = [adapter for adapter in adapters if adapter is not None]
    names = dict.fromkeys(name for adapter in worn for name in adapter.weights.layers)
    rank = max((adapter.weights.rank for adapter in worn), default=0)
    layers: dict[str, nn.Module] = {}
    device = running_device(denoiser)
    for name in names:
        sample = next(adapter for adapter in worn if name in adapter.weights.layers)
        down, up = sample.weights.layers[name]
        base, inner = wrapped_by(denoiser, name, down, up, sample.title)
        downs = torch.zeros(len(adapters), rank, *down.shape[1:])
        ups = torch.zeros(len(adapters), up.shape[0], rank, *up.shape[2:])
        for index, adapter in enumerate(adapters):
            if adapter is not None and name in adapter.weights.layers:
                _fill(downs[index], ups[index], adapter, denoiser, name)
        layers[name] = MixedLora(base, *(part.to(device, inner.weight.dtype) for part in (downs, ups)))
    return layers


def _fill(down: Tensor, up: Tensor, adapter: LoraAdapter, denoiser: nn.Module, name: str) -> None:
    weights: LoraWeights = adapter.weights
    own_down, own_up = weights.layers[name]
    wrapped_by(denoiser, name, own_down, own_up, adapter.title)
    down[: weights.rank] = own_down
    up[:, : weights.rank] = own_up * adapter.scale


def _innermost(layer: nn.Module) -> nn.Module:
    """The base's own layer under whatever is worn over it."""
    while hasattr(layer, "base_layer"):
        layer = cast("nn.Module", layer.base_layer)
    return layer
