"""Pictures of the rendered world on disk, with captions and truth: for a look, or for one's own training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from castmark_world import caption, render, sample_scene, truth


def write_sample(
    out: Path,
    *,
    n: int,
    seed: int,
    split: Literal["train", "calibration", "test"] = "train",
    kind: Literal["character", "product"] | None = None,
    size: int = 256,
) -> None:
    """Write ``n`` scenes as ``00000.png`` ... and ``scenes.jsonl`` (file, caption, truth).

    The same seed writes the same files.

    Raises:
        OSError: the folder cannot be written.
    """
    out.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    lines: list[str] = []
    for index in range(n):
        scene = sample_scene(rng, split=split, kind=kind)
        name = f"{index:05d}.png"
        Image.fromarray(render(scene, size)).save(out / name, compress_level=1)
        lines.append(json.dumps({"file": name, "caption": caption(scene, rng), "truth": truth(scene)}))
    (out / "scenes.jsonl").write_text("\n".join(lines) + "\n")
