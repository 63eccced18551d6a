"""Several subjects in one picture: each region is its own subject's, and the denoiser itself afterwards."""

from __future__ import annotations

import pytest
import torch

from castmark_adapters.errors import HostError
from castmark_adapters.lora import LoraAdapter
from castmark_adapters.reference import ReferenceAdapter
from castmark_adapters.regions import Region, Regions, region_masks

LEFT, RIGHT, WHOLE = (0.0, 0.0, 0.5, 1.0), (0.5, 0.0, 1.0, 1.0), (0.0, 0.0, 1.0, 1.0)


@pytest.fixture(scope="module")
def loras(host, make_lora):
    made = (make_lora(seed=seed) for seed in (0, 1))
    return [LoraAdapter(w.to_bytes(), title="a LoRA", base=host.digest) for w in made]


def test_masks_add_up_and_cover_their_boxes():
    masks = region_masks([LEFT, RIGHT], (16, 16))
    assert masks.shape == (2, 1, 1, 16, 16)
    assert torch.allclose(masks.sum(0), torch.ones(1, 1, 16, 16))
    assert bool((masks[0, 0, 0, :, :7] > 0.99).all() and (masks[1, 0, 0, :, 9:] > 0.99).all())
    apart = region_masks([(0.0, 0.0, 0.2, 0.2), (0.8, 0.8, 1.0, 1.0)], (16, 16))
    assert torch.allclose(apart[:, 0, 0, 8, 8], torch.full((2,), 0.5))


def test_one_region_of_everything_is_the_plain_picture(host, loras, reference_folder, mira, untouched):
    reference = ReferenceAdapter.load(reference_folder).of(mira)
    adapters = [reference, loras[0]]
    with reference.worn(host), loras[0].worn(host):
        plain = host.draw("a red mug")
    with Regions([Region(adapters, "a red mug", WHOLE)]).worn(host):
        assert torch.allclose(host.draw("anything"), plain, atol=1e-5)
    untouched.assert_same(host)


def test_another_subject_on_the_right_leaves_the_first_answer_on_the_left(host, loras, untouched):
    def answer(right: LoraAdapter) -> torch.Tensor:
        regions = [Region([loras[0]], "a red mug", LEFT), Region([right], "a blue mug", RIGHT)]
        with Regions(regions).worn(host), torch.no_grad():
            return host.pipeline.unet(x, 499, encoder_hidden_states=torch.zeros(1, 96, 192)).sample

    x = torch.randn(1, 12, 16, 16, generator=torch.Generator().manual_seed(0))
    first, second = answer(loras[1]), answer(loras[0])
    difference = (first - second).abs().mean((0, 1, 2))
    assert difference[9:].mean() > 0.05
    assert difference[:7].max() < 0.01 * difference[9:].mean()


def test_regions_come_off_after_an_exception_and_do_not_nest(host, loras, plain, untouched):
    regions = Regions([Region([loras[0]], "a mug", LEFT), Region([loras[1]], "a mug", RIGHT)])
    assert len(regions.ingredients) == 2
    with pytest.raises(ZeroDivisionError), regions.worn(host):
        _ = 1 / 0
    with regions.worn(host), pytest.raises(HostError, match="in regions already"), regions.worn(host):
        pytest.fail("worn")
    stranger = LoraAdapter(loras[0].weights.to_bytes(), title="LoRA of mira", base="0" * 64)
    with (
        pytest.raises(HostError, match="learn the subject again"),
        Regions([Region([stranger], "a mug", LEFT)]).worn(host),
    ):
        pytest.fail("worn")
    assert torch.equal(host.draw(), plain)
