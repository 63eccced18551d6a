"""Every family: draws, learns, wears, takes off, and hands a plain LoRA to plain diffusers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import diffusers
import numpy as np
import pytest
import torch
from base_trials import SHORT, changed, drawn
from tiny_bases import SIDE, TINY, state

from castmark.bases import FAMILIES
from castmark.bases.base import Base
from castmark_adapters.errors import HostError
from castmark_adapters.learn import learn
from castmark_adapters.lora import LoraAdapter
from castmark_adapters.mixed import MixedLoras
from castmark_adapters.regions import Regions
from castmark_adapters.subject import Subject

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
every_family = pytest.mark.parametrize("name", TINY)


def test_there_is_a_small_base_for_every_known_family() -> None:
    assert {TINY[name].__annotations__["return"] for name in TINY} == set(FAMILIES)


@every_family
def test_it_draws_the_same_alone_and_in_a_batch(name: str, base_of: Callable[[str], Base]) -> None:
    base = base_of(name)
    together = drawn(base, 1, 2)
    alone = drawn(base, 2)[0]
    assert together[1].pixels.shape == (SIDE, SIDE, 3)
    assert together[1].pixels.std() > 5, "there is a picture"
    assert not np.array_equal(together[0].pixels, together[1].pixels), "the seed decides"
    off = np.abs(together[1].pixels.astype(int) - alone.pixels)
    assert off.max() <= 2, "its neighbours in the batch do not"
    assert np.array_equal(drawn(base, 2)[0].pixels, alone.pixels), "and it comes again bit for bit"
    other = drawn(base, 2, text="a blue lamp on a long table by the sea")[0]
    assert not np.array_equal(other.pixels, alone.pixels), "the words decide"


@every_family
def test_plain_diffusers_draws_the_same(
    name: str, base_of: Callable[[str], Base], folder_of: Callable[[str], Path]
) -> None:
    base = base_of(name)
    kind = getattr(diffusers, str(TINY[name].__annotations__["return"]))
    pipeline = kind.from_pretrained(folder_of(name))
    pipeline.set_progress_bar_config(disable=True)
    family = base.host.model
    arguments = family.call_arguments({}, 1)
    if name == "flux-schnell":
        arguments["max_sequence_length"] = 256
    image = pipeline(
        prompt="a red mug",
        width=SIDE,
        height=SIDE,
        num_inference_steps=2,
        generator=torch.Generator().manual_seed(5),
        output_type="np",
        **arguments,
    ).images[0]
    assert np.array_equal((image * 255).round().astype(np.uint8), drawn(base, 5)[0].pixels)


@every_family
def test_learning_leaves_the_base_as_it_was_and_wearing_comes_off(
    name: str, base_of: Callable[[str], Base], mira: Subject
) -> None:
    base = base_of(name)
    denoiser = base.host.model.denoiser
    before, plain = state(denoiser), drawn(base, 3)[0].pixels
    modules = {name: id(module) for name, module in denoiser.named_modules()}
    learned = learn(mira, base.host, SHORT)
    assert learned.lora is not None
    adapter = LoraAdapter.of(learned)
    assert all(bool(up.abs().max() > 0) for _, up in adapter.weights.layers.values()), "every layer learned"
    with adapter.worn(base.host):
        assert not np.array_equal(drawn(base, 3)[0].pixels, plain) or name == "sana-sprint"
    assert state(denoiser) == before
    assert {name: id(module) for name, module in denoiser.named_modules()} == modules
    assert np.array_equal(drawn(base, 3)[0].pixels, plain)


@every_family
def test_a_batch_of_two_subjects_is_drawn_as_each_alone(name: str, base_of: Callable[[str], Base]) -> None:
    base = base_of(name)
    loras = [
        LoraAdapter(changed(base, seed=seed).to_bytes(), title=f"LoRA {seed}", base=base.digest)
        for seed in (0, 1)
    ]
    plain = [draft.pixels for draft in drawn(base, 1, 2)]
    if name == "z-image-turbo":  # draws one picture at a time: the studio then draws each shot alone
        with MixedLoras(loras).worn(base.host), pytest.raises(HostError, match="draw the whole batch"):
            drawn(base, 1, 2)
        return
    with MixedLoras(loras).worn(base.host):
        together = [draft.pixels for draft in drawn(base, 1, 2)]
    for seed, (lora, mixed, without) in enumerate(zip(loras, together, plain, strict=True), start=1):
        with lora.worn(base.host):
            alone = drawn(base, seed)[0].pixels
        assert np.abs(mixed.astype(int) - alone).max() <= 2
        assert not np.array_equal(mixed, without) or name == "sana-sprint"
    assert all(np.array_equal(a, b.pixels) for a, b in zip(plain, drawn(base, 1, 2), strict=True))


@every_family
def test_plain_load_lora_weights_draws_the_same(
    name: str, base_of: Callable[[str], Base], folder_of: Callable[[str], Path], tmp_path: Path
) -> None:
    base = base_of(name)
    data = changed(base).to_bytes()
    (tmp_path / "lora.safetensors").write_bytes(data)
    plain = drawn(base, 5)[0].pixels
    with LoraAdapter(data, title="a LoRA", base=base.digest).worn(base.host):
        ours = drawn(base, 5)[0].pixels
    assert not np.array_equal(ours, plain)
    pipeline = base.host.pipeline
    try:
        pipeline.load_lora_weights(tmp_path, weight_name="lora.safetensors", adapter_name="plain")
        assert np.array_equal(drawn(base, 5)[0].pixels, ours)
    finally:
        pipeline.unload_lora_weights()
    assert np.array_equal(drawn(base, 5)[0].pixels, plain)


@every_family
def test_the_denoisers_output_is_read_as_its_pipeline_reads_it(
    name: str, base_of: Callable[[str], Base]
) -> None:
    """One step of the pipeline from pure noise gives the clean latents that the path reads from `predict`."""
    family = base_of(name).host.model
    words = family.encode_texts(["a red mug"])
    clean = family.unpacked(family.run(words, (SIDE, SIDE), 1, [4], {}, output="latent"))
    path = family.path(1)
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        x_t = path.noised(torch.zeros_like(clean), noise, path.drawing)
        found = path.x0(family.predict(x_t, path.drawing, words, {}), x_t, path.drawing)
    assert torch.allclose(found, clean, atol=2e-2, rtol=1e-2)


@every_family
def test_pictures_become_latents_of_the_form_it_draws(name: str, base_of: Callable[[str], Base]) -> None:
    """Their latents have the form of those it draws."""
    family = base_of(name).host.model
    images = torch.rand(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        latents = family.encode_images(images)
        found = family.sketch(["a mug"], 1, 0)
    assert latents.shape == found.shape
    assert bool(latents.isfinite().all())


def test_several_subjects_in_one_picture_are_refused_where_regions_cannot_be_drawn(
    base_of: Callable[[str], Base],
) -> None:
    base = base_of("flux-schnell")
    with pytest.raises(HostError, match="draws one subject a picture"), Regions(()).worn(base.host):
        pass
