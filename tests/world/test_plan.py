"""The plan of a picture: soft maps of where subjects and their parts are."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from castmark_world import SECOND, CharacterSpec, Scene, masks, sample_subject, stage
from castmark_world.plan import MEANS, PLANNED, SIDE, SPREADS, plan


def scenes(wanted: Callable[[Scene], bool], count: int = 12) -> list[Scene]:
    """Scenes of the second scope that are as wanted."""
    rng, found = np.random.default_rng(4), list[Scene]()
    while len(found) < count:
        scene = stage(sample_subject(rng, scope=SECOND), rng, scope=SECOND)
        if wanted(scene):
            found.append(scene)
    return found


def shares(scene: Scene) -> dict[str, np.ndarray]:
    """The maps as shares of the cells."""
    return {name: plan(scene)[i] * SPREADS[name] + MEANS[name] for i, name in enumerate(PLANNED)}


def centre(share: np.ndarray) -> tuple[float, float]:
    """Row and column of a map's middle."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    return float((rows * share).sum() / share.sum()), float((columns * share).sum() / share.sum())


def person(scene: Scene) -> bool:
    """Whether there is a person, whole."""
    return isinstance(scene.subject, CharacterSpec) and scene.camera == "full"


def test_maps_hold_as_much_as_masks_and_lie_where_they_do() -> None:
    for scene in scenes(person):
        found, drawn = shares(scene), masks(scene, 256)
        for name in ("subject", "face"):
            cells = drawn[name].reshape(SIDE, 16, SIDE, 16).mean((1, 3))
            assert found[name].sum() == pytest.approx(cells.sum(), rel=0.12)
            assert centre(found[name]) == pytest.approx(centre(cells), abs=0.5)


def test_a_head_is_above_its_clothes_and_a_hat_above_the_face() -> None:
    for scene in scenes(lambda s: person(s) and s.subject.headwear not in ("none",)):
        found = shares(scene)
        assert centre(found["headwear"])[0] < centre(found["face"])[0] < centre(found["top"])[0]
        assert (found["headwear"] + found["hair"] + found["top"] <= found["subject"] + 0.05).all()


def test_a_mirrored_person_keeps_a_left_and_a_right() -> None:
    for scene in scenes(lambda s: person(s) and s.pose == "pointing"):
        found = shares(scene)
        assert centre(found["left hand"])[1] < centre(found["right hand"])[1]


def test_a_product_is_one_map() -> None:
    for scene in scenes(lambda s: not isinstance(s.subject, CharacterSpec), 4):
        found = shares(scene)
        assert found["subject"].max() > 0.5
        assert all(abs(found[name]).max() < 1e-6 for name in PLANNED if name != "subject")
