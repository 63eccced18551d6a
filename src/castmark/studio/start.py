"""Start images: a signed image that another drawing begins from (SDEdit, arXiv 2108.01073).

Only an image whose manifest is intact is taken: a picture that no check has seen is no beginning. It is
passed on through pixels, so that the next base may have another autoencoder.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from castmark.errors import InputError

if TYPE_CHECKING:
    from PIL import Image

INTACT = ("trusted", "untrusted", "unmet")
"""States of the verifier in which a file is as it was signed."""


class StartImage(BaseModel):
    """A file by its digest, and how far a drawing may leave it: 1 is all the way, near 0 not at all."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    strength: float = Field(gt=0, le=1)
    path: str
    """Where the file is, from the root; not part of a shot's key."""

    @classmethod
    def of(cls, path: str | Path, strength: float) -> StartImage:
        """The file at ``path`` as it is now.

        Raises:
            InputError: it cannot be read.
        """
        try:
            data = Path(path).read_bytes()
        except OSError as error:
            raise InputError(
                f"{path}: start image cannot be read ({error.strerror}); check the path"
            ) from error
        return cls(sha256=hashlib.sha256(data).hexdigest(), strength=strength, path=str(Path(path).resolve()))

    def open(self) -> Image.Image:
        """Its pixels as RGB.

        Raises:
            InputError: gone, changed since the job was read, or not an intact signed image.
        """
        from castmark_adapters.subject import open_rgb
        from castmark_provenance.verify import verify

        path = Path(self.path)
        try:
            data = path.read_bytes()
        except OSError as error:
            raise InputError(f"{path}: start image cannot be read ({error.strerror})") from error
        if hashlib.sha256(data).hexdigest() != self.sha256:
            raise InputError(f"{path}: start image changed since the job was read; run the command again")
        report = verify(data)
        if report.state.value not in INTACT or report.claim is None:
            raise InputError(
                f"{path}: a start image must be an intact image signed by Castmark ({report.verdict}); "
                "choose one from a run"
            )
        return open_rgb(data)
