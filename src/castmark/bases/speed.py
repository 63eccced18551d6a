"""How a base is made fast on the machine at hand: decided before it is loaded, and recorded with every image.

    plan = decide(Hardware.of("cuda"), Weights.of(facts, repeated_blocks=False), SpeedSettings())
    print(plan.explain())

Decisions are pure: they read a machine and a model, and name what to do and why. `castmark.bases.fast` does
it.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from math import prod
from pathlib import Path
from typing import Any, Literal, TypeAlias

from castmark.bases.facts import BaseFacts
from castmark.errors import BaseError

Compile: TypeAlias = Literal["auto", "off"]
Quantise: TypeAlias = Literal["none", "int8", "fp8"]
GIB = 2**30
WORKING_MEMORY = 4 * GIB
"""Bytes left for activations, the check's encoder and the allocator's slack."""
BF16_CAPABILITY, FP8_CAPABILITY = (8, 0), (8, 9)
BYTES = {"float32": 4, "float16": 2, "bfloat16": 2, "int8": 1, "fp8": 1}
LORA_RANK = 8
"""Rank of the slots that LoRAs are copied into under a compiled denoiser; smaller ones are padded."""


@dataclass(frozen=True, kw_only=True)
class Hardware:
    """What draws. ``memory`` and ``free`` are bytes of the device's own memory."""

    device: str
    name: str
    memory: int
    free: int
    capability: tuple[int, int] = (0, 0)
    """CUDA compute capability."""
    triton: bool = False
    torchao: bool = False

    @classmethod
    def of(cls, device: str) -> Hardware:
        """The device of this name.

        Raises:
            BaseError: it is not there.
        """
        import torch

        from castmark.machine.facts import cpu_name

        kind = device.partition(":")[0]
        if kind != "cuda":
            return cls(device=device, name=cpu_name(), memory=_ram(), free=_ram(free=True))
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
            torchao=find_spec("torchao") is not None,
        )


@dataclass(frozen=True, kw_only=True)
class Weights:
    """What is drawn with: numbers of parameters, of the largest part and of all together."""

    parameters: int
    largest: int
    repeated_blocks: bool
    """A denoiser of like blocks (a transformer), or one that is compiled whole (a UNet)."""

    @classmethod
    def of(cls, facts: BaseFacts, *, repeated_blocks: bool) -> Weights:
        """Counted from the heads of a folder's files; no weights are read."""
        parts: dict[str, int] = {}
        for path in facts.folder.glob("*/*.safetensors"):
            parts[path.parent.name] = parts.get(path.parent.name, 0) + parameters_in(path)
        return cls(
            parameters=sum(parts.values()),
            largest=max(parts.values(), default=0),
            repeated_blocks=repeated_blocks,
        )

    @classmethod
    def loaded(cls, pipeline: Any, *, repeated_blocks: bool) -> Weights:
        """Counted on a pipeline that is loaded."""
        modules = [part for part in pipeline.components.values() if hasattr(part, "parameters")]
        counts = [sum(parameter.numel() for parameter in module.parameters()) for module in modules]
        return cls(parameters=sum(counts), largest=max(counts), repeated_blocks=repeated_blocks)


@dataclass(frozen=True, kw_only=True)
class SpeedSettings:
    """What the user asks for."""

    compile: Compile = "auto"
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
    buckets: tuple[int, ...]
    """Batch sizes that are compiled and captured for; the pipeline makes no others."""
    offload: Literal["no", "parts", "layers"]
    quantised: Quantise
    draft_decoder: str | None
    lora_slots: int
    """Rank of the slots LoRAs are copied into; 0 to put them in front of the layers instead."""
    choices: tuple[Choice, ...]

    def record(self) -> Mapping[str, str]:
        """What decides pixels or speed and is not the plain way, for the environment of every image."""
        return {choice.what: f"{choice.value}: {choice.why}" for choice in self.choices}

    def explain(self) -> str:
        """The decisions for a person, a line each."""
        return "\n".join(f"{choice.what}: {choice.value} ({choice.why})" for choice in self.choices)


def decide(hardware: Hardware, weights: Weights, settings: SpeedSettings) -> SpeedPlan:
    """The plan for this base on this machine.

    Raises:
        BaseError: something is asked for that cannot be had here.
    """
    choices: list[Choice] = []

    def chose(what: str, value: str, why: str) -> None:
        choices.append(Choice(what=what, value=value, why=why))

    gpu = hardware.device.startswith("cuda")
    dtype = _dtype(hardware)
    if gpu:
        reason = "half the memory, tensor cores" if dtype == "bfloat16" else "this GPU has no bfloat16"
        chose("precision", dtype, reason)
    if settings.quantise != "none":
        _check_quantise(hardware, settings.quantise)
        chose("quantised", settings.quantise, "asked for: the denoiser's weights take half the memory")
    offload = _offload(hardware, weights, dtype, settings.quantise) if gpu else "no"
    if offload != "no":
        cost = "about a second an image" if offload == "parts" else "ten or more seconds an image"
        chose("offload", offload, f"memory is short; copying costs {cost}, a smaller base nothing")
    channels_last = gpu and not weights.repeated_blocks
    if channels_last:
        chose("memory format", "channels_last", "convolutions on tensor cores read it without copies")
    compiled = _compiled(hardware, weights, settings, offload)
    if compiled == "whole":
        chose("compiled", "whole denoiser", "a UNet; its blocks differ")
    elif compiled == "blocks":
        chose("compiled", "repeated blocks", "like blocks compile once: a minute less at the start")
    elif gpu:
        reason = "switched off" if settings.compile == "off" else _why_not(hardware, offload)
        chose("compiled", "no", reason)
    graphs = compiled == "whole"
    if graphs:
        chose("cuda graphs", "one a batch size", "a small denoiser waits for kernel launches")
    if compiled != "no":
        chose("lora slots", f"rank {LORA_RANK}", "subjects change by copying numbers: no recompile")
    if settings.draft_decoder is not None:
        chose("decoder", Path(settings.draft_decoder).name, "asked for: drafts, softer than the base's own")
    return SpeedPlan(
        dtype=dtype,
        channels_last=channels_last,
        compiled=compiled,
        cuda_graphs=graphs,
        buckets=tuple(2**i for i in range(settings.largest_batch.bit_length())),
        offload=offload,
        quantised=settings.quantise,
        draft_decoder=settings.draft_decoder,
        lora_slots=LORA_RANK if compiled != "no" else 0,
        choices=tuple(choices),
    )


def needed(weights: Weights, dtype: str, quantise: Quantise = "none") -> int:
    """Bytes of device memory to draw with everything on it."""
    rest = weights.parameters - weights.largest
    heavy = weights.largest * BYTES[dtype if quantise == "none" else quantise]
    return rest * BYTES[dtype] + heavy + WORKING_MEMORY


def parameters_in(path: Path) -> int:
    """Numbers in a safetensors file, from its head.

    Raises:
        BaseError: it is no such file.
    """
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            head: dict[str, dict[str, list[int]]] = json.loads(file.read(min(length, 100_000_000)))
    except (OSError, ValueError, struct.error) as error:
        raise BaseError(f"{path}: not a safetensors file, or cut short ({error}); fetch it again") from error
    return sum(prod(entry["shape"]) for name, entry in head.items() if name != "__metadata__")


def _dtype(hardware: Hardware) -> str:
    kind = hardware.device.partition(":")[0]
    if kind == "cuda":
        return "bfloat16" if hardware.capability >= BF16_CAPABILITY else "float16"
    return "bfloat16" if kind == "mps" else "float32"  # on a CPU bf16 convolutions are no faster


def _check_quantise(hardware: Hardware, asked: Quantise) -> None:
    if not hardware.torchao:
        raise BaseError(f"quantised weights ({asked}) need torchao; pip install torchao, or leave it out")
    if asked == "fp8" and hardware.capability < FP8_CAPABILITY:
        raise BaseError(f"fp8 needs a GPU of compute capability 8.9 ({hardware.name} has less); use int8")


def _offload(
    hardware: Hardware, weights: Weights, dtype: str, quantise: Quantise
) -> Literal["no", "parts", "layers"]:
    if needed(weights, dtype, quantise) <= hardware.free:
        return "no"
    heaviest = weights.largest * BYTES[dtype if quantise == "none" else quantise]
    return "parts" if heaviest + WORKING_MEMORY <= hardware.free else "layers"


def _compiled(
    hardware: Hardware, weights: Weights, settings: SpeedSettings, offload: str
) -> Literal["no", "whole", "blocks"]:
    if settings.compile == "off" or _why_not(hardware, offload):
        return "no"
    return "blocks" if weights.repeated_blocks else "whole"


def _why_not(hardware: Hardware, offload: str) -> str:
    """Why nothing is compiled; empty where it is."""
    if not hardware.device.startswith("cuda"):
        return "a compile takes longer than it saves on a CPU"
    if not hardware.triton:
        return "triton is not installed"
    return "its weights come and go" if offload != "no" else ""


def _ram(*, free: bool = False) -> int:
    """Bytes of the machine's memory, all or available; 0 where the system does not say."""
    info = Path("/proc/meminfo")
    if not info.is_file():
        return 0
    wanted = "MemAvailable" if free else "MemTotal"
    line = next((line for line in info.read_text().splitlines() if line.startswith(wanted)), "")
    return int(line.split()[1]) * 1024 if line else 0
