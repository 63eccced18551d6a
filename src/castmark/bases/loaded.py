"""Which files of a pipeline folder are loaded: what is hashed, counted and fetched is these, and no others.

Parts are those that ``model_index.json`` names with a class, less those that a family replaces by nothing
(``left_out``), and a prior beside them, where the family reads one. Beside what is loaded may lie copies in
other precisions, of other frameworks, of all in one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, cast

INDEX = "model_index.json"
PRIOR, RECOGNITION = "prior", "recognition"
"""Folders of what decides what prompts leave open (`castmark.bases.prior`), and of what recognises subjects
for it, beside a pipeline's parts."""
_STEMS = ("model", "diffusion_pytorch_model")
_SHARD = "-?????-of-?????"
WEIGHTS = tuple(f"{stem}{shard}.safetensors" for stem in _STEMS for shard in ("", _SHARD))
SHARD_LISTS = tuple(f"{stem}.safetensors.index.json" for stem in _STEMS)
SETTINGS = ("*.json", "*.txt", "*.model", "*.jinja")
"""Configurations and tokenizers."""
_NOT_READ = frozenset({"card.json", "castmark.json"})


def parts_of(index: Mapping[str, Any], left_out: Collection[str] = ()) -> dict[str, str]:
    """The parts of a pipeline that are loaded, and the library of each."""
    found: dict[str, str] = {}
    for part, source in index.items():
        if part.startswith("_") or part in left_out or not isinstance(source, list):
            continue
        named = cast("list[Any]", source)
        if len(named) == 2 and named[0] is not None:
            found[part] = str(named[0])
    return found


def loaded_files(folder: Path, parts: Collection[str]) -> list[Path]:
    """The files of those parts that are loaded, by name, and the index; none where there is no index."""
    if not (folder / INDEX).is_file():
        return []
    inside = [path for part in parts for path in (folder / part).glob("*") if is_loaded(path.name)]
    return sorted(path for path in (folder / INDEX, *inside) if path.is_file())


def is_loaded(name: str) -> bool:
    """Whether a file of this name is, in the folder of a part."""
    if name in _NOT_READ or (".index." in name and name not in SHARD_LISTS):
        return False
    return any(fnmatchcase(name, pattern) for pattern in (*WEIGHTS, *SETTINGS))


def wanted(parts: Collection[str]) -> list[str]:
    """Patterns of those files in a hub's repository."""
    return [f"{part}/{pattern}" for part in parts for pattern in (*WEIGHTS, *SETTINGS)]
