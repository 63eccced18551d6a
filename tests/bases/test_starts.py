"""A drawing from a start image takes the steps asked for and begins from the image, at every strength."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from tiny_bases import TINY

from castmark.bases import open_base
from castmark.bases.base import Base
from castmark.bases.partway import FINEST, share_taken, whole_steps
from castmark.shot import ResolvedShot, Shot
from castmark.studio.start import StartImage

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
STRENGTHS = [tenth / 10 for tenth in range(1, 10)]


def from_image(base: Base, steps: int, strength: float, image: Image.Image) -> tuple[np.ndarray, int]:
    """The picture, and how often the denoiser was asked for it."""
    asked: list[object] = []
    hook = base.host.model.denoiser.register_forward_pre_hook(lambda *given: asked.append(given))
    width, height = base.default_size
    start = StartImage(sha256="0" * 64, strength=strength, path="/nowhere")
    shot = Shot("a red mug", seed=3, start=start)
    resolved = ResolvedShot(shot=shot, text=shot.text, seed=3, width=width, height=height, steps=steps)
    try:
        (draft,) = base.draw_from([resolved], [image])
    finally:
        hook.remove()
    return draft.pixels, len(asked)


@pytest.mark.parametrize("name", ["embedded", *TINY])
def test_every_family_takes_the_steps_and_begins_from_the_image(
    name: str, base_of: Callable[[str], Base]
) -> None:
    base = open_base(None) if name == "embedded" else base_of(name)
    size = base.default_size
    noise = np.random.default_rng(1).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    starts = (Image.new("RGB", size, "black"), Image.fromarray(noise))
    for steps, strength in ((1, 0.9),) if name == "embedded" else ((1, 0.3), (1, 0.9), (2, 0.7), (4, 0.9)):
        drawn = [from_image(base, steps, strength, start) for start in starts]
        assert [count for _, count in drawn] == [steps, steps], (steps, strength)
        assert not np.array_equal(drawn[0][0], drawn[1][0]), f"the start is lost: {steps} at {strength}"


@pytest.mark.parametrize("name", [name for name in TINY if name != "flux2-klein"])
def test_each_pipeline_rounds_to_the_steps_asked_for(name: str, base_of: Callable[[str], Base]) -> None:
    """By the very method of diffusers' image-to-image pipeline; klein's start is ours."""
    family = base_of(name).host.model
    for steps in range(1, 9):
        for strength in STRENGTHS:
            whole = whole_steps(steps, strength)
            scheduler = SimpleNamespace(timesteps=list(range(whole)), order=1)
            share = share_taken(steps, whole, family.start_rounding)
            pipeline = SimpleNamespace(scheduler=scheduler)
            times, count = family.image_class.get_timesteps(pipeline, whole, share, "cpu")
            assert len(times) == count == steps, (steps, strength)


def test_a_path_is_no_longer_than_schedulers_go() -> None:
    assert whole_steps(100, 0.01) == FINEST
    assert (whole_steps(4, 1), share_taken(4, 4, 0.5)) == (4, 1.0)
    assert all(whole_steps(n, s) > n for n in range(1, 9) for s in STRENGTHS)
