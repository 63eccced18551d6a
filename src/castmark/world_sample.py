"""Pictures of the rendered world on disk, with captions and truth: for a look, or for one's own training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from castmark.errors import InputError
from castmark_world import DEFAULT, SCOPES, Kind, caption, render, sample_scene, truth


def write_sample(
    out: Path,
    *,
    n: int,
    seed: int,
    split: Literal["train", "calibration", "test"] = "train",
    kind: Kind | None = None,
    scope: Literal["first", "second", "full"] | None = None,
    size: int = 256,
) -> None:
    """Write ``n`` scenes as ``00000.png`` ... and ``scenes.jsonl`` (file, caption, truth).

    The same seed writes the same files. ``scope`` None: what the shipped models know.

    Raises:
        InputError: the scope has no subjects of that kind.
        OSError: the folder cannot be written.
    """
    world = DEFAULT if scope is None else SCOPES[scope]
    if kind is not None and kind not in world.attributes:
        raise InputError(f"the scope {world.name!r} has no {kind}s; pass --scope full")
    out.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    lines: list[str] = []
    for index in range(n):
        scene = sample_scene(rng, split=split, kind=kind, scope=world)
        name = f"{index:05d}.png"
        Image.fromarray(render(scene, size)).save(out / name, compress_level=1)
        said = caption(scene, rng, world)
        lines.append(json.dumps({"file": name, "caption": said, "truth": truth(scene, size)}))
    (out / "scenes.jsonl").write_text("\n".join(lines) + "\n")
