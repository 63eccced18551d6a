"""What ships loads in plain diffusers and plain open_clip, with no code of ours, and gives the same."""

from __future__ import annotations

import json

import numpy as np
import open_clip
import pytest
import torch
from diffusers import StableDiffusionPipeline
from safetensors.torch import load_file

import castmark_data
from castmark.bases import open_base
from castmark.safety.encoder import Encoder
from castmark.shot import Shot

PROMPT, SEED = "a red mug in the kitchen", 3
MIB = 2**20


@pytest.fixture(scope="module")
def ours() -> np.ndarray:
    base = open_base()
    (draft,) = base.draw([base.resolve(Shot(PROMPT, seed=SEED))])
    return draft.pixels


def plain() -> StableDiffusionPipeline:
    return StableDiffusionPipeline.from_pretrained(castmark_data.path("embedded", "base"))


def test_plain_diffusers_draws_the_same_pixels(ours: np.ndarray) -> None:
    images = plain()(
        PROMPT,
        num_inference_steps=open_base().default_steps,
        guidance_scale=1.0,
        generator=torch.Generator("cpu").manual_seed(SEED),
        output_type="np",
    ).images
    assert ours.std() > 15, "there is a picture"
    assert np.array_equal((images[0] * 255).round().astype(np.uint8), ours)


def test_plain_diffusers_wears_the_reference_adapter_and_its_image_encoder() -> None:
    from PIL import Image

    pipeline = plain()
    folder = castmark_data.path("embedded", "reference")
    pipeline.load_ip_adapter(
        str(folder), subfolder="", weight_name="ip_adapter.safetensors", image_encoder_folder="image_encoder"
    )
    drawn = [
        pipeline(
            PROMPT,
            ip_adapter_image=Image.new("RGB", (128, 128), colour),
            num_inference_steps=1,
            guidance_scale=1.0,
            generator=torch.Generator("cpu").manual_seed(SEED),
            output_type="np",
        ).images[0]
        for colour in ("red", "blue")
    ]
    assert np.abs(drawn[0] - drawn[1]).max() > 0.01, "another reference, another picture"


def test_plain_open_clip_loads_the_judge_and_its_tokenizer() -> None:
    folder = f"local-dir:{castmark_data.path('embedded', 'clip')}"
    model, _ = open_clip.create_model_from_pretrained(folder)
    tokens = open_clip.get_tokenizer(folder)(["a knife"])
    with torch.no_grad():
        theirs = model.eval().encode_text(tokens, normalize=True)
    ours = Encoder.open(None, "cpu").texts(["a knife"])
    torch.testing.assert_close(theirs[0], ours[0], rtol=1e-3, atol=1e-4)


def test_all_embedded_weights_are_safetensors_finite_and_within_their_budget() -> None:
    files = sorted(castmark_data.path("embedded").rglob("*.safetensors"))
    assert len(files) >= 6
    for file in files:
        assert all(torch.isfinite(tensor).all() for tensor in load_file(file).values()), file
    assert sum(file.stat().st_size for file in files) <= 44 * MIB
    assert not [f for f in castmark_data.path("embedded").rglob("*") if f.suffix in (".bin", ".pt", ".pth")]


@pytest.mark.parametrize("model", ["base", "base/vae", "clip", "reference"])
def test_every_embedded_model_has_a_card(model: str) -> None:
    card = json.loads(castmark_data.path("embedded", *model.split("/"), "card.json").read_text())
    assert {"data", "hardware", "licence", "seed"} <= set(card)
    assert "steps" in card or "encoder" in card or "adapter" in card
