"""What a subject wears while the base draws it, and how like it the drawing is.

The reference adapter where the base has one, and the subject's own LoRA where it has learned one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Protocol

from castmark.errors import CheckError
from castmark.take import Draft, Finding
from castmark_adapters.errors import SubjectError

if TYPE_CHECKING:
    from castmark.shot import Shot
    from castmark_adapters.host import Adapter, Host, Ingredient, ReferenceSource
    from castmark_adapters.identity import IdentityScorer
    from castmark_adapters.lora import LoraAdapter
    from castmark_adapters.subject import Subject

MAX_LORAS = 16
"""LoRAs kept ready to wear; the one longest unused goes first."""


class Wardrobe(Protocol):
    """Finds a subject's adapters and scores its likeness. Fakes of it stand in for models in tests."""

    @property
    def reference(self) -> ReferenceSource | None:
        """The reference adapter, which learning wears beside the LoRA it learns; None where there is none."""
        ...

    @property
    def digest(self) -> str:
        """What decides the pixels besides the subject's card: the reference adapter's weights; and, where the
        policy locks the subject, what decides which are kept.
        """
        ...

    @property
    def scored_by(self) -> str:
        """Digest of the encoder whose identity scores these are, or "none"."""
        ...

    def adapters(self, subject: Subject) -> Sequence[Adapter]:
        """The adapters to wear, in order.

        Raises:
            AdapterError: the subject's files are missing or damaged.
        """
        ...

    def mixed(self, subjects: Sequence[Subject]) -> Sequence[Adapter]:
        """The adapters to wear for a batch of images, each of its own subject, in this order.

        Raises:
            AdapterError: as `adapters`.
        """
        ...

    def identity(self, subject: Subject, drafts: Sequence[Draft]) -> list[Finding]:
        """One L3 finding per draft: its likeness to the subject's references, in [-1, 1]."""
        ...


class Outfit:
    """What a base wears from one batch to the next: changed only where the subjects do. For one thread."""

    def __init__(self, host: Host, wardrobe: Wardrobe) -> None:
        self._host, self._wardrobe = host, wardrobe
        self._worn = ExitStack()
        self._casts: tuple[tuple[Hashable, ...], ...] = ()

    def wear(self, shots: Sequence[Shot]) -> int:
        """Put on what the images of a batch wear, each with its own cast; nothing where it is on already.

        Casts that differ have one subject each; several subjects of one picture keep to their regions.
        Returns how many different casts there are.

        Raises:
            AdapterError: a subject's files are damaged, or the base cannot wear them; then nothing is worn.
        """
        wanted = tuple(_outfit_of(shot) for shot in shots)
        different = len(set(wanted))
        wanted = wanted[:1] if different == 1 else wanted
        if wanted == self._casts:
            return different
        self.off()
        with ExitStack() as stack:
            one = self._adapters(shots[0]) if different == 1 else None
            for adapter in one if one is not None else self._wardrobe.mixed([s.subjects[0] for s in shots]):
                stack.enter_context(adapter.worn(self._host))
            self._worn = stack.pop_all()
        self._casts = wanted
        return different

    def ingredients(self, shot: Shot) -> tuple[Ingredient, ...]:
        """What a shot's adapters are made from, for the provenance record."""
        return tuple(item for adapter in self._adapters(shot) for item in adapter.ingredients)

    def off(self) -> None:
        """Take everything off: the base is what it was."""
        self._casts = ()
        self._worn.close()

    def _adapters(self, shot: Shot) -> list[Adapter]:
        worn = [self._wardrobe.adapters(subject) for subject in shot.subjects]
        if len(worn) < 2:
            return [adapter for adapters in worn for adapter in adapters]
        from castmark_adapters.regions import Region, Regions

        parts = zip(worn, shot.region_texts, shot.boxes, strict=True)
        return [Regions([Region(adapters, text, box) for adapters, text, box in parts])]


def _outfit_of(shot: Shot) -> tuple[Hashable, ...]:
    """What decides what is worn for a shot."""
    subjects = tuple(subject.digest for subject in shot.subjects)
    return (subjects, shot.region_texts, shot.boxes) if len(subjects) > 1 else (subjects,)


class EngineWardrobe:
    """The reference adapter, learned LoRAs and identity score of `castmark_adapters`.

    Args:
        reference: the reference adapter of the base, or None where it has none.
        scorer: scores likeness, or None where there is no subject encoder.
        identity_min: where the policy locks the subject, the identity score below which an image is refused;
            with None the score is only reported, beside the scorer's own calibrated threshold.
        otherwise: what to do for a subject that nothing would keep the same; None to draw it by its words.
    """

    def __init__(
        self,
        reference: ReferenceSource | None = None,
        scorer: IdentityScorer | None = None,
        *,
        identity_min: float | None = None,
        otherwise: str | None = None,
    ) -> None:
        self.reference = reference
        self._otherwise = otherwise
        self._scorer = scorer
        self._identity_min = identity_min
        self._loras: dict[str, LoraAdapter] = {}

    @property
    def digest(self) -> str:
        """sha256 of the reference adapter's weights, or "none"; of a locked subject, with what locks it."""
        worn = "none" if self.reference is None else self.reference.sha256
        if self._identity_min is None:
            return worn
        return hashlib.sha256(f"{worn} {self.scored_by} {self._identity_min}".encode()).hexdigest()

    @property
    def scored_by(self) -> str:
        """sha256 of the identity score's encoder, or "none"."""
        return "none" if self._scorer is None else self._scorer.encoder.digest

    def adapters(self, subject: Subject) -> Sequence[Adapter]:
        """The reference adapter bound to the subject's references, then its LoRA if it has one."""
        worn: list[Adapter] = []
        if self.reference is not None and subject.references:
            worn.append(self.reference.of(subject))
        if subject.lora is not None:
            worn.append(self._lora(subject))
        self._check_kept(subject)
        return worn

    def mixed(self, subjects: Sequence[Subject]) -> Sequence[Adapter]:
        """The reference adapter with each subject's references, then the LoRAs: all have one, or none."""
        from castmark_adapters.mixed import MixedLoras

        for subject in subjects:
            self._check_kept(subject)
        worn: list[Adapter] = []
        if self.reference is not None and subjects[0].references:
            worn.append(self.reference.of_each(subjects))
        if subjects[0].lora is not None:
            worn.append(MixedLoras([self._lora(subject) for subject in subjects]))
        return worn

    def identity(self, subject: Subject, drafts: Sequence[Draft]) -> list[Finding]:
        """The cosine of each draft's identity vector with the references'; none without references.

        Raises:
            CheckError: the policy locks the subject and it cannot be scored.
            AdapterError: a score is not finite.
        """
        if self._scorer is None or not subject.references:
            if self._identity_min is not None:
                raise CheckError(
                    f"the policy locks the subject and {subject.name!r} cannot be scored: it needs reference "
                    "images and a subject encoder; nothing may be signed"
                )
            return []
        threshold = self._scorer.threshold if self._identity_min is None else self._identity_min
        return [
            Finding(
                rung="L3 subject",
                name=f"identity of {subject.name}",
                score=score,
                threshold=threshold,
                allowed=score >= threshold,
                binding=self._identity_min is not None,
            )
            for score in self._scorer.scores([draft.pixels for draft in drafts], subject)
        ]

    def _check_kept(self, subject: Subject) -> None:
        """Refuse to draw a subject that nothing would keep the same.

        Raises:
            SubjectError: neither a reference adapter nor a LoRA, and `otherwise` says what to do.
        """
        kept = subject.lora is not None or self.reference is not None or not subject.references
        if not kept and self._otherwise is not None:
            raise SubjectError(f"subject {subject.name!r}: {self._otherwise}")

    def _lora(self, subject: Subject) -> LoraAdapter:
        from castmark_adapters.lora import LoraAdapter

        assert subject.lora is not None
        adapter = self._loras.pop(subject.lora.sha256, None) or LoraAdapter.of(subject)
        self._loras[subject.lora.sha256] = adapter
        while len(self._loras) > MAX_LORAS:
            self._loras.pop(next(iter(self._loras)))
        return adapter
