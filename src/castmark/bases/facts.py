"""What a base's folder says of itself, and what is in it: read and checked before any weights are.

Stated in ``castmark.json`` (name, licence, sizes, steps) and ``words.txt``, or, as model hubs do, at the head
of ``README.md``; where that names no licence, its name is the heading of the ``LICENSE`` beside it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from castmark.bases.loaded import INDEX, PRIOR, RECOGNITION, loaded_files, parts_of
from castmark.bases.words import read_words
from castmark.errors import BaseError

STATED = "castmark.json"
UNREAD = frozenset({".bin", ".pt", ".pth", ".ckpt", ".pkl", ".msgpack", ".h5", ".onnx"})
"""Weights in formats that can run code when read, or that are not diffusers'."""
LIBRARIES = frozenset({"diffusers", "transformers"})
"""Where the parts of a pipeline may come from: a folder that brings code of its own is not run."""
_NON_COMMERCIAL = re.compile(
    r"(^|[-_ ./])nc([-_ ./]|$)|non[-_ ]?commercial|research[-_ ]?only|(^|[-_ ])nscl", re.IGNORECASE
)
"""Names of licences that forbid commercial use. NSCL is NVIDIA's source code licence."""
LICENCE_FILES = ("LICENSE.md", "LICENSE.txt", "LICENSE.TXT", "LICENSE")
"""Looked into where the model card names no licence."""
LONGEST_NAME = 80
OTHER = "other"
"""What model cards say of a licence that a hub has no name for."""


class _Stated(BaseModel):
    """``castmark.json``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str | None = None
    licence: str | None = None
    sizes: tuple[tuple[int, int], ...] = ()
    steps: int | None = None


@dataclass(frozen=True, kw_only=True)
class BaseFacts:
    """What is known of a base before it is loaded."""

    folder: Path
    family: str
    """``_class_name`` of its ``model_index.json``."""
    name: str
    licence: str | None
    sizes: tuple[tuple[int, int], ...] = ()
    """Width and height in pixels, the default first; empty for the family's own."""
    steps: int | None = None
    revision: str | None = None
    """Commit of the hub's repository it came from."""
    words: frozenset[str] | None = None
    """The words it learned to read, where the folder states them."""

    @property
    def non_commercial(self) -> bool:
        """Whether the licence's name says that commercial use is not allowed."""
        return self.licence is not None and _NON_COMMERCIAL.search(self.licence) is not None

    @property
    def has_prior(self) -> bool:
        """Whether a prior of ours lies beside the pipeline."""
        return self.family == "StableDiffusionPipeline" and (self.folder / PRIOR / "config.json").is_file()

    def files(self, left_out: Collection[str] = ()) -> dict[str, str]:
        """sha256 of every file that is loaded, by its name in the folder, without those parts."""
        paths = self.paths(left_out)
        with ThreadPoolExecutor(8) as pool:  # hashlib lets go of the interpreter's lock
            digests = pool.map(_sha256, paths)
            names = [path.relative_to(self.folder).as_posix() for path in paths]
            return dict(zip(names, digests, strict=True))

    def paths(self, left_out: Collection[str] = ()) -> list[Path]:
        """The files that are loaded, without those parts; none where there is no folder."""
        if not (self.folder / INDEX).is_file():
            return []
        parts = list(parts_of(read_json(self.folder / INDEX), left_out))
        return loaded_files(self.folder, [*parts, PRIOR, RECOGNITION] if self.has_prior else parts)


def digest_of(files: Mapping[str, str]) -> str:
    """sha256 over the names and sha256 of a base's files: what calibrations and LoRAs belong to."""
    total = hashlib.sha256()
    for name, digest in files.items():
        total.update(f"{name} {digest}\n".encode())
    return total.hexdigest()


def read_facts(folder: Path, *, name: str | None = None, revision: str | None = None) -> BaseFacts:
    """The facts of a pipeline folder. No weights are read.

    ``name`` is the hub's, if it came from one.

    Raises:
        BaseError: not a pipeline folder, damaged, with code of its own, or with weights that are not
            safetensors.
    """
    path = folder / INDEX
    if not path.is_file():
        raise BaseError(
            f"{folder}: no {INDEX} there, so not a diffusers pipeline folder; "
            "give the folder of a base, a hub id such as stabilityai/sd-turbo, or 'embedded'"
        )
    index = read_json(path)
    family = index.get("_class_name")
    _check_parts(folder, index)
    try:
        stated = (
            _Stated.model_validate(read_json(folder / STATED)) if (folder / STATED).is_file() else _Stated()
        )
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise BaseError(f"{folder / STATED}: {where}: {problem['msg']}; correct it") from error
    return BaseFacts(
        folder=folder,
        family=family if isinstance(family, str) else str(family),
        name=stated.name or name or folder.name,
        licence=stated.licence or _licence(folder),
        sizes=stated.sizes,
        steps=stated.steps,
        revision=revision,
        words=read_words(folder),
    )


def _check_parts(folder: Path, index: Mapping[str, Any]) -> None:
    for part, library in parts_of(index).items():
        if library not in LIBRARIES and not _of_diffusers(library):
            raise BaseError(
                f"{folder}: its {part} comes from {library!r}, code of its own; "
                "only parts of diffusers and transformers are loaded"
            )
        inside = [path for path in (folder / part).glob("*") if path.is_file()]
        weights = {path.suffix for path in inside if path.suffix in UNREAD}
        if weights and not any(path.suffix == ".safetensors" for path in inside):
            raise BaseError(
                f"{folder / part}: its weights are {', '.join(sorted(weights))}, not safetensors; they were "
                "not read, because such files can run code; convert them where you trust them"
            )


def _of_diffusers(library: str) -> bool:
    """Names of diffusers' own pipeline modules, such as "stable_diffusion" for its safety checker."""
    from importlib.util import find_spec

    return library.isidentifier() and find_spec(f"diffusers.pipelines.{library}") is not None


def _licence(folder: Path) -> str | None:
    """As the model card names it, else as its text is headed; "other" only where nothing says which other."""
    named = _hub_licence(folder / "README.md")
    return (None if named == OTHER else named) or _heading(folder) or named


def _hub_licence(readme: Path) -> str | None:
    """The licence at the head of a model card: ``license_name`` where ``license`` is "other"."""
    if not readme.is_file():
        return None
    parts = readme.read_text(encoding="utf-8", errors="replace").split("---", 2)
    if len(parts) < 3 or parts[0].strip():
        return None
    try:
        head = yaml.safe_load(parts[1])
    except yaml.YAMLError:
        return None
    if not isinstance(head, dict):
        return None
    card = cast("dict[str, Any]", head)
    licence = card.get("license")
    if licence == OTHER:
        licence = card.get("license_name") or licence
    return licence if isinstance(licence, str) else None


def _heading(folder: Path) -> str | None:
    """The first line of the folder's licence text, which is its name."""
    for name in LICENCE_FILES:
        if (folder / name).is_file():
            text = (folder / name).read_text(encoding="utf-8", errors="replace")
            first = next((line.strip(" #*\t") for line in text.splitlines() if line.strip(" #*\t")), "")
            return first[:LONGEST_NAME] or None
    return None


def read_json(path: Path) -> dict[str, Any]:
    """An object of a base's folder.

    Raises:
        BaseError: it cannot be read, or is none.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise BaseError(f"{path}: cannot be read ({error}); the base is damaged, fetch it again") from error
    if not isinstance(found, dict):
        raise BaseError(f"{path}: not a JSON object; the base is damaged, fetch it again")
    return cast("dict[str, Any]", found)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
