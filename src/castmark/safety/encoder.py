"""Any open_clip model as the judge: tensors in, unit embeddings out, and a fingerprint of all that decides
them.

    encoder = Encoder.open()                                   # the shipped judge
    encoder = Encoder.open("path/to/folder")                   # an open_clip folder
    encoder = Encoder.open("ViT-B-32:laion2b_s34b_b79k")       # a name and weights that open_clip knows
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

import castmark_data
from castmark.errors import CheckError
from castmark.safety.open_clip_model import OpenClipModel, load_open_clip, not_loaded

VIEWS = 6
"""The whole picture, its four quarters, and its centre."""
VIEWS_RECIPE = "whole-squash + 2x2 + centre-half, bilinear antialias, v1"
PROBE_TEXTS = ("a person holding a knife", "Ünïcode — ＷＩＤＥ, 1 2 3!", "x" * 400)
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
TEXT_BATCH = 64


class Encoder:
    """Image and text embeddings of one open_clip model, on one device."""

    def __init__(
        self, loaded: OpenClipModel, tokenize: Callable[[list[str]], Int[Tensor, "n context"]]
    ) -> None:
        self.model, self.name, self.device = loaded.model, loaded.source, loaded.device
        self._tokenize = tokenize
        self.image_size = loaded.image_size
        self._mean = torch.tensor(loaded.preprocess["mean"], device=self.device).view(3, 1, 1)
        self._std = torch.tensor(loaded.preprocess["std"], device=self.device).view(3, 1, 1)
        self.tau = float(cast(Any, self.model).logit_scale.exp())
        """The frozen logit scale."""
        self.fingerprint = loaded.fingerprint(
            views=VIEWS_RECIPE,
            tokenizer=_tokenizer_files(loaded.folder),
            tokens=[tokenize([text])[0].tolist() for text in PROBE_TEXTS],
        )
        """sha256 over weights, configuration, preprocessing, views and tokenizer."""
        self._padding = int(tokenize([""])[0][-1])
        if not self.fits(PROBE_TEXTS[0]):
            raise CheckError(
                f"judge {self.name!r}: its tokenizer does not pad short texts, so that nobody could "
                "tell whether a prompt was read whole; take another judge"
            )

    @classmethod
    def open(cls, source: str | Path | None = None, device: str = "cpu") -> Encoder:
        """The judge from a folder (default: the shipped one), or from a name open_clip knows
        ("NAME:WEIGHTS").

        Raises:
            CheckError: there is no such model, or it has no weights.
        """
        import open_clip

        where = castmark_data.path("embedded", "clip") if source is None else source
        loaded = load_open_clip(where, device, "judge")
        try:
            tokenizer = open_clip.get_tokenizer(loaded.name)
        except Exception as error:  # whatever open_clip stumbles over, there is no judge
            raise not_loaded("judge", where, error) from error
        return cls(loaded, cast(Any, tokenizer))

    def fits(self, text: str) -> bool:
        """Whether the text is read whole, nothing of it cut away: the last two places of the context are
        padding. Some tokenizers pad with what ends every text, whether it was cut or not."""
        ids = self._tokenize([text])[0]
        return ids[-2:].tolist() == [self._padding] * 2

    @torch.inference_mode()
    def texts(self, texts: Sequence[str]) -> Float[Tensor, "n d"]:
        """Unit embeddings of texts.

        Raises:
            CheckError: an embedding is not finite.
        """
        parts = [list(texts[i : i + TEXT_BATCH]) for i in range(0, len(texts), TEXT_BATCH)]
        encode = cast(Any, self.model).encode_text
        found = torch.cat([encode(self._tokenize(part).to(self.device)).float() for part in parts])
        return _unit(found, "text")

    @torch.inference_mode()
    def images(self, pixels: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b v d"]:
        """Unit embeddings of the `VIEWS` views of each picture; pixels in [0, 1].

        Raises:
            CheckError: wrong shape, pixels outside [0, 1] or not finite, or an embedding that is not finite.
        """
        if pixels.ndim != 4 or pixels.shape[1] != 3 or min(pixels.shape) < 1:
            raise CheckError(
                f"pixels of shape {tuple(pixels.shape)} cannot be checked; give (batch, 3, height, width)"
            )
        if not bool(torch.isfinite(pixels).all()) or float(pixels.min()) < 0 or float(pixels.max()) > 1:
            raise CheckError("pixels must be finite and within [0, 1] to be checked")
        seen = views(pixels.to(self.device), self.image_size)
        batch, count = seen.shape[:2]
        flat = ((seen - self._mean) / self._std).flatten(0, 1).contiguous(memory_format=torch.channels_last)
        found = cast(Any, self.model).encode_image(flat).float()
        return _unit(found, "image").unflatten(0, (batch, count))


def views(pixels: Float[Tensor, "b 3 h w"], size: tuple[int, int]) -> Float[Tensor, "b v 3 s s"]:
    """The whole picture (squashed, never cut), its quarters and its centre, each at ``size``."""
    height, width = pixels.shape[-2:]
    top, left = height // 2, width // 2
    quarter_h, quarter_w = max(1, height - top), max(1, width - left)
    corners = [(0, 0), (0, left), (top, 0), (top, left), (top // 2, left // 2)]
    crops = [pixels, *(pixels[..., y : y + quarter_h, x : x + quarter_w] for y, x in corners)]
    resized = [
        F.interpolate(c, size=size, mode="bilinear", antialias=True, align_corners=False) for c in crops
    ]
    return torch.stack(resized, 1).clamp(0, 1)


def _unit(embedding: Tensor, kind: str) -> Tensor:
    """Normalised, and surely finite and not zero: a NaN would compare false with every threshold."""
    norm = embedding.norm(dim=-1, keepdim=True)
    if not bool(torch.isfinite(norm).all()) or float(norm.min()) == 0:
        raise CheckError(f"the judge's {kind} embedding is not finite; its weights or its input are damaged")
    return embedding / norm


def _tokenizer_files(folder: Path | None) -> dict[str, str]:
    """sha256 of each file of a folder's tokenizer."""
    if folder is None:
        return {}
    files = [file for file in TOKENIZER_FILES if (folder / file).is_file()]
    return {file: hashlib.sha256((folder / file).read_bytes()).hexdigest() for file in files}
