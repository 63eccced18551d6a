"""The rendered world: illustrated characters and products in scenes, with exact captions and ground truth.

>>> import numpy as np
>>> from castmark_world import render, sample_scene
>>> render(sample_scene(np.random.default_rng(1)), 64).shape
(64, 64, 3)
"""

from castmark_world.captions import caption, class_phrase
from castmark_world.params import (
    ITEMS,
    SAFE_ITEMS,
    SCENES,
    UNSAFE_ITEMS,
    CharacterSpec,
    Item,
    Kind,
    ProductSpec,
    Scene,
    Split,
    Subject,
)
from castmark_world.render import cut_out, masks, render
from castmark_world.sampling import look_alike, sample_scene, sample_subject, split_of, stage
from castmark_world.truth import truth

__all__ = [
    "ITEMS",
    "SAFE_ITEMS",
    "SCENES",
    "UNSAFE_ITEMS",
    "CharacterSpec",
    "Item",
    "Kind",
    "ProductSpec",
    "Scene",
    "Split",
    "Subject",
    "caption",
    "class_phrase",
    "cut_out",
    "look_alike",
    "masks",
    "render",
    "sample_scene",
    "sample_subject",
    "split_of",
    "stage",
    "truth",
]
