"""What is read of a base before its weights: family, licence, files, formats; and where it comes from."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import castmark_data
from castmark.bases import FAMILIES, family_of, find_base, open_base
from castmark.bases.facts import read_facts
from castmark.bases.hub import is_hub_id
from castmark.bases.reference_files import find_reference
from castmark.bases.sizes import native_sizes, nearest_size
from castmark.bases.sizing import Weights
from castmark.errors import BaseError


@dataclass
class Hub:
    folder: Path
    asked: list[tuple[str | None, list[str], bool]] = field(default_factory=list)


@pytest.fixture
def copied(folder_of: Callable[[str], Path], tmp_path: Path) -> Path:
    return shutil.copytree(folder_of("sd-turbo"), tmp_path / "base")


def index(folder: Path, **changes: object) -> None:
    path = folder / "model_index.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_an_unknown_family_names_the_known_ones(copied: Path) -> None:
    index(copied, _class_name="PixArtAlphaPipeline")
    with pytest.raises(BaseError) as caught:
        open_base(copied)
    assert "'PixArtAlphaPipeline' is not known" in str(caught.value)
    assert all(name in str(caught.value) for name in FAMILIES)


def test_a_folder_that_is_none_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(BaseError, match=r"no model_index.json there.*hub id such as"):
        find_base(tmp_path)


def test_weights_that_can_run_code_are_refused_unread(copied: Path) -> None:
    (copied / "unet/diffusion_pytorch_model.safetensors").unlink()
    (copied / "unet/diffusion_pytorch_model.bin").write_bytes(b"\x80\x02 would run code")
    with pytest.raises(BaseError, match=r"unet: its weights are \.bin, not safetensors; they were not read"):
        open_base(copied)


def test_a_pipeline_that_brings_code_of_its_own_is_refused(copied: Path) -> None:
    index(copied, unet=["my_unet", "MyUNet"])
    with pytest.raises(BaseError, match="unet comes from 'my_unet', code of its own"):
        open_base(copied)


def test_a_damaged_base_is_said(copied: Path) -> None:
    (copied / "castmark.json").write_text(json.dumps({"stepz": 4}))
    with pytest.raises(BaseError, match="stepz: Extra inputs are not permitted"):
        find_base(copied)
    (copied / "castmark.json").unlink()
    path = copied / "unet/diffusion_pytorch_model.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(BaseError, match="not a safetensors file, or cut short"):
        open_base(copied)


CARD = "---\nlicense: other\nlicense_name: {licence}\ntags: [x]\n---\n# A model\n"


@pytest.mark.parametrize(
    ("licence", "forbidden"),
    [
        ("sai-nc-community", True),
        ("flux-1-dev-non-commercial-license", True),
        ("cc-by-nc-4.0", True),
        ("apache-2.0", False),
        ("openrail++", False),
        ("nccl-style", False),
        ("nscl-v2-custom", True),
        ("some-research-only-license", True),
    ],
)
def test_a_licence_that_forbids_commercial_use_is_said_and_recorded(
    licence: str, forbidden: bool, copied: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (copied / "castmark.json").unlink()
    (copied / "README.md").write_text(CARD.format(licence=licence))
    facts = read_facts(copied)
    assert (facts.licence, facts.non_commercial) == (licence, forbidden)
    if licence == "sai-nc-community":
        with caplog.at_level(logging.WARNING):
            base = open_base(copied)
        assert base.non_commercial
        assert "forbids commercial use" in caplog.text


def test_a_licence_that_the_card_does_not_name_is_read_from_its_text(copied: Path) -> None:
    (copied / "castmark.json").unlink()
    (copied / "README.md").write_text("---\npipeline_tag: text-to-image\n---\n# A model\n")
    (copied / "LICENSE.md").write_text("\n# AN AI NON-COMMERCIAL RESEARCH LICENSE\n\nDated")
    facts = read_facts(copied)
    assert facts.licence == "AN AI NON-COMMERCIAL RESEARCH LICENSE"
    assert facts.non_commercial


@pytest.mark.parametrize("more", ["", "license_link: LICENSE.md\n"])
def test_an_other_licence_without_a_name_is_read_from_its_text(more: str, copied: Path) -> None:
    (copied / "castmark.json").unlink()
    (copied / "README.md").write_text(f"---\nlicense: other\n{more}---\n# A model\n")
    assert read_facts(copied).licence == "other"
    (copied / "LICENSE.md").write_text("# Example NON-COMMERCIAL License\n")
    facts = read_facts(copied)
    assert (facts.licence, facts.non_commercial) == ("Example NON-COMMERCIAL License", True)


def test_what_is_never_loaded_decides_nothing_and_counts_for_nothing(copied: Path) -> None:
    index(copied, safety_checker=["stable_diffusion", "StableDiffusionSafetyChecker"])
    form = family_of(read_facts(copied)).form()

    def seen() -> tuple[object, ...]:
        facts = read_facts(copied)
        return facts.files(form.left_out), Weights.of(facts, form)

    before = seen()
    weights = copied / "unet/diffusion_pytorch_model.safetensors"
    for name in (
        "unet/diffusion_pytorch_model.fp16.safetensors",
        "unet/diffusion_pytorch_model.non_ema.safetensors",
        "unet/diffusion_pytorch_model.fp16-00001-of-00002.safetensors",
        "unet/nested/diffusion_pytorch_model.safetensors",
        "safety_checker/model.safetensors",
        "elsewhere/model.safetensors",
    ):
        (copied / name).parent.mkdir(exist_ok=True)
        shutil.copy(weights, copied / name)
    for name in ("unet/diffusion_pytorch_model.fp16.safetensors.index.json", "safety_checker/config.json"):
        (copied / name).write_text("{}")
    assert seen() == before
    assert isinstance(open_base(copied).host.pipeline.unet.num_parameters(), int), "and it opens"
    (copied / "unet/diffusion_pytorch_model.safetensors.index.json").write_text("{}")
    assert seen()[0] != before[0], "the list of shards is read"
    shutil.copy(weights, weights.with_name("diffusion_pytorch_model-00001-of-00002.safetensors"))
    assert seen()[1] != before[1]


def test_files_beside_the_parts_decide_nothing(copied: Path) -> None:
    before = read_facts(copied).files()
    (copied / "whole_model.safetensors").write_bytes(b"a single-file copy")
    (copied / "card.json").write_text("{}")
    assert read_facts(copied).files() == before
    (copied / "scheduler/scheduler_config.json").write_text("{}")
    assert read_facts(copied).files() != before


def test_the_embedded_base_is_found_by_its_name() -> None:
    facts = find_base("embedded")
    assert facts.folder == castmark_data.path("embedded", "base")
    assert facts == find_base()


def test_a_hub_id_is_looked_for_in_the_cache_alone_when_offline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(BaseError, match="stabilityai/sd-turbo@main: not in the local cache"):
        find_base("stabilityai/sd-turbo@main")
    with pytest.raises(BaseError, match="not in the local cache"):
        find_reference("h94/IP-Adapter/models/ip-adapter-plus_sd15.safetensors")


def test_a_hub_repository_in_the_cache_is_opened_at_its_commit(
    folder_of: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    commit = "0123456789abcdef0123456789abcdef01234567"
    repo = tmp_path / "models--studio--tiny"
    shutil.copytree(folder_of("sd-turbo"), repo / "snapshots" / commit)
    (repo / "refs").mkdir()
    (repo / "refs/main").write_text(commit)
    for base in ("studio/tiny", f"studio/tiny@{commit}"):
        assert find_base(base).revision == commit


@pytest.fixture
def hub(folder_of: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    """A hub whose every repository is the folder of a small base; patterns asked for are noted."""
    found = Hub(tmp_path / ("c" * 40))

    def snapshot_download(repo: str, *, revision: str | None, allow_patterns: list[str], **more: bool) -> str:
        found.asked.append((revision, allow_patterns, more["local_files_only"]))
        return str(found.folder)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    return found


def test_only_what_is_loaded_is_fetched_from_one_commit(hub: Hub, folder_of: Callable[[str], Path]) -> None:
    shutil.copytree(folder_of("sd-turbo"), hub.folder)
    index(hub.folder, safety_checker=["stable_diffusion", "StableDiffusionSafetyChecker"])
    assert find_base("studio/tiny@main").revision == hub.folder.name
    (first, stated, _), (then, patterns, _) = hub.asked
    assert (first, then) == ("main", hub.folder.name)
    assert not any("safetensors" in pattern for pattern in stated)

    def matches(name: str) -> bool:
        return any(fnmatch(name, pattern) for pattern in patterns)

    assert matches("unet/diffusion_pytorch_model.safetensors")
    assert matches("unet/diffusion_pytorch_model-00001-of-00002.safetensors")
    assert matches("tokenizer/merges.txt")
    for unread in ("unet/diffusion_pytorch_model.fp16.safetensors", "safety_checker/model.safetensors"):
        assert not matches(unread)


@pytest.mark.parametrize(
    ("name", "file", "changes", "complaint"),
    [
        ("flux-schnell", "transformer/config.json", {"guidance_embeds": True}, "use FLUX.1-schnell"),
        ("flux2-klein", "model_index.json", {"is_distilled": False}, "use FLUX.2-klein, not its base"),
    ],
)
def test_a_base_that_is_not_distilled_is_refused_before_its_weights_are_fetched(
    name: str,
    file: str,
    changes: dict[str, bool],
    complaint: str,
    hub: Hub,
    folder_of: Callable[[str], Path],
) -> None:
    shutil.copytree(folder_of(name), hub.folder)
    assert find_base("studio/tiny").name == "tiny " + name
    path = hub.folder / file
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    hub.asked.clear()
    with pytest.raises(BaseError, match=complaint):
        find_base("studio/tiny")
    assert len(hub.asked) == 1


def test_hub_ids_are_told_from_paths() -> None:
    assert is_hub_id("black-forest-labs/FLUX.1-schnell")
    assert is_hub_id("stabilityai/sdxl-turbo@refs/pr/4")
    assert not is_hub_id("bases/mine/sdxl")
    assert not is_hub_id("/srv/sdxl")


def test_sizes_keep_the_native_area() -> None:
    sizes = native_sizes(1024, 64)
    assert sizes[0] == (1024, 1024)
    assert all(w % 64 == h % 64 == 0 and 0.85 < w * h / 1024**2 < 1.15 for w, h in sizes)
    assert nearest_size(sizes, 1920, 1080) == (1344, 768)
    assert nearest_size(sizes, 300, 300) == (1024, 1024)


def test_a_reference_adapter_needs_an_encoder_that_fits(tmp_path: Path) -> None:
    with pytest.raises(BaseError, match="no such reference adapter"):
        find_reference(tmp_path / "nothing.safetensors")
    with pytest.raises(BaseError, match="holds 0 safetensors files"):
        find_reference(tmp_path)
    shipped = castmark_data.path("embedded", "reference")
    assert find_reference(shipped) == (shipped / "ip_adapter.safetensors", shipped / "image_encoder")
    shutil.copy(shipped / "ip_adapter.safetensors", tmp_path)
    with pytest.raises(BaseError, match="no image encoder that gives"):
        find_reference(tmp_path)


@pytest.mark.parametrize(
    ("file", "key", "encoder"),
    [
        ("sdxl_models/ip-adapter_sdxl.safetensors", "image_proj.proj.weight", "sdxl_models"),
        ("sdxl_models/ip-adapter-plus_sdxl_vit-h.safetensors", "image_proj.proj_in.weight", "models"),
    ],
)
def test_the_encoder_is_the_one_whose_very_numbers_are_read(
    file: str, key: str, encoder: str, tmp_path: Path
) -> None:
    """Of two encoders one has embeddings as wide as the other's hidden states (h94/IP-Adapter)."""
    for folder, (hidden, embedding) in {"sdxl_models": (1664, 1280), "models": (1280, 1024)}.items():
        there = tmp_path / folder / "image_encoder"
        there.mkdir(parents=True)
        (there / "config.json").write_text(json.dumps({"hidden_size": hidden, "projection_dim": embedding}))
        (there / "model.safetensors").touch()
    save_file({key: torch.zeros(1, 1280)}, tmp_path / file)
    assert find_reference(tmp_path / file) == (tmp_path / file, tmp_path / encoder / "image_encoder")
