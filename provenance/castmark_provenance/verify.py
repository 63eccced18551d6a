"""Verify: a path or bytes in, a `Report` out. Offline, for any bytes, without raising on a bad file.

    >>> verify("image.png").state  # doctest: +SKIP
    <State.TRUSTED: 'trusted'>

The C2PA library's own verdict is where this starts. It passes some changed files as trusted (bytes in the
signature's padding, the manifest chunk's CRC, box labels, a tampered ingredient, invented labels and source
types), so every byte that no hash covers is compared with the one form it may have (`layout`), ingredients
are walked, the vocabulary is checked, and the pixels are compared with the safety record.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

from castmark_provenance.containers import locate, sniff, traces
from castmark_provenance.errors import RequirementError
from castmark_provenance.examination import ASK_FOR_ORIGINAL, Examination
from castmark_provenance.pixels import identify
from castmark_provenance.report import REQUIRABLE, CheckName, Report, State
from castmark_provenance.trust import local_anchors

MAX_FILE_BYTES = 512 * 1024 * 1024
IMAGE_SUFFIXES = frozenset(
    (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".avif", ".tif", ".tiff", ".gif", ".bmp", ".jp2")
)


def verify(source: str | Path | bytes, *, trust: str | None = None, require: Collection[str] = ()) -> Report:
    """Check one image and answer with a report; the network is never touched.

    ``trust`` is PEM text of the anchors that count (default: the local ones, see `trust.local_anchors`).
    ``require`` names checks that must have passed (`report.REQUIRABLE`), or a trusted file is *unmet*.

    Raises:
        RequirementError: ``require`` names something unknown.
        TrustError: the local anchors cannot be read.
    """
    required: list[CheckName] = [_requirement(name) for name in require]
    anchors = local_anchors() if trust is None else trust
    if isinstance(source, bytes):
        return _verify(source, None, anchors, required)
    path = _shown(source)
    try:
        data = _read(Path(source))
    except (OSError, ValueError) as error:
        reason = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
        return _plain(
            path, State.UNREADABLE, f"cannot be read ({reason})", "check the path and its permissions"
        )
    return _verify(data, path, anchors, required)


def verify_all(
    paths: Iterable[str | Path], *, trust: str | None = None, require: Collection[str] = ()
) -> Iterator[Report]:
    """Reports of every path in order, folders searched for images at any depth (links to folders are not
    followed). A folder without an image is reported as unreadable: nothing found is no answer.

    Raises: as `verify`.
    """
    anchors = local_anchors() if trust is None else trust
    for path in paths:
        if not Path(path).is_dir():
            yield verify(path, trust=anchors, require=require)
            continue
        images: list[Path] = []
        closed: list[OSError] = []
        for folder, _, names in os.walk(path, onerror=closed.append):
            images += [Path(folder, name) for name in names if Path(name).suffix.lower() in IMAGE_SUFFIXES]
        for image in sorted(images):
            yield verify(image, trust=anchors, require=require)
        for error in closed:
            what = f"folder cannot be read ({error.strerror or error})"
            yield _plain(_shown(error.filename), State.UNREADABLE, what, "check its permissions")
        if not images and not closed:
            yield _plain(_shown(path), State.UNREADABLE, "folder holds no image", "check the path")


def _shown(path: str | Path) -> str:
    """A path as text that every report can hold: a file name may be any bytes."""
    return os.fsencode(path).decode("utf-8", "replace")


def _requirement(name: str) -> CheckName:
    plain = name.replace("-", "_")
    for known in REQUIRABLE:
        if plain == known:
            return known
    raise RequirementError(f"{name!r} cannot be required; the requirements are: {', '.join(REQUIRABLE)}")


def _read(path: Path) -> bytes:
    """A regular file's bytes (never a device or a pipe, on which reading could hang)."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("not a regular file")
    if status.st_size > MAX_FILE_BYTES:
        raise ValueError(f"larger than {MAX_FILE_BYTES >> 20} MiB")
    return path.read_bytes()


def _plain(path: str | None, state: State, what: str, remedy: str, media_type: str | None = None) -> Report:
    return Report(
        path=path,
        state=state,
        exit_code=state.exit_code,
        verdict=f"{state.value}: {what}",
        remedy=remedy,
        media_type=media_type,
    )


def _verify(data: bytes, path: str | None, anchors: str, required: Sequence[CheckName]) -> Report:
    media_type = sniff(data)
    if media_type is None:
        return _other_format(data, path)
    try:
        stores = locate(data, media_type)
    except ValueError as error:
        if traces(data):
            what = f"it carries traces of a manifest, and {error}"
            return _plain(path, State.INVALID, what, ASK_FOR_ORIGINAL, media_type)
        stores = []  # our reading failed; whether it is an image at all is for a decoder to say
    if len(stores) == 1:
        return Examination(data, media_type, stores[0]).report(path, anchors, required)
    if stores or traces(data):
        what = (
            f"{len(stores)} manifest stores"
            if stores
            else "it carries traces of a manifest, and no whole one"
        )
        return _plain(path, State.INVALID, what, ASK_FOR_ORIGINAL, media_type)
    try:
        identify(data, media_type)
    except ValueError as error:
        return _plain(path, State.UNREADABLE, f"not a readable image ({error})", ASK_FOR_ORIGINAL, media_type)
    return _absent(path, media_type)


def _absent(path: str | None, media_type: str | None) -> Report:
    return _plain(
        path,
        State.ABSENT,
        "no manifest in the file: it was never signed, or a re-save or upload has stripped it",
        f"if it should carry one, {ASK_FOR_ORIGINAL}",
        media_type,
    )


def _other_format(data: bytes, path: str | None) -> Report:
    try:
        name = identify(data, None)
    except ValueError:
        if traces(data):
            what = "it carries traces of a manifest, and its header is damaged"
            return _plain(path, State.INVALID, what, ASK_FOR_ORIGINAL)
        return _plain(path, State.UNREADABLE, "not an image", "give a PNG, JPEG, WebP, TIFF or AVIF file")
    if traces(data):
        what = f"a {name} file with a manifest, which this version cannot check completely"
        return _plain(path, State.UNREADABLE, what, "ask for a PNG, JPEG, WebP, TIFF or AVIF file")
    return _absent(path, None)
