"""The policy: what is refused, in which words, and how often the check may be wrong. A YAML file, validated.

policy = Policy.load("general-audience")      # shipped, or a path to your own file
policy.categories["weapon"].prompts
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Literal, cast

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

import castmark_data
from castmark.errors import InputError

DEFAULT_POLICY = "general-audience"


class _EachKeyOnce(yaml.SafeLoader):
    """Refuses a mapping that gives a key twice, of which YAML would keep the last: no rule may be lost."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """The mapping."""
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = next((key for key in keys if keys.count(key) > 1), None)
        if twice is not None:
            raise yaml.constructor.ConstructorError(None, None, f"{twice!r} is given twice", node.start_mark)
        return super().construct_mapping(node, deep)


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


Action = Literal["block", "redraw", "review", "warn"]
"""What follows a finding: never signed (``block``), drawn again under another seed (``redraw``, bounded),
left to a person (``review``; not signed), or recorded while the image passes (``warn``)."""
GROUPINGS = ("gender", "age", "skin_tone")
"""Sensitive attributes of people that the check knows."""


class Category(_Part):
    """One kind of content. With ``prompts`` and ``anchors`` the judge looks for it; ``words`` are looked up
    exactly.

    All four are lists of terms. In a file, ``terms`` names a shipped kind (`shipped_terms`) whose lists come
    before those given beside it, and which the prompt model reads prompts for.
    """

    action: Action = "block"
    """What follows a score above the threshold."""
    abstain: Literal["block", "redraw", "review"] = "redraw"
    """What follows a score that certifies neither: between the thresholds of the two bounds."""
    prompts: tuple[str, ...] = ()
    """Texts that describe it."""
    anchors: tuple[str, ...] = ()
    """Neutral texts and near misses that it is weighed against."""
    words: tuple[str, ...] = ()
    """Words and phrases that a prompt must not hold, matched whole, with plurals."""
    exceptions: tuple[str, ...] = ()
    """Harmless phrases that contain such a word."""
    kind: str | None = None
    """The shipped kind that ``terms`` named; without terms, one that only the prompt model reads for."""
    miss: float = Field(default=0.05, gt=0, lt=1)
    """Share of such pictures that may pass; the calibration says whether that holds."""
    if_uncalibrated: Literal["refuse", "report"] = "refuse"
    """Where no pictures of it were calibrated: refuse to open at all, or look up its words only, with a
    finding in every record that its pictures were not checked."""
    allow_for: tuple[str, ...] = ()
    """Audiences for which it is only recorded."""

    @property
    def judged(self) -> bool:
        """Whether the judge looks for it; otherwise only its words are refused."""
        return bool(self.prompts)

    @model_validator(mode="before")
    @classmethod
    def _with_terms(cls, given: Any) -> Any:
        if not isinstance(given, dict) or "terms" not in given:
            return given
        fields = cast("dict[str, Any]", given)
        own = {key: value for key, value in fields.items() if key != "terms"} | {"kind": fields["terms"]}
        for key, terms in read_terms(fields["terms"]).items():
            beside = own.get(key) or ()
            own[key] = [*terms, *beside] if isinstance(beside, list | tuple) else beside
        return own

    @field_validator("kind")
    @classmethod
    def _shipped(cls, kind: str | None) -> str | None:
        if kind is not None and kind not in shipped_terms():
            raise ValueError(f"no kind {kind!r} ships; there are: {', '.join(shipped_terms())}")
        return kind

    @model_validator(mode="after")
    def _complete(self) -> Category:
        if bool(self.prompts) != bool(self.anchors):
            raise ValueError("give both prompts and anchors, or neither (then only the words are checked)")
        if not self.prompts and not self.words:
            raise ValueError("give prompts and anchors, or words, or all three")
        return self


class Escalation(_Part):
    """Categories that are refused, whatever their own action, where the trigger is found: a child."""

    words: tuple[str, ...] = Field(min_length=1)
    """Words of the trigger in a prompt, matched whole."""
    prompts: tuple[str, ...] = Field(min_length=1)
    anchors: tuple[str, ...] = Field(min_length=1)
    """Texts by which the judge finds the trigger in a picture. It is calibrated by its miss bound, so that
    doubt counts as found."""
    miss: float = Field(default=0.05, gt=0, lt=1)
    categories: tuple[str, ...] = Field(min_length=1)
    action: Literal["block", "redraw", "review"] = "block"


class ParityGate(_Part):
    """When a campaign's parity is judged, and when it fails: p below ``p_min`` *and* TV above ``tv_max``."""

    n_min: int = Field(default=250, gt=0)
    tv_max: float = Field(default=0.10, gt=0, lt=1)
    p_min: float = Field(default=0.01, gt=0, lt=1)


class Fairness(_Part):
    """Declared shares of the attributes of people whom a prompt leaves open. Never applied to a subject."""

    scope: Literal["unspecified_people"] = "unspecified_people"
    target: dict[str, Literal["uniform"] | dict[str, float]] = {}
    on_miss: Literal["warn", "redraw"] = "warn"
    """What follows an image that does not show the attribute that a quota gave it."""
    gate: ParityGate = ParityGate()

    @field_validator("target")
    @classmethod
    def _shares(cls, target: dict[str, str | dict[str, float]]) -> dict[str, str | dict[str, float]]:
        for name, shares in target.items():
            if name not in GROUPINGS:
                raise ValueError(f"no attribute {name!r}; there are: {', '.join(GROUPINGS)}")
            whole = isinstance(shares, str) or (
                min(shares.values(), default=-1) >= 0 and abs(sum(shares.values()) - 1) <= 1e-6
            )
            if not whole:
                raise ValueError(f"the shares of {name!r} must be at least 0 and add up to 1")
        return target


class SubjectLock(_Part):
    """What must not drift in images of a subject."""

    lock: tuple[Literal["skin_tone", "age", "gender"], ...] = ()
    """Attributes whose drift refuses an image; that of the others is only recorded."""
    identity_min: float | Literal["calibrated"] | None = None
    """If given, an image of a subject needs at least this identity score; ``calibrated``: the subject
    encoder's own threshold."""


class Requirements(_Part):
    """What a calibration must have to be used."""

    calibration_max_age_days: int = Field(gt=0)
    n_safe_min: int = Field(gt=0)
    n_unsafe_min: int = Field(gt=0)


class Budget(_Part):
    """At most ``fpr`` of safe images and ``prompt_fpr`` of safe prompts are refused: each category has its
    part of that, and keeps it but for a chance of ``delta`` of its own. That any of several categories
    exceeds its part is up to so many times as likely."""

    fpr: float = Field(gt=0, lt=1)
    prompt_fpr: float | None = Field(default=None, gt=0, lt=1)
    """None: as of images. A refused image is drawn again; a refused prompt is the user's to rewrite."""
    out_of_domain: float = Field(default=0.01, gt=0, lt=1)
    """At most this share of the calibrated kinds of pictures is taken for another kind."""
    abstain_max: float = Field(default=0.02, ge=0, lt=1)
    """The miss bound refuses images only where that costs at most this share of safe ones besides; else it
    is recorded with every image that the bound is not certified."""
    delta: float = Field(gt=0, lt=1)


class Policy(_Part):
    """A safety policy. Its digest changes with anything in it, and with it the calibration it needs."""

    version: Literal[1]
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")
    description: str
    domain: str = Field(min_length=1)
    audience: str
    on_error: Literal["block"]
    require: Requirements
    budget: Budget
    max_redraws: int = Field(default=3, ge=0, le=20)
    """A refused image is drawn again at most so often: trying until the check errs wears out its bound."""
    out_of_domain: Action = "block"
    """What follows a picture unlike anything that was calibrated."""
    categories: dict[str, Category] = Field(min_length=1)
    escalate: dict[str, Escalation] = {}
    """By the name of what triggers it."""
    fairness: Fairness = Fairness()
    subject: SubjectLock = SubjectLock()

    @model_validator(mode="after")
    def _judges_something(self) -> Policy:
        if not self.judged:
            raise ValueError("no category has prompts and anchors, so no picture could be checked")
        if all(category.if_uncalibrated == "report" for category in self.judged.values()):
            raise ValueError("every category may go uncalibrated, so nothing might be checked; require one")
        for name, escalation in self.escalate.items():
            unknown = set(escalation.categories) - set(self.categories)
            if unknown or name in self.categories:
                wrong = f"{', '.join(sorted(unknown))}: no such category" if unknown else "a category's name"
                raise ValueError(f"escalation {name!r}: {wrong}")
        return self

    @property
    def judged(self) -> dict[str, Category]:
        """The categories that the judge looks for."""
        return {name: category for name, category in self.categories.items() if category.judged}

    def action(self, name: str) -> Action:
        """What follows a finding of a category, for this policy's audience."""
        category = self.categories[name]
        return "warn" if self.audience in category.allow_for else category.action

    def alpha(self, calibrated: int) -> float:
        """False-positive budget of one of ``calibrated`` categories: the budget shared out (a union bound on
        the rate; the chance of error, ``delta``, is not shared out)."""
        return self.budget.fpr / calibrated

    def prompt_alpha(self, calibrated: int) -> float:
        """The same for prompts."""
        return (self.budget.prompt_fpr or self.budget.fpr) / calibrated

    @property
    def digest(self) -> str:
        """sha256 of the canonical JSON."""
        canonical = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()

    @property
    def pictures_digest(self) -> str:
        """sha256 of what decides a calibration's part on pictures."""
        fields = {"prompts", "anchors", "miss", "if_uncalibrated"}
        parts = {
            "categories": {name: one.model_dump(include=fields) for name, one in self.judged.items()},
            "escalate": {name: one.model_dump(include=fields) for name, one in self.escalate.items()},
            "budget": self.budget.model_dump(exclude={"prompt_fpr"}),
            "locked": self.subject.lock,
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    @classmethod
    def load(cls, source: str | Path = DEFAULT_POLICY) -> Policy:
        """A shipped policy by name, or a YAML file by path.

        Raises:
            InputError: there is none, or it is not a valid policy; says which key is wrong.
        """
        path = policy_path(source)
        try:
            data = yaml.load(path.read_text(encoding="utf-8"), _EachKeyOnce)
        except FileNotFoundError:
            known = ", ".join(shipped_policies())
            raise InputError(f"policy {str(source)!r}: no such file, and not one of: {known}") from None
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            reason = " ".join(str(error).split())
            raise InputError(f"{path}: cannot be read as YAML ({reason}); correct the file") from error
        if not isinstance(data, dict):
            raise InputError(f"{path}: not a policy; start from a copy of {policy_path(DEFAULT_POLICY)}")
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "the policy"
            raise InputError(f"{path}: {where}: {first['msg']}; correct the file") from error


def shipped_policies() -> list[str]:
    """Names of the policies that ship."""
    return sorted(path.stem for path in castmark_data.path("policies").glob("*.yaml"))


def shipped_terms() -> list[str]:
    """Kinds of content whose terms ship."""
    return sorted(path.stem for path in castmark_data.path("terms").glob("*.yaml"))


def read_terms(kind: str) -> dict[str, list[str]]:
    """The shipped terms of a kind of content: its prompts, anchors, words and exceptions, as far as it has
    them.

    Raises:
        ValueError: none ship for it.
    """
    if kind not in shipped_terms():
        raise ValueError(f"no terms of {kind!r} ship; there are: {', '.join(shipped_terms())}")
    return yaml.safe_load(castmark_data.path("terms", f"{kind}.yaml").read_text(encoding="utf-8"))


def policy_path(source: str | Path) -> Path:
    """The file of a policy: shipped, if ``source`` is a shipped name, else the path itself."""
    if str(source) in shipped_policies():
        return castmark_data.path("policies", f"{source}.yaml")
    return Path(source)
