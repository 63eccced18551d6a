"""Rung L5: the report of a whole campaign, from the records of its images alone (nothing is looked at again).

    report = campaign_report(images_of_run("run"), policy, calibration)
    report.statements          # what can be said, and what cannot
    report.model_dump_json()

Only people whom a prompt leaves open count, also where a quota then said who they are; a subject is who it
is. What each record says was read is corrected for the reader's errors as the calibration measured them; of
pictures unlike any that were calibrated nothing is known of these, and what was read of them does not count.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from castmark.errors import InputError
from castmark.runs.ledger import Ledger
from castmark.runs.ledger_row import Row
from castmark.safety.bias.gaps import Gap, gaps, rate
from castmark.safety.bias.image import OPEN
from castmark.safety.bias.measured import measured
from castmark.safety.bias.parity import Parity
from castmark.safety.calibration import Calibration, Rate, calibration_of
from castmark.safety.domain import of_a_calibrated_kind
from castmark.safety.policy import Policy
from castmark.take import Verdict

NOT_AT_HAND = "the calibration of these records is not at hand or reads nobody"


@dataclass(frozen=True, kw_only=True)
class CampaignImage:
    """One drawing of a campaign: its record, whether it was signed, and whether it shows a subject."""

    verdict: Verdict
    signed: bool
    of_subject: bool

    @property
    def familiar(self) -> bool:
        """Whether it is of a kind that was calibrated, so that its readings err as they were measured to."""
        return of_a_calibrated_kind(self.verdict.findings)

    @property
    def person(self) -> bool:
        """Whether anybody was read in it."""
        return any(f.rung == "L4 bias" for f in self.verdict.findings)

    @property
    def open(self) -> dict[str, str]:
        """What was read of the attributes that the prompt left open; nothing that cannot be corrected."""
        if self.of_subject or not self.familiar:
            return {}
        findings = (f for f in self.verdict.findings if f.rung == "L4 bias" and f.name.endswith(OPEN))
        return {f.name.removesuffix(OPEN): f.detail for f in findings}

    @property
    def quota(self) -> list[tuple[str, bool]]:
        """What a quota assigned, and whether it is what was read."""
        return [
            (f.name.removeprefix("quota "), self.person and f.score <= 0)
            for f in self.verdict.findings
            if f.rung == "L5 campaign"
        ]


class QuotaCount(BaseModel):
    """How many signed images a quota gave to a group, and how many of them show it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    group: str
    assigned: int
    seen: int


class CampaignReport(BaseModel):
    """Parity of a campaign, the check's own refusals by group, and its quotas."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    policy: str
    policy_sha256: str
    calibration_sha256: str | None
    """None where the calibration of these records is not at hand: then nothing is corrected or judged."""
    images: int
    """Drawings that were judged: of an image that was drawn again, each."""
    signed: int
    of_subjects: int
    nobody_read: int
    """Signed images in which no person was read, or nobody looked."""
    out_of_domain: int = 0
    """Signed images unlike any that were calibrated; what was read of them is not counted."""
    parity: tuple[Parity, ...]
    refused: dict[str, Rate]
    """By group as read: drawn images that the check refused."""
    refusal_gaps: dict[str, Gap]
    """The largest gap of each attribute. Whether what was refused was harmless is not known here."""
    quotas: tuple[QuotaCount, ...]
    statements: tuple[str, ...]


def campaign_report(
    images: Sequence[CampaignImage],
    policy: Policy,
    calibration: Calibration | None,
    *,
    seed: int = 0,
    without: str = NOT_AT_HAND,
) -> CampaignReport:
    """The report of a campaign under one policy. ``calibration`` is the one the records name; why there is
    none is what ``without`` says."""
    signed = [image for image in images if image.signed]
    reader = calibration.reader if calibration is not None else None
    found: list[Parity] = []
    statements: list[str] = []
    for name in policy.fairness.target:
        if reader is None:
            statements.append(f"{name}: not measured; {without}")
            continue
        counts = Counter(image.open[name] for image in signed if name in image.open)
        one = measured(name, counts, policy.fairness, reader, seed=seed)
        if isinstance(one, str):
            statements.append(f"{name}: {one}")
        else:
            found.append(one)
    strange = sum(not image.familiar and not image.of_subject for image in signed)
    if strange:
        statements.append(f"{strange} signed images are unlike any that were calibrated and are not counted")
    refused = _refused(images)
    quotas = Counter(group for image in signed for group, _ in image.quota)
    shown = Counter(group for image in signed for group, seen in image.quota if seen)
    return CampaignReport(
        policy=policy.name,
        policy_sha256=policy.digest,
        calibration_sha256=None if calibration is None else calibration.digest,
        images=len(images),
        signed=len(signed),
        of_subjects=sum(image.of_subject for image in signed),
        nobody_read=sum(not image.person and not image.of_subject for image in signed),
        out_of_domain=strange,
        parity=tuple(found),
        refused=refused,
        refusal_gaps=gaps(refused),
        quotas=tuple(
            QuotaCount(group=group, assigned=count, seen=shown[group])
            for group, count in sorted(quotas.items())
        ),
        statements=(*(one.statement for one in found), *statements),
    )


def _refused(images: Iterable[CampaignImage]) -> dict[str, Rate]:
    seen: Counter[str] = Counter()
    stopped: Counter[str] = Counter()
    for image in images:
        for name, value in image.open.items():
            seen[f"{name}: {value}"] += 1
            stopped[f"{name}: {value}"] += not image.signed
    return {group: rate(stopped[group], count) for group, count in sorted(seen.items())}


def images_of_run(run: str | Path) -> list[CampaignImage]:
    """The images of a run folder whose records say something about a picture.

    Raises:
        LedgerError: no run there.
    """
    with Ledger.read(run) as ledger:
        return [
            CampaignImage(verdict=verdict, signed=signed, of_subject=bool(row.subjects))
            for row in ledger.each()
            for verdict, signed in _judged(ledger, row)
            if verdict.drawn
        ]


def _judged(ledger: Ledger, row: Row) -> Iterator[tuple[Verdict, bool]]:
    """Every drawing of a row: the signed one, and those refused, the last of which is the row's own where it
    ended so. What was lost and drawn again under the same seed was refused anew: it counts once."""
    if row.status == "signed" and row.verdict is not None:
        yield row.verdict, True
    if row.redraws or row.status != "signed":
        for verdict in dict(ledger.refusals(row.name)).values():
            yield verdict, False


def report_of_run(run: str | Path, policy: Policy | None = None) -> CampaignReport | None:
    """The report of a run, None where no image was judged. The policy is found by the records' own name
    unless given; one that was changed since is not used to judge.

    Raises:
        LedgerError: no run there.
        InputError: the policy is not one that ships, and none was given.
    """
    images = images_of_run(run)
    if not images:
        return None
    first = images[0].verdict
    policy = policy or Policy.load(first.policy)
    checks = {(v.calibration, v.policy_digest, v.checker) for v in (image.verdict for image in images)}
    if len(checks) > 1:
        without = f"{len(checks)} different calibrations, policies or judges decided on these images"
        return campaign_report(images, policy, None, without=without)
    calibration = calibration_of(first.calibration) if policy.digest == first.policy_digest else None
    return campaign_report(images, policy, calibration)


def fairness_of_run(run: str | Path) -> CampaignReport | None:
    """The report for a contact sheet: None where nothing shows a person left open, or the policy is a file
    that is not at hand (``castmark policy report`` takes it).

    Raises:
        LedgerError: no run there.
    """
    try:
        report = report_of_run(run)
    except InputError:
        return None
    return report if report is not None and report.signed > report.of_subjects else None
