"""Plain diffusers reads what we write, and draws the same pixels at the same scale."""

from __future__ import annotations

import io
import json

import pytest
import torch

from castmark_adapters.encoder import SubjectEncoder
from castmark_adapters.errors import PackError
from castmark_adapters.layout import reference_bytes
from castmark_adapters.lora import LoraAdapter, LoraWeights
from castmark_adapters.reference import ReferenceAdapter
from castmark_adapters.weights import read_safetensors, write_safetensors


@pytest.mark.parametrize("rank", [4, 8])
def test_plain_load_lora_weights_draws_the_same(host, make_lora, rank, tmp_path):
    data = make_lora(rank=rank).to_bytes()
    (tmp_path / "lora.safetensors").write_bytes(data)
    with LoraAdapter(data, title="a LoRA", base=host.digest).worn(host):
        ours = host.draw()
    try:
        host.pipeline.load_lora_weights(tmp_path, weight_name="lora.safetensors", adapter_name="plain")
        assert torch.equal(host.draw(), ours)
    finally:
        host.pipeline.unload_lora_weights()


def test_plain_load_lora_weights_beside_our_reference_adapter(
    host, lora_bytes, reference_folder, mira, tmp_path
):
    (tmp_path / "lora.safetensors").write_bytes(lora_bytes)
    one = ReferenceAdapter.load(reference_folder).of(mira)
    with one.worn(host), LoraAdapter(lora_bytes, title="a LoRA", base=host.digest).worn(host):
        ours = host.draw()
    with one.worn(host):
        try:  # peft warns, and warnings are errors here, if it takes the Resampler for a target
            host.pipeline.load_lora_weights(tmp_path, weight_name="lora.safetensors", adapter_name="plain")
            assert torch.equal(host.draw(), ours)
        finally:
            host.pipeline.unload_lora_weights()


def test_plain_load_ip_adapter_draws_the_same(host, plain, reference_folder, mira):
    with ReferenceAdapter.load(reference_folder).of(mira).worn(host):
        ours = host.draw()
    pipeline = host.pipeline
    try:
        pipeline.load_ip_adapter(
            str(reference_folder),
            subfolder="",
            weight_name="ip_adapter.safetensors",
            image_encoder_folder="image_encoder",
        )
        theirs = host.draw(ip_adapter_image=[mira.images()])
    finally:
        pipeline.unload_ip_adapter()
        pipeline.register_modules(image_encoder=None, feature_extractor=None)
    assert torch.equal(theirs, ours)
    assert torch.equal(host.draw(), plain)


def test_reference_file_survives_a_round_trip(reference_folder, host):
    data = (reference_folder / "ip_adapter.safetensors").read_bytes()
    adapter = ReferenceAdapter.load(reference_folder)
    assert reference_bytes(adapter.weights) == data


def test_lora_file_is_reproducible_and_carries_its_alpha(make_lora):
    first, second = make_lora(), make_lora()
    assert first.to_bytes() == second.to_bytes()
    _, metadata = read_safetensors(first.to_bytes(), "a LoRA")
    assert json.loads(metadata["lora_adapter_metadata"])["unet.lora_alpha"] == 4
    again = LoraWeights.from_bytes(first.to_bytes(), "a LoRA")
    assert again.rank == 4
    assert again.layers.keys() == first.layers.keys()


def test_lora_of_another_alpha_is_refused(make_lora):
    tensors, metadata = read_safetensors(make_lora().to_bytes(), "x")
    packed = json.loads(metadata["lora_adapter_metadata"]) | {"unet.lora_alpha": 16}
    data = write_safetensors(tensors, ("lora_adapter_metadata", json.dumps(packed)))
    with pytest.raises(PackError, match="alpha is 16, rank is 4"):
        LoraWeights.from_bytes(data, "a LoRA")


def test_lora_with_a_nan_is_refused(make_lora):
    weights = make_lora()
    next(iter(weights.layers.values()))[0][0, 0] = float("nan")
    with pytest.raises(PackError, match="not finite"):
        LoraWeights.from_bytes(weights.to_bytes(), "a LoRA")


def test_pickle_and_truncated_files_are_refused(lora_bytes):
    pickled = io.BytesIO()
    torch.save({"a": torch.zeros(1)}, pickled)
    for data, words in (
        (pickled.getvalue(), "a pickle, not safetensors"),
        (lora_bytes[:-100], "cut short"),
        (lora_bytes[:3], "not a safetensors file"),
        (b"", "not a safetensors file"),
        (b"\xff" * 64, "not a safetensors file"),
    ):
        with pytest.raises(PackError, match=words):
            LoraWeights.from_bytes(data, "lora.safetensors")


def test_encoder_reads_what_diffusers_reads(reference_folder, mira):
    from transformers import CLIPImageProcessor, CLIPVisionModelWithProjection

    model = CLIPVisionModelWithProjection.from_pretrained(
        reference_folder / "image_encoder", dtype=torch.float32
    )
    pixels = CLIPImageProcessor(size=64, crop_size=64)(mira.images(), return_tensors="pt").pixel_values
    with torch.no_grad():
        states = model(pixels, output_hidden_states=True).hidden_states[-2]
    encoder = SubjectEncoder.load(reference_folder / "image_encoder")
    assert torch.equal(encoder.tokens(mira.images()), states[None])
