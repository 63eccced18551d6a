"""What the engine needs from a base: the seam between the studio and any family of diffusion model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from castmark.shot import ResolvedShot, Shot
from castmark.take import Draft
from castmark_adapters.host import Host


class Base(Protocol):
    """Draws shots under whatever adapters its host wears."""

    @property
    def name(self) -> str:
        """Name for people and for the provenance record."""
        ...

    @property
    def digest(self) -> str:
        """sha256 over every file that decides the pixels."""
        ...

    @property
    def licence(self) -> str | None:
        """SPDX name of the weights' licence, if known."""
        ...

    @property
    def host(self) -> Host:
        """What adapters are worn on."""
        ...

    @property
    def default_size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        ...

    @property
    def default_steps(self) -> int:
        """Denoising steps."""
        ...

    @property
    def environment(self) -> Mapping[str, str | int | float]:
        """What decides the pixels besides shot and weights: device, dtype, threads, versions."""
        ...

    def resolve(self, shot: Shot) -> ResolvedShot:
        """The shot with nothing left open.

        Raises:
            BaseError: a size or step count that the base cannot draw.
        """
        ...

    def draw(self, shots: Sequence[ResolvedShot]) -> list[Draft]:
        """One draft a shot, in order, drawn as one batch; all must share size and steps.

        Raises:
            BaseError: they do not, or drawing failed.
        """
        ...
