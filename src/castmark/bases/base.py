"""What the engine needs from a base: the seam between the studio and any family of diffusion model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from PIL import Image

from castmark.shot import ResolvedShot, Shot
from castmark.take import Draft
from castmark_adapters.host import Host, ReferenceSource
from castmark_adapters.learn import LearnSettings


@runtime_checkable
class CutsOff(Protocol):
    """A base that can say how much of a text it reads."""

    def unread(self, text: str) -> str:
        """The end of ``text`` that is cut off before the base reads it; empty where it reads all of it."""
        ...


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
    def non_commercial(self) -> bool:
        """Whether that licence forbids commercial use."""
        ...

    @property
    def revision(self) -> str | None:
        """Commit of the hub's repository it came from, if it did."""
        ...

    @property
    def files(self) -> Mapping[str, str]:
        """sha256 of every file that decides the pixels, by name; ``digest`` is over these."""
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

    @property
    def keeps_subjects(self) -> str:
        """What keeps a subject the same on this base, for whoever has none of it."""
        ...

    def learn_settings(self, steps: int | None = None) -> LearnSettings:
        """How a LoRA is learned on this base and machine, in so many steps of training or the usual."""
        ...

    def open_reference(self, source: str | Path | None = None) -> ReferenceSource | None:
        """The reference adapter at ``source`` (a folder, file or hub's file).

        With None it is the base's own way of being shown reference images, if it has one.

        Raises:
            BaseError: there are none for this base, or none there.
            AdapterError: its files are damaged.
        """
        ...

    def warm_up(self, batches: Sequence[int] = ()) -> Mapping[int, float]:
        """Draw once in each batch size (none given: all that it is made fast for); seconds each took."""
        ...

    def native_size(self, width: int, height: int) -> tuple[int, int]:
        """The size it draws to make a picture of ``width`` x ``height`` pixels of: the nearest in aspect."""
        ...

    def resolve(self, shot: Shot) -> ResolvedShot:
        """The shot with nothing left open.

        Raises:
            BaseError: a size or step count that the base cannot draw.
            InputError: a step count that no shot may ask for.
        """
        ...

    def unknown_words(self, text: str) -> tuple[str, ...]:
        """Words of ``text`` that the base is known not to know; none where nobody has said what it knows."""
        ...

    def draw(self, shots: Sequence[ResolvedShot]) -> list[Draft]:
        """One draft a shot, in order, drawn as one batch; all must share size and steps.

        Raises:
            BaseError: they do not, or drawing failed.
        """
        ...

    def draw_from(self, shots: Sequence[ResolvedShot], images: Sequence[Image.Image]) -> list[Draft]:
        """One draft a shot, in order, each from the image beside it, which has its size.

        All must share size, steps and strength of the start.

        Raises:
            BaseError: they do not, or drawing failed.
        """
        ...
