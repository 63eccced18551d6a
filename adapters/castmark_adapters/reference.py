"""Reference adapter, worn: image tokens beside the text's in every cross-attention (IP-Adapter, arXiv
2308.06721, sec. 3.2.2, in its Plus form: a Resampler over the encoder's patch tokens).

The files are the ones plain ``pipeline.load_ip_adapter`` reads. The network is put together once per base;
wearing it for another subject only changes which image tokens are passed to the call.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

import torch
from diffusers.models.attention_processor import IPAdapterAttnProcessor, IPAdapterAttnProcessor2_0
from diffusers.models.embeddings import MultiIPAdapterImageProjection
from jaxtyping import Float
from PIL import Image
from torch import Tensor, nn

from castmark_adapters.encoder import SubjectEncoder
from castmark_adapters.errors import AdapterError, HostError, PackError, SubjectError
from castmark_adapters.host import Host, Ingredient
from castmark_adapters.running import running_device
from castmark_adapters.subject import Subject, sha256
from castmark_adapters.weights import read_safetensors

if TYPE_CHECKING:
    from diffusers import UNet2DConditionModel

WEIGHTS = "ip_adapter.safetensors"
ENCODER = "image_encoder"
MAX_TOKENS_CACHED = 64

Processors = dict[str, Any]
_ARGUMENT = "ip_adapter_image_embeds"


class ReferenceAdapter:
    """The network; `of` binds it to a subject's references, ready to be worn.

    Args:
        weights: ``{"image_proj": ..., "ip_adapter": ...}`` as diffusers takes them.
        digest: sha256 of the weights file.

    Attributes:
        sha256: of weights and image encoder together, which both decide what a subject looks like.
    """

    def __init__(self, weights: dict[str, dict[str, Tensor]], encoder: SubjectEncoder, digest: str) -> None:
        self.weights = weights
        self.encoder = encoder
        self._weights_digest = digest
        self.sha256 = sha256(f"{digest} {encoder.digest}".encode())
        self._built: tuple[nn.Module, Processors, nn.Module] | None = None
        self._tokens: dict[str, Tensor] = {}

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Load ``ip_adapter.safetensors`` and ``image_encoder/`` from a folder.

        Raises:
            AdapterError: a file is missing.
            PackError: a file is damaged.
        """
        return cls.read(Path(folder) / WEIGHTS, Path(folder) / ENCODER)

    @classmethod
    def read(cls, path: Path, encoder: Path) -> Self:
        """Load a weights file in the IP-Adapter layout, and the folder of its image encoder.

        Raises:
            AdapterError: a file is missing (`PackError`: it is damaged).
        """
        try:
            data = path.read_bytes()
        except OSError as error:
            raise AdapterError(
                f"{path}: cannot be read ({error.strerror}); install the weights again"
            ) from error
        flat, _ = read_safetensors(data, str(path))
        weights: dict[str, dict[str, Tensor]] = {"image_proj": {}, "ip_adapter": {}}
        for key, tensor in flat.items():
            group, _, name = key.partition(".")
            if group not in weights:
                raise PackError(f"{path}: unknown key {key!r}; give a file in the IP-Adapter layout")
            weights[group][name] = tensor
        return cls(weights, SubjectEncoder.load(encoder), sha256(data))

    def of(self, subject: Subject, scale: float = 1.0) -> SubjectReference:
        """The adapter for a subject's references. Their tokens are computed once and kept.

        Raises:
            SubjectError: the subject has no reference at hand.
        """
        return SubjectReference(self, self._tokens_of(subject), scale, _references(subject))

    def of_each(self, subjects: Sequence[Subject], scale: float = 1.0) -> SubjectReference:
        """The adapter for a batch of images, each of its own subject, in this order.

        Raises:
            SubjectError: a subject has no reference at hand, or they have different numbers of references
                (their tokens would then not have the same share of the attention as alone).
        """
        counts = {len(subject.references) for subject in subjects}
        if len(counts) != 1:
            raise SubjectError(
                f"a batch of subjects with {sorted(counts)} references; draw those of one number together"
            )
        tokens = torch.cat([self._tokens_of(subject) for subject in subjects])
        references = tuple(item for subject in subjects for item in _references(subject))
        return SubjectReference(self, tokens, scale, references)

    def _tokens_of(self, subject: Subject) -> Tensor:
        key = "/".join(reference.sha256 for reference in subject.references)
        if key not in self._tokens:
            while len(self._tokens) >= MAX_TOKENS_CACHED:
                self._tokens.pop(next(iter(self._tokens)))
            self._tokens[key] = self.tokens(subject.images())
        return self._tokens[key]

    def known(self, subject: Subject) -> AbstractContextManager[None]:
        """For as long, the base is told what is known of the subject, if it can be, and wears nothing."""
        return nullcontext()

    def of_images(self, images: Sequence[Image.Image], scale: float = 1.0) -> SubjectReference:
        """The adapter for loose images (no provenance of theirs is recorded)."""
        return SubjectReference(self, self.tokens(images), scale)

    def tokens(self, images: Sequence[Image.Image]) -> Float[Tensor, "1 refs ..."]:
        """What the network reads of images: patch tokens "1 refs seq dim" in the Plus form, whole-image
        embeddings "1 refs dim" in the plain one.
        """
        if "proj.weight" in self.weights["image_proj"]:
            return self.encoder.embeddings(images)
        return self.encoder.tokens(images)

    @property
    def ingredients(self) -> tuple[Ingredient, ...]:
        """The adapter's weights and its encoder's."""
        return (
            Ingredient(title="reference adapter", role="reference-adapter", sha256=self._weights_digest),
            Ingredient(title="subject encoder", role="reference-adapter", sha256=self.encoder.digest),
        )

    def parts(self, unet: UNet2DConditionModel) -> tuple[Processors, nn.Module]:
        """Attention processors by name and the image projection, made for this UNet by diffusers' own loader.

        Raises:
            HostError: the UNet has another form than the one the adapter was trained for.
        """
        if self._built is None or self._built[0] is not unet:
            check_fits(unet, self.weights)
            weights = {group: dict(tensors) for group, tensors in self.weights.items()}
            with torch.random.fork_rng(devices=[]):  # building layers must not move the caller's randomness
                processors: Processors = unet._convert_ip_adapter_attn_to_diffusers(  # pyright: ignore[reportPrivateUsage]
                    [weights], low_cpu_mem_usage=False
                )
                projection = MultiIPAdapterImageProjection(
                    [
                        unet._convert_ip_adapter_image_proj_to_diffusers(  # pyright: ignore[reportPrivateUsage]
                            weights["image_proj"], low_cpu_mem_usage=False
                        )
                    ]
                )
            self._built = (unet, *frozen_parts(processors, projection))
        return beside(unet, *self._built[1:])

    @contextmanager
    def worn(
        self, host: Host, tokens: Float[Tensor, "n refs seq dim"], scale: float = 1.0
    ) -> Generator[None]:
        """Wear it with these image tokens, one set for all images of a batch or one for each; on exit the
        base's own processors are back.

        Raises:
            HostError: another form of base, or a reference adapter is already worn.
        """
        unet = host.pipeline.unet
        if unet.encoder_hid_proj is not None or _ARGUMENT in host.call_arguments:
            raise HostError("a reference adapter is already worn by this base; take it off first")
        processors, projection = self.parts(unet)
        with _restored(unet):
            unet.set_attn_processor(dict(processors))
            for processor in processors.values():
                if isinstance(processor, IPAdapterAttnProcessor | IPAdapterAttnProcessor2_0):
                    cast("Any", processor).scale = [scale]
            unet.encoder_hid_proj = projection if len(tokens) == 1 else _OneEach(projection, len(tokens))
            unet.config.encoder_hid_dim_type = "ip_image_proj"
            host.call_arguments[_ARGUMENT] = [tokens.to(running_device(unet), unet.dtype)]
            try:
                yield
            finally:
                del host.call_arguments[_ARGUMENT]


class _OneEach(nn.Module):
    """The image projection for a batch of n sets of tokens.

    A pipeline call repeats what it is given for every image: the first n rows are the sets, one an image.
    """

    def __init__(self, projection: nn.Module, count: int) -> None:
        super().__init__()
        self.projection, self.count = projection, count

    def forward(self, embeds: list[Float[Tensor, "repeated refs seq dim"]]) -> list[Tensor]:
        """Image tokens "n refs queries width" of each adapter."""
        return self.projection([each[: self.count] for each in embeds])


def beside(
    denoiser: nn.Module, processors: Processors, projection: nn.Module
) -> tuple[Processors, nn.Module]:
    """The adapter's modules, brought to where the denoiser runs, in its dtype."""
    device, dtype = running_device(denoiser), cast("Any", denoiser).dtype
    for module in (projection, *processors.values()):
        if isinstance(module, nn.Module):
            module.to(device, dtype)
    return processors, projection


def frozen_parts(processors: Processors, projection: nn.Module) -> tuple[Processors, nn.Module]:
    """The adapter's modules, not to be learned: whoever does, says so."""
    for module in (projection, *processors.values()):
        if isinstance(module, nn.Module):
            module.requires_grad_(False).eval()
    return processors, projection


def _references(subject: Subject) -> tuple[Ingredient, ...]:
    return tuple(
        Ingredient(
            title=f"{subject.name}: {r.name}", role="reference", sha256=r.sha256, media_type=r.media_type
        )
        for r in subject.references
    )


class SubjectReference:
    """The reference adapter with one subject's image tokens "1 refs seq dim", or those of a batch's."""

    def __init__(
        self,
        adapter: ReferenceAdapter,
        tokens: Float[Tensor, "n refs seq dim"],
        scale: float = 1.0,
        references: tuple[Ingredient, ...] = (),
    ) -> None:
        self.adapter = adapter
        self.tokens = tokens
        self.scale = scale
        self._references = references

    @property
    def ingredients(self) -> tuple[Ingredient, ...]:
        """The references, the adapter's weights and its encoder's."""
        return (*self._references, *self.adapter.ingredients)

    @contextmanager
    def worn(self, host: Host) -> Generator[None]:
        """Wear the adapter for this subject.

        Raises:
            HostError: another form of base, or a reference adapter is already worn.
        """
        with self.adapter.worn(host, self.tokens, self.scale):
            yield


def check_fits(unet: UNet2DConditionModel, weights: dict[str, dict[str, Tensor]]) -> None:
    """Compare the UNet's cross-attentions with the adapter's matrices.

    Raises:
        HostError: their number or sizes differ.
    """
    width = int(cast("Any", unet.config).cross_attention_dim)
    have = [
        (cast("Any", module).to_k.weight.shape[0], width)
        for name, module in unet.named_modules()
        if name.endswith("attn2")
    ]
    keys = [f"{2 * i + 1}.to_k_ip.weight" for i in range(len(have))]
    want = [tuple(weights["ip_adapter"][key].shape) for key in keys if key in weights["ip_adapter"]]
    if sorted(have) != sorted(want) or len(weights["ip_adapter"]) != 2 * len(have):
        raise HostError(
            f"the reference adapter was made for {len(weights['ip_adapter']) // 2} cross-attentions of sizes "
            f"{want}, "
            f"the base has {have}; train one for this base with: castmark train reference"
        )


@contextmanager
def _restored(unet: UNet2DConditionModel) -> Generator[None]:
    """On exit, the UNet's own processors (the same objects), no image projection, and its config entry are
    back.
    """
    processors: Processors = dict(unet.attn_processors)
    config = cast("Any", unet.config)
    kind = config.encoder_hid_dim_type
    try:
        yield
    finally:
        unet.encoder_hid_proj = None  # first: the Resampler's attentions would be listed as the UNet's
        unet.set_attn_processor(processors)
        del (
            unet.encoder_hid_proj
        )  # from the modules, where it was put; a plain None is what a UNet is made with
        unet.encoder_hid_proj = None
        config.encoder_hid_dim_type = kind
