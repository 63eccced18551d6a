"""LoRA, worn: y = W x + scale (alpha / r) B A x on the attention projections (Hu et al., arXiv 2106.09685,
sec. 4.1) and on the residual blocks' convolutions, where A has the kernel and B is 1 x 1.

Files are in the diffusers/peft layout with alpha = rank, so that plain ``load_lora_weights`` draws the same.
Wearing puts peft's own layers in front of the base's, and taking off puts the base's very modules back:
nothing is merged, nothing is copied, and changing the subject costs milliseconds.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import torch
from peft import LoraConfig
from peft.tuners.lora import Conv2d as LoraConv2d
from peft.tuners.lora import Linear as LoraLinear
from torch import Tensor, nn

from castmark_adapters.errors import HostError, PackError, SubjectError
from castmark_adapters.host import Host, Ingredient
from castmark_adapters.running import running_device
from castmark_adapters.subject import Subject, sha256
from castmark_adapters.weights import all_finite, read_safetensors, write_safetensors

if TYPE_CHECKING:
    from castmark_adapters.host import Model

TARGETS = ("to_q", "to_k", "to_v", "to_out.0")
"""The attention projections that a LoRA changes in most families."""
CONVOLUTIONS = ("conv1", "conv2")
"""The residual blocks' convolutions a LoRA may change besides: shapes and patterns live there."""

PREFIXES = ("unet", "transformer")
"""Names of a denoiser in LoRA files, as diffusers' loaders want them."""

LoraLayer = LoraLinear | LoraConv2d

_NAME = "castmark"
_METADATA_KEY = "lora_adapter_metadata"  # diffusers.loaders.lora_base.LORA_ADAPTER_METADATA_KEY


@dataclass(frozen=True)
class LoraWeights:
    """Down (A, "rank in") and up (B, "out rank") matrices by the denoiser's module name; of a convolution, A
    is "rank in k k" and B "out rank 1 1". alpha = rank always. ``prefix`` is the denoiser's name in the file,
    one of `PREFIXES`.
    """

    rank: int
    layers: Mapping[str, tuple[Tensor, Tensor]]
    prefix: str = "unet"

    @classmethod
    def from_bytes(cls, data: bytes, label: str) -> LoraWeights:
        """Read a safetensors file in the diffusers/peft layout.

        Raises:
            PackError: damaged, not a LoRA, not finite, or with an alpha other than its rank (which other
            tools
                would silently load at another strength).
        """
        tensors, metadata = read_safetensors(data, label)
        prefix = next(iter(tensors), "").partition(".")[0]
        layers: dict[str, tuple[Tensor, Tensor]] = {}
        for key, down in tensors.items():
            if prefix in PREFIXES and key.startswith(f"{prefix}.") and key.endswith(".lora_A.weight"):
                name = key.removeprefix(f"{prefix}.").removesuffix(".lora_A.weight")
                up = tensors.get(f"{prefix}.{name}.lora_B.weight")
                if up is None:
                    raise PackError(f"{label}: {name} has a down matrix and no up matrix; learn it again")
                layers[name] = (down, up)
        ranks = {down.shape[0] for down, _ in layers.values()} | {up.shape[1] for _, up in layers.values()}
        if len(layers) * 2 != len(tensors) or len(ranks) != 1:
            raise PackError(f"{label}: not a LoRA of one rank in the diffusers layout; learn it again")
        rank = ranks.pop()
        alpha = json.loads(metadata.get(_METADATA_KEY, "{}")).get(f"{prefix}.lora_alpha")
        if alpha != rank:
            raise PackError(
                f"{label}: alpha is {alpha}, rank is {rank}; only alpha = rank loads alike everywhere"
            )
        if not all_finite(tensors):
            raise PackError(f"{label}: holds values that are not finite; learn it again")
        return cls(rank, layers, prefix)

    def times(self, strength: float) -> LoraWeights:
        """The same with a strength multiplied in, so that it is worn, and loaded elsewhere, at 1."""
        layers = {name: (down, up * strength) for name, (down, up) in self.layers.items()}
        return LoraWeights(self.rank, layers, self.prefix)

    def to_bytes(self) -> bytes:
        """The file that plain ``pipeline.load_lora_weights`` reads at the same scale."""
        config = lora_config(self.rank, list(self.layers)).to_dict()
        # Full module names: peft then never mistakes a reference adapter's projections for targets.
        config["target_modules"] = sorted(self.layers)
        packed = {f"{self.prefix}.{key}": value for key, value in config.items()}
        tensors: dict[str, Tensor] = {}
        for name, (down, up) in self.layers.items():
            tensors[f"{self.prefix}.{name}.lora_A.weight"] = down
            tensors[f"{self.prefix}.{name}.lora_B.weight"] = up
        return write_safetensors(tensors, (_METADATA_KEY, json.dumps(packed, indent=2, sort_keys=True)))


class LoraAdapter:
    """One subject's LoRA, ready to be worn.

    Args:
        data: bytes of its safetensors file.
        title: what to call it in errors and in the provenance record.
        base: digest of the base it was learned on; it is refused on any other.
        scale: strength; 1 is as learned.
    """

    def __init__(self, data: bytes, *, title: str, base: str, scale: float = 1.0) -> None:
        self.weights = LoraWeights.from_bytes(data, title)
        self.title = title
        self.base = base
        self.scale = scale
        self.sha256 = sha256(data)
        self._built: dict[str, LoraLayer] | None = None

    @classmethod
    def of(cls, subject: Subject, scale: float = 1.0) -> LoraAdapter:
        """The LoRA on a subject's card.

        Raises:
            SubjectError: the subject has none, or its bytes are not at hand.
            PackError: its bytes are damaged.
        """
        if subject.lora is None:
            raise SubjectError(
                f"subject {subject.name!r} has no LoRA; learn one with: castmark learn {subject.name}"
            )
        data = subject.file(subject.lora.name)
        if sha256(data) != subject.lora.sha256:
            raise PackError(
                f"subject {subject.name!r}: {subject.lora.name} does not match its digest; learn it again"
            )
        return cls(data, title=f"LoRA of {subject.name}", base=subject.lora.base, scale=scale)

    @property
    def ingredients(self) -> tuple[Ingredient, ...]:
        """The LoRA file itself."""
        return (Ingredient(title=self.title, role="lora", sha256=self.sha256),)

    def check(self, host: Host) -> None:
        """Refuse a base it was not learned on.

        Raises:
            HostError: another base.
        """
        if host.digest != self.base:
            raise HostError(
                f"{self.title}: learned on base {self.base[:12]}, worn on base {host.digest[:12]}; "
                "learn the subject again on this base"
            )

    @contextmanager
    def worn(self, host: Host, scale: float | None = None) -> Generator[None]:
        """Wear it; on exit the base's own modules are back in place.

        Raises:
            HostError: another base, or one without the projections it changes.
        """
        self.check(host)
        if (slots := host.slots) is not None:
            with slots.filled(self.weights, self.title, self.scale if scale is None else scale):
                yield
            return
        denoiser = host.model.denoiser
        if self._built is None or not _fits(denoiser, self._built):
            self._built = build_layers(denoiser, self.weights, self.title)
        with installed(denoiser, self._built, self.scale if scale is None else scale):
            yield


def lora_config(rank: int, targets: list[str]) -> LoraConfig:
    """peft's configuration of our LoRAs: alpha = rank, no dropout, no bias."""
    return LoraConfig(
        r=rank, lora_alpha=rank, target_modules=targets, init_lora_weights=False, inference_mode=False
    )


def attention_targets(model: Model) -> list[str]:
    """Full names of the denoiser's own attention projections, in its order."""
    return [
        name
        for name, module in model.denoiser.named_modules()
        if isinstance(module, nn.Linear | LoraLinear)  # a LoRA, or a slot for one, may be over it
        and any(name.endswith(f".{target}") for target in model.lora_targets)
        and not name.startswith("encoder_hid_proj")
    ]


def convolution_targets(denoiser: nn.Module) -> list[str]:
    """Full names of the 3 x 3 convolutions of a UNet's residual blocks, in its order."""
    return [
        name
        for name, module in denoiser.named_modules()
        if isinstance(module, nn.Conv2d | LoraConv2d) and name.rpartition(".")[2] in CONVOLUTIONS
    ]


def build_layers(
    denoiser: nn.Module, weights: LoraWeights, title: str, dtype: torch.dtype | None = None
) -> dict[str, LoraLayer]:
    """peft layers over the base's projections, not yet in place. Consumes no global randomness.

    ``dtype`` is that of the matrices; None for the base's own. What is learned wants float32.

    Raises:
        HostError: a projection is missing or of another size.
    """
    config = lora_config(weights.rank, list(weights.layers))
    layers: dict[str, LoraLayer] = {}
    device = running_device(denoiser)
    with torch.random.fork_rng(devices=[]):
        for name, (down, up) in weights.layers.items():
            base, inner = wrapped_by(denoiser, name, down, up, title)
            kind = LoraLinear if isinstance(inner, nn.Linear) else LoraConv2d
            layer = kind(cast("Any", base), _NAME, config, r=weights.rank, lora_alpha=weights.rank)
            for part, matrix in ((layer.lora_A, down), (layer.lora_B, up)):
                own = cast("nn.Linear", part[_NAME])
                found = matrix.detach().clone().to(device, dtype or inner.weight.dtype)
                own.weight = nn.Parameter(found, requires_grad=False)
            layers[name] = layer
    return layers


def wrapped_by(
    denoiser: nn.Module, name: str, down: Tensor, up: Tensor, title: str
) -> tuple[nn.Module, nn.Linear | nn.Conv2d]:
    """The module in place under ``name`` and the base's own layer in it (another LoRA may be worn over it).

    Raises:
        HostError: it is missing or of another size.
    """
    try:
        base = denoiser.get_submodule(name)
    except AttributeError:
        raise HostError(f"{title}: the base has no layer {name!r}; learn the subject on this base") from None
    inner = base.get_base_layer() if isinstance(base, LoraLayer) else base
    if not isinstance(inner, nn.Linear | nn.Conv2d) or inner.weight.shape != (up.shape[0], *down.shape[1:]):
        raise HostError(
            f"{title}: layer {name!r} of the base has another size; learn the subject on this base"
        )
    return base, inner


def matrices(layer: LoraLayer) -> tuple[nn.Parameter, nn.Parameter]:
    """The layer's down and up matrices."""
    down, up = (cast("Any", part[_NAME]).weight for part in (layer.lora_A, layer.lora_B))
    return down, up


def weights_of(layers: Mapping[str, LoraLayer], prefix: str) -> LoraWeights:
    """The matrices of built layers, copied to the CPU in fp32."""
    found: dict[str, tuple[Tensor, Tensor]] = {}
    for name, layer in layers.items():
        down, up = (matrix.detach().float().cpu().clone() for matrix in matrices(layer))
        found[name] = (down, up)
    return LoraWeights(next(iter(found.values()))[0].shape[0], found, prefix)


@contextmanager
def installed(denoiser: nn.Module, layers: Mapping[str, LoraLayer], scale: float = 1.0) -> Generator[None]:
    """Put built layers in place of the projections they wrap, and the very same projections back on exit."""
    device = running_device(denoiser)
    for layer in layers.values():
        cast("Any", layer.set_scale)(_NAME, scale)
        for matrix in matrices(layer):  # they may have gone to main memory with the base they were worn on
            matrix.data = matrix.data.to(device)
    with replaced(denoiser, layers):
        yield


@contextmanager
def replaced(denoiser: nn.Module, modules: Mapping[str, nn.Module]) -> Generator[None]:
    """Put modules in place of the denoiser's of the same names, and the very same ones back on exit."""
    originals: list[tuple[nn.Module, str, nn.Module]] = []
    try:
        for name, module in modules.items():
            parent_name, _, child = name.rpartition(".")
            parent = denoiser.get_submodule(parent_name)
            originals.append((parent, child, parent.get_submodule(child)))
            setattr(parent, child, module)
        yield
    finally:
        for parent, child, original in reversed(originals):
            setattr(parent, child, original)


def _fits(denoiser: nn.Module, layers: Mapping[str, LoraLayer]) -> bool:
    """True if the layers were built over the very modules that are in place now."""
    modules = dict(denoiser.named_modules())
    return all(modules.get(name) is layer.base_layer for name, layer in layers.items())
