"""Scenes of the full world for tests: plain ones, in which one thing at a time is changed."""

from dataclasses import replace

import numpy as np

from castmark_world import FULL, CharacterSpec, Kind, Scene, Subject, sample_subject, stage


def rng(seed: int = 3) -> np.random.Generator:
    return np.random.default_rng(seed)


def subject(kind: Kind = "character", seed: int = 3) -> Subject:
    """A subject of the full world; a character without anything that hides something else."""
    found = sample_subject(rng(seed), kind, "train", FULL)
    if isinstance(found, CharacterSpec):
        return replace(
            found, person="man", occupation="none", headwear="none", glasses="none", accessory="none",
            facial_hair="none", freckles=False, hair_style="short", hair_color="brown", top="shirt",
            top_pattern="plain", top_color="blue", bottom="trousers", skin_tone=3,
        )  # fmt: skip
    return found


def plain(who: Subject, seed: int = 3, **given: str | None) -> Scene:
    """The subject upright in a plain studio, by day, alone."""
    settings = {
        "place": "studio", "time": "day", "item": None, "pose": "standing", "expression": "smiling",
        "weather": "clear", "camera": "full", "style": "flat",
    }  # fmt: skip
    scene = stage(who, rng(seed), scope=FULL, **{**settings, **given})  # type: ignore[arg-type]
    return replace(scene, props=(), x=0.5, tilt=0.0, scale=1.0, mirrored=False)
