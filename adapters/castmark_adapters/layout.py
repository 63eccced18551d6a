"""The IP-Adapter Plus file layout, as the paper's authors publish it and ``load_ip_adapter`` reads it.

    image_proj.latents, image_proj.proj_in.*, image_proj.layers.0.0.to_q.weight, ...    the Resampler
    ip_adapter.1.to_k_ip.weight, ip_adapter.1.to_v_ip.weight, ip_adapter.3...           the cross-attentions

The pairs are in the order of ``unet.attn_processors``: down, up, mid. diffusers renames the Resampler's parts
on loading, and does not read its own names back: here is the way back.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import torch
from diffusers.models.embeddings import IPAdapterPlusImageProjection
from torch import Tensor, nn

from castmark_adapters.weights import write_safetensors

if TYPE_CHECKING:
    from diffusers import UNet2DConditionModel

DEPTH = 4
"""Layers of the Resampler; diffusers' loader takes no other number."""
HEAD = 64
"""Width of a head; diffusers' loader derives the number of heads from it."""

_NAMES = (
    ("ln0.", "0.norm1."),
    ("ln1.", "0.norm2."),
    ("attn.to_q.", "0.to_q."),
    ("attn.to_out.0.", "0.to_out."),
    ("ff.0.", "1.0."),
    ("ff.1.net.0.proj.", "1.1."),
    ("ff.1.net.2.", "1.3."),
)


def fresh_reference(
    unet: UNet2DConditionModel, *, embed_dim: int, hidden: int = 128, queries: int = 8
) -> dict[str, dict[str, Tensor]]:
    """Untrained weights for this UNet: a random Resampler, the text's own keys, and half of its values.

    ``hidden`` is the Resampler's width and must be a multiple of 64. Consumes torch's global randomness.
    """
    width = int(cast("Any", unet.config).cross_attention_dim)
    projection = IPAdapterPlusImageProjection(
        embed_dims=embed_dim,
        output_dims=width,
        hidden_dims=hidden,
        depth=DEPTH,
        dim_head=HEAD,
        heads=hidden // HEAD,
        num_queries=queries,
    )
    pairs: dict[str, Tensor] = {}
    names = [name for name in unet.attn_processors if name.endswith("attn2.processor")]
    for i, name in enumerate(names):
        attention: Any = unet.get_submodule(name.removesuffix(".processor"))
        pairs[f"{2 * i + 1}.to_k_ip.weight"] = attention.to_k.weight.detach().clone()
        pairs[f"{2 * i + 1}.to_v_ip.weight"] = attention.to_v.weight.detach() / 2
    return {"image_proj": resampler_state(projection), "ip_adapter": pairs}


def resampler_state(projection: nn.Module) -> dict[str, Tensor]:
    """The Resampler's weights under the authors' names."""
    state: dict[str, Tensor] = projection.state_dict()
    out: dict[str, Tensor] = {}
    for key, value in state.items():
        match = re.fullmatch(r"layers\.(\d+)\.(.*)", key)
        if match is None:
            out[key] = value
            continue
        layer, rest = match.groups()
        if rest == "attn.to_k.weight":
            both = [value, state[f"layers.{layer}.attn.to_v.weight"]]
            out[f"layers.{layer}.0.to_kv.weight"] = torch.cat(both)
        elif rest != "attn.to_v.weight":
            old, new = next(pair for pair in _NAMES if rest.startswith(pair[0]))
            out[f"layers.{layer}.{new}{rest.removeprefix(old)}"] = value
    return out


def processor_state(processors: Mapping[str, Any]) -> dict[str, Tensor]:
    """Key and value matrices of installed attention processors, numbered as the layout wants."""
    pairs: dict[str, Tensor] = {}
    for name, processor in processors.items():
        if name.endswith("attn2.processor"):
            number = len(pairs) + 1
            pairs[f"{number}.to_k_ip.weight"] = processor.to_k_ip[0].weight.detach()
            pairs[f"{number}.to_v_ip.weight"] = processor.to_v_ip[0].weight.detach()
    return pairs


def reference_bytes(weights: Mapping[str, Mapping[str, Tensor]], dtype: torch.dtype = torch.float16) -> bytes:
    """The safetensors file."""
    return write_safetensors(
        {f"{group}.{name}": t.to(dtype) for group, tensors in weights.items() for name, t in tensors.items()}
    )
