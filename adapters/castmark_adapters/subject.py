"""The subject card: who or what must stay the same. No torch here.

A card names the reference images by digest, the class phrase that stands for the subject in a prompt, the
licence, and, for a real person, their consent.

    >>> card = Subject(name="mira", kind="character", phrase="a girl with red hair")
    >>> card.say("mira at the beach")
    'a girl with red hair at the beach'
"""

from __future__ import annotations

import hashlib
import io
import mimetypes
import re
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

from PIL import Image, ImageOps, UnidentifiedImageError
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, field_validator, model_validator

from castmark_adapters.errors import SubjectError

Kind = Literal["character", "product", "mascot", "person"]
"""A drawn character, a thing, a drawn animal or robot, or a real person (who must have consented)."""

GENERIC_PHRASE: dict[Kind, str] = {
    "character": "a person",
    "product": "a product",
    "mascot": "a mascot",
    "person": "a person",
}
MIN_REFERENCES, MAX_REFERENCES = 1, 6
MIN_SIDE = 16
"""Pixels of a reference's shorter side: smaller ones show nothing to keep."""
MAX_PIXELS = 80_000_000
"""Of a reference, looked at before it is decoded."""


class Reference(BaseModel):
    """One reference image: its file name inside the pack and the sha256 of its bytes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    mask: str | None = None
    """File of a mask that the user gave, of the image's size: white where the subject is."""
    mask_sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")

    @model_validator(mode="after")
    def _mask_bound(self) -> Reference:
        if (self.mask is None) != (self.mask_sha256 is None):
            raise ValueError("a mask goes with the sha256 of its file")
        return self

    @property
    def media_type(self) -> str:
        """Media type by the file's suffix, which follows its content."""
        return mimetypes.guess_type(self.name)[0] or "application/octet-stream"


class Consent(BaseModel):
    """A real person's consent: who gave it, when (ISO 8601 date), and for what."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    given_by: str = Field(min_length=1)
    date: str = Field(pattern=r"^\d{4}-\d{2}-\d{2}$")
    scope: str = Field(min_length=1)


class LoraFile(BaseModel):
    """The learned LoRA of a subject: its safetensors file in the pack and what it was made for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    base: str
    """Digest of the base it was learned on; it is refused on any other."""
    rank: int = Field(gt=0)
    steps: int = Field(gt=0)


class Subject(BaseModel):
    """A subject card, and the bytes of its references when they are at hand.

    Raises (on construction): pydantic's ``ValidationError`` for a malformed card.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")
    kind: Kind
    phrase: str = Field(min_length=1, max_length=300)
    references: tuple[Reference, ...] = Field(default=(), max_length=MAX_REFERENCES)
    licence: str | None = None
    consent: Consent | None = None
    lora: LoraFile | None = None

    _files: dict[str, bytes] = PrivateAttr(default_factory=dict)

    @field_validator("phrase")
    @classmethod
    def _one_line(cls, phrase: str) -> str:
        return " ".join(phrase.split())

    @model_validator(mode="after")
    def _person_consented(self) -> Subject:
        if self.kind == "person" and self.consent is None:
            raise ValueError(
                f"subject {self.name!r} is a real person and has no consent on its card; "
                "state who gave it, when and for what (Consent(given_by, date, scope))"
            )
        return self

    @classmethod
    def from_images(
        cls,
        name: str,
        images: Iterable[str | Path | bytes],
        kind: Kind = "character",
        *,
        masks: Sequence[str | Path | bytes | None] = (),
        phrase: str | None = None,
        licence: str | None = None,
        consent: Consent | None = None,
    ) -> Subject:
        """Make a subject from 1 to 6 reference images (paths, or bytes of an image file).

        ``phrase`` is the class phrase that stands for the subject in a prompt ("a woman with short black
        hair in a red shirt"); it defaults to a plain one for the kind. ``masks``, in the order of the images
        and None where there is none, are images of the same size, white where the subject is; without one,
        the subject is found by transparency or on a plain background.

        Raises:
            SubjectError: no image, too many, one that is missing, unreadable, tiny or huge, a mask that is
                empty or of another size, a bad name, or a real person without consent.
        """
        files: dict[str, bytes] = {}
        references: list[Reference] = []
        for index, image in enumerate(images):
            data, label = _bytes_of(image, f"image {index + 1}")
            key = f"reference_{index + 1}{_image_suffix(data, label)}"
            files[key] = data
            given = masks[index] if index < len(masks) else None
            bound: dict[str, str] = {}
            if given is not None:
                mask, mask_label = _bytes_of(given, f"mask {index + 1}")
                bound = {
                    "mask": f"mask_{index + 1}{_image_suffix(mask, mask_label)}",
                    "mask_sha256": sha256(mask),
                }
                _check_mask(mask, mask_label, open_rgb(data).size)
                files[bound["mask"]] = mask
            references.append(Reference(name=key, sha256=sha256(data), **bound))
        if not MIN_REFERENCES <= len(references) <= MAX_REFERENCES:
            raise SubjectError(
                f"subject {name!r}: {len(references)} reference images; "
                f"give {MIN_REFERENCES} to {MAX_REFERENCES}"
            )
        if len(masks) > len(references):
            raise SubjectError(f"subject {name!r}: {len(masks)} masks for {len(references)} reference images")
        try:
            subject = cls(
                name=name,
                kind=kind,
                phrase=phrase or GENERIC_PHRASE[kind],
                references=tuple(references),
                licence=licence,
                consent=consent,
            )
        except ValueError as error:
            raise SubjectError(f"subject {name!r}: {error}") from error
        return subject.holding(files)

    def holding(self, files: dict[str, bytes]) -> Subject:
        """The same card with these file bytes at hand (references, LoRA), by name in the pack."""
        copy = self.model_copy()
        copy._files = dict(files)
        return copy

    def file(self, name: str) -> bytes:
        """Bytes of one of the subject's files.

        Raises:
            SubjectError: the card names it but its bytes are not at hand.
        """
        try:
            return self._files[name]
        except KeyError:
            raise SubjectError(
                f"subject {self.name!r}: the bytes of {name!r} are not at hand; load the pack from its folder"
            ) from None

    @property
    def files(self) -> dict[str, bytes]:
        """Every file at hand, by name (a copy)."""
        return dict(self._files)

    def images(self) -> list[Image.Image]:
        """The references as RGB images; transparency is laid over white."""
        return [open_rgb(self.file(r.name)) for r in self.references]

    def say(self, prompt: str) -> str:
        """The prompt with the subject's name replaced by its class phrase (added in front if not named)."""
        return say(prompt, [self])

    @property
    def digest(self) -> str:
        """sha256 of the card's canonical JSON: changes with any reference, phrase or LoRA."""
        return sha256(self.model_dump_json().encode())


def say(prompt: str, subjects: Sequence[Subject]) -> str:
    """The prompt with subjects' names replaced by their class phrases; phrases of those that it does not name
    are added in front. A name that is a word of another one's phrase stays there what it is.
    """
    if not subjects:
        return prompt
    phrases = {subject.name.casefold(): subject.phrase for subject in subjects}
    names = "|".join(re.escape(name) for name in sorted(phrases, key=len, reverse=True))
    named = set[str]()

    def said(found: re.Match[str]) -> str:
        named.add(found[0].casefold())
        return phrases[found[0].casefold()]

    text = re.sub(rf"(?<!\w)(?:{names})(?!\w)", said, prompt, flags=re.IGNORECASE)
    unnamed = [phrase for name, phrase in phrases.items() if name not in named]
    return ", ".join([*reversed(unnamed), text])


def sha256(data: bytes) -> str:
    """Lower-case hex sha256."""
    return hashlib.sha256(data).hexdigest()


def open_rgb(data: bytes) -> Image.Image:
    """Image file bytes as RGB, turned as EXIF says, transparency composited over white."""
    rgba = open_image(data).convert("RGBA")
    white = Image.new("RGBA", rgba.size, "white")
    return Image.alpha_composite(white, rgba).convert("RGB")


def open_mask(data: bytes) -> Image.Image:
    """A mask's file bytes in grey, turned as EXIF says; of one that is transparent anywhere, its alpha."""
    image = open_image(data)
    if image.has_transparency_data:
        alpha = image.convert("RGBA").getchannel("A")
        if alpha.getextrema()[0] < 255:  # pyright: ignore[reportOperatorIssue]  (of one band, two numbers)
            return alpha
    return image.convert("RGB").convert("L")


def open_image(data: bytes) -> Image.Image:
    """Image file bytes turned as EXIF says, with eight bits a channel."""
    return _eight_bit(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))


def _eight_bit(image: Image.Image) -> Image.Image:
    """An image of 16 bits a channel with its high bytes: Pillow would clip it instead."""
    if not image.mode.startswith("I;16"):
        return image
    return image.convert("I").point(lambda level: level / 256).convert("L")


def check_references(subject: Subject) -> None:
    """Make sure that references and masks are images of the sizes that `Subject.from_images` takes.

    Raises:
        SubjectError: one is not, or is not at hand.
    """
    for reference in subject.references:
        _image_suffix(subject.file(reference.name), reference.name)
        if reference.mask is not None:
            mask = subject.file(reference.mask)
            _image_suffix(mask, reference.mask)
            _check_mask(mask, reference.mask, open_rgb(subject.file(reference.name)).size)


def _check_mask(data: bytes, label: str, size: tuple[int, int]) -> None:
    mask = open_mask(data)
    if mask.size != size:
        raise SubjectError(
            f"{label}: {mask.width} x {mask.height} px, its image is {size[0]} x {size[1]}; make them alike"
        )
    if mask.getextrema()[1] <= 127:  # pyright: ignore[reportOperatorIssue]  (of one band, a pair of numbers)
        raise SubjectError(f"{label}: an empty mask; paint white where the subject is")


def _bytes_of(image: str | Path | bytes, label: str) -> tuple[bytes, str]:
    return (image, label) if isinstance(image, bytes) else _read(Path(image))


def _read(path: Path) -> tuple[bytes, str]:
    try:
        return path.read_bytes(), str(path)
    except OSError as error:
        reason = error.strerror or error
        raise SubjectError(f"{path}: reference image cannot be read ({reason}); check the path") from error


def _image_suffix(data: bytes, label: str) -> str:
    """File suffix of a decodable image, or an error that names it."""
    try:
        with warnings.catch_warnings(action="ignore", category=Image.DecompressionBombWarning):
            image = Image.open(io.BytesIO(data))
        with image:
            if min(image.size) < MIN_SIDE or image.width * image.height > MAX_PIXELS:
                raise SubjectError(
                    f"{label}: {image.width} x {image.height} px; give at least {MIN_SIDE} px a side and at "
                    f"most {MAX_PIXELS // 10**6} megapixels"
                )
            image.load()
            kind = image.format or "PNG"
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise SubjectError(
            f"{label}: not a readable image ({error}); give a PNG, JPEG or WebP file"
        ) from error
    return {"PNG": ".png", "JPEG": ".jpg", "WEBP": ".webp"}.get(kind, f".{kind.lower()}")
