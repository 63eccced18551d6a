"""The rendered world: illustrated characters, mascots and products in scenes, with exact captions and ground
truth.

>>> import numpy as np
>>> from castmark_world import FULL, render, sample_scene
>>> render(sample_scene(np.random.default_rng(1)), 64).shape
(64, 64, 3)
>>> sample_scene(np.random.default_rng(1), kind="mascot", scope=FULL).subject.species
'robot'
"""

from typing import NoReturn

from castmark_world.captions import caption, class_phrase
from castmark_world.params import (
    CharacterSpec,
    Kind,
    MascotSpec,
    Placement,
    ProductSpec,
    Prop,
    Scene,
    Split,
    Subject,
)
from castmark_world.sampling import look_alike, sample_scene, sample_subject, split_of, stage
from castmark_world.scope import Scope
from castmark_world.scopes import (
    DEFAULT,
    FIRST,
    FULL,
    GUARDED,
    ITEMS,
    SAFE_ITEMS,
    SCENES,
    SCOPES,
    SECOND,
    TAUGHT,
    UNSAFE_ITEMS,
)
from castmark_world.vocabulary import CATALOGUE, Item

try:
    from castmark_world.render import cut_out, masks, render
    from castmark_world.truth import truth
except ImportError as _error:  # the engine asks for words only, and is installed without what draws
    _cause = _error

    def __getattr__(name: str) -> NoReturn:
        if name not in {"cut_out", "masks", "render", "truth"}:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        raise ImportError(f"castmark_world.{name} draws with skia-python: {_cause}") from _cause


__all__ = [
    "CATALOGUE",
    "DEFAULT",
    "FIRST",
    "FULL",
    "GUARDED",
    "ITEMS",
    "SAFE_ITEMS",
    "SCENES",
    "SCOPES",
    "SECOND",
    "TAUGHT",
    "UNSAFE_ITEMS",
    "CharacterSpec",
    "Item",
    "Kind",
    "MascotSpec",
    "Placement",
    "ProductSpec",
    "Prop",
    "Scene",
    "Scope",
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
