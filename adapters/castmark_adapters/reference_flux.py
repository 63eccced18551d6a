"""IP-Adapter on FLUX.1: image tokens beside the picture's in every double block (the form of XLabs and
InstantX, which plain ``pipeline.load_ip_adapter`` reads).
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch
from diffusers.loaders.transformer_flux import FluxTransformer2DLoadersMixin
from diffusers.models.embeddings import MultiIPAdapterImageProjection
from jaxtyping import Float
from torch import Tensor, nn

from castmark_adapters.encoder import SubjectEncoder
from castmark_adapters.errors import AdapterError, HostError, PackError
from castmark_adapters.host import Host
from castmark_adapters.reference import Processors, ReferenceAdapter, beside, frozen_parts
from castmark_adapters.running import running_device
from castmark_adapters.subject import sha256
from castmark_adapters.weights import read_safetensors

_ARGUMENT = "ip_adapter_image_embeds"
_GROUPS = {
    "ip_adapter_proj_model": "image_proj",
    "image_proj": "image_proj",
    "double_blocks": "ip_adapter",
    "ip_adapter": "ip_adapter",
}


_converted = cast("Any", FluxTransformer2DLoadersMixin)._convert_ip_adapter_attn_to_diffusers


class _Somewhere:
    """A transformer for diffusers' loader, which makes processors where the weights are: where those wait on
    no device ("meta"), in main memory.
    """

    def __init__(self, transformer: Any) -> None:
        self._transformer = transformer
        nowhere = transformer.device.type == "meta"
        self.device = torch.device("cpu") if nowhere else transformer.device

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transformer, name)


class FluxReferenceAdapter(ReferenceAdapter):
    """The network on a FLUX.1 transformer; `of` binds it to a subject's references."""

    @classmethod
    def read(cls, path: Path, encoder: Path) -> FluxReferenceAdapter:
        """Load a weights file and the folder of its image encoder.

        Raises:
            AdapterError: a file is missing (`PackError`: it is damaged, or of another layout).
        """
        try:
            data = path.read_bytes()
        except OSError as error:
            raise AdapterError(f"{path}: cannot be read ({error.strerror}); check the path") from error
        flat, _ = read_safetensors(data, str(path))
        weights: dict[str, dict[str, Tensor]] = {"image_proj": {}, "ip_adapter": {}}
        for key, tensor in flat.items():
            head, _, rest = key.partition(".")
            if head not in _GROUPS:
                raise PackError(f"{path}: unknown key {key!r}; give an IP-Adapter for FLUX.1")
            name = rest.replace("ip_adapter_double_stream_k_proj", "to_k_ip")
            name = name.replace("ip_adapter_double_stream_v_proj", "to_v_ip").replace("processor.", "")
            weights[_GROUPS[head]][name] = tensor
        return cls(weights, SubjectEncoder.load(encoder), sha256(data))

    def network(self, transformer: Any) -> tuple[Processors, nn.Module]:
        """Attention processors by name and the image projection, made by diffusers' own loader.

        Raises:
            HostError: the transformer has another form than the one the adapter was trained for.
        """
        if self._built is None or self._built[0] is not transformer:
            weights = {group: dict(tensors) for group, tensors in self.weights.items()}
            try:
                with torch.random.fork_rng(devices=[]):
                    processors: Processors = _converted(
                        _Somewhere(transformer), [weights], low_cpu_mem_usage=False
                    )
                    projection = MultiIPAdapterImageProjection(
                        [
                            transformer._convert_ip_adapter_image_proj_to_diffusers(
                                weights["image_proj"], low_cpu_mem_usage=False
                            )
                        ]
                    )
            except (RuntimeError, KeyError, AttributeError) as error:
                raise HostError(
                    f"the reference adapter was made for another transformer ({error}); "
                    "give one for this base"
                ) from error
            self._built = (transformer, *frozen_parts(processors, projection))
        return beside(transformer, *self._built[1:])

    @contextmanager
    def worn(self, host: Host, tokens: Float[Tensor, "1 refs dim"], scale: float = 1.0) -> Generator[None]:
        """Wear it with these image embeddings; on exit the base's own processors are back.

        Raises:
            HostError: another form of base, or a reference adapter is already worn.
        """
        transformer = cast("Any", host.model.denoiser)
        if _ARGUMENT in host.call_arguments:
            raise HostError("a reference adapter is already worn by this base; take it off first")
        processors, projection = self.network(transformer)
        own: Processors = dict(transformer.attn_processors)
        # Blocks without image tokens keep the very processors they have.
        mixed = own | {name: each for name, each in processors.items() if hasattr(each, "to_k_ip")}
        had = getattr(transformer, "encoder_hid_proj", None)
        shown = tokens.to(running_device(transformer), transformer.dtype)
        try:
            transformer.set_attn_processor(dict(mixed))
            for processor in mixed.values():
                if hasattr(processor, "to_k_ip"):
                    processor.scale = [scale]
            transformer.encoder_hid_proj = projection
            host.call_arguments[_ARGUMENT] = [shown]
            yield
        finally:
            host.call_arguments.pop(_ARGUMENT, None)
            transformer.encoder_hid_proj = had
            if had is None:
                del transformer.encoder_hid_proj
            transformer.set_attn_processor(own)
