"""What decides a shot's key besides the shot: small enough to be sent to whoever plans a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from castmark.shot import Shot


@dataclass(frozen=True, kw_only=True)
class Keying:
    """The digests that a studio draws with."""

    steps: int | None
    """Denoising steps where a shot does not say; None for the base's own."""
    adapters: str
    """Digest of what subjects wear besides what is on their cards."""
    context: Mapping[str, str]
    """Digests of base, policy, checker, calibration and code."""

    def key(self, shot: Shot) -> str:
        """The shot's key (`castmark.shot.Shot.key`)."""
        if shot.steps is None and self.steps is not None:
            shot = shot.model_copy(update={"steps": self.steps})
        return shot.key({**self.context, "adapters": self.adapters if shot.subjects else "none"})
