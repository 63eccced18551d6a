"""Report: what the verifier found, as separate checks under one verdict."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from castmark_provenance.claim import Claim


class State(StrEnum):
    """The one verdict. ``exit_code`` gives the command line's answer for it."""

    TRUSTED = "trusted"
    INVALID = "invalid"
    UNTRUSTED = "untrusted"
    ABSENT = "absent"
    RECOVERED = "recovered"
    """No manifest in the file; the registry has one, by watermark or fingerprint. Never a kind of trusted."""
    UNMET = "unmet"
    UNREADABLE = "unreadable"

    @property
    def exit_code(self) -> int:
        """0 trusted, 1 invalid, 3 untrusted, 4 absent, 5 recovered, 6 requirement unmet, 7 unreadable."""
        return _EXIT_CODES[self]


_EXIT_CODES = {
    State.TRUSTED: 0,
    State.INVALID: 1,
    State.UNTRUSTED: 3,
    State.ABSENT: 4,
    State.RECOVERED: 5,
    State.UNMET: 6,
    State.UNREADABLE: 7,
}

SEVERITY = (
    State.INVALID,
    State.UNREADABLE,
    State.UNTRUSTED,
    State.ABSENT,
    State.RECOVERED,
    State.UNMET,
    State.TRUSTED,
)
"""Worst first. Signs of tampering outrank all; a file nothing is known about outranks one that is intact."""

Outcome = Literal["passed", "failed", "absent", "not checked"]
CheckName = Literal[
    "manifest",
    "integrity",
    "layout",
    "signer",
    "time",
    "vocabulary",
    "ai_disclosure",
    "ingredients",
    "safety_record",
    "pixels",
    "revocation",
    "watermark",
    "fingerprint",
]
REQUIRABLE: tuple[CheckName, ...] = (
    "ai_disclosure",
    "ingredients",
    "safety_record",
    "pixels",
    "time",
    "watermark",
    "fingerprint",
)
"""Checks that a caller may demand; the others are demanded always."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Check(_Record):
    """One thing looked at. ``absent``: the file says nothing of it. ``not checked``: ``detail`` says why."""

    name: CheckName
    outcome: Outcome
    detail: str


class Signer(_Record):
    """Who signed, as the certificate says; only a ``signer`` check that passed vouches for it."""

    common_name: str | None
    organisation: str | None
    algorithm: str | None


class Report(_Record):
    """The verifier's answer about one file.

    ``verdict`` is one line for a person, ``remedy`` what to do next (None when there is nothing to do).
    ``claim`` is what a Castmark signer stated, read from an intact manifest only; believe it as far as you
    believe the signer, and so only when ``state`` is trusted or unmet.
    """

    path: str | None
    state: State
    exit_code: int
    verdict: str
    remedy: str | None
    media_type: str | None = None
    signer: Signer | None = None
    generator: str | None = None
    checks: tuple[Check, ...] = ()
    claim: Claim | None = None

    def check(self, name: CheckName) -> Check | None:
        """The check of that name, or None if it was never reached."""
        return next((c for c in self.checks if c.name == name), None)

    @property
    def unchecked(self) -> tuple[Check, ...]:
        """What was not looked at, and why."""
        return tuple(c for c in self.checks if c.outcome == "not checked")


class Answer(_Record):
    """What ``castmark verify --json`` prints; its JSON Schema is ``verify.schema.json`` beside this module.

    A field may be added within one schema version; none is removed or changes its meaning.
    """

    schema_version: Literal["castmark.verify/1"] = Field(alias="schema", default="castmark.verify/1")
    exit_code: int
    files: tuple[Report, ...]


def worst(states: list[State]) -> State:
    """The most severe of the states, by `SEVERITY`.

    Raises:
        ValueError: there is none.
    """
    return min(states, key=SEVERITY.index)
