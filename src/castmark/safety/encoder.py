"""Any open_clip model as the judge: tensors in, unit embeddings out, and a fingerprint of all that decides
them.

    encoder = Encoder.open()                                   # the shipped judge
    encoder = Encoder.open("path/to/folder")                   # an open_clip folder
    encoder = Encoder.open("ViT-B-32:laion2b_s34b_b79k")       # a name and weights that open_clip knows

Weights are always loaded by ``create_model_from_pretrained``, which raises where there are none:
``create_model`` would return a random model and a warning.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

import castmark_data
from castmark.errors import CheckError

VIEWS = 6
"""The whole picture, its four quarters, and its centre."""
VIEWS_RECIPE = "whole-squash + 2x2 + centre-half, bilinear antialias, v1"
PROBE_TEXTS = ("a person holding a knife", "Ünïcode — ＷＩＤＥ, 1 2 3!", "x" * 400)
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
TEXT_BATCH = 64


class Encoder:
    """Image and text embeddings of one open_clip model, on one device."""

    def __init__(
        self,
        model: nn.Module,
        tokenize: Callable[[list[str]], Int[Tensor, "n context"]],
        *,
        name: str,
        config: dict[str, Any],
        tokenizer_files: dict[str, str],
        device: str,
    ) -> None:
        # Convolutions of a few channels are up to twice as fast with the channels last, and as exact.
        self.model = model.eval().requires_grad_(False).to(memory_format=torch.channels_last)  # pyright: ignore
        self.name, self.device = name, device
        self._tokenize = tokenize
        visual = cast(Any, model).visual
        size = visual.image_size
        self.image_size: tuple[int, int] = (size, size) if isinstance(size, int) else (size[0], size[1])
        preprocess: dict[str, Any] = visual.preprocess_cfg
        self._mean = torch.tensor(preprocess["mean"], device=device).view(3, 1, 1)
        self._std = torch.tensor(preprocess["std"], device=device).view(3, 1, 1)
        self.tau = float(cast(Any, model).logit_scale.exp())
        """The frozen logit scale."""
        self.fingerprint = _fingerprint(model, tokenize, config, preprocess, tokenizer_files)
        """sha256 over weights, configuration, preprocessing, views and tokenizer."""

    @classmethod
    def open(cls, source: str | Path | None = None, device: str = "cpu") -> Encoder:
        """The judge from a folder (default: the shipped one), or from a name open_clip knows
        ("NAME:WEIGHTS").

        Raises:
            CheckError: there is no such model, or it has no weights.
        """
        import open_clip

        where = castmark_data.path("embedded", "clip") if source is None else source
        folder, weights = Path(where), None
        if folder.is_dir():
            name = f"local-dir:{folder}"
        else:
            name, _, weights = str(where).partition(":")
            if not weights or name not in open_clip.list_models():
                raise CheckError(
                    f"judge {str(where)!r}: not a folder, and not NAME:WEIGHTS of a model open_clip knows; "
                    "give the folder of an open_clip model"
                )
        try:
            model = open_clip.create_model_from_pretrained(
                name, pretrained=weights, device=device, return_transform=False
            )
            tokenizer = open_clip.get_tokenizer(name)
        except Exception as error:  # whatever open_clip stumbles over, there is no judge
            reason = " ".join(str(error).split())[:300]
            raise CheckError(
                f"judge {str(where)!r}: cannot be loaded ({reason}); nothing can be checked"
            ) from error
        files: dict[str, str] = {}
        if folder.is_dir():
            config = json.loads((folder / "open_clip_config.json").read_text(encoding="utf-8"))["model_cfg"]
            for file in TOKENIZER_FILES:
                if (folder / file).is_file():
                    files[file] = hashlib.sha256((folder / file).read_bytes()).hexdigest()
        else:
            config = {"name": name, "config": open_clip.get_model_config(name)}
        return cls(
            cast(nn.Module, model),
            cast(Any, tokenizer),
            name=str(where),
            config=config,
            tokenizer_files=files,
            device=device,
        )

    def fits(self, text: str) -> bool:
        """Whether the text is read whole, nothing of it cut away: the last place of the context is not
        taken."""
        ids = self._tokenize([text])[0]
        return int(ids[-1]) == 0

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


def _fingerprint(
    model: nn.Module,
    tokenize: Callable[[list[str]], Tensor],
    config: dict[str, Any],
    preprocess: dict[str, Any],
    tokenizer_files: dict[str, str],
) -> str:
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        digest.update(f"{name}:{value.dtype}:{tuple(value.shape)}:".encode())
        digest.update(value.detach().cpu().contiguous().view(-1).numpy().tobytes())
    words = {
        "config": config,
        "preprocess": {key: list(v) if isinstance(v, tuple) else v for key, v in preprocess.items()},
        "views": VIEWS_RECIPE,
        "tokenizer": tokenizer_files,
        "tokens": [tokenize([text])[0].tolist() for text in PROBE_TEXTS],
    }
    digest.update(json.dumps(words, sort_keys=True).encode())
    return digest.hexdigest()
