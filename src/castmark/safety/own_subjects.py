"""Calibration of the identity score on the user's own subjects: a folder of images for each.

    subjects/mira/*.png   subjects/blue-mug/*.jpg ...

Every subject is an impostor once: one of its images against the references of another one, drawn by the seed.
So each is in two of the scores, which are then not quite as independent as the bound takes them to be
(`castmark.safety.threshold`): of 600 simulated sets of 59 subjects 5.5 to 6.3% broke it where 5% may. With
too few subjects there is no threshold. All have as many references as the smallest folder leaves.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from castmark.errors import InputError
from castmark.safety.threshold import interval, threshold
from castmark_adapters.errors import SubjectError
from castmark_adapters.identity import CALIBRATION, IdentityCalibration, IdentityEncoder
from castmark_adapters.subject import Subject
from castmark_provenance.home import home_folder

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"}
REFERENCES = 3
"""References a subject, at most; the image that is scored is never one of them."""
DELTA = 0.05
"""Chance that the rate of false accepts is above the stated one all the same."""


def calibrate_own(
    folder: Path, encoder: IdentityEncoder, *, false_accepts: float = 0.05, seed: int = 0
) -> IdentityCalibration:
    """The threshold that accepts at most ``false_accepts`` of other subjects, with confidence 1 - `DELTA`.

    Raises:
        InputError: no folder of folders of images, one that cannot be read, a subject of one image, the same
            image of two subjects, or two that the encoder does not tell apart.
        NotCalibrated: too few subjects for that rate; says how many it takes.
    """
    if not 0 < false_accepts < 1:
        raise InputError(f"false accepts {false_accepts}: give a share between 0 and 1, such as 0.05")
    taken: dict[str, Path] = {}
    vectors = [_vectors(path, encoder, taken) for path in _folders(folder)]
    count = min(REFERENCES, min(map(len, vectors)) - 1)
    rng = np.random.default_rng(seed)
    rows = [rng.permutation(len(own)) for own in vectors]
    references = [
        torch.nn.functional.normalize(own[row[1 : 1 + count].tolist()].mean(0), dim=-1)
        for own, row in zip(vectors, rows, strict=True)
    ]
    asked = [own[int(row[0])] for own, row in zip(vectors, rows, strict=True)]
    order = rng.permutation(len(asked)).tolist()
    impostors = [float(asked[i] @ references[j]) for i, j in zip(order, [*order[1:], order[0]], strict=True)]
    genuine = [float(one @ own) for one, own in zip(asked, references, strict=True)]
    # A score must be at or above the threshold: the next number up refuses what `threshold` would refuse.
    limit = float(np.nextafter(threshold(impostors, false_accepts, DELTA), 2))
    if limit > 1:
        raise InputError(f"{folder}: this encoder takes two of the subjects for the same; use another one")
    accepted = sum(score >= limit for score in genuine)
    low, high = interval(accepted, len(genuine))
    return IdentityCalibration(
        encoder=encoder.digest,
        threshold=limit,
        false_accepts=false_accepts,
        domain=f"own images of {len(vectors)} subjects; impostors are other subjects, one each",
        references=count,
        subjects=len(vectors),
        figures={
            "accepted, same subject": accepted / len(genuine),
            "accepted, same subject, at least": low,
            "accepted, same subject, at most": high,
            "accepted, other subject": sum(score >= limit for score in impostors) / len(impostors),
        },
    )


def own_calibration(encoder: str) -> Path:
    """Where the user's own calibration of an encoder, named by its digest, is kept."""
    return home_folder() / "calibrations" / f"{encoder[:16]}-{CALIBRATION}"


def _folders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; give one that holds a folder of images for each subject")
    found = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not found:
        raise InputError(f"{folder}: holds no folders; put a subject's images into {folder}/NAME")
    return found


def _vectors(folder: Path, encoder: IdentityEncoder, taken: dict[str, Path]) -> Float[Tensor, "images dim"]:
    """Identity vectors of a subject's images, copies left out. ``taken`` is every image so far, by digest."""
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    own: dict[str, Path] = {}
    for file in files:
        try:
            digest = hashlib.sha256(file.read_bytes()).hexdigest()
        except OSError as error:
            raise InputError(
                f"{file}: cannot be read ({error.strerror}); take it out of the folder"
            ) from error
        if digest in taken:
            raise InputError(f"{file}: the same image as {taken[digest]}; give each subject its own")
        own.setdefault(digest, file)
    taken |= own
    files = list(own.values())
    if len(files) < 2:
        raise InputError(f"{folder}: {len(files)} images; a subject needs 2, better 4: one is asked about")
    try:
        found = [Subject.from_images("one", [path]).images() for path in files]
    except SubjectError as error:
        raise InputError(f"{folder}: {error}") from error
    return torch.cat([encoder.identity(images) for images in found])
