"""What a signer needs of the durable layer: mark before the check, bind while signing, register afterwards.

    layer = DurableLayer.open()
    pixels, identifier = layer.mark(pixels, shot_key)      # then the check, which sees the marked pixels
    data = sign(png, "image/png", claim, key, additions=layer.additions(pixels, identifier))
    layer.register(data, "image/png", pixels, identifier, title)

An id is derived from the shot's key under the registry's own secret: the same shot is drawn with the same
mark, and who has only the image cannot test a guess at the prompt with it.
"""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from castmark_provenance.claim import pixel_digest
from castmark_provenance.containers import locate
from castmark_provenance.durable import binding
from castmark_provenance.durable.errors import RegistryError
from castmark_provenance.durable.fingerprint import fingerprint
from castmark_provenance.durable.plane import Pixels
from castmark_provenance.durable.registry import Entry, Registry, now
from castmark_provenance.durable.watermark import ALGORITHM, ID_BITS, carries, embed
from castmark_provenance.manifest import Addition


class Marker(Protocol):
    """What draws marks, binds them and keeps manifests: `DurableLayer`, or `Redrawing` to draw again."""

    def mark(self, pixels: Pixels, shot_key: str) -> tuple[Pixels, int | None]:
        """The pixels with a mark, and its id; or as they were, and None."""
        ...

    def additions(self, pixels: Pixels, identifier: int | None) -> tuple[Addition, ...]:
        """The soft bindings of marked pixels."""
        ...

    def register(
        self, data: bytes, media_type: str, pixels: Pixels, identifier: int | None, title: str
    ) -> None:
        """Keep the manifest of a signed file. ``title`` is its claim's."""
        ...


@dataclass(frozen=True)
class Redrawing:
    """Draws the mark that a manifest recorded (`recorded`), or none, and registers nothing."""

    identifier: int | None

    @classmethod
    def of(cls, recorded: object) -> Redrawing:
        """From what `recorded` wrote; no mark for anything else."""
        found = re.fullmatch(rf"{re.escape(ALGORITHM)}:([0-9a-f]{{10}})", str(recorded))
        return cls(int(found[1], 16) if found else None)

    def mark(self, pixels: Pixels, shot_key: str) -> tuple[Pixels, int | None]:
        """The pixels with the recorded mark."""
        return (pixels, None) if self.identifier is None else marked(pixels, self.identifier)

    def additions(self, pixels: Pixels, identifier: int | None) -> tuple[Addition, ...]:
        """The soft bindings of marked pixels."""
        return binding.additions(identifier, fingerprint(pixels))

    def register(
        self, data: bytes, media_type: str, pixels: Pixels, identifier: int | None, title: str
    ) -> None:
        """Nothing: the picture was registered when it was first signed."""


class DurableLayer:
    """Marks, binds and registers, with one registry."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self._secret = registry.secret

    @classmethod
    def open(cls, file: str | Path | None = None) -> DurableLayer:
        """The layer over the registry in ``file`` (default: the user's), made if it is not there.

        Raises:
            RegistryError: it cannot be opened or made.
        """
        return cls(Registry.open(file))

    def identifier(self, shot_key: str) -> int:
        """The watermark id of a shot's key: always the same for this registry."""
        digest = hmac.digest(self._secret, shot_key.encode(), "sha256")
        return int.from_bytes(digest[: ID_BITS // 8])

    def mark(self, pixels: Pixels, shot_key: str) -> tuple[Pixels, int | None]:
        """The pixels "h w 3" with the shot's mark drawn into them, and its id.

        As they were, and None, where the mark could not be read back (small and all noise): a
        manifest must not declare a watermark that is not there.

        Raises:
            WatermarkError: they are too small, or not 8-bit RGB.
        """
        return marked(pixels, self.identifier(shot_key))

    def additions(self, pixels: Pixels, identifier: int | None) -> tuple[Addition, ...]:
        """The soft bindings to sign with these (marked) pixels."""
        return binding.additions(identifier, fingerprint(pixels))

    def register(
        self, data: bytes, media_type: str, pixels: Pixels, identifier: int | None, title: str
    ) -> None:
        """Keep the manifest of the signed file ``data``, so that a stripped copy leads back to it.

        ``pixels`` are those its check saw, ``identifier`` the mark it declares and ``title`` its claim's: an
        entry that says something else than its manifest is not believed.

        Raises:
            RegistryError: the file carries no single manifest, or the registry cannot be written.
        """
        stores = locate(data, media_type)
        if len(stores) != 1:
            raise RegistryError(f"{title or 'the image'}: {len(stores)} manifests to register; sign it first")
        height, width, _ = pixels.shape
        self.registry.add(
            Entry(
                manifest=stores[0].store,
                fingerprint=fingerprint(pixels),
                watermark=identifier,
                width=width,
                height=height,
                pixel_sha256=pixel_digest(width, height, pixels.tobytes()),
                media_type=media_type,
                title=title,
                registered=now(),
            )
        )


def marked(pixels: Pixels, identifier: int) -> tuple[Pixels, int | None]:
    """Marked pixels and the id, or the pixels as they are and None where the mark cannot be read back."""
    drawn = embed(pixels, identifier)
    return (drawn, identifier) if carries(drawn, identifier) else (pixels, None)


def recorded(identifier: int) -> str:
    """A mark as a claim's settings record it: it decides the pixels, so a replay needs it."""
    return f"{ALGORITHM}:{binding.shown(identifier)}"
