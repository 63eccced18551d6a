"""What is read of a base before its weights: family, licence, files, formats; and where it comes from."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import castmark_data
from castmark.bases import FAMILIES, find_base, open_base
from castmark.bases.facts import read_facts
from castmark.bases.hub import is_hub_id
from castmark.bases.reference_files import find_reference
from castmark.bases.sizes import native_sizes, nearest_size
from castmark.errors import BaseError


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
