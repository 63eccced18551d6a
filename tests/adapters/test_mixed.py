"""Mixed batches: every image as if it had been drawn with its own subject's adapters alone."""

from __future__ import annotations

import pytest
import torch

from castmark_adapters.errors import HostError, SubjectError
from castmark_adapters.host import wearing
from castmark_adapters.lora import LoraAdapter, LoraWeights, convolution_targets
from castmark_adapters.mixed import MixedLoras
from castmark_adapters.reference import ReferenceAdapter
from castmark_adapters.subject import Subject

PROMPTS = ["a red mug", "a blue mug", "a green mug"]


@pytest.fixture(scope="module")
def loras(host, make_lora) -> list[LoraAdapter | None]:
    """Of ranks 4 and 2, the second on convolutions too; the third subject has none."""
    generator = torch.Generator().manual_seed(3)
    second = dict(make_lora(seed=1, rank=2).layers)
    for name in convolution_targets(host.pipeline.unet):
        out, *into = host.pipeline.unet.get_submodule(name).weight.shape
        down = torch.randn(2, *into, generator=generator) * 0.1
        second[name] = (down, torch.randn(out, 2, 1, 1, generator=generator) * 0.1)
    made = [make_lora(seed=0, rank=4), LoraWeights(2, second)]
    adapters = [LoraAdapter(w.to_bytes(), title=f"{i}", base=host.digest) for i, w in enumerate(made)]
    return [adapters[0], adapters[1], None]


@pytest.fixture(scope="module")
def cast(references) -> list[Subject]:
    return [Subject.from_images(f"s{i}", [references[i], references[i - 1]]) for i in range(3)]


def test_each_image_is_the_one_drawn_alone(host, loras, cast, reference_folder, untouched):
    reference = ReferenceAdapter.load(reference_folder)
    with wearing(host, [reference.of_each(cast), MixedLoras(loras)]):
        mixed = host.draw(PROMPTS)
    untouched.assert_same(host)
    for i, (prompt, lora) in enumerate(zip(PROMPTS, loras, strict=True)):
        with wearing(host, [reference.of(cast[i]), *([lora] if lora else [])]):
            alone = host.draw(prompt, seed=7 + i)
        assert (mixed[i] - alone[0]).abs().max() < 2e-5
    assert (mixed[0] - mixed[1]).abs().mean() > 1e-3


def test_a_batch_of_another_size_or_base_is_refused(host, loras, cast, reference_folder, untouched):
    with MixedLoras(loras).worn(host), pytest.raises(HostError, match="2 images with LoRAs for 3"):
        host.draw(PROMPTS[:2])
    stranger = LoraAdapter(loras[0].weights.to_bytes(), title="LoRA of mira", base="0" * 64)
    with pytest.raises(HostError, match="learn the subject again"), MixedLoras([stranger, None]).worn(host):
        pytest.fail("worn")
    short = Subject.from_images("short", [cast[0].file(cast[0].references[0].name)])
    with pytest.raises(SubjectError, match=r"\[1, 2\] references"):
        ReferenceAdapter.load(reference_folder).of_each([cast[0], short])


def test_convolutions_load_alike_in_plain_diffusers(host, loras, tmp_path):
    lora = loras[1]
    with lora.worn(host):
        ours = host.draw()
    (tmp_path / "lora.safetensors").write_bytes(lora.weights.to_bytes())
    try:
        host.pipeline.load_lora_weights(tmp_path, weight_name="lora.safetensors", adapter_name="plain")
        assert torch.equal(host.draw(), ours)
    finally:
        host.pipeline.unload_lora_weights()
