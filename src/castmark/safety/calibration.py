"""The calibration record: thresholds for one judge under one policy, dated, with what they were measured on.

A record is good for exactly one encoder fingerprint and one policy digest; on any other it is refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from torch import Tensor

import castmark_data
from castmark.errors import NotCalibrated
from castmark.safety.domain import Kind
from castmark.safety.policy import Policy
from castmark.safety.probe import Probe
from castmark.safety.prompt_model import PromptModel
from castmark.safety.prompt_scores import kinds_read
from castmark.safety.reader import Reader
from castmark.safety.threshold import interval
from castmark_provenance.home import home_folder

OWN_IMAGES = "own images"
"""The source of a calibration on the user's own images."""
Sha256 = Field(pattern=r"^[0-9a-f]{64}$")


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Rate(_Part):
    """A measured share with its exact 95% interval."""

    hits: int = Field(ge=0)
    n: int = Field(gt=0)
    low: float
    high: float

    @property
    def value(self) -> float:
        """hits / n."""
        return self.hits / self.n

    @classmethod
    def above(cls, scores: Sequence[float], limit: float) -> Rate:
        """Share of scores that are not allowed: above the limit, or not a number."""
        hits = sum(not score <= limit for score in scores)
        low, high = interval(hits, len(scores))
        return cls(hits=hits, n=len(scores), low=low, high=high)


class Threshold(_Part):
    """Refuse above ``value``. ``n_safe`` scores decided it; the rates are measured on the test split."""

    value: float = Field(allow_inf_nan=False)
    pass_at: float | None = Field(default=None, allow_inf_nan=False)
    """At or below it the miss bound holds: of unsafe samples at most the target's share scores so low. None
    where there were none of which the truth is known."""
    abstains: bool = False
    """Whether scores between ``pass_at`` and ``value`` are refused too; see ``Budget.abstain_max``."""
    band: float | None = None
    """Share of safe calibration samples between the two."""
    scorer: Literal["texts", "probe"] = "texts"
    """What the scores come from: the policy's texts, or the probe where that caught more."""
    gain: float | None = None
    """Share of unsafe validation samples that the probe caught more than the texts, at the same bound."""
    n_safe: int = Field(gt=0)
    n_unsafe: int = Field(gt=0)
    by_source: dict[str, float] = {}
    """The threshold each source alone would have; the highest is used, so that each keeps its guarantee."""
    by_group: dict[str, float] = {}
    """The same for each group of people ("age: child"); the highest counts here too."""
    uncertified_groups: tuple[str, ...] = ()
    """Groups with too few samples for a threshold of their own: the bound is not claimed for each of them."""
    false_positives: dict[str, Rate] = {}
    """By source: safe test samples refused."""
    true_positives: dict[str, Rate] = {}
    """By source: unsafe test samples refused."""
    group_false_positives: dict[str, Rate] = {}
    """By group: safe test renders refused."""
    group_misses: dict[str, Rate] = {}
    """By group: unsafe test renders that passed."""
    miss_target: float
    miss_holds: bool
    """Whether the upper bound of the miss rate on unsafe test samples is within the policy's target."""

    @property
    def limit(self) -> float:
        """The highest score that is allowed."""
        if self.abstains and self.pass_at is not None:
            return min(self.value, self.pass_at)
        return self.value


class Calibration(_Part):
    """Thresholds of one policy for one judge."""

    format: Literal[1] = 1
    policy: str
    policy_digest: str = Sha256
    pictures_digest: str = ""
    """sha256 of what of the policy decides on pictures."""
    fingerprint: str = Sha256
    judge: str
    domain: str
    created: datetime
    fpr: float
    delta: float
    seed: int
    sources: tuple[str, ...]
    """What was scored: renders, and the drawings of a base (by name and digest)."""
    image: dict[str, Threshold]
    prompt: dict[str, Threshold]
    prompt_model: str = ""
    """sha256 of the prompt model that scored them."""
    escalations: dict[str, Threshold] = {}
    """By trigger: its picture score counts as found above ``value``. One that is missing here counts as found
    in every picture."""
    content: Probe | None = None
    """Exact-label probe of the categories; used where a threshold's scorer says so."""
    triggers: dict[str, Probe] = {}
    """The same of escalation triggers, one each."""
    reader: Reader | None = None
    """Reads people's attributes; None where no pictures of known truth were at hand."""
    kinds: dict[str, Kind] = {}
    """The kinds of pictures that were calibrated; every other kind is out of the domain."""
    prompt_notes: dict[str, float] = {}
    notes: dict[str, float] = {}
    """Shares of test samples, in words: of prompts, and of the rest."""

    @model_validator(mode="after")
    def _complete(self) -> Calibration:
        for name in self.probed:
            if name not in (probe.classes if (probe := self._probe(name)) else ()):
                raise ValueError(f"the threshold of {name!r} is a probe's, and there is no probe for it")
        return self

    @property
    def probed(self) -> tuple[str, ...]:
        """Categories and triggers whose thresholds are a probe's."""
        return tuple(name for name, t in (self.image | self.escalations).items() if t.scorer == "probe")

    def log_odds(self, embeddings: Float[Tensor, "b v d"], name: str) -> list[float]:
        """What the probe makes of pictures, for one of `probed`."""
        probe = self._probe(name)
        assert probe is not None
        return probe.log_odds(embeddings, name).tolist()

    def _probe(self, name: str) -> Probe | None:
        return self.triggers.get(name) if name in self.escalations else self.content

    @property
    def domain_and_reach(self) -> str:
        """The domain, and how much of what is unsafe was caught in it: what a verdict must not hide."""
        caught = [
            f"{name} {rate.value:.0%}"
            for name, threshold in self.image.items()
            for source, rate in threshold.true_positives.items()
            if source in ("renders", "own images")
        ]
        reach = f"{self.domain}; caught of unsafe test pictures: {', '.join(caught) or 'not measured'}"
        unsure = [name for name, threshold in self.image.items() if not threshold.miss_holds]
        return f"{reach}; miss bound not certified: {', '.join(unsure)}" if unsure else reach

    @property
    def digest(self) -> str:
        """sha256 of the canonical JSON."""
        canonical = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()

    def summary(self) -> list[str]:
        """What was measured on the test split, a line each."""
        lines: list[str] = []
        for kind, found in (("picture", self.image), ("prompt", self.prompt)):
            for name, threshold in found.items():
                lines.append(f"{kind}, {name}: threshold {threshold.value:.3f}")
                measured = {"refused, safe": threshold.false_positives, "caught": threshold.true_positives}
                for what, rates in measured.items():
                    for source, rate in rates.items():
                        interval = f"95%: {rate.low:.1%}-{rate.high:.1%}"
                        lines.append(f"  {what}, {source}: {rate.value:.1%} of {rate.n} ({interval})")
        notes = self.prompt_notes | self.notes
        return [*lines, *(f"{name}: {value:.1%}" for name, value in notes.items())]

    def require(self, policy: Policy, fingerprint: str, now: datetime | None = None) -> None:
        """Make sure that this record may be used.

        Raises:
            NotCalibrated: it is for another judge or policy, too old, too thin, or lacks a category.
        """
        remedy = f"run: castmark policy calibrate {policy.name}"
        if self.fingerprint != fingerprint:
            raise NotCalibrated(
                f"the calibration of policy {policy.name!r} is for another judge ({self.fingerprint[:12]}, "
                f"not {fingerprint[:12]}); {remedy}"
            )
        if self.policy_digest != policy.digest:
            raise NotCalibrated(f"policy {policy.name!r} was changed after it was calibrated; {remedy}")
        model = PromptModel.open()
        if kinds_read(policy, model) and self.prompt_model != model.digest:
            raise NotCalibrated(
                f"the calibration of policy {policy.name!r} is for another prompt model "
                f"({self.prompt_model[:12] or 'none'}, not {model.digest[:12]}); {remedy}"
            )
        age = (now or datetime.now(UTC)) - self.created
        if age < -timedelta(days=1):
            raise NotCalibrated(
                f"the calibration of policy {policy.name!r} is dated {self.created:%Y-%m-%d}, in the future; "
                f"set the clock right, or {remedy}"
            )
        if age > timedelta(days=policy.require.calibration_max_age_days):
            raise NotCalibrated(
                f"the calibration of policy {policy.name!r} is {age.days} days old, and the policy allows "
                f"{policy.require.calibration_max_age_days}; {remedy}"
            )
        for kind, found in (("pictures", self.image), ("prompts", self.prompt)):
            missing = {
                name
                for name, category in policy.judged.items()
                if name not in found and category.if_uncalibrated == "refuse"
            }
            if missing:
                raise NotCalibrated(
                    f"the calibration has no threshold for {kind} of {sorted(missing)}; {remedy}"
                )
            for name, threshold in found.items():
                if (
                    threshold.n_safe < policy.require.n_safe_min
                    or threshold.n_unsafe < policy.require.n_unsafe_min
                ):
                    raise NotCalibrated(
                        f"the threshold for {kind} of {name!r} rests on {threshold.n_safe} safe and "
                        f"{threshold.n_unsafe} unsafe samples; the policy asks for "
                        f"{policy.require.n_safe_min} and {policy.require.n_unsafe_min}; {remedy}"
                    )

    def require_base(self, name: str, digest: str) -> None:
        """Make sure that a base's pictures are among those that decided: its own drawings, or the user's own
        images, which whoever gave them chose for it.

        Raises:
            NotCalibrated: they are not.
        """
        own = f"({digest[:12]})"
        if not any(source == OWN_IMAGES or source.endswith(own) for source in self.sources):
            raise NotCalibrated(
                f"policy {self.policy!r} is calibrated on {' and '.join(self.sources)}, not on pictures like "
                f"those of {name}; nothing it draws can be checked; run: castmark policy calibrate "
                f"{self.policy} --safe DIR --unsafe DIR with your own, or --base with this one"
            )

    def save(self, path: Path) -> Path:
        """Write the record as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            json.dumps(self.model_dump(mode="json"), indent=2, sort_keys=True) + "\n", encoding="utf-8"
        )
        return path

    @classmethod
    def load(cls, path: Path) -> Calibration:
        """Read a record.

        Raises:
            NotCalibrated: there is none, or it is damaged.
        """
        try:
            return cls.model_validate_json(path.read_bytes())
        except OSError as error:
            raise NotCalibrated(f"{path}: calibration cannot be read ({error.strerror or error})") from error
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "the file"
            raise NotCalibrated(
                f"{path}: not a calibration ({where}: {first['msg']}); calibrate anew"
            ) from error


def file_name(policy: str, fingerprint: str) -> str:
    """Name of a record's file."""
    return f"{policy}.{fingerprint[:16]}.json"


def user_folder() -> Path:
    """Where ``castmark policy calibrate`` writes unless told otherwise."""
    return home_folder() / "calibrations"


def find_calibration(policy: Policy, fingerprint: str) -> Calibration:
    """The record for this policy and judge: the user's own, else the shipped one.

    Raises:
        NotCalibrated: there is none, or the one found may not be used.
    """
    refused: NotCalibrated | None = None
    for file in _files(policy, fingerprint):
        try:
            found = Calibration.load(file)
            found.require(policy, fingerprint)
        except NotCalibrated as error:
            refused = refused or error
            continue
        return found
    if refused:
        raise refused
    raise NotCalibrated(
        f"policy {policy.name!r} has no thresholds for this judge ({fingerprint[:12]}); "
        f"nothing can be checked; run: castmark policy calibrate {policy.name}"
    )


def calibration_of(digest: str) -> Calibration | None:
    """The record of a digest, however old, among the user's own and those that ship; None where it is not at
    hand. Good for reading what it decided, not for deciding: `Calibration.require` is not asked."""
    for folder in _folders():
        for file in sorted(folder.glob("*.json")):
            try:
                found = Calibration.load(file)
            except NotCalibrated:  # an identity score's, or damaged: not the one that is looked for
                continue
            if found.digest == digest:
                return found
    return None


def earlier(policy: Policy, fingerprint: str) -> Calibration:
    """The newest record of a policy of this name and this judge, whatever else has changed.

    Raises:
        NotCalibrated: there is none, or it is damaged.
    """
    found = [Calibration.load(file) for file in _files(policy, fingerprint)]
    if not found:
        raise NotCalibrated(
            f"policy {policy.name!r} has no record whose pictures could be kept; "
            f"run: castmark policy calibrate {policy.name}"
        )
    return max(found, key=lambda record: record.created)


def _files(policy: Policy, fingerprint: str) -> list[Path]:
    """The user's own record, then the shipped one, as far as they are there."""
    name = file_name(policy.name, fingerprint)
    return [folder / name for folder in _folders() if (folder / name).is_file()]


def _folders() -> tuple[Path, Path]:
    return user_folder(), castmark_data.path("policies", "calibrations")
