"""Reference images for a base that reads them by itself (FLUX.2): they are given to every call.

No weights are added; the digest names the way.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager

from PIL import Image

from castmark_adapters.errors import HostError
from castmark_adapters.host import Host, Ingredient
from castmark_adapters.subject import Subject, sha256

MAX_SIDE = 512
"""Pixels of a reference's longer side: each costs as many tokens as a picture of its size."""
ALL, EACH = "image", "image_each"
"""Call arguments: references of every image of a batch, or of each its own."""


class NativeReferences:
    """A `castmark_adapters.host.ReferenceSource` of the pictures themselves."""

    sha256 = sha256(f"native references, longer side {MAX_SIDE}".encode())

    def of(self, subject: Subject) -> NativeReference:
        """The subject's references as the base reads them.

        Raises:
            SubjectError: the subject has no reference at hand.
        """
        return NativeReference(ALL, [_sized(image) for image in subject.images()], _ingredients(subject))

    def of_each(self, subjects: Sequence[Subject]) -> NativeReference:
        """Those of a batch of images, each of its own subject.

        Raises:
            SubjectError: a subject has no reference at hand.
        """
        images = [[_sized(image) for image in subject.images()] for subject in subjects]
        return NativeReference(EACH, images, tuple(i for each in subjects for i in _ingredients(each)))


class NativeReference:
    """References ready to be worn.

    Args:
        argument: `ALL` or `EACH`.
        images: pictures, or a list of them for each image.
    """

    def __init__(
        self,
        argument: str,
        images: Sequence[Image.Image] | Sequence[Sequence[Image.Image]],
        references: tuple[Ingredient, ...],
    ) -> None:
        self.argument = argument
        self.images = list(images)
        self.ingredients = references

    @contextmanager
    def worn(self, host: Host) -> Generator[None]:
        """Show them in every call.

        Raises:
            HostError: others are shown already.
        """
        if host.call_arguments.keys() & {ALL, EACH}:
            raise HostError("reference images are already shown to this base; take them off first")
        host.call_arguments[self.argument] = self.images
        try:
            yield
        finally:
            del host.call_arguments[self.argument]


def _ingredients(subject: Subject) -> tuple[Ingredient, ...]:
    return tuple(
        Ingredient(
            title=f"{subject.name}: {r.name}", role="reference", sha256=r.sha256, media_type=r.media_type
        )
        for r in subject.references
    )


def _sized(image: Image.Image) -> Image.Image:
    found = image.copy()
    found.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
    return found
