"""Which encoder the identity score reads pictures with, and the calibration that says what its scores mean.

encoder = open_identity_encoder()                                   # the embedded one
encoder = open_identity_encoder("path/to/folder")                   # an open_clip folder, or one that
                                                                    # holds a CLIPVision image_encoder/
encoder = open_identity_encoder("ViT-B-32:laion2b_s34b_b79k")       # a name and weights open_clip knows
calibration = find_identity_calibration(encoder, "path/to/folder")  # refused where there is none
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

import castmark_data
from castmark.bases.speed import Hardware
from castmark.errors import CheckError, NotCalibrated
from castmark.safety.open_clip_model import CONFIG, OpenClipModel, load_open_clip
from castmark.safety.own_subjects import own_calibration
from castmark_adapters.encoder import SubjectEncoder, squared
from castmark_adapters.errors import SubjectError
from castmark_adapters.identity import (
    CALIBRATION,
    IdentityCalibration,
    IdentityEncoder,
    read_calibration,
)

ROLE = "identity encoder"
CLIP_VISION = "image_encoder"
"""Folder of a ``CLIPVisionModelWithProjection``, as beside an IP-Adapter."""
PICTURES_RECIPE = "squared on the border's median colour, then open_clip's own transform, v1"


class OpenClipIdentity:
    """Identity vectors by the image tower of an open_clip model, with that model's own preprocessing."""

    def __init__(self, loaded: OpenClipModel) -> None:
        from open_clip.transform import PreprocessCfg, image_transform_v2

        self._model, self._device = loaded.model, loaded.device
        self._transform = cast(Any, image_transform_v2(PreprocessCfg(**loaded.preprocess), is_train=False))
        self.digest = loaded.fingerprint(pictures=PICTURES_RECIPE)
        """sha256 over weights, configuration and preprocessing."""

    @torch.inference_mode()
    def identity(self, images: Sequence[Image.Image]) -> Float[Tensor, "n dim"]:
        """Unit vectors whose cosine says how alike two subjects are, on the CPU.

        Raises:
            SubjectError: no image.
        """
        if not images:
            raise SubjectError("no image to read; give at least one reference")
        pixels = torch.stack([self._transform(squared(image)) for image in images]).to(self._device)
        found = cast(Any, self._model).encode_image(pixels).float().cpu()
        return torch.nn.functional.normalize(found, dim=-1)


def open_identity_encoder(source: str | Path | None = None, device: str | None = None) -> IdentityEncoder:
    """The encoder of a folder, of "NAME:WEIGHTS", or the embedded one.

    Raises:
        CheckError: there is no such model, it has no weights, or they are damaged.
        AdapterError: a CLIPVision folder that is not complete, or damaged.
        BaseError: the device is not there.
    """
    Hardware.of(device or "cpu")
    folder = Path(castmark_data.path("embedded", "reference") if source is None else source)
    if folder.is_dir():
        if (folder / CLIP_VISION).is_dir():
            encoder = SubjectEncoder.load(folder / CLIP_VISION)
            encoder.model.to(device or "cpu")  # pyright: ignore
            return encoder
        if not (folder / CONFIG).is_file():
            raise CheckError(
                f"{ROLE} {str(folder)!r}: holds neither {CONFIG} nor {CLIP_VISION}/; give the folder of an "
                f"open_clip model, or one with a CLIPVision encoder in {CLIP_VISION}/"
            )
    return OpenClipIdentity(load_open_clip(folder if source is None else source, device or "cpu", ROLE))


def find_identity_calibration(
    encoder: IdentityEncoder, source: str | Path | None = None
) -> IdentityCalibration:
    """The user's own calibration of this encoder (``castmark identity calibrate``), else the one that lies
    in its folder.

    Raises:
        NotCalibrated: there is none.
        AdapterError: the one found is damaged.
    """
    beside = Path(castmark_data.path("embedded", "reference") if source is None else source) / CALIBRATION
    for path in (own_calibration(encoder.digest), beside):
        if path.is_file():
            return read_calibration(path)
    named = "" if source is None else f" --encoder {source}"
    raise NotCalibrated(
        f"{ROLE} {str(source or 'embedded')!r} ({encoder.digest[:12]}): not calibrated, so nobody knows what "
        f"its scores mean; run: castmark identity calibrate DIR{named}, where DIR holds a folder of images "
        "for each of many subjects"
    )
