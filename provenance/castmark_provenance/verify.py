"""Verify: a path or bytes in, a `Report` out. Offline, for any bytes, without raising on a bad file.

    >>> verify("image.png").state  # doctest: +SKIP
    <State.TRUSTED: 'trusted'>

The C2PA library's own verdict is where this starts. It passes some changed files as trusted (bytes in the
signature's padding, the manifest chunk's CRC, box labels, a tampered ingredient, invented labels and source
types), so every byte that no hash covers is compared with the one form it may have (`layout`), ingredients
are walked, the vocabulary is checked, and the pixels are compared with the safety record.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

from castmark_provenance.chain import roots
from castmark_provenance.containers import locate, sniff, traces
from castmark_provenance.durable.answer import of_stripped
from castmark_provenance.errors import RequirementError
from castmark_provenance.examination import ASK_FOR_ORIGINAL, Examination, Terms, library_crjson
from castmark_provenance.pixels import identify
from castmark_provenance.report import REQUIRABLE, CheckName, Report, State
from castmark_provenance.sources import Trouble, find, read, shown
from castmark_provenance.trust import local_anchors

CrJson = dict[str, Any]


def verify(
    source: str | Path | bytes,
    *,
    trust: str | None = None,
    require: Collection[str] = (),
    at: datetime | None = None,
) -> Report:
    """Check one image and answer with a report; the network is never touched.

    ``source`` is a path ("-" for standard input) or the bytes. ``trust`` is PEM text of the anchors that
    count (default: the local ones, see `trust.local_anchors`). ``require`` names checks that must have passed
    (`report.REQUIRABLE`), or a trusted file is *unmet*. ``at`` (with a time zone) judges certificates as of
    that moment instead of now.

    Raises:
        RequirementError: ``require`` names something unknown, or ``at`` has no time zone.
        TrustError: the anchors cannot be read.
    """
    terms = _terms(trust, require, at)
    if isinstance(source, bytes):
        return examine(source, None, terms)
    report, _ = _read_and_examine(Path(source), terms)
    return report


def verify_all(
    paths: Iterable[str | Path],
    *,
    trust: str | None = None,
    require: Collection[str] = (),
    at: datetime | None = None,
    jobs: int = 1,
) -> Iterator[Report]:
    """Reports of every file that ``paths`` mean (`sources.find`), in order, ``jobs`` at a time.

    Raises: as `verify`.
    """
    for report, _ in _answers(paths, _terms(trust, require, at), jobs, with_crjson=False):
        yield report


def verify_all_with_crjson(
    paths: Iterable[str | Path],
    *,
    trust: str | None = None,
    require: Collection[str] = (),
    at: datetime | None = None,
    jobs: int = 1,
) -> Iterator[tuple[Report, CrJson | None]]:
    """As `verify_all`, with the manifest store as crJSON, or None if there is none to read.

    The crJSON (C2PA's own JSON for credentials) is of the very bytes that the report is about. It is the C2PA
    library's view, with its verdict: what the report finds besides is not in it.

    Raises: as `verify`.
    """
    yield from _answers(paths, _terms(trust, require, at), jobs, with_crjson=True)


def _answers(
    paths: Iterable[str | Path], terms: Terms, jobs: int, *, with_crjson: bool
) -> Iterator[tuple[Report, CrJson | None]]:
    def answer(found: Path | Trouble) -> tuple[Report, CrJson | None]:
        if isinstance(found, Trouble):
            return _plain(found.path, State.UNREADABLE, found.what, found.remedy), None
        try:
            report, data = _read_and_examine(found, terms)
            return report, _crjson(report, data, terms) if with_crjson else None
        except Exception as error:  # noqa: BLE001 - one file must not cost the others their reports
            what = f"the check broke off ({type(error).__name__})"
            remedy = "do not rely on this file, and report what happened to whoever made this version"
            return _plain(shown(found), State.UNREADABLE, what, remedy), None

    if jobs <= 1:
        yield from map(answer, find(paths))
        return
    with ThreadPoolExecutor(jobs) as pool:
        waiting: deque[Future[tuple[Report, CrJson | None]]] = deque()
        for found in find(paths):
            waiting.append(pool.submit(answer, found))
            if len(waiting) >= 2 * jobs:  # files are read when their turn comes, not all at once
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _read_and_examine(source: Path, terms: Terms) -> tuple[Report, bytes]:
    """The report about a file, and the bytes that it is about."""
    path = shown(source)
    try:
        data = read(source)
    except (OSError, ValueError) as error:
        reason = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
        what, remedy = f"cannot be read ({reason})", "check the path and its permissions"
        return _plain(path, State.UNREADABLE, what, remedy), b""
    return examine(data, path, terms), data


def _crjson(report: Report, data: bytes, terms: Terms) -> CrJson | None:
    """The library's view of a manifest that it could read; others it is not shown again."""
    manifest = report.check("manifest")
    if report.media_type is None or manifest is None or manifest.outcome != "passed":
        return None
    return library_crjson(data, report.media_type, terms.anchors)


def _terms(trust: str | None, require: Collection[str], at: datetime | None) -> Terms:
    if at is not None and at.tzinfo is None:
        raise RequirementError(f"{at}: a moment needs a time zone, such as 2026-11-21T12:00:00Z")
    anchors = local_anchors() if trust is None else trust
    roots(anchors)  # what cannot be read is said once, not in every file's answer
    return Terms(anchors=anchors, required=tuple(_requirement(name) for name in require), at=at)


def _requirement(name: str) -> CheckName:
    plain = name.replace("-", "_")
    for known in REQUIRABLE:
        if plain == known:
            return known
    raise RequirementError(f"{name!r} cannot be required; the requirements are: {', '.join(REQUIRABLE)}")


def _plain(path: str | None, state: State, what: str, remedy: str, media_type: str | None = None) -> Report:
    return Report(
        path=path,
        state=state,
        exit_code=state.exit_code,
        verdict=f"{state.value}: {what}",
        remedy=remedy,
        media_type=media_type,
    )


def examine(data: bytes, path: str | None, terms: Terms) -> Report:
    """The report about these bytes: what `verify` does once they are read."""
    media_type = sniff(data)
    if media_type is None:
        return _other_format(data, path, terms)
    try:
        stores = locate(data, media_type)
    except ValueError as error:
        if traces(data):
            what = f"it carries traces of a manifest, and {error}"
            return _plain(path, State.INVALID, what, ASK_FOR_ORIGINAL, media_type)
        stores = []  # our reading failed; whether it is an image at all is for a decoder to say
    if len(stores) == 1:
        return Examination(data, media_type, stores[0]).report(path, terms)
    if stores or traces(data):
        none_whole = "it carries traces of a manifest, and no whole one"
        what = "more than one manifest store" if stores else none_whole
        return _plain(path, State.INVALID, what, ASK_FOR_ORIGINAL, media_type)
    try:
        identify(data, media_type)
    except ValueError as error:
        return _plain(path, State.UNREADABLE, f"not a readable image ({error})", ASK_FOR_ORIGINAL, media_type)
    return _absent(data, path, media_type, terms)


def _absent(data: bytes, path: str | None, media_type: str | None, terms: Terms) -> Report:
    """No manifest in the file: recovered, if the registry has the one of the picture it is a copy of."""
    recovered, checks = of_stripped(data, path, media_type, terms.anchors)
    if recovered is not None:
        return recovered
    report = _plain(
        path,
        State.ABSENT,
        "no manifest in the file: it was never signed, or a re-save or upload has stripped it",
        f"if it should carry one, {ASK_FOR_ORIGINAL}",
        media_type,
    )
    return report.model_copy(update={"checks": checks})


def _other_format(data: bytes, path: str | None, terms: Terms) -> Report:
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
    return _absent(data, path, None, terms)
