"""Stable Diffusion's form with a prior beside it (`castmark.bases.prior`), as our own bases have it.

The pipeline is diffusers' own, and draws without the prior too. With it, what a prompt leaves open is decided
by the shot's seed before anything is drawn, and told beside the prompt.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from jaxtyping import Float
from torch import Tensor

from castmark.bases.facts import BaseFacts
from castmark.bases.loaded import PRIOR, RECOGNITION
from castmark.bases.prior import Prior, text_encoder_of, told_by
from castmark.bases.recognised import RecognisingAdapter
from castmark.bases.recognition import Recognition
from castmark.bases.reference_files import find_reference
from castmark.bases.stable_diffusion import StableDiffusion
from castmark.errors import BaseError
from castmark_adapters.errors import AdapterError
from castmark_adapters.host import ReferenceSource, Words

T = TypeVar("T")


class WithPrior(StableDiffusion):
    """``StableDiffusionPipeline`` and its prior; and what recognises subjects for it, if there is any.

    Raises:
        BaseError: either is damaged, or they are not of this base.
    """

    def __init__(self, pipeline: Any, facts: BaseFacts) -> None:
        super().__init__(pipeline, facts)
        folder = facts.folder / PRIOR
        self.prior = _loaded(Prior.load, folder)
        if self.prior.text_encoder != text_encoder_of(facts.folder):
            raise BaseError(
                f"{folder}: learned to read from another text encoder than this base's; "
                f"run: castmark train prior --out {facts.folder}"
            )
        self.recognition: Recognition | None = None
        if (folder := facts.folder / RECOGNITION).is_dir():
            self.recognition = _loaded(Recognition.load, folder)
            if told_by(self.recognition.all) != told_by(self.prior.columns):
                raise BaseError(
                    f"{folder}: recognises other things than the prior tells; "
                    f"run: castmark train recognition --out {facts.folder}"
                )
        self._known: Tensor | None = None
        self._scenes: list[list[Tensor]] | None = None

    def open_reference(self, source: str | Path) -> ReferenceSource:
        """An IP-Adapter, beside which subjects are recognised where this base can."""
        if self.recognition is None:
            return super().open_reference(source)
        return RecognisingAdapter.read(*find_reference(source)).beside(self, self.recognition)

    @contextmanager
    def knowing(self, known: Float[Tensor, "n k"]) -> Generator[None]:
        """For as long, this is known of the subjects of the pictures: of all, or of each."""
        earlier, self._known = self._known, known
        try:
            yield
        finally:
            self._known = earlier

    @contextmanager
    def one_scene(self) -> Generator[None]:
        """For as long, what is decided for the pictures of a batch is of one scene each, the first time's, in
        the middle of which every subject is."""
        self._scenes = []
        try:
            yield
        finally:
            self._scenes = None

    def completed(
        self, words: Sequence[Words], seeds: Sequence[int], *, worn: bool, begun: bool = False
    ) -> list[Words]:
        """With what they leave open beside them; what is a subject's own is what is known of it, or left to
        what is worn.

        Raises:
            BaseError: subjects are known of another number of pictures.
        """
        if begun and self._known is None:
            return list(words)
        self.prior.to(self.device)
        text = [each["prompt_embeds"] for each in words]
        subjects: Sequence[Tensor | None] = [None] * len(words)
        if self._known is not None:
            if len(self._known) not in (1, len(words)):
                raise BaseError(
                    f"{len(words)} pictures of {len(self._known)} subjects; give each its own, or all one"
                )
            subjects = self._known.expand(len(words), -1).split(1)
        scenes, number = self._scenes, 0 if self._scenes is None else len(self._scenes)
        places = scenes[0] if scenes else [None] * len(words)
        found = [
            self.prior.whole(each, [seed], known=known, scenes=place, number=number)
            for each, seed, known, place in zip(text, seeds, subjects, places, strict=True)
        ]
        if scenes is not None:
            scenes.append([whole for whole, _ in found])
        left = worn and self._known is None
        told = [self.prior.besides(*each, shown=left) for each in found]
        if begun:
            told = [self.prior.own(each) for each in told]
        elif scenes is not None:
            told = [self.prior.middled(each) for each in told]
        return [{"prompt_embeds": self.prior(*each)} for each in zip(text, told, strict=True)]


def _loaded(load: Callable[[Path], T], folder: Path) -> T:
    try:
        return load(folder)
    except (
        AdapterError,
        AttributeError,
        KeyError,
        OSError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as error:
        raise BaseError(
            f"{folder}: not a {folder.name} that can be used ({error}); get the base anew"
        ) from error
