"""Every scope that models have learned draws and says, bit for bit, what it did then."""

import hashlib
import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

import castmark_data
import castmark_world as world
from castmark_world import SCOPES, Scope

GOLDEN: dict[str, list[dict[str, Any]]] = json.loads((Path(__file__).parent / "golden.json").read_text())
"""By scope, made by `drawn` with skia-python 144.0 (the full one: 144.1): captions, class phrases, and
digests of renders at 256 and 96 px, cut-outs and masks of two scenes a seed; the first scope's are from
before there were scopes."""


def drawn(seed: int, scope: Scope) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    kinds: tuple[world.Kind | None, ...] = (None, *scope.attributes)
    splits: tuple[Literal["train", "calibration", "test"], ...] = ("train", "train", "calibration", "test")
    scene = world.sample_scene(rng, split=splits[seed % 4], kind=kinds[seed % len(kinds)], scope=scope)
    twin = world.look_alike(scene.subject, rng, scope)
    staged = world.stage(
        twin,
        rng,
        place=None if seed % 2 else "forest",
        item=None if seed % 5 == 0 else "random",
        scope=scope,
    )
    digest = hashlib.sha256()
    for each in (scene, staged):
        digest.update(world.render(each, 256).tobytes())
        digest.update(world.render(each, 96).tobytes())
        digest.update(world.cut_out(each, 128).tobytes())
        for name, mask in sorted(world.masks(each, 128).items()):
            digest.update(name.encode())
            digest.update(mask.tobytes())
    captions = [world.caption(scene, rng, scope), world.caption(staged, rng, scope)]
    phrase = world.class_phrase(scene.subject)
    return {"seed": seed, "captions": captions, "phrase": phrase, "sha256": digest.hexdigest()}


def test_the_default_scope_is_the_one_the_shipped_models_know() -> None:
    config = json.loads(castmark_data.path("bench", "reader", "config.json").read_text(encoding="utf-8"))
    assert config["scope"] == world.DEFAULT.name


@pytest.mark.parametrize("name", GOLDEN)
def test_seeds_give_the_same_words_and_pixels_as_before(name: str) -> None:
    scope = SCOPES[name]
    assert len(GOLDEN[name]) >= 40
    assert [drawn(expected["seed"], scope) for expected in GOLDEN[name]] == GOLDEN[name]
