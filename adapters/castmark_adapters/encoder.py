"""The subject encoder: reference images as the tokens an IP-Adapter reads, and as one vector of identity.

It is a plain ``CLIPVisionModelWithProjection`` folder, which ``pipeline.load_ip_adapter`` loads as its image
encoder, and its preprocessing is the one diffusers makes for that encoder, so both see the same numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModelWithProjection

from castmark_adapters.errors import AdapterError, SubjectError
from castmark_adapters.subject import sha256
from castmark_adapters.weights import read_safetensors


class SubjectEncoder:
    """Reads images of a subject.

    Args:
        model: the vision tower, in eval mode.
        digest: sha256 of its weights file.
    """

    def __init__(self, model: CLIPVisionModelWithProjection, digest: str) -> None:
        self.model = model.eval().requires_grad_(False)
        self.digest = digest
        size = model.config.image_size
        # As diffusers' load_ip_adapter makes it.
        self.processor = CLIPImageProcessor(size=size, crop_size=size)

    @classmethod
    def load(cls, folder: str | Path) -> SubjectEncoder:
        """Load an encoder folder (``config.json``, ``model.safetensors``).

        Raises:
            AdapterError: the folder is not a complete encoder (`PackError`: its weights are damaged).
        """
        path = Path(folder) / "model.safetensors"
        try:
            data = path.read_bytes()
            config = CLIPVisionConfig.from_json_file(path.with_name("config.json"))
        except (OSError, ValueError) as error:
            raise AdapterError(
                f"{folder}: not a complete subject encoder ({error}); install the weights again"
            ) from error
        tensors, _ = read_safetensors(data, str(path))
        with torch.random.fork_rng(devices=[]):  # building layers must not move the caller's randomness
            model = CLIPVisionModelWithProjection(config)
        try:
            # Older files hold the positions, which are counted and not learned.
            model.load_state_dict({k: v for k, v in tensors.items() if not k.endswith("position_ids")})
        except RuntimeError as error:
            raise AdapterError(
                f"{path}: does not fit its config.json ({error}); install the weights again"
            ) from error
        return cls(model.float(), sha256(data))

    def pixels(self, images: Sequence[Image.Image]) -> Float[Tensor, "n 3 size size"]:
        """Images as the encoder reads them; one that is not square is padded with its own border colour."""
        if not images:
            raise SubjectError("no image to read; give at least one reference")
        square = [squared(image) for image in images]
        pixels = cast("Tensor", self.processor(square, return_tensors="pt")["pixel_values"])
        return pixels.to(self.model.device, self.model.dtype)

    @torch.no_grad()
    def tokens(self, images: Sequence[Image.Image]) -> Float[Tensor, "1 n seq dim"]:
        """Penultimate hidden states, as ``encode_image`` of diffusers takes them for a Plus adapter."""
        states = self.model(self.pixels(images), output_hidden_states=True).hidden_states
        return cast("Tensor", states[-2])[None]

    @torch.no_grad()
    def embeddings(self, images: Sequence[Image.Image]) -> Float[Tensor, "1 n dim"]:
        """Projected embeddings, as ``encode_image`` of diffusers takes them for a plain adapter."""
        return cast("Tensor", self.model(self.pixels(images)).image_embeds)[None]

    @torch.no_grad()
    def identity(self, images: Sequence[Image.Image]) -> Float[Tensor, "n dim"]:
        """Unit vectors whose cosine says how alike two subjects are, on the CPU."""
        embeds = cast("Tensor", self.model(self.pixels(images)).image_embeds)
        return torch.nn.functional.normalize(embeds, dim=-1).cpu()


def squared(image: Image.Image) -> Image.Image:
    """The image as RGB on a square canvas of its border's median colour; a square one is unchanged."""
    image = image.convert("RGB")
    if image.width == image.height:
        return image
    array = np.asarray(image)
    border = np.concatenate([array[0], array[-1], array[:, 0], array[:, -1]])
    median = np.median(border, axis=0).astype(int)
    side = max(image.size)
    canvas = Image.new("RGB", (side, side), (int(median[0]), int(median[1]), int(median[2])))
    canvas.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return canvas


def as_image(pixels: NDArray[np.uint8]) -> Image.Image:
    """UInt8 pixels "h w 3" as an image.

    Raises:
        SubjectError: another shape or type.
    """
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise SubjectError(
            f"pixels are {pixels.dtype} {pixels.shape}; give UInt8 of shape (height, width, 3)"
        )
    return Image.fromarray(pixels)
