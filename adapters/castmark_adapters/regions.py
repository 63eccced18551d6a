"""Several subjects in one picture, each kept to its place.

The denoiser is asked once a region: with that subject's adapters on, its own words, and the latents rolled so
that the region's middle is the picture's (a base that draws its subject in the middle draws it there). The
answers are put together under soft masks before the next step (MultiDiffusion, arXiv 2302.08113), so that
nothing of one subject reaches another's region but through the picture itself.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionOutput
from jaxtyping import Float
from torch import Tensor

from castmark_adapters.errors import HostError
from castmark_adapters.host import Adapter, Host, Ingredient, wearing
from castmark_adapters.running import uncompiled

if TYPE_CHECKING:
    from diffusers import UNet2DConditionModel

EDGE = 2.0
"""Latent pixels over which one region goes over into another."""
FLOOR = 1e-3
"""Weight of every region everywhere: where there is none, all count alike."""

Box = tuple[float, float, float, float]
"""Left, top, right, bottom in shares of the picture's sides."""


@dataclass(frozen=True)
class Region:
    """One subject's part of the picture: its adapters, the words for it, and where it is."""

    adapters: Sequence[Adapter]
    text: str
    box: Box


class Regions:
    """The regions of one picture, worn as one adapter. What the denoiser is told are the words of each.

    A step costs a pass of the denoiser for every region.
    """

    def __init__(self, regions: Sequence[Region]) -> None:
        self.regions = tuple(regions)
        self.lengths: Sequence[int] | None = None
        """Tokens of each region's words, as who draws puts them together; as many of each, if not told."""

    @property
    def ingredients(self) -> tuple[Ingredient, ...]:
        """What all of the regions' adapters were made from; what they share counts once."""
        every = (i for region in self.regions for adapter in region.adapters for i in adapter.ingredients)
        return tuple(dict.fromkeys(every))

    @contextmanager
    def worn(self, host: Host) -> Generator[None]:
        """Draw in regions; on exit the denoiser's own forward is back.

        Raises:
            HostError: the base already draws in regions, or cannot wear a region's adapters.
        """
        if not host.model.draws_in_regions:
            raise HostError(
                "this base draws one subject a picture, because its denoiser cannot be asked by region; "
                "draw them in pictures of their own"
            )
        unet = host.pipeline.unet
        if hasattr(unet, "_hf_hook"):
            raise HostError(
                "several subjects in one picture need the whole base on its device, and this one is "
                "offloaded; draw them in pictures of their own"
            )
        if "forward" in vars(unet):
            raise HostError("this base draws in regions already; take those off first")
        for region in self.regions:  # what cannot be worn is told before anything is drawn
            with wearing(host, region.adapters):
                pass

        def forward(sample: Tensor, timestep: Any, encoder_hidden_states: Tensor, **more: Any) -> Any:
            whole = more.pop("return_dict", True)
            more.pop("added_cond_kwargs", None)
            masks = region_masks([region.box for region in self.regions], (sample.shape[2], sample.shape[3]))
            masks = masks.to(sample)
            out = torch.zeros_like(sample)
            given, count = encoder_hidden_states.shape[1], len(self.regions)
            lengths = self.lengths or [given // count] * count
            if sum(lengths) != given:
                raise HostError(f"{given} tokens, where the words of {count} regions are {sum(lengths)}")
            words = encoder_hidden_states.split(list(lengths), 1)
            for region, text, mask in zip(self.regions, words, masks, strict=True):
                out = out + mask * _asked(host, unet, region, sample, timestep, text, more)
            return UNet2DConditionOutput(sample=out) if whole else (out,)

        unet.forward, host.regions = forward, self
        try:
            with uncompiled():  # what is worn changes within a step
                yield
        finally:
            host.regions = self.lengths = None
            del unet.forward


def _asked(
    host: Host,
    unet: UNet2DConditionModel,
    region: Region,
    sample: Float[Tensor, "b c h w"],
    timestep: Any,
    text: Float[Tensor, "b tokens dim"],
    more: dict[str, Any],
) -> Float[Tensor, "b c h w"]:
    """One region's answer, in the picture's own frame."""
    left, top, right, bottom = region.box
    height, width = sample.shape[-2:]
    shift = (round((0.5 - (top + bottom) / 2) * height), round((0.5 - (left + right) / 2) * width))
    count = len(sample)
    with wearing(host, region.adapters):
        tokens: Sequence[Tensor] = host.call_arguments.get("ip_adapter_image_embeds", ())
        shown = {"image_embeds": [each.expand(count, *each.shape[1:]) for each in tokens]} if tokens else None
        output = cast("Any", type(unet)).forward(
            unet,
            sample.roll(shift, (2, 3)),
            timestep,
            encoder_hidden_states=text,
            added_cond_kwargs=shown,
            return_dict=False,
            **more,
        )
    return output[0].roll((-shift[0], -shift[1]), (2, 3))


def region_masks(boxes: Sequence[Box], size: tuple[int, int]) -> Float[Tensor, "regions 1 1 h w"]:
    """Soft masks of boxes on a grid of height and width; at every place they add up to 1."""
    weights: list[Tensor] = []
    for left, top, right, bottom in boxes:
        rows = _ramp(top, bottom, size[0])
        columns = _ramp(left, right, size[1])
        weights.append(rows[:, None] * columns[None] + FLOOR)
    stacked = torch.stack(weights)
    return (stacked / stacked.sum(0))[:, None, None]


def _ramp(start: float, end: float, count: int) -> Float[Tensor, " count"]:
    """1 between start and end, with ramps of `EDGE` cells; at the picture's own edge there is none."""
    at = torch.arange(count) + 0.5
    rising = ((at - start * count) / EDGE + 0.5).clamp(0, 1) if start > 0 else torch.ones(count)
    falling = ((end * count - at) / EDGE + 0.5).clamp(0, 1) if end < 1 else torch.ones(count)
    return rising * falling
