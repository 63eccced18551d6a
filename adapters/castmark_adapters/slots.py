"""LoRA slots: peft layers that stay in place, and take on one subject's matrices after another by copying.

A compiled denoiser is compiled once for its modules as they are; putting a LoRA in front of a layer would
compile it again. So the layers are in place before, with zeros: W x + 0 is W x, bit for bit. Wearing copies
matrices in, padded with zeros to the slots' rank; taking off puts the zeros back. Addresses stay the same, so
that captured CUDA graphs stay valid too. A LoRA that does not fit (a larger rank, other layers) makes the
slots grow, which compiles once more; those like it fit from then on.
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Mapping
from contextlib import contextmanager

import torch
from torch import nn

from castmark_adapters.errors import HostError
from castmark_adapters.host import Model
from castmark_adapters.lora import (
    LoraLayer,
    LoraWeights,
    attention_targets,
    build_layers,
    installed,
    matrices,
    wrapped_by,
)

log = logging.getLogger(__name__)

Shapes = Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]]
"""Sizes of the down and up matrices by layer, without the rank: "in k k" and "out 1 1"."""


class LoraSlots:
    """Slots on every attention projection of a denoiser, put in place for good.

    Args:
        model: whose denoiser takes them.
        rank: the largest rank that fits without growing.
    """

    def __init__(self, model: Model, rank: int) -> None:
        self._model = model
        shapes: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {}
        for name in attention_targets(model):
            linear = model.denoiser.get_submodule(name)
            assert isinstance(linear, nn.Linear)
            shapes[name] = ((linear.in_features,), (linear.out_features,))
        self._make(rank, shapes)
        self._worn = False

    @property
    def worn(self) -> bool:
        """Whether a LoRA is."""
        return self._worn

    @contextmanager
    def filled(self, weights: LoraWeights, title: str, scale: float = 1.0) -> Generator[None]:
        """Wear a LoRA; on exit the slots are empty again.

        Raises:
            HostError: one is worn already, or it changes layers that the denoiser has not, or in other sizes.
        """
        if self._worn:
            raise HostError(f"{title}: another LoRA is worn, and a compiled base wears one; take it off")
        self._grow(weights, title)
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

    def _make(self, rank: int, shapes: Shapes) -> None:
        empty = {
            name: (torch.zeros(rank, *into), torch.zeros(out[0], rank, *out[1:]))
            for name, (into, out) in shapes.items()
        }
        weights = LoraWeights(rank, empty, self._model.lora_prefix)
        layers = build_layers(self._model.denoiser, weights, "LoRA slots")
        self.rank, self._shapes = rank, shapes
        self._layers: dict[str, LoraLayer] = layers
        self._put()

    def _put(self) -> None:
        """Put the layers in place, for as long as the base lives, or until they grow."""
        self._in_place = installed(self._model.denoiser, self._layers)
        self._in_place.__enter__()

    def _grow(self, weights: LoraWeights, title: str) -> None:
        """Make room for a LoRA that does not fit.

        Raises:
            HostError: it is of another base; nothing was changed then.
        """
        shapes = {
            name: (tuple(down.shape[1:]), (up.shape[0], *up.shape[2:]))
            for name, (down, up) in weights.layers.items()
        }
        for name, (down, up) in weights.layers.items():
            wrapped_by(self._model.denoiser, name, down, up, title)
        if weights.rank <= self.rank and shapes.items() <= self._shapes.items():
            return
        log.warning(
            "%s: rank %d on %d layers does not fit the compiled base's slots; it is compiled once more",
            title,
            weights.rank,
            len(shapes),
        )
        self._in_place.__exit__(None, None, None)
        try:
            self._make(max(self.rank, weights.rank), {**self._shapes, **shapes})
        except BaseException:
            self._put()  # there was no memory for larger ones: those that there are stay
            raise
