"""What suite ``base`` computes: Wilson's interval, Frechet's distance, sharpness, and what it asks for."""

import numpy as np
import pytest
import torch

from castmark.bench import run_suite
from castmark.bench.base import frechet, sharpness, wilson, words
from castmark_world import sample_scene


def test_wilson_gives_the_published_interval() -> None:
    assert wilson(50, 100) == pytest.approx((0.4038, 0.5962), abs=1e-4)
    assert wilson(0, 10)[0] == pytest.approx(0.0, abs=1e-12)


def test_frechet_is_zero_of_itself_and_the_square_of_a_shift() -> None:
    features = torch.randn(4000, 6, generator=torch.Generator().manual_seed(0))
    assert frechet(features, features) == pytest.approx(0.0, abs=1e-6)
    assert frechet(features, features + torch.tensor([2.0, 0, 0, 0, 0, 0])) == pytest.approx(4.0, abs=1e-3)
    assert frechet(features, 2 * features) == pytest.approx(6.0, rel=0.1)


def test_sharpness_of_a_blurred_picture_is_lower() -> None:
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3)).astype(np.uint8)
    blurred = ((image[:-1].astype(int) + image[1:]) // 2).astype(np.uint8)
    assert sharpness([blurred]) < 0.9 * sharpness([image])


def test_prompts_name_what_is_read() -> None:
    scene = sample_scene(np.random.default_rng(0), kind="product")
    assert scene.subject.category in words(scene)
    assert scene.subject.color in words(scene)


@pytest.mark.slow
def test_the_suite_reads_renders_better_than_chance() -> None:
    figures = {figure.name: figure for figure in run_suite("base", n=16).figures}
    assert figures["place read rightly: renders"].value > 0.5
    assert {"place read rightly: 1 step", "distance: 4 steps", "one 256 px image, 1 step"} <= set(figures)
