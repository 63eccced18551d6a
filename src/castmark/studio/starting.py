"""Drawing from a start image: noise is added to it up to the strength asked for, and taken away again.

SDEdit (Meng et al., arXiv 2108.01073), by diffusers' own image-to-image pipeline over the very parts of the
base's; adapters worn by the base are worn here too. A base with a method of its own, ``draw_from(shots,
images)``, is asked first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from castmark.errors import BaseError
from castmark.shot import ResolvedShot, Shot
from castmark.take import Draft
from castmark_adapters.host import Ingredient

if TYPE_CHECKING:
    from castmark.bases.base import Base
    from castmark.studio.wardrobe import Outfit
    from castmark.studio.work import Wanted


def draw_from(base: Base, shots: Sequence[ResolvedShot]) -> list[Draft]:
    """One draft a shot, in order, each from its start image; all must share size, steps and strength.

    ``steps`` denoising steps are really taken: diffusers would take ``steps`` times the strength of them.

    Raises:
        InputError: a start image that is gone, changed, or not intact.
        BaseError: a base that cannot draw from an image.
    """
    images: list[Image.Image] = []
    for shot in shots:
        assert shot.shot.start is not None
        picture = shot.shot.start.open()
        images.append(picture.resize((shot.width, shot.height), Image.Resampling.LANCZOS))
    if (own := getattr(base, "draw_from", None)) is not None:
        drafts: list[Draft] = own(shots, images)
    else:
        drafts = _diffusers(base, shots, images)
    return drafts


def start_ingredient(shot: Shot) -> tuple[Ingredient, ...]:
    """The start image as something the picture was made from."""
    if shot.start is None:
        return ()
    return (Ingredient(title="start image", role="start", sha256=shot.start.sha256),)


def made_from(
    wanted: Sequence[Wanted], drawn: Mapping[int, object], outfit: Outfit
) -> dict[int, tuple[Ingredient, ...]]:
    """What each image that could be drawn was made from: its start, and what its subjects wear."""
    return {
        index: (*start_ingredient(shot), *outfit.ingredients(shot.subjects))
        for index, shot in ((index, wanted[index].shot) for index in drawn)
        if not isinstance(drawn[index], Exception)
    }


def _diffusers(base: Base, shots: Sequence[ResolvedShot], images: Sequence[Image.Image]) -> list[Draft]:
    import torch
    from diffusers import StableDiffusionImg2ImgPipeline, StableDiffusionPipeline

    pipeline: Any = base.host.pipeline
    if not isinstance(pipeline, StableDiffusionPipeline):
        raise BaseError(f"base {base.name}: draws from words only, not from a start image")
    start = shots[0].shot.start
    assert start is not None
    steps = shots[0].steps
    again: Any = StableDiffusionImg2ImgPipeline(**pipeline.components, requires_safety_checker=False)
    again.set_progress_bar_config(disable=True)
    with torch.inference_mode():
        output = again(
            prompt=[shot.text for shot in shots],
            image=list(images),
            strength=start.strength,
            # The pipeline drops the first (1 - strength) of its steps.
            num_inference_steps=max(steps, round(steps / start.strength)),
            guidance_scale=1.0,
            generator=[torch.Generator("cpu").manual_seed(shot.seed) for shot in shots],
            output_type="np",
            return_dict=False,
            **base.host.call_arguments,
        )
    pictures = np.asarray(output[0])
    if not np.isfinite(pictures).all():
        raise BaseError(f"{base.name} drew non-finite pixels; the weights may be damaged")
    settings = {
        **base.environment,
        "batch": len(shots),
        "strength": start.strength,
        "start": start.sha256[:16],
    }
    return [
        Draft(
            resolved=shot,
            pixels=np.ascontiguousarray((picture * 255).round().astype(np.uint8)),
            settings={**settings, "batch_index": index},
        )
        for index, (shot, picture) in enumerate(zip(shots, pictures, strict=True))
    ]
