"""The folded decoder gives what the autoencoder's own gives, borders and all; which drew is recorded."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, AutoencoderTiny

from castmark.bases import open_base
from castmark.bases.folding import FoldedDecoder, folds
from castmark.shot import Shot
from castmark.training.autoencoder import new_autoencoder


@pytest.fixture(scope="module")
def autoencoder() -> AutoencoderTiny:
    torch.manual_seed(0)
    model = new_autoencoder()
    # Larger weights than the initial ones, so that a wrong fold cannot hide in small numbers.
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.5)
    return model.eval()


@pytest.mark.parametrize("size", [(16, 16), (4, 6), (1, 2)])
@torch.inference_mode()
def test_it_decodes_as_the_autoencoder_does_to_the_border(
    autoencoder: AutoencoderTiny, size: tuple[int, int]
) -> None:
    before = {name: value.clone() for name, value in autoencoder.state_dict().items()}
    latents = torch.randn(
        2, autoencoder.config["latent_channels"], *size, generator=torch.Generator().manual_seed(1)
    )
    plain = autoencoder.decode(latents, return_dict=False)[0]
    folded = FoldedDecoder(autoencoder)(latents)
    assert plain.std() > 1e-2
    torch.testing.assert_close(folded, plain, rtol=1e-4, atol=1e-5)
    assert all(torch.equal(before[name], value) for name, value in autoencoder.state_dict().items())


def test_only_a_decoder_with_a_linear_end_folds(autoencoder: AutoencoderTiny) -> None:
    assert folds(autoencoder)
    assert not folds(AutoencoderKL(block_out_channels=(32,), norm_num_groups=8))
    assert not folds(AutoencoderTiny(num_decoder_blocks=(3, 3, 3, 1)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(autoencoder.decoder.layers._modules, "19", torch.nn.ReLU())
        assert not folds(autoencoder)


def test_the_embedded_base_folds_where_exactness_is_not_asked_for_and_says_so() -> None:
    exact, quick = open_base(), open_base(exact=False)
    assert exact.environment["decoder"] == "diffusers"
    assert quick.environment["decoder"] == "folded"
    shot = exact.resolve(Shot("a red mug in the kitchen", seed=3, steps=1))
    pair = [base.draw([shot])[0] for base in (exact, quick)]
    assert [draft.settings["decoder"] for draft in pair] == ["diffusers", "folded"]
    difference = np.abs(pair[0].pixels.astype(int) - pair[1].pixels.astype(int))
    assert difference.max() <= 1
    assert (difference > 0).mean() < 1e-3
