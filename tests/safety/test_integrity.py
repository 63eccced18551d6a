from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from castmark.safety.integrity import integrity_findings
from castmark.safety.pictures import to_tensor
from castmark_world import render, sample_scene

RNG = np.random.default_rng(0)


def gradient() -> np.ndarray:
    return np.repeat(np.linspace(100, 140, 256).astype(np.uint8)[:, None, None], 256, 1).repeat(3, 2)


def grains(cells: int) -> np.ndarray:
    coarse = Image.fromarray(RNG.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
    return np.asarray(coarse.resize((256, 256), Image.Resampling.NEAREST))


@pytest.mark.parametrize("level", [0, 128, 255])
def test_one_flat_colour_is_blank(level: int) -> None:
    (findings,) = integrity_findings(to_tensor([np.full((256, 256, 3), level, np.uint8)]))
    assert [f.allowed for f in findings] == [True, False, True]


def test_a_soft_gradient_is_blank() -> None:
    (findings,) = integrity_findings(to_tensor([gradient()]))
    assert not findings[1].allowed


@pytest.mark.parametrize("cells", [32, 64, 128, 256])
def test_noise_of_any_grain_is_noise(cells: int) -> None:
    (findings,) = integrity_findings(to_tensor([grains(cells)]))
    assert not findings[2].allowed


def test_rendered_scenes_are_pictures() -> None:
    pictures = [render(sample_scene(np.random.default_rng(seed))) for seed in range(60)]
    assert all(finding.allowed for row in integrity_findings(to_tensor(pictures)) for finding in row)


def test_a_pixel_that_is_not_finite_forbids() -> None:
    pixels = torch.rand(2, 3, 64, 64)
    pixels[0, 0, 0, 0] = float("nan")
    first, second = integrity_findings(pixels)
    assert not first[0].allowed and second[0].allowed
    assert not any(finding.allowed for finding in first)
