"""LoRA slots: peft layers that stay in place, and take on one subject's matrices after another by copying.

A compiled denoiser is compiled once for its modules as they are; putting a LoRA in front of a layer would
compile it again. So the layers are in place before, with zeros: W x + 0 is W x, bit for bit. Wearing copies
matrices in, padded with zeros to the slots' rank; taking off puts the zeros back. Addresses stay the same, so
that captured CUDA graphs stay valid too.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import torch
from torch import nn

from castmark_adapters.errors import HostError
from castmark_adapters.host import Model
from castmark_adapters.lora import LoraWeights, attention_targets, build_layers, installed, matrices


class LoraSlots:
    """Slots on every attention projection of a denoiser, put in place for good.

    Args:
        model: whose denoiser takes them.
        rank: the largest rank that fits.
    """

    def __init__(self, model: Model, rank: int) -> None:
        self.rank = rank
        empty: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
        for name in attention_targets(model):
            linear = model.denoiser.get_submodule(name)
            assert isinstance(linear, nn.Linear)
            down, up = torch.zeros(rank, linear.in_features), torch.zeros(linear.out_features, rank)
            empty[name] = (down, up)
        weights = LoraWeights(rank, empty, model.lora_prefix)
        self._layers = build_layers(model.denoiser, weights, "LoRA slots")
        self._in_place = installed(model.denoiser, self._layers)
        self._in_place.__enter__()  # for as long as the base lives
        self._worn = False

    @contextmanager
    def filled(self, weights: LoraWeights, title: str, scale: float = 1.0) -> Generator[None]:
        """Wear a LoRA; on exit the slots are empty again.

        Raises:
            HostError: one is worn already, its rank is larger than the slots', or it changes other layers.
        """
        if self._worn:
            raise HostError(f"{title}: another LoRA is worn, and a compiled base wears one; take it off")
        if weights.rank > self.rank:
            raise HostError(
                f"{title}: rank {weights.rank}, and the compiled base has slots of rank {self.rank}; "
                "learn it with a smaller rank, or do not compile"
            )
        if strange := next((name for name in weights.layers if name not in self._layers), None):
            raise HostError(
                f"{title}: changes {strange!r}, and a compiled base has slots on attention alone; "
                "do not compile it"
            )
        self._worn = True
        try:
            with torch.no_grad():
                for name, (down, up) in weights.layers.items():
                    into_down, into_up = matrices(self._layers[name])
                    into_down[: weights.rank].copy_(down)
                    into_up[:, : weights.rank].copy_(up * scale)
            yield
        finally:
            with torch.no_grad():
                for layer in self._layers.values():
                    for matrix in matrices(layer):
                        matrix.zero_()
            self._worn = False
