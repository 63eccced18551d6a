"""Contact sheet: one self-contained HTML page of one or more runs.

The references, every signed image with its prompt, seed, verdict, identity score and credential state, and
what was refused, with reasons and no picture. Nothing is loaded from elsewhere: images are data URIs.
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

from castmark import __version__
from castmark.errors import InputError
from castmark.runs.ledger import Ledger
from castmark.runs.ledger_row import Row
from castmark.runs.report import read_summary
from castmark.take import SUFFIX, Verdict, write_atomically
from castmark_adapters import pack
from castmark_adapters.subject import Subject, open_rgb
from castmark_provenance.report import Report, State
from castmark_provenance.trust import local_anchors, read_anchors
from castmark_provenance.verify import verify

if TYPE_CHECKING:
    from castmark.safety.bias.campaign import CampaignReport

EMBED_LIMIT = 24 * 2**20
"""Up to this many bytes of images the signed files themselves are embedded; beyond it, thumbnails."""
THUMBNAIL, REFERENCE = 320, 192
MEDIA_TYPE = {suffix: media_type for media_type, suffix in SUFFIX.items()}
TONE = {State.TRUSTED: "good", State.UNMET: "warn", State.UNTRUSTED: "warn"}


@dataclass(frozen=True, kw_only=True)
class SignedCard:
    """One image on the sheet."""

    name: str
    prompt: str
    seed: int
    width: int
    height: int
    steps: int
    uri: str
    identity: float | None
    verdict: Verdict
    report: Report
    file: str
    sha256: str
    key: str
    earlier: tuple[Unsigned, ...]
    """Refusals of the same row, under other seeds."""

    @property
    def bar(self) -> int:
        """Length of the identity bar, percent."""
        return 0 if self.identity is None else round(100 * min(1.0, max(0.0, self.identity)))

    @property
    def state(self) -> str:
        """Credential state, in a word."""
        return f"credential {self.report.state.value}"

    @property
    def tone(self) -> str:
        """Colour of the credential's badge."""
        return TONE.get(self.report.state, "bad")

    @property
    def credential(self) -> str:
        """The verifier's line, and who signed."""
        signer = self.report.signer.common_name if self.report.signer else None
        return self.report.verdict + (f" Signed by {signer}." if signer else "")


@dataclass(frozen=True, kw_only=True)
class Unsigned:
    """A row without an image: refused or failed."""

    name: str
    prompt: str
    seed: int
    reasons: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class SubjectCard:
    """A subject on the sheet, with its references as data URIs."""

    name: str
    kind: str
    phrase: str
    licence: str | None
    lora: bool
    references: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Section:
    """One run on the sheet."""

    title: str
    asked: int
    figures: dict[str, Any] | None
    """What the run came to (`castmark.runs.report`)."""
    subjects: tuple[SubjectCard, ...]
    signed: tuple[SignedCard, ...]
    refused: tuple[Unsigned, ...]
    failed: tuple[Unsigned, ...]
    fairness: CampaignReport | None = None
    """What the records say of people whom the prompts left open."""


def write_sheet(
    runs: Sequence[str | Path], out: str | Path, *, title: str | None = None, trust: Iterable[str | Path] = ()
) -> Path:
    """Write the contact sheet of ``runs`` to ``out``, and return its path.

    ``trust`` lists further PEM files of trust anchors for the credential states.

    Raises:
        LedgerError: a folder holds no run.
        InputError: no run was given, or an image of a run is missing from its folder.
        TrustError: a file of anchors cannot be used.
        OSError: the page cannot be written.
    """
    folders = [Path(run) for run in runs]
    if not folders:
        raise InputError("no run was given; name at least one run folder")
    anchors = local_anchors() + read_anchors(trust)
    size = sum(
        file.stat().st_size
        for folder in folders
        for file in (folder / "images").glob("*")
        if file.suffix in MEDIA_TYPE
    )
    sections = [read_section(folder, anchors, thumbnails=size > EMBED_LIMIT) for folder in folders]
    page = render(sections, title or " and ".join(section.title for section in sections))
    write_atomically(Path(out), page.encode())
    return Path(out)


def read_section(run: Path, trust: str | None = None, *, thumbnails: bool = False) -> Section:
    """Everything the sheet says about one run, every signed file verified.

    ``trust`` is PEM text of the anchors that count, None for the local ones.

    Raises:
        LedgerError: no run there.
        InputError: an image the journal has is missing.
    """
    with Ledger.read(run) as ledger:
        rows = ledger.rows()
        earlier = {
            row.name: tuple(_unsigned(row, seed, verdict) for seed, verdict in ledger.refusals(row.name))
            for row in rows
        }
        title = ledger.source
    from castmark.safety.bias.campaign import fairness_of_run  # brings torch: only when a sheet is made

    named = dict.fromkeys(name for row in rows for name in row.subjects)
    return Section(
        title=Path(title).stem.replace("_", " ").replace("-", " ").capitalize(),
        asked=len(rows),
        figures=read_summary(run),
        subjects=tuple(_subject(pack.get(run / "subjects", name)) for name in named),
        signed=tuple(
            _signed(run, row, earlier[row.name], trust, thumbnails) for row in rows if row.status == "signed"
        ),
        refused=tuple(_unsigned(row, row.seed, row.verdict) for row in rows if row.status == "refused"),
        failed=tuple(_unsigned(row, row.seed, None) for row in rows if row.status == "failed"),
        fairness=fairness_of_run(run),
    )


def render(sections: Sequence[Section], title: str) -> str:
    """The page. Everything from outside (prompts, names, reasons) is escaped by the template engine."""
    environment = Environment(
        loader=PackageLoader("castmark"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    cards = [card for section in sections for card in section.signed]
    scores = [card.identity for card in cards if card.identity is not None]
    total = {
        "signed": len(cards),
        "trusted": sum(card.report.state is State.TRUSTED for card in cards),
        "identity": sum(scores) / len(scores) if scores else None,
        "refused": sum(
            len(section.refused) + sum(len(c.earlier) for c in section.signed) for section in sections
        ),
        "failed": sum(len(section.failed) for section in sections),
    }
    policies: dict[str, Any] = {
        card.verdict.policy_digest + card.verdict.checker: {
            "name": card.verdict.policy,
            "digest": card.verdict.policy_digest,
            "checker": card.verdict.checker,
            "domain": card.verdict.domain,
        }
        for card in cards
    }
    return environment.get_template("sheet.html.j2").render(
        title=title,
        sections=sections,
        total=total,
        policies=list(policies.values()),
        version=__version__,
        made=datetime.now().astimezone().strftime("%d %B %Y, %H:%M %Z"),
    )


def _signed(
    run: Path, row: Row, earlier: tuple[Unsigned, ...], trust: str | None, thumbnails: bool
) -> SignedCard:
    assert row.file is not None and row.verdict is not None
    path = run / "images" / row.file
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"{path}: image is missing ({error.strerror}); run the batch again to draw it"
        ) from error
    return SignedCard(
        name=row.name,
        prompt=row.prompt,
        seed=row.seed,
        width=row.width or 0,
        height=row.height or 0,
        steps=row.steps or 0,
        uri=_thumbnail(data, THUMBNAIL) if thumbnails else _data_uri(data, MEDIA_TYPE[path.suffix]),
        identity=row.identity,
        verdict=row.verdict,
        report=verify(path, trust=trust),
        file=row.file,
        sha256=row.sha256 or "",
        key=row.key or "",
        earlier=earlier,
    )


def _unsigned(row: Row, seed: int, verdict: Verdict | None) -> Unsigned:
    reasons = verdict.reasons if verdict is not None else (row.reason or "no reason was recorded",)
    return Unsigned(name=row.name, prompt=row.prompt, seed=seed, reasons=tuple(reasons))


def _subject(subject: Subject) -> SubjectCard:
    return SubjectCard(
        name=subject.name,
        kind=subject.kind,
        phrase=subject.phrase,
        licence=subject.licence,
        lora=subject.lora is not None,
        references=tuple(
            _thumbnail(subject.file(reference.name), REFERENCE) for reference in subject.references
        ),
    )


def _thumbnail(data: bytes, side: int) -> str:
    """A small JPEG of an image file, as a data URI. It carries no credential."""
    image = open_rgb(data)
    scale = min(1.0, side / max(image.size))
    size = (math.ceil(image.width * scale), math.ceil(image.height * scale))
    buffer = io.BytesIO()
    image.resize(size, Image.Resampling.LANCZOS).save(buffer, "JPEG", quality=88)
    return _data_uri(buffer.getvalue(), "image/jpeg")


def _data_uri(data: bytes, media_type: str) -> str:
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"
