"""The reference adapter while it learns together with the base: images are read where text is, picture by
picture.

The network is the one `castmark_adapters.reference` wears (IP-Adapter Plus, arXiv 2308.06721): a Resampler
makes tokens of what the subject encoder sees, and every cross-attention has a second key and value matrix for
them. Here each picture of a batch says whether it has references; one that has none is drawn by the base
alone, exactly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from castmark_adapters.layout import fresh_reference
from castmark_adapters.reference import ReferenceAdapter

if TYPE_CHECKING:
    from diffusers import UNet2DConditionModel
    from diffusers.models.attention_processor import Attention
    from diffusers.models.embeddings import IPAdapterPlusImageProjection

    from castmark_adapters.encoder import SubjectEncoder

QUERIES = 12
"""Image tokens a reference."""


class Reading(nn.Module):
    """An attention processor: attention to text, plus attention to images where there are any.

    Its matrices have the names that diffusers gives them in its own IP-Adapter processors.
    """

    def __init__(self, to_k_ip: nn.ModuleList, to_v_ip: nn.ModuleList) -> None:
        super().__init__()
        self.to_k_ip, self.to_v_ip = to_k_ip, to_v_ip

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        attention_mask: None = None,
        temb: None = None,
        ip_hidden_states: Tensor | None = None,
        ip_adapter_masks: Tensor | None = None,
    ) -> Tensor:
        """Float "b n c", text "b t w", image tokens "b i w" and whether they count "b" to "b n c"."""
        layers = cast("Any", attn)  # its layers are typed as optional
        query = layers.to_q(hidden_states)
        read = _attend(attn, query, layers.to_k(encoder_hidden_states), layers.to_v(encoder_hidden_states))
        if ip_hidden_states is not None and ip_adapter_masks is not None:
            key, value = self.to_k_ip[0](ip_hidden_states), self.to_v_ip[0](ip_hidden_states)
            read = read + ip_adapter_masks[:, None, None] * _attend(attn, query, key, value)
        return layers.to_out[0](read)


def _attend(attn: Attention, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Float "b n c", "b t c" and "b t c" to "b n c"; fused on a GPU."""
    if query.is_cuda:
        query, key, value = (x.unflatten(-1, (attn.heads, -1)).transpose(1, 2) for x in (query, key, value))
        return F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
    query, key, value = (attn.head_to_batch_dim(x) for x in (query, key, value))
    return attn.batch_to_head_dim(torch.bmm(attn.get_attention_scores(query, key), value))


def reader(
    unet: UNet2DConditionModel, encoder: SubjectEncoder, shipped: ReferenceAdapter | None = None
) -> tuple[dict[str, Reading], IPAdapterPlusImageProjection]:
    """Readings by processor name, and the Resampler: from a shipped adapter, or untrained.

    Consumes torch's global randomness where nothing is shipped.

    Raises:
        HostError: the shipped adapter was made for a UNet of another form.
    """
    if shipped is None:
        width = encoder.model.config.hidden_size
        shipped = ReferenceAdapter(fresh_reference(unet, embed_dim=width, queries=QUERIES), encoder, "0" * 64)
    processors, projection = shipped.parts(unet)
    resampler = cast("Any", projection).image_projection_layers[0]
    readings = {
        name: Reading(processor.to_k_ip, processor.to_v_ip)
        for name, processor in processors.items()
        if name.endswith("attn2.processor")
    }
    for part in (resampler, *readings.values()):
        part.requires_grad_(True).train()
    return readings, resampler
