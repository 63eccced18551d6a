"""The reference adapter of a base with a prior: what is recognised in a subject's references is told, too.

What is worn are the adapter's image tokens, as with any IP-Adapter, and, for as long, what is known of the
subject (`castmark.bases.recognition`), which the prior tells in place of what it would decide, whatever the
strength of the adapter.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol, cast

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from castmark.bases.recognition import Recognition
from castmark_adapters.errors import HostError
from castmark_adapters.host import Host, Ingredient
from castmark_adapters.reference import MAX_TOKENS_CACHED, ReferenceAdapter, SubjectReference
from castmark_adapters.subject import Subject


class Knowing(Protocol):
    """Who can be told of subjects: a base with a prior."""

    def knowing(self, known: Float[Tensor, "n k"]) -> AbstractContextManager[None]:
        """For as long, this is known of the subjects of the pictures: of all, or of each."""
        ...


class RecognisingAdapter(ReferenceAdapter):
    """A reference adapter that recognises, once `beside` a base that can."""

    model: Knowing
    """The base that it is for."""
    _recognises: Recognition
    _known: dict[str, Tensor]

    def beside(self, model: Knowing, recognition: Recognition) -> RecognisingAdapter:
        """Itself, for a base and what recognises subjects for that."""
        self.model, self._recognises, self._known = model, recognition, {}
        return self

    def of(self, subject: Subject, scale: float = 1.0) -> Recognised:
        """As `ReferenceAdapter.of`; references are recognised once."""
        return self._recognised(super().of(subject, scale), [subject])

    def of_each(self, subjects: Sequence[Subject], scale: float = 1.0) -> Recognised:
        """As `ReferenceAdapter.of_each`."""
        return self._recognised(super().of_each(subjects, scale), subjects)

    def known(self, subject: Subject) -> AbstractContextManager[None]:
        """As `ReferenceAdapter.known`."""
        return self.model.knowing(self._of(subject)[None])

    def of_images(self, images: Sequence[Image.Image], scale: float = 1.0) -> Recognised:
        """As `ReferenceAdapter.of_images`."""
        return Recognised(super().of_images(images, scale), self._recognises.recognise(images)[None])

    def _recognised(self, worn: SubjectReference, subjects: Sequence[Subject]) -> Recognised:
        return Recognised(worn, torch.stack([self._of(subject) for subject in subjects]))

    def _of(self, subject: Subject) -> Tensor:
        key = "/".join(reference.sha256 for reference in subject.references)
        if key not in self._known:
            while len(self._known) >= MAX_TOKENS_CACHED:
                self._known.pop(next(iter(self._known)))
            self._known[key] = self._recognises.recognise(subject.images())
        return self._known[key]


class Recognised(SubjectReference):
    """A reference adapter bound to references, and what is known of their subjects "n k"."""

    def __init__(self, worn: SubjectReference, known: Float[Tensor, "n k"]) -> None:
        super().__init__(worn.adapter, worn.tokens, worn.scale)
        self._worn, self.known = worn, known

    @property
    def ingredients(self) -> tuple[Ingredient, ...]:
        """The adapter's; what recognises is part of the base."""
        return self._worn.ingredients

    @contextmanager
    def worn(self, host: Host) -> Generator[None]:
        """Wear it, and let the prior know.

        Raises:
            HostError: another base than the one that recognised the subject, or a reference adapter is
                already worn.
        """
        assert isinstance(self.adapter, RecognisingAdapter)
        model, worn_on = self.adapter.model, cast("object", host.model)
        if worn_on is not model:
            raise HostError("another base recognised this subject; open the reference adapter with this one")
        with super().worn(host), model.knowing(self.known):
            yield
