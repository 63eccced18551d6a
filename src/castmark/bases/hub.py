"""Bases from a model hub: the files of one commit in the user's cache, fetched only where that is allowed.

First what a base says of itself, and then, if it can be drawn with, what is loaded of it
(`castmark.bases.loaded`). ``HF_HUB_OFFLINE`` and ``HF_HOME`` mean what they mean to every other tool.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from castmark.errors import BaseError

_ID = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+?)(@(?P<revision>[\w.\-/]+))?")
STATED = ["model_index.json", "castmark.json", "words.txt", "README.md", "LICENSE*", "*/config.json"]
"""What a base says of itself: kilobytes."""


class NotCached(BaseError):  # noqa: N818
    """It is not in the cache, and was not to be fetched or could not be."""


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """A hub repository's files at one commit, in the cache."""

    folder: Path
    repo: str
    revision: str


def is_hub_id(base: str) -> bool:
    """Whether this reads as ``organisation/name`` or ``organisation/name@revision``."""
    return _ID.fullmatch(base) is not None


def fetch(base: str, wanted: list[str] = STATED, *, cached_only: bool = False) -> Fetched:
    """Files of a hub id, from the cache or, unless ``HF_HUB_OFFLINE`` is set, from the hub.

    Raises:
        BaseError: not there, or not allowed (`NotCached`: offline, or to be left alone, and not in the
            cache).
    """
    match = _ID.fullmatch(base)
    assert match is not None
    folder = download(match["repo"], match["revision"], wanted, base, cached_only=cached_only)
    return Fetched(folder=folder, repo=match["repo"], revision=folder.name)


def download(
    repo: str, revision: str | None, wanted: list[str], asked: str, *, cached_only: bool = False
) -> Path:
    """A folder in the cache with those files of a repository; ``asked`` names it in errors.

    Raises:
        BaseError: not there, or not allowed (`NotCached`: offline, or to be left alone, and not in the
            cache).
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(
            snapshot_download(repo, revision=revision, allow_patterns=wanted, local_files_only=cached_only)
        )
    except LocalEntryNotFoundError as error:
        raise NotCached(
            f"{asked}: not in the local cache, and the hub cannot be asked (HF_HUB_OFFLINE, or no network); "
            "fetch it once with network, or give the folder of a copy"
        ) from error
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        first = str(error).strip().splitlines()[0]
        raise BaseError(
            f"{asked}: cannot be fetched ({first}); check name and revision; "
            "where a model is gated, accept its terms and run: hf auth login"
        ) from error
