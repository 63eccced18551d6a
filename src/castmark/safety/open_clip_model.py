"""Any open_clip model, by folder or by a name and weights that open_clip knows, with a digest of what it is.

Weights are always loaded by ``create_model_from_pretrained``, which raises where there are none:
``create_model`` would return a random model and a warning.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from castmark.errors import CheckError

CONFIG = "open_clip_config.json"
"""What makes a folder one of open_clip's."""


@dataclass(frozen=True)
class OpenClipModel:
    """A loaded model, in eval mode."""

    model: nn.Module
    source: str
    """As it was asked for."""
    name: str
    """As open_clip calls it: ``local-dir:FOLDER``, or the name without the weights."""
    folder: Path | None
    config: dict[str, Any]
    device: str

    @property
    def preprocess(self) -> dict[str, Any]:
        """open_clip's preprocessing: size, mean, std, interpolation, how it is resized."""
        return cast(Any, self.model).visual.preprocess_cfg

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width that the image tower reads, pixels."""
        size = cast(Any, self.model).visual.image_size
        return (size, size) if isinstance(size, int) else (size[0], size[1])

    def fingerprint(self, **more: object) -> str:
        """sha256 over weights, configuration, preprocessing and whatever else decides what it is used for."""
        digest = hashlib.sha256()
        for name, value in sorted(self.model.state_dict().items()):
            digest.update(f"{name}:{value.dtype}:{tuple(value.shape)}:".encode())
            digest.update(value.detach().cpu().contiguous().view(-1).numpy().tobytes())
        preprocess = {key: list(v) if isinstance(v, tuple) else v for key, v in self.preprocess.items()}
        words = {"config": self.config, "preprocess": preprocess, **more}
        digest.update(json.dumps(words, sort_keys=True).encode())
        return digest.hexdigest()


def load_open_clip(source: str | Path, device: str, role: str) -> OpenClipModel:
    """The model of an open_clip folder, or of "NAME:WEIGHTS"; ``role`` says in errors what it was to be.

    Raises:
        CheckError: there is no such model, it has no weights, or they are damaged.
    """
    import open_clip

    folder, weights = Path(source), None
    if folder.is_dir():
        name = f"local-dir:{folder}"
    else:
        name, _, weights = str(source).partition(":")
        if name not in open_clip.list_models():
            raise CheckError(
                f"{role} {str(source)!r}: not a folder, and not NAME:WEIGHTS of a model open_clip knows; "
                "give the folder of an open_clip model"
            )
        if not weights:
            known = ", ".join(open_clip.list_pretrained_tags_by_model(name)) or "a file of them"
            raise CheckError(f"{role} {str(source)!r}: which weights? give {name}:WEIGHTS, of: {known}")
    try:
        # Building layers must not move the caller's randomness.
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            # open_clip only warns where the model's activation is another than its weights learned with.
            warnings.filterwarnings("error", message=".*QuickGELU mismatch")
            model = open_clip.create_model_from_pretrained(
                name, pretrained=weights, device=device, return_transform=False
            )
        config = _config(folder) if weights is None else {"name": name, "config": _known_config(name)}
    except Exception as error:  # whatever open_clip stumbles over, there is no model
        raise not_loaded(role, source, error) from error
    # Convolutions of a few channels are up to twice as fast with the channels last, and as exact.
    still = cast(nn.Module, model).eval().requires_grad_(False)
    return OpenClipModel(
        model=still.to(memory_format=torch.channels_last),  # pyright: ignore
        source=str(source),
        name=name,
        folder=folder if weights is None else None,
        config=config,
        device=device,
    )


def not_loaded(role: str, source: str | Path, error: Exception) -> CheckError:
    """The error for a model that something is wrong with."""
    reason = " ".join(str(error).split())[:300]
    return CheckError(
        f"{role} {str(source)!r}: cannot be loaded ({reason}); nothing can be checked with it; "
        "get its files again, or give another"
    )


def _config(folder: Path) -> dict[str, Any]:
    return json.loads((folder / CONFIG).read_text(encoding="utf-8"))["model_cfg"]


def _known_config(name: str) -> dict[str, Any] | None:
    import open_clip

    return open_clip.get_model_config(name)
