"""What to verify: files, folders at any depth, patterns, and standard input."""

from __future__ import annotations

import glob
import os
import stat
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

MAX_FILE_BYTES = 512 * 1024 * 1024
STANDARD_INPUT = "-"
IMAGE_SUFFIXES = frozenset(
    (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".avif", ".tif", ".tiff", ".gif", ".bmp", ".jp2")
)


@dataclass(frozen=True)
class Trouble:
    """A place where there is nothing to verify: nothing found is no answer."""

    path: str
    what: str
    remedy: str


def find(paths: Iterable[str | Path]) -> Iterator[Path | Trouble]:
    """Every file that ``paths`` mean, in order.

    Folders are searched for images (links to folders are not followed); a name that does not exist and has
    ``*``, ``?`` or ``[`` in it is a pattern, in which ``**`` stands for folders at any depth.
    """
    for path in map(Path, paths):
        if os.path.isdir(path):  # noqa: PTH112 - False, and no error, for a name too long or a closed folder
            yield from _images(path)
        elif not os.path.lexists(path) and glob.has_magic(str(path)):
            found = sorted(glob.glob(str(path), recursive=True))  # noqa: PTH207 - absolute ones too
            for match in map(Path, found):
                yield from _images(match) if os.path.isdir(match) else [match]  # noqa: PTH112
            if not found:
                yield Trouble(shown(path), "no file matches this pattern", "check the pattern")
        else:
            yield path


def read(path: Path) -> bytes:
    """A regular file's bytes (never a device or a pipe, on which reading could hang), or standard input's.

    Raises:
        OSError: it cannot be read.
        ValueError: not a regular file, or too large.
    """
    if str(path) == STANDARD_INPUT:
        return _bounded(sys.stdin.buffer)
    if not stat.S_ISREG(path.stat().st_mode):
        raise ValueError("not a regular file")
    with path.open("rb") as file:
        return _bounded(file)


def _bounded(file: BinaryIO) -> bytes:
    """What is in the file, as long as it is not too much: what the file system says of it may be wrong."""
    data = file.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise ValueError(f"larger than {MAX_FILE_BYTES >> 20} MiB")
    return data


def shown(path: str | Path) -> str:
    """A path as text that every report can hold: a file name may be any bytes."""
    return os.fsencode(path).decode("utf-8", "replace")


def _images(folder: Path) -> Iterator[Path | Trouble]:
    images: list[Path] = []
    closed: list[OSError] = []
    for where, _, names in os.walk(folder, onerror=closed.append):
        images += [Path(where, name) for name in names if Path(name).suffix.lower() in IMAGE_SUFFIXES]
    yield from sorted(images)
    for error in closed:
        what = f"folder cannot be read ({error.strerror or error})"
        yield Trouble(shown(error.filename), what, "check its permissions")
    if not images and not closed:
        yield Trouble(shown(folder), "folder holds no image", "check the path")
