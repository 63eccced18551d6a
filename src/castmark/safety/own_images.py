"""Calibration on the user's own images: one folder of safe ones, one folder of unsafe ones for each category.

    safe/**.png   unsafe/weapon/*.png   unsafe/alcohol/*.jpg   unsafe/child/*.jpg (an escalation's trigger)

Every image goes to one of three parts by the digest of its bytes: known kinds (2 of 10), thresholds (5 of
10), test (3 of 10). Copies of a file count once; one that is called both safe and unsafe is refused. The
prompt thresholds come from the shipped prompt lists, or from a file of the same form: a heading in brackets
("[safe]", "[weapon]"), then a prompt a line.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from castmark.errors import InputError
from castmark.safety.calibration import OWN_IMAGES
from castmark.safety.domain import texture
from castmark.safety.encoder import Encoder
from castmark.safety.evidence import PROMPTS, WRITTEN, Lessons, Pictures, Shown
from castmark.safety.pictures import to_tensor
from castmark.safety.policy import Policy
from castmark.safety.samples import SAFE, prompts, read_sections, sections, written
from castmark_adapters.subject import open_rgb
from castmark_world import Split

SOURCE = OWN_IMAGES
SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"}
SIDE_MAX = 1024
"""Larger images are made smaller first: the judge sees far fewer pixels anyway."""
SAFE_PROMPTS, UNSAFE_PROMPTS = 2100, 500
Part = Literal["known", "calibration", "test"]


class OwnPrompts:
    """Prompts of a file, halved by digest; without one, those that ship.

    Raises:
        InputError: a file that is missing, empty or unreadable.
    """

    def __init__(self, encoder: Encoder, prompt_file: Path | None = None) -> None:
        self.encoder, self.seed = encoder, 20_000
        self.spoken: tuple[str, ...] = (PROMPTS,) if prompt_file is not None else (PROMPTS, WRITTEN)
        self._lists = None if prompt_file is None else _prompt_lists(prompt_file)

    def says(self, category: str) -> bool:
        """Whether there are prompts of it."""
        return category in (sections("unsafe_prompts.txt") if self._lists is None else self._lists)

    def prompts(self, source: str, split: Split, category: str | None) -> list[str]:
        """Prompts of a split."""
        if source == WRITTEN:
            return written(split, category)
        if self._lists is None:
            return prompts(UNSAFE_PROMPTS if category else SAFE_PROMPTS, self.seed, split, category)
        listed = dict.fromkeys(text for text in self._lists.get(category or SAFE, []) if text)
        return [text for text in listed if (_bucket(text.encode()) < 5) == (split == "test")]


class OwnImages(OwnPrompts):
    """Evidence from folders of images; see the module."""

    def __init__(
        self,
        encoder: Encoder,
        safe: Path,
        unsafe: Path,
        prompt_file: Path | None = None,
        say: Callable[[str], None] = lambda text: None,
        policies: Sequence[Policy] = (),
    ) -> None:
        """
        Raises:
            InputError: a folder or file that is missing, empty or unreadable, a folder that no policy asks
                for, or an image that is both safe and unsafe.
        """
        super().__init__(encoder, prompt_file)
        self.say = say
        self.sources: tuple[str, ...] = (SOURCE,)
        self._files: dict[str | None, list[Path]] = {None: _images(safe)}
        if not unsafe.is_dir():
            raise InputError(f"{unsafe}: no such folder; give one with a folder of images for each category")
        folders = [f for f in sorted(unsafe.iterdir()) if f.is_dir() and not f.name.startswith(".")]
        if not folders:
            raise InputError(f"{unsafe}: holds no folders; put a category's images into {unsafe}/CATEGORY")
        judged = {name for policy in policies for name in policy.judged}
        triggers = {name for policy in policies for name in policy.escalate}
        known = judged | triggers
        for folder in folders:
            if policies and folder.name not in known:
                raise InputError(
                    f"{folder}: no policy looks for {folder.name!r} in pictures; name it after one of: "
                    f"{', '.join(sorted(known))}"
                )
        self._files |= {folder.name: _images(folder) for folder in folders}
        unsafe_names = (folder.name for folder in folders if folder.name not in triggers - judged)
        _require_apart(self._files[None], [file for name in unsafe_names for file in self._files[name]])
        self._kept: dict[str | None, dict[Part, Pictures]] = {}

    def shows(self, category: str) -> bool:
        """Whether there is a folder of the category."""
        return category in self._files

    def pictures(self, source: str, split: Split, category: str | None) -> Pictures:
        """The images of a category's folder, or the safe ones. Nothing is known of groups of people."""
        return self._part(category, "test" if split == "test" else "calibration")

    def trigger(self, name: str, split: Split) -> Shown | None:
        """The images of the folder of that name, if there is one; and the safe ones, where it may be too."""
        if name not in self._files:
            return None
        there, safe = (self.pictures(SOURCE, split, of) for of in (name, None))
        return Shown(there.embeddings, safe.embeddings)

    def lessons(self) -> Lessons | None:
        """None: nobody has labelled these images."""
        return None

    def familiar(self) -> dict[str, Float[Tensor, "n t"]]:
        """The safe images set aside for it."""
        return {SOURCE: self._part(None, "known").textures}

    def _part(self, category: str | None, part: Part) -> Pictures:
        if category not in self._kept:
            self.say(f"{SOURCE}: {category or 'safe'}")
            self._kept[category] = self._embed(self._files[category])
        return self._kept[category][part]

    def _embed(self, files: list[Path]) -> dict[Part, Pictures]:
        found: dict[Part, list[tuple[Tensor, Tensor]]] = {"known": [], "calibration": [], "test": []}
        for digest, pixels in _pixels(files):
            picture = to_tensor([pixels])
            found[_part_of(digest)].append((self.encoder.images(picture), texture(picture)))
        if any(len(seen) < 2 for seen in found.values()):
            raise InputError(
                f"{files[0].parent}: {len(files)} images are too few to calibrate and to test; give more"
            )
        return {
            part: Pictures(torch.cat([views for views, _ in seen]), torch.cat([fine for _, fine in seen]))
            for part, seen in found.items()
        }


def own_images(
    encoder: Encoder,
    safe: Path | None,
    unsafe: Path | None,
    prompt_file: Path | None,
    say: Callable[[str], None],
    policies: Sequence[Policy] = (),
) -> OwnImages | None:
    """The evidence of the folders, or None where none was given.

    Raises:
        InputError: one folder without the other, or one that cannot be used.
    """
    if safe is None and unsafe is None:
        if prompt_file is not None:
            raise InputError("--prompts goes with --safe and --unsafe; give all three, or none")
        return None
    if safe is None or unsafe is None:
        raise InputError("safe and unsafe images are needed both; give --safe DIR and --unsafe DIR")
    return OwnImages(encoder, safe, unsafe, prompt_file, say, policies)


def _images(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; give a folder of images")
    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in SUFFIXES)
    if not files:
        raise InputError(f"{folder}: holds no images ({', '.join(sorted(SUFFIXES))})")
    return files


def _require_apart(safe: list[Path], unsafe: list[Path]) -> None:
    """No file may be called both. A trigger's may be safe: a picture of a child is harmless by itself."""
    called_safe = {hashlib.sha256(file.read_bytes()).hexdigest(): file for file in safe}
    for file in unsafe:
        if other := called_safe.get(hashlib.sha256(file.read_bytes()).hexdigest()):
            raise InputError(f"{file}: the same image as {other}, which is called safe; take one of them out")


def _pixels(files: list[Path]) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Digest and pixels of every different file, alpha composited, made smaller where it is very large."""
    seen: set[str] = set()
    for file in files:
        data = file.read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        if digest in seen:
            continue
        seen.add(digest)
        try:
            image = open_rgb(data)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            reason = " ".join(str(error).split())
            raise InputError(f"{file}: image cannot be read ({reason}); take it out of the folder") from error
        image.thumbnail((SIDE_MAX, SIDE_MAX), Image.Resampling.BILINEAR)
        yield digest, np.asarray(image)


def _part_of(digest: str) -> Part:
    bucket = int(digest[:8], 16) % 10
    return "known" if bucket < 2 else "calibration" if bucket < 7 else "test"


def _bucket(data: bytes) -> int:
    return int(hashlib.sha256(data).hexdigest()[:8], 16) % 10


def _prompt_lists(file: Path) -> dict[str, list[str]]:
    try:
        lists = read_sections(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: prompts cannot be read ({error}); give a text file") from error
    if "safe" not in lists or len(lists) < 2:
        raise InputError(f"{file}: needs [safe] and a heading for each category, with a prompt a line below")
    return lists
