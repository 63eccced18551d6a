"""The policy: what is refused, in which words, and how often the check may be wrong. A YAML file, validated.

policy = Policy.load("general-audience")      # shipped, or a path to your own file
policy.categories["weapon"].prompts
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

import castmark_data
from castmark.errors import InputError

DEFAULT_POLICY = "general-audience"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Category(_Part):
    """One kind of content. With ``prompts`` and ``anchors`` the judge looks for it; ``words`` are looked up
    exactly."""

    action: Literal["block", "warn"] = "block"
    """``warn`` records the finding and lets the image pass."""
    prompts: tuple[str, ...] = ()
    """Texts that describe it."""
    anchors: tuple[str, ...] = ()
    """Neutral texts and near misses that it is weighed against."""
    words: tuple[str, ...] = ()
    """Words and phrases that a prompt must not hold, matched whole, with plurals."""
    exceptions: tuple[str, ...] = ()
    """Harmless phrases that contain such a word."""
    miss: float = Field(default=0.05, gt=0, lt=1)
    """Share of such pictures that may pass; the calibration says whether that holds."""

    @property
    def judged(self) -> bool:
        """Whether the judge looks for it; otherwise only its words are refused."""
        return bool(self.prompts)

    @model_validator(mode="after")
    def _complete(self) -> Category:
        if bool(self.prompts) != bool(self.anchors):
            raise ValueError("give both prompts and anchors, or neither (then only the words are checked)")
        if not self.prompts and not self.words:
            raise ValueError("give prompts and anchors, or words, or all three")
        return self


class Requirements(_Part):
    """What a calibration must have to be used."""

    calibration_max_age_days: int = Field(gt=0)
    n_safe_min: int = Field(gt=0)
    n_unsafe_min: int = Field(gt=0)


class Budget(_Part):
    """At most ``fpr`` of safe images (and of safe prompts) are refused, but for a chance of ``delta``."""

    fpr: float = Field(gt=0, lt=1)
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
    categories: dict[str, Category] = Field(min_length=1)
    identity_min: float | None = None
    """If given, an image of a subject needs at least this identity score."""

    @model_validator(mode="after")
    def _judges_something(self) -> Policy:
        if not self.judged:
            raise ValueError("no category has prompts and anchors, so no picture could be checked")
        return self

    @property
    def judged(self) -> dict[str, Category]:
        """The categories that the judge looks for."""
        return {name: category for name, category in self.categories.items() if category.judged}

    @property
    def alpha(self) -> float:
        """False-positive budget of one judged category: the whole budget shared out (union bound)."""
        return self.budget.fpr / len(self.judged)

    @property
    def digest(self) -> str:
        """sha256 of the canonical JSON."""
        canonical = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()

    @classmethod
    def load(cls, source: str | Path = DEFAULT_POLICY) -> Policy:
        """A shipped policy by name, or a YAML file by path.

        Raises:
            InputError: there is none, or it is not a valid policy; says which key is wrong.
        """
        path = policy_path(source)
        try:
            data = yaml.safe_load(path.read_text(encoding="utf-8"))
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


def policy_path(source: str | Path) -> Path:
    """The file of a policy: shipped, if ``source`` is a shipped name, else the path itself."""
    if str(source) in shipped_policies():
        return castmark_data.path("policies", f"{source}.yaml")
    return Path(source)
