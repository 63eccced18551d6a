from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import open_clip
import pytest
import torch
from safetensors.torch import load_file, save_file

import castmark_data
from castmark.errors import CheckError
from castmark.safety import Encoder
from castmark.safety.concepts import score
from castmark.safety.encoder import VIEWS, views
from castmark.safety.open_clip_model import load_open_clip

WEIGHTS = "open_clip_model.safetensors"


@pytest.fixture
def copy(judge_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(judge_folder, tmp_path / "copy"))


def test_the_same_files_have_the_same_fingerprint(copy: Path, encoder: Encoder) -> None:
    assert Encoder.open(copy).fingerprint == encoder.fingerprint


def test_a_text_is_read_whole_only_where_padding_follows_whatever_pads(encoder: Encoder) -> None:
    model = load_open_clip(castmark_data.path("embedded", "clip"), "cpu", "judge")

    def tokenizer(pad: int) -> Callable[[list[str]], torch.Tensor]:
        def tokens(texts: list[str]) -> torch.Tensor:
            rows = [[*range(10, 10 + min(7, len(text.split()))), 1] for text in texts]
            return torch.tensor([row + [pad] * (8 - len(row)) for row in rows])

        return tokens

    for pad in (0, 1):  # 1 also ends every text
        judge = Encoder(model, tokenizer(pad))
        assert judge.fits("a mug") and judge.fits("")
        assert not judge.fits("one two three four five six seven")
        assert not judge.fits("one two three four five six seven eight")
    with pytest.raises(CheckError, match="does not pad"):
        Encoder(model, lambda texts: torch.arange(8).repeat(len(texts), 1))


def one_weight(folder: Path) -> None:
    weights = load_file(folder / WEIGHTS)
    weights["visual.proj"][0, 0] += 1e-3
    save_file(weights, folder / WEIGHTS)


def preprocessing(folder: Path) -> None:
    config = json.loads((folder / "open_clip_config.json").read_text())
    config["preprocess_cfg"] = {"mean": [0.4, 0.5, 0.5]}
    (folder / "open_clip_config.json").write_text(json.dumps(config))


def tokenizer(folder: Path) -> None:
    path = folder / "tokenizer.json"
    path.write_text(path.read_text().replace('"type": "Lowercase"', '"type": "NFC"'))


@pytest.mark.parametrize("change", [one_weight, preprocessing, tokenizer])
def test_any_change_changes_the_fingerprint(
    copy: Path, encoder: Encoder, change: Callable[[Path], None]
) -> None:
    change(copy)
    assert Encoder.open(copy).fingerprint != encoder.fingerprint


def test_a_folder_without_weights_is_refused_not_random(copy: Path) -> None:
    (copy / WEIGHTS).unlink()
    with pytest.raises(CheckError, match="cannot be loaded"):
        Encoder.open(copy)


def test_damaged_weights_are_refused(copy: Path) -> None:
    (copy / WEIGHTS).write_bytes((copy / WEIGHTS).read_bytes()[:2000])
    with pytest.raises(CheckError, match="cannot be loaded"):
        Encoder.open(copy)


@pytest.mark.parametrize("source", ["no/such/folder", "ViT-B-32", "no-such-model:weights"])
def test_an_unknown_judge_is_refused(source: str) -> None:
    with pytest.raises(CheckError, match="judge"):
        Encoder.open(source)


def test_embeddings_are_units_of_every_view(encoder: Encoder) -> None:
    found = encoder.images(torch.rand(3, 3, 40, 60))
    assert found.shape == (3, VIEWS, 16)
    assert torch.allclose(found.norm(dim=-1), torch.ones(3, VIEWS))
    assert encoder.texts(["a", "b"]).shape == (2, 16)


def test_plain_open_clip_gives_the_same_text_embeddings(judge_folder: Path, encoder: Encoder) -> None:
    model, _ = open_clip.create_model_from_pretrained(f"local-dir:{judge_folder}")
    ids = open_clip.get_tokenizer(f"local-dir:{judge_folder}")(["A red  mug"])
    with torch.inference_mode():
        plain = model.encode_text(ids, normalize=True)
    assert torch.allclose(encoder.texts(["A red  mug"]), plain, atol=1e-6)


@pytest.mark.parametrize(
    "pixels",
    [
        torch.full((1, 3, 8, 8), float("nan")),
        torch.full((1, 3, 8, 8), float("inf")),
        torch.full((1, 3, 8, 8), 1.01),
        torch.full((1, 3, 8, 8), -0.1),
        torch.rand(3, 8, 8),
        torch.rand(1, 4, 8, 8),
        torch.rand(0, 3, 8, 8),
    ],
)
def test_what_is_no_picture_is_refused(encoder: Encoder, pixels: torch.Tensor) -> None:
    with pytest.raises(CheckError):
        encoder.images(pixels)


def test_views_hold_every_corner_of_a_wide_picture() -> None:
    pixels = torch.zeros(1, 3, 20, 200)
    pixels[..., -2:, -2:] = 1.0
    seen = views(pixels, (32, 32))
    assert seen.shape == (1, VIEWS, 3, 32, 32)
    assert seen[0, 0].max() > 0.1 and seen[0, 4].max() > 0.3  # the whole, and the lower right quarter
    assert seen[0, 1].max() == 0


def test_score_is_the_log_odds_of_the_best_view() -> None:
    prompts, anchors = torch.eye(3)[:2], torch.eye(3)[2:]
    embeddings = torch.stack([torch.eye(3)[2], torch.eye(3)[0]])[
        None
    ]  # one view like the anchor, one like a prompt
    tau = 5.0
    best = torch.log((torch.exp(torch.tensor(tau)) + 1) / 2) - 0.0
    assert score(embeddings, prompts, anchors, tau).item() == pytest.approx(best.item(), rel=1e-6)


def test_repeating_a_prompt_does_not_change_the_score() -> None:
    embeddings = torch.nn.functional.normalize(
        torch.randn(4, 6, 8, generator=torch.Generator().manual_seed(0)), dim=-1
    )
    prompts, anchors = embeddings[0, :2], embeddings[1, :3]
    twice = score(embeddings, prompts.repeat(2, 1), anchors.repeat(3, 1), 20.0)
    assert torch.allclose(score(embeddings, prompts, anchors, 20.0), twice, atol=1e-5)
