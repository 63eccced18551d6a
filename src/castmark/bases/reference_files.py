"""Finds the files of a reference adapter: its weights, and the image encoder that fits them.

adapters/mine                                                    ip_adapter.safetensors and image_encoder/
adapters/ip-adapter-plus_sdxl_vit-h.safetensors                  with an image_encoder/ beside or above it
h94/IP-Adapter/sdxl_models/ip-adapter-plus_sdxl_vit-h.safetensors[@revision]      of a hub's repository
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

from safetensors import SafetensorError, safe_open

from castmark.bases.hub import download
from castmark.errors import BaseError
from castmark_adapters.reference import ENCODER, WEIGHTS

_ON_HUB = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)/(?P<file>[\w./-]+\.safetensors)(@(?P<revision>[\w.\-]+))?")

_PROJECTIONS = {
    "image_proj.proj.weight": "projection_dim",
    "image_proj.proj_in.weight": "hidden_size",
    "ip_adapter_proj_model.proj.weight": "projection_dim",
}
"""First layer of an image projection (plain, Plus, and as FLUX.1's are named), and which of an encoder's
widths it reads: of its embeddings or of its hidden states. One encoder's may be another's other.
"""


def find_reference(source: str | Path) -> tuple[Path, Path]:
    """The weights file and the folder of its image encoder.

    Raises:
        BaseError: one of them is not there, or no encoder at hand fits the weights.
    """
    path = Path(source)
    if path.is_dir():
        own = path / WEIGHTS
        found = [own] if own.is_file() else sorted(path.glob("*.safetensors"))
        if len(found) != 1:
            raise BaseError(f"{path}: holds {len(found)} safetensors files; name the reference adapter's one")
        path = found[0]
    elif not path.is_file():
        match = _ON_HUB.fullmatch(str(source))
        if match is None:
            raise BaseError(
                f"{source}: no such reference adapter; give a folder, a .safetensors file, or "
                "organisation/repository/path/file.safetensors of a hub"
            )
        wanted = [match["file"], f"*{ENCODER}/config.json", f"*{ENCODER}/model.safetensors"]
        path = download(match["repo"], match["revision"], wanted, str(source)) / match["file"]
    which, width = _read_width(path)
    for folder in _encoders(path):
        if (folder / "model.safetensors").is_file() and _given(folder / "config.json", which) == width:
            return path, folder
    raise BaseError(
        f"{path}: no image encoder that gives {width} numbers ({which}) lies beside it; put its folder there "
        f"as {ENCODER}/ (config.json, model.safetensors)"
    )


def _encoders(path: Path) -> Iterator[Path]:
    for above in (path.parent, path.parent.parent):
        yield above / ENCODER
        yield above / "models" / ENCODER


def _read_width(path: Path) -> tuple[str, int]:
    """Which of an encoder's widths the adapter's projection reads, and how wide that is."""
    try:
        with safe_open(path, "pt") as file:
            for key in file.keys():  # noqa: SIM118 - not a mapping
                if key in _PROJECTIONS:
                    return _PROJECTIONS[key], int(file.get_slice(key).get_shape()[-1])
    except (SafetensorError, OSError) as error:
        raise BaseError(f"{path}: cannot be read as safetensors ({error}); fetch it again") from error
    raise BaseError(f"{path}: not an IP-Adapter that is known (no image projection in it)")


def _given(config: Path, which: str) -> int | None:
    """That width of a vision tower; None where it is not stated."""
    found = json.loads(config.read_text()).get(which) if config.is_file() else None
    return None if found is None else int(found)
