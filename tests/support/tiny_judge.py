"""A small random open_clip judge, as a folder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch
from open_clip.model import CLIP
from safetensors.torch import save_file

import castmark_data
from castmark.training.tokenizer import FILES, load_tokenizer


def write_judge(folder: Path) -> Path:
    """An open_clip folder with the shipped tokenizer and two towers of one layer."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        shutil.copy(castmark_data.path("embedded", "clip", name), folder / name)
    config = {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 32, "patch_size": 16, "width": 32, "layers": 1, "head_width": 16},
        "text_cfg": {
            "context_length": 48,
            "vocab_size": len(load_tokenizer(folder)),
            "hf_tokenizer_name": "castmark",
            "tokenizer_kwargs": {},
            "width": 32,
            "heads": 2,
            "layers": 1,
        },
    }
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": {}}))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = CLIP(**config)
    save_file(
        {k: v.contiguous() for k, v in model.state_dict().items()}, folder / "open_clip_model.safetensors"
    )
    return folder
