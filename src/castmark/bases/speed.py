"""How a base is made fast on the machine at hand: decided before it is loaded, and recorded with every image.

    plan = decide(Hardware.of("cuda"), Weights.of(facts, family_of(facts).form()), SpeedSettings())
    print(plan.explain())

Decisions are pure: they read a machine and a model, and name what to do and why. `castmark.bases.fast` does
it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from castmark.bases.sizing import Weights
from castmark.errors import BaseError

if TYPE_CHECKING:
    from castmark_adapters.optimizer import Optimizer

Compile: TypeAlias = Literal["auto", "on", "off"]
Dtype: TypeAlias = Literal["float32", "float16", "bfloat16"]
Offload: TypeAlias = Literal["no", "parts", "layers"]
Quantise: TypeAlias = Literal["none", "int8", "fp8"]
GIB = 2**30
WORKING_MEMORY = 4 * GIB
"""Bytes left for activations, the check's encoder and the allocator's slack."""
BF16_CAPABILITY, FP8_CAPABILITY = (8, 0), (8, 9)
BYTES = {"float32": 4, "float16": 2, "bfloat16": 2, "int8": 1, "fp8": 1}
LORA_RANK = 8
"""Rank of the slots that LoRAs are copied into under a compiled denoiser; smaller ones are padded."""
CHECKPOINTED = 1_000_000_000
"""Parameters of a denoiser from which learning on a GPU computes activations twice, and keeps none."""


@dataclass(frozen=True, kw_only=True)
class Hardware:
    """What draws. ``memory`` and ``free`` are bytes of the device's own memory; 0 where that is not known."""

    device: str
    name: str
    memory: int
    free: int
    capability: tuple[int, int] = (0, 0)
    """CUDA compute capability."""
    triton: bool = False
    torchao: bool = False
    bitsandbytes: bool = False
    compiler: bool = False
    """Whether there is a C++ compiler, which compiling for a CPU needs."""

    @classmethod
    def of(cls, device: str) -> Hardware:
        """The device of this name.

        Raises:
            BaseError: it is not there.
        """
        import torch

        from castmark.machine.facts import cpu_name

        kind = device.partition(":")[0]
        torchao = find_spec("torchao") is not None
        if kind != "cuda":
            return cls(
                device=device,
                name=cpu_name(),
                memory=_ram(),
                free=_ram(free=True),
                torchao=torchao,
                compiler=any(shutil.which(name) for name in ("g++", "clang++", "c++")),
            )
        if not torch.cuda.is_available():
            raise BaseError(f"device {device!r}: no CUDA GPU is there; use --device cpu")
        free, memory = torch.cuda.mem_get_info(device)
        return cls(
            device=device,
            name=torch.cuda.get_device_name(device),
            memory=memory,
            free=free,
            capability=torch.cuda.get_device_capability(device),
            triton=find_spec("triton") is not None,
            torchao=torchao,
            bitsandbytes=find_spec("bitsandbytes") is not None,
        )


@dataclass(frozen=True, kw_only=True)
class SpeedSettings:
    """What the user asks for; None and "auto" leave it to the machine."""

    compile: Compile = "auto"
    dtype: Dtype | None = None
    offload: Offload | None = None
    quantise: Quantise = "none"
    draft_decoder: str | None = None
    """Folder of an ``AutoencoderTiny`` for the base's latents: drafts decode several times faster, softer."""
    largest_batch: int = 8


@dataclass(frozen=True, kw_only=True)
class Choice:
    """One decision, and its reason."""

    what: str
    value: str
    why: str


@dataclass(frozen=True, kw_only=True)
class SpeedPlan:
    """Everything decided for one base on one machine."""

    dtype: str
    channels_last: bool
    compiled: Literal["no", "whole", "blocks"]
    cuda_graphs: bool
    fixed_shapes: bool
    """Whether each shape is compiled for itself; False where texts differ in length, which would be many."""
    buckets: tuple[int, ...]
    """Batch sizes that are compiled and captured for: others are drawn in several of these."""
    offload: Offload
    quantised: Quantise
    draft_decoder: str | None
    decodes_alone: bool
    """Whether a batch is decoded one picture after another."""
    lora_slots: int
    """Rank of the slots LoRAs are copied into; 0 to put them in front of the layers instead."""
    optimizer: Optimizer
    gradient_checkpointing: bool
    """How a LoRA is learned here."""
    choices: tuple[Choice, ...]

    def record(self) -> Mapping[str, str]:
        """What decides pixels or speed and is not the plain way, for the environment of every image."""
        return {choice.what: f"{choice.value}: {choice.why}" for choice in self.choices}

    def explain(self) -> str:
        """The decisions for a person, a line each."""
        return "\n".join(f"{choice.what}: {choice.value} ({choice.why})" for choice in self.choices)


def decide(
    hardware: Hardware, weights: Weights, settings: SpeedSettings, *, exact: bool = False
) -> SpeedPlan:
    """The plan for this base on this machine; ``exact``, one that draws as plain diffusers does.

    Raises:
        BaseError: something is asked for that cannot be had here.
    """
    choices: list[Choice] = []
    if exact:
        settings = _plain(settings)

    def chose(what: str, value: str, why: str) -> None:
        choices.append(Choice(what=what, value=value, why=why))

    gpu = hardware.device.startswith("cuda")
    dtype = _dtype(hardware, settings.dtype)
    if settings.dtype is not None:
        chose("precision", dtype, "asked for")
    elif gpu:
        reason = "half the memory, tensor cores" if dtype == "bfloat16" else "this GPU has no bfloat16"
        chose("precision", dtype, reason)
    if settings.quantise != "none":
        _check_quantise(hardware, settings.quantise)
        chose("quantised", settings.quantise, "asked for: the denoiser's weights take half the memory")
    offload = _offload(hardware, weights, dtype, settings)
    if offload != "no":
        cost = "about a second an image" if offload == "parts" else "ten or more seconds an image"
        why = "memory is short" if settings.offload is None else "asked for"
        chose("offload", offload, f"{why}; copying costs {cost}, a smaller base nothing")
    elif settings.offload == "no" and gpu:
        chose("offload", "no", "asked for")
    channels_last = gpu and not weights.repeated_blocks and not exact
    if channels_last:
        chose("memory format", "channels_last", "convolutions on tensor cores read it without copies")
    compiled = _compiled(hardware, weights, settings, offload)
    if compiled == "whole":
        chose("compiled", "whole denoiser", "its blocks differ, or are few")
    elif compiled == "blocks":
        chose("compiled", "repeated blocks", "like blocks compile once: a minute less at the start")
    elif gpu:
        reason = "switched off" if settings.compile == "off" else _why_not(hardware, offload)
        chose("compiled", "no", reason)
    graphs = gpu and compiled == "whole"
    if graphs:
        chose("cuda graphs", "one a batch size", "a small denoiser waits for kernel launches")
    if compiled != "no":
        chose("lora slots", f"rank {LORA_RANK}", "subjects change by copying numbers: no recompile")
    if settings.draft_decoder is not None:
        chose("decoder", Path(settings.draft_decoder).name, "asked for: drafts, softer than the base's own")
    decodes_alone = gpu and not exact
    if decodes_alone:
        chose("decoding", "one picture at a time", "a batch at once does not fit beside a large base")
    powers = [2**i for i in range(settings.largest_batch.bit_length())]
    return SpeedPlan(
        dtype=dtype,
        channels_last=channels_last,
        compiled=compiled,
        cuda_graphs=graphs,
        fixed_shapes=not weights.lengths_vary,
        buckets=tuple(sorted({*powers, settings.largest_batch})),
        offload=offload,
        quantised=settings.quantise,
        draft_decoder=settings.draft_decoder,
        decodes_alone=decodes_alone,
        lora_slots=LORA_RANK if compiled != "no" else 0,
        optimizer="adamw8bit" if gpu and hardware.bitsandbytes else "adamw",
        gradient_checkpointing=gpu and weights.denoiser >= CHECKPOINTED,
        choices=tuple(choices),
    )


def _plain(settings: SpeedSettings) -> SpeedSettings:
    """Nothing compiled.

    Raises:
        BaseError: something is asked for that changes pixels.
    """
    asked = {
        "a compiled base": settings.compile == "on",
        "a base in 8 bits": settings.quantise != "none",
        "a draft decoder": settings.draft_decoder is not None,
    }
    for what, wanted in asked.items():
        if wanted:
            raise BaseError(f"{what} does not draw exactly as plain diffusers; ask for one of the two")
    return replace(settings, compile="off")


def needed(weights: Weights, dtype: str, quantise: Quantise = "none") -> int:
    """Bytes of device memory to draw with everything on it."""
    return sum(_bytes(weights, dtype, quantise)) + WORKING_MEMORY


def _bytes(weights: Weights, dtype: str, quantise: Quantise) -> list[int]:
    """Bytes of each part, the denoiser's first. Its linear layers are the ones in 8 bits: nearly all of a
    transformer, and of a UNet for words as long as SDXL's.
    """
    denoiser = weights.denoiser * BYTES[dtype if quantise == "none" else quantise]
    return [denoiser, *(count * BYTES[dtype] for count in weights.others)]


def _dtype(hardware: Hardware, asked: Dtype | None) -> Dtype:
    """The precision asked for, or the machine's best.

    Raises:
        BaseError: the machine has it not.
    """
    kind = hardware.device.partition(":")[0]
    old = kind == "cuda" and hardware.capability < BF16_CAPABILITY
    if asked == "bfloat16" and old:
        raise BaseError(
            f"bfloat16 needs a GPU of compute capability 8.0 ({hardware.name} has less); "
            "use float16 or float32"
        )
    if asked == "float16" and kind == "cpu":
        raise BaseError("float16 is for GPUs: a CPU has no arithmetic in it; use bfloat16 or float32")
    if asked is not None:
        return asked
    if kind == "cuda":
        return "float16" if old else "bfloat16"
    return "bfloat16" if kind == "mps" else "float32"  # on a CPU bf16 convolutions are no faster


def _check_quantise(hardware: Hardware, asked: Quantise) -> None:
    if not hardware.torchao:
        raise BaseError(f"quantised weights ({asked}) need torchao; pip install torchao, or leave it out")
    if asked == "fp8" and hardware.capability < FP8_CAPABILITY:
        raise BaseError(f"fp8 needs a GPU of compute capability 8.9 ({hardware.name} has less); use int8")


def _offload(hardware: Hardware, weights: Weights, dtype: str, settings: SpeedSettings) -> Offload:
    """What waits in main memory.

    Raises:
        BaseError: there is no GPU to offload from, or quantised weights would have to go layer by layer.
    """
    gpu = hardware.device.startswith("cuda")
    if settings.offload not in (None, "no") and not gpu:
        raise BaseError(
            f"offloading ({settings.offload}) is for GPUs, and this draws on {hardware.device}; leave it out"
        )
    parts = _bytes(weights, dtype, settings.quantise)
    found = settings.offload
    if found is None:
        if not gpu or sum(parts) + WORKING_MEMORY <= hardware.free:
            found = "no"
        else:
            found = "parts" if max(parts) + WORKING_MEMORY <= hardware.free else "layers"
    if found == "layers" and settings.quantise != "none":
        raise BaseError(
            f"{hardware.name} has {hardware.free / GIB:.0f} GiB free: too little for this base part by "
            "part, and quantised weights cannot go layer by layer; leave quantising out, or "
            "use a smaller base"
        )
    return found


def _compiled(
    hardware: Hardware, weights: Weights, settings: SpeedSettings, offload: Offload
) -> Literal["no", "whole", "blocks"]:
    """Whether to compile, and what.

    Raises:
        BaseError: it is asked for, and cannot be done here.
    """
    if settings.compile == "off":
        return "no"
    if why := _why_not(hardware, offload, asked=settings.compile == "on"):
        if settings.compile == "on":
            raise BaseError(f"the base cannot be compiled here: {why}; leave --compile out")
        return "no"
    return "blocks" if weights.repeated_blocks else "whole"


def _why_not(hardware: Hardware, offload: Offload, *, asked: bool = False) -> str:
    """Why nothing is compiled; empty where it is."""
    if not hardware.device.startswith("cuda"):
        if not asked:
            return "a compile takes longer than it saves on a CPU"
        return "" if hardware.compiler else "there is no C++ compiler (g++ or clang++)"
    if not hardware.triton:
        return "triton is not installed"
    return "its weights come and go (it is offloaded)" if offload != "no" else ""


def _ram(*, free: bool = False) -> int:
    """Bytes of the machine's memory, all or available (all, where only that is said); 0 where nothing is."""
    info = Path("/proc/meminfo")
    if not info.is_file():
        try:
            return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        except (AttributeError, OSError, ValueError):  # not a Unix, or one without these names
            return 0
    wanted = "MemAvailable" if free else "MemTotal"
    line = next((line for line in info.read_text().splitlines() if line.startswith(wanted)), "")
    return int(line.split()[1]) * 1024 if line else 0
