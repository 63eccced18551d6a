"""Adapters on, then off: the base is bit for bit what it was, and draws the same pixels."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from castmark_adapters.errors import HostError
from castmark_adapters.host import wearing
from castmark_adapters.lora import LoraAdapter
from castmark_adapters.reference import ReferenceAdapter


@pytest.fixture
def lora(host, lora_bytes):
    return LoraAdapter(lora_bytes, title="a LoRA", base=host.digest)


@pytest.fixture(scope="session")
def reference(reference_folder: Path) -> ReferenceAdapter:
    return ReferenceAdapter.load(reference_folder)


def test_lora_on_then_off(host, plain, lora, untouched):
    with lora.worn(host):
        worn = host.draw()
    untouched.assert_same(host)
    assert (worn - plain).abs().mean() > 1e-3
    assert torch.equal(host.draw(), plain)


def test_reference_on_then_off(host, plain, reference, mira, untouched):
    with reference.of(mira).worn(host):
        worn = host.draw()
        assert host.call_arguments["ip_adapter_image_embeds"][0].shape == (1, 3, 17, 64)
    untouched.assert_same(host)
    assert (worn - plain).abs().mean() > 1e-3
    assert torch.equal(host.draw(), plain)


def test_both_at_once_in_either_order(host, plain, lora, reference, mira, untouched):
    one = reference.of(mira)
    with wearing(host, [one, lora]):
        both = host.draw()
    untouched.assert_same(host)
    with wearing(host, [lora, one]):
        other_way = host.draw()
    with lora.worn(host):
        lora_alone = host.draw()
    assert torch.equal(both, other_way)
    assert (both - lora_alone).abs().mean() > 1e-3
    assert torch.equal(host.draw(), plain)


def test_an_exception_inside_restores_too(host, plain, lora, reference, mira, untouched):
    with pytest.raises(ZeroDivisionError), wearing(host, [reference.of(mira), lora]):
        _ = 1 / 0
    untouched.assert_same(host)
    assert torch.equal(host.draw(), plain)


def test_two_loras_add_up_and_come_off(host, plain, lora, make_lora, untouched):
    second = LoraAdapter(make_lora(seed=5).to_bytes(), title="another", base=host.digest)
    with lora.worn(host):
        first_alone = host.draw()
        with second.worn(host):
            both = host.draw()
        assert torch.equal(host.draw(), first_alone)
    assert not torch.equal(both, first_alone)
    assert torch.equal(host.draw(), plain)


def test_scale_zero_is_the_base_and_scale_matters(host, plain, lora, untouched):
    with lora.worn(host, 0.0):
        assert torch.allclose(host.draw(), plain, atol=1e-6)
    with lora.worn(host, 0.5):
        half = host.draw()
    with lora.worn(host):
        full = host.draw()
    assert (half - plain).abs().mean() < (full - plain).abs().mean()


def test_a_batch_is_drawn_with_the_same_references(host, reference, mira, untouched):
    with reference.of(mira).worn(host):
        pair = host.draw(["a red mug", "a red mug"])
        single = host.draw("a red mug")
    assert torch.allclose(pair[0], single[0], atol=1e-4)


def test_another_subject_looks_different(host, reference, mira, untouched):
    with reference.of(mira).worn(host):
        first = host.draw()
    with reference.of_images(mira.images()[:1]).worn(host):
        second = host.draw()
    assert not torch.equal(first, second)


def test_wearing_does_not_move_global_randomness_or_grow(host, lora, reference, mira, untouched):
    state = torch.get_rng_state()
    adapters = [reference.of(mira), lora]
    with wearing(host, adapters):
        modules = sum(1 for _ in host.pipeline.unet.modules())
    for _ in range(20):
        with wearing(host, adapters):
            assert sum(1 for _ in host.pipeline.unet.modules()) == modules
    assert torch.equal(torch.get_rng_state(), state)


def test_lora_for_another_base_is_refused(host, lora_bytes, untouched):
    stranger = LoraAdapter(lora_bytes, title="LoRA of mira", base="0" * 64)
    with pytest.raises(HostError, match="LoRA of mira: learned on base 000000000000"), stranger.worn(host):
        pytest.fail("worn")


def test_lora_with_a_layer_the_base_lacks_is_refused(host, make_lora, untouched):
    weights = make_lora()
    name, (down, up) = next(iter(weights.layers.items()))
    odd = type(weights)(weights.rank, {**weights.layers, name + "_x": (down.clone(), up.clone())})
    adapter = LoraAdapter(odd.to_bytes(), title="odd", base=host.digest)
    with pytest.raises(HostError, match="has no layer"), adapter.worn(host):
        pytest.fail("worn")


def test_two_reference_adapters_at_once_are_refused(host, reference, mira, untouched):
    one = reference.of(mira)
    with one.worn(host), pytest.raises(HostError, match="already worn"), one.worn(host):
        pytest.fail("worn")


def test_reference_adapter_for_another_form_of_base_is_refused(host, reference_folder, mira, untouched):
    narrow = ReferenceAdapter.load(reference_folder)
    narrow.weights["ip_adapter"].pop("1.to_k_ip.weight")
    with pytest.raises(HostError, match="castmark train reference"), narrow.of(mira).worn(host):
        pytest.fail("worn")


def test_ingredients_name_references_adapter_and_encoder(reference, mira):
    titles = [ingredient.title for ingredient in reference.of(mira).ingredients]
    own = [f"mira: reference_{i}.png" for i in (1, 2, 3)]
    assert titles == [*own, "reference adapter", "subject encoder"]
    assert reference.of(mira).ingredients[0].sha256 == mira.references[0].sha256
