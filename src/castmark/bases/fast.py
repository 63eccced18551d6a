"""Carries out a `castmark.bases.speed.SpeedPlan` on a loaded pipeline.

Order matters: weights are quantised on their way to the device (whole, they may not fit it), and LoRA slots
are put in place before anything is compiled, so that wearing a subject later changes numbers and not the
graph.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from diffusers import AutoencoderTiny
from torch import nn

from castmark.bases.speed import Quantise, SpeedPlan
from castmark.errors import BaseError
from castmark_adapters.host import Model
from castmark_adapters.native import EACH
from castmark_adapters.slots import LoraSlots

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
SHAPES = 128
"""Graphs kept of one piece of code: batch sizes times picture sizes times what is worn. torch's own limit of
8 would quietly draw everything beyond them uncompiled."""
FP8_MULTIPLE = 16
"""Sides of matrices that fp8 products take."""


def place(model: Model, pipeline: Any, plan: SpeedPlan, device: str) -> None:
    """Put a pipeline on its device, whole or as memory allows, its denoiser quantised where that is planned.

    Raises:
        BaseError: the draft decoder's folder does not hold one for these latents.
    """
    if plan.draft_decoder is not None:
        pipeline.vae = _decoder(pipeline, plan)
    if plan.decodes_alone and hasattr(pipeline.vae, "use_slicing"):
        cast("Any", pipeline.vae).use_slicing = True
    if plan.quantised != "none":
        _quantise(model.denoiser, plan.quantised, device)
    if plan.offload == "parts":
        pipeline.enable_model_cpu_offload(device=device)
    elif plan.offload == "layers":
        pipeline.enable_sequential_cpu_offload(device=device)
    else:
        pipeline.to(device)


def make_fast(model: Model, pipeline: Any, plan: SpeedPlan, *, backend: str = "inductor") -> LoraSlots | None:
    """Lay out and compile the denoiser, and its autoencoder's decoder with it; the LoRA slots, if there are
    any. Compiling itself happens when first drawn (see `DiffusersBase.warm_up`).

    ``backend`` is torch.compile's.
    """
    denoiser = cast("Any", model.denoiser)
    if plan.channels_last:
        denoiser.to(memory_format=torch.channels_last)
        pipeline.vae.to(memory_format=torch.channels_last)
    slots = LoraSlots(model, plan.lora_slots) if plan.lora_slots else None
    if plan.compiled == "no":
        return slots
    mode = "reduce-overhead" if plan.cuda_graphs and backend == "inductor" else None
    dynamic = False if plan.fixed_shapes else None
    if plan.compiled == "blocks":
        denoiser.compile_repeated_blocks(backend=backend, mode=mode, dynamic=dynamic)
    else:
        denoiser.compile(backend=backend, mode=mode, dynamic=dynamic)
    pipeline.vae.decoder.compile(backend=backend, dynamic=False)
    return slots


def keep_shapes() -> None:
    """Keep every graph that was compiled. The limit is each thread's own, so it is set where one draws."""
    import torch._dynamo

    limits = cast("Any", torch._dynamo.config)
    if limits.recompile_limit < SHAPES:
        limits.recompile_limit = SHAPES


def in_buckets(count: int, buckets: Sequence[int]) -> list[int]:
    """So many pictures in batches of those sizes, the largest first.

    >>> in_buckets(7, (1, 2, 4, 8))
    [4, 2, 1]
    """
    sizes: list[int] = []
    for bucket in sorted(buckets, reverse=True):
        times, count = divmod(count, bucket)
        sizes += [bucket] * times
    return sizes


def worn_apart(call_arguments: Mapping[str, Any]) -> bool:
    """Whether each image of a batch is shown references of its own."""
    embeds = call_arguments.get("ip_adapter_image_embeds", ())
    return EACH in call_arguments or any(len(each) > 1 for each in embeds)


def _decoder(pipeline: Any, plan: SpeedPlan) -> nn.Module:
    """A small decoder that may stand in for the base's own."""
    if not Path(plan.draft_decoder or "").is_dir():
        raise BaseError(
            f"{plan.draft_decoder}: not an AutoencoderTiny folder (there is none); give its folder"
        )
    try:
        tiny = AutoencoderTiny.from_pretrained(
            plan.draft_decoder, dtype=DTYPES[plan.dtype], local_files_only=True, use_safetensors=True
        )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise BaseError(f"{plan.draft_decoder}: not an AutoencoderTiny folder ({error})") from error
    tiny = cast("Any", tiny)
    want, have = pipeline.vae.config.get("latent_channels"), tiny.config.latent_channels
    if want != have:
        raise BaseError(
            f"{plan.draft_decoder}: decodes {have} channels, and this base draws {want}; give the one made "
            "for its latents"
        )
    # Pipelines scale latents by their autoencoder's numbers; a tiny one reads them as the denoiser does.
    tiny.register_to_config(scaling_factor=1.0, shift_factor=0.0)
    return cast("nn.Module", tiny)


def _quantise(denoiser: nn.Module, kind: Quantise, device: str) -> None:
    """The linear layers' weights in 8 bits (torchao), each brought to the device for it."""
    from torchao.quantization import (  # pyright: ignore[reportMissingImports]
        Float8DynamicActivationFloat8WeightConfig,
        Int8WeightOnlyConfig,
        quantize_,
    )

    def fits(module: nn.Module, name: str) -> bool:
        if not isinstance(module, nn.Linear):
            return False
        return kind == "int8" or all(side % FP8_MULTIPLE == 0 for side in module.weight.shape)

    how = Int8WeightOnlyConfig() if kind == "int8" else Float8DynamicActivationFloat8WeightConfig()
    quantize_(denoiser, how, filter_fn=fits, device=device)
