"""What a studio asks of whatever checks its prompts and pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from castmark.safety.policy import Fairness
from castmark.take import Draft, Verdict


class Checker(Protocol):
    """Judges prompts and drafts under one policy."""

    @property
    def policy_digest(self) -> str:
        """sha256 of the policy."""
        ...

    @property
    def fingerprint(self) -> str:
        """sha256 of the judge."""
        ...

    @property
    def calibration_digest(self) -> str:
        """sha256 of what its thresholds come from."""
        ...

    @property
    def max_redraws(self) -> int:
        """How often a refused image may be drawn again."""
        ...

    @property
    def fairness(self) -> Fairness:
        """Declared shares of people whom prompts leave open."""
        ...

    def check_prompt(self, text: str) -> Verdict:
        """A verdict with L1 findings only (it names no pixels); see ``Verdict.prompt_allowed``."""
        ...

    def check(self, drafts: Sequence[Draft]) -> list[Verdict]:
        """One verdict per draft, bound to its pixels.

        Raises:
            CheckError: the check could not be completed. Never a pass.
        """
        ...


@runtime_checkable
class ReadsAhead(Protocol):
    """A checker that reads many prompts in less time than one by one."""

    def read_ahead(self, texts: Sequence[str]) -> None:
        """Read prompts that are about to be checked, and remember what was found."""
        ...
