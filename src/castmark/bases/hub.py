"""Bases from a model hub: the files of one commit in the user's cache, fetched only where that is allowed.

Only safetensors, configuration, tokenizers and the model card are asked for. ``HF_HUB_OFFLINE`` and
``HF_HOME`` mean what they mean to every other tool.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from castmark.errors import BaseError

_ID = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+?)(@(?P<revision>[\w.\-/]+))?")
WANTED = [
    "model_index.json",
    "castmark.json",
    "words.txt",
    "README.md",
    "LICENSE*",
    "*/*.json",
    "*/*.txt",
    "*/*.model",
    "*/*.jinja",
    "*/*.safetensors",
]
UNWANTED = ["*.fp16.*", "*.non_ema.*", "*.bf16.*", "*/flax_*", "*/openvino_*"]


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """A hub repository's files at one commit, in the cache."""

    folder: Path
    repo: str
    revision: str


def is_hub_id(base: str) -> bool:
    """Whether this reads as ``organisation/name`` or ``organisation/name@revision``."""
    return _ID.fullmatch(base) is not None


def fetch(base: str) -> Fetched:
    """The files of a hub id, from the cache or, unless ``HF_HUB_OFFLINE`` is set, from the hub.

    Raises:
        BaseError: not there, not allowed, or offline and not in the cache.
    """
    match = _ID.fullmatch(base)
    assert match is not None
    folder = download(match["repo"], match["revision"], WANTED, base)
    return Fetched(folder=folder, repo=match["repo"], revision=folder.name)


def download(repo: str, revision: str | None, wanted: list[str], asked: str) -> Path:
    """A folder in the cache with those files of a repository; ``asked`` names it in errors.

    Raises:
        BaseError: not there, not allowed, or offline and not in the cache.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(
            snapshot_download(repo, revision=revision, allow_patterns=wanted, ignore_patterns=UNWANTED)
        )
    except LocalEntryNotFoundError as error:
        raise BaseError(
            f"{asked}: not in the local cache, and the hub cannot be asked (HF_HUB_OFFLINE, or no network); "
            "fetch it once with network, or give the folder of a copy"
        ) from error
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        first = str(error).strip().splitlines()[0]
        raise BaseError(
            f"{asked}: cannot be fetched ({first}); check name and revision; "
            "where a model is gated, accept its terms and run: hf auth login"
        ) from error
