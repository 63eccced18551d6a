"""What the reference adapter learns from: cross-view sets of the world, encoded once by the frozen base.

A set is one subject seen in `VIEWS` scenes. Any view may be the target and the others its references, so a
reference is never the picture that is asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from castmark.training.common import half_precision, load_checkpoint, save_checkpoint
from castmark.training.reference_slots import slot_positions
from castmark.training.subject_views import normalised
from castmark_adapters.encoder import SubjectEncoder
from castmark_adapters.material import encode_images
from castmark_world import (
    Scene,
    caption,
    class_phrase,
    cut_out,
    masks,
    render,
    sample_subject,
    stage,
    words,
)
from castmark_world.describe import Voice, things
from castmark_world.params import Placement, ProductSpec
from castmark_world.vocabulary import CATALOGUE

if TYPE_CHECKING:
    from diffusers import StableDiffusionPipeline

VIEWS = 4
FEWEST = 4
"""Sets that are made however little time there is."""
CAPTIONS = 3
NAMES = ("latents", "masks", "tokens", "ids", "phrase_ids", "slots")


@dataclass(frozen=True)
class Pool:
    """Sets of views, half precision: n sets of v views."""

    latents: Float[Tensor, "n v c h w"]
    masks: Float[Tensor, "n v 1 h w"]
    tokens: Float[Tensor, "n v seq dim"]
    ids: Int[Tensor, "n v captions tokens"]
    """`CAPTIONS` captions of every view; the last names the subject by kind alone."""
    phrase_ids: Int[Tensor, "n tokens"]
    """The subject's class phrase."""
    slots: Int[Tensor, "n slots"]
    """Where in it each slot is read; see `castmark.training.reference_slots`."""

    def __len__(self) -> int:
        return len(self.latents)


def plain_caption(scene: Scene, rng: np.random.Generator) -> str:
    """The scene with its subjects named by kind alone: what is particular about the first must come from the
    references.
    """
    voice = Voice(rng)
    said = [_plain(scene.lead, scene, voice)]
    if scene.other is not None:
        said.append(f"beside {_plain(scene.other, scene, voice)}")
    said += [f"near {things(prop.name)}" for prop in scene.props]
    said.append(voice.one(words.PLACE[scene.place]))
    if scene.time != "day":
        said.append(voice.one(words.TIME[scene.time]))
    if scene.weather != "clear":
        said.append(voice.one(words.WEATHER[scene.weather]))
    text = " ".join(said)
    if scene.camera != "full":
        product = isinstance(scene.subject, ProductSpec)
        text = f"{voice.one(words.NEAR_PRODUCT if product else words.CAMERA[scene.camera])} {text}"
    return text if scene.style == "flat" else f"{text}, {voice.one(words.STYLE[scene.style])}"


def _plain(placement: Placement, scene: Scene, voice: Voice) -> str:
    """One subject's kind and what it does."""
    said = [things(placement.subject.noun)]
    if not isinstance(placement.subject, ProductSpec) and scene.camera == "full" and voice.says(0.85):
        said.append(voice.one(words.POSE[placement.pose]))
    if placement.item is not None:
        worn = CATALOGUE[placement.item].on == "clothes"
        said.append(voice.one(words.STAINS[placement.item]) if worn else f"holding {things(placement.item)}")
    return " ".join(said)


@torch.no_grad()
def fill(
    pipeline: StableDiffusionPipeline,
    encoder: SubjectEncoder,
    path: Path,
    *,
    sets: int,
    seed: int,
    out_of_time: Callable[[], bool],
    report: Callable[[str], None],
) -> Pool:
    """Render and encode up to ``sets`` sets, on from what ``path`` already holds, until it is out of time."""
    state = load_checkpoint(path)
    parts: dict[str, list[Tensor]] = {name: [] for name in NAMES}
    if state is not None:
        parts = {name: list(state[name]) for name in parts}
    side = int(pipeline.unet.config.sample_size)
    pixels = side * int(pipeline.vae_scale_factor)
    small = cast("int", encoder.model.config.image_size)
    for index in range(len(parts["ids"]), sets):
        if index >= FEWEST and out_of_time():
            break
        rng = np.random.default_rng((seed, index))
        subject = sample_subject(rng, None, "train")
        scenes = [stage(subject, rng) for _ in range(VIEWS)]
        images = np.stack([render(scene, pixels) for scene in scenes])
        with half_precision(str(pipeline.device)):
            latents = encode_images(pipeline, torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255)
        mask = np.stack([masks(scene, pixels)["subject"] for scene in scenes])
        area = torch.nn.functional.interpolate(
            torch.from_numpy(mask)[:, None].float(), (side, side), mode="area"
        )
        seen = np.stack([reference_picture(s, im, rng, small) for s, im in zip(scenes, images, strict=True)])
        states = encoder.model(normalised(seen), output_hidden_states=True).hidden_states[-2]
        parts["latents"].append(latents.half())
        parts["masks"].append(area.half())
        parts["tokens"].append(states.half())
        said = [[*(caption(s, rng) for _ in range(CAPTIONS - 1)), plain_caption(s, rng)] for s in scenes]
        parts["ids"].append(
            _ids(pipeline, [text for texts in said for text in texts]).view(VIEWS, CAPTIONS, -1)
        )
        phrase_ids, positions = slot_positions(pipeline.tokenizer, class_phrase(subject))
        parts["phrase_ids"].append(phrase_ids)
        parts["slots"].append(positions)
        if (index + 1) % 100 == 0:
            report(f"pool: {index + 1} of {sets} subjects")
    stacked = {name: torch.stack(tensors) for name, tensors in parts.items()}
    save_checkpoint(path, stacked)
    return Pool(**stacked)


def reference_picture(
    scene: Scene, drawn: NDArray[np.uint8], rng: np.random.Generator, size: int
) -> NDArray[np.uint8]:
    """The scene as a reference picture: as it is, or (a third of the time, and always where another subject
    stands beside) cut out on a flat colour.
    """
    if rng.random() > 0.33 and scene.other is None:
        return drawn if len(drawn) == size else render(scene, size)
    cut = cut_out(scene, size).astype(np.float32)
    alpha = cut[:, :, 3:] / 255
    ground = np.full(3, 255.0) if rng.random() < 0.5 else rng.uniform(0, 255, 3)
    return (cut[:, :, :3] * alpha + ground * (1 - alpha)).astype(np.uint8)


def _ids(pipeline: StableDiffusionPipeline, texts: list[str]) -> Int[Tensor, "n tokens"]:
    """Token ids as the pipeline itself makes them, kept as 32-bit numbers."""
    tokenizer = pipeline.tokenizer
    length = tokenizer.model_max_length
    read = tokenizer(texts, padding="max_length", max_length=length, truncation=True, return_tensors="pt")
    return cast("Tensor", read.input_ids).int()
