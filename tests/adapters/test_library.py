"""The library: what moves in, out or within it is whole, and what is damaged stays out."""

from __future__ import annotations

import io

import pytest
import torch

from castmark_adapters import pack
from castmark_adapters.errors import PackError, SubjectError
from castmark_adapters.library import bring, export, remove, rename, work_folder
from castmark_adapters.subject import LoraFile, sha256


def with_lora(subject, data: bytes):
    card = LoraFile(name="lora.safetensors", sha256=sha256(data), base="0" * 64, rank=4, steps=1)
    return subject.model_copy(update={"lora": card}).holding({**subject.files, "lora.safetensors": data})


def test_out_and_in_again(mira, lora_bytes, tmp_path):
    learned = with_lora(mira, lora_bytes)
    pack.put(tmp_path / "a", learned)
    folder = export(tmp_path / "a", "mira", tmp_path / "post")
    assert bring(tmp_path / "b", folder) == learned
    assert bring(tmp_path / "b", folder, "twin").name == "twin"
    assert pack.listed(tmp_path / "b") == ["mira", "twin"]
    assert pack.get(tmp_path / "b", "twin").files == learned.files
    with pytest.raises(SubjectError, match="already"):
        bring(tmp_path / "b", folder)
    with pytest.raises(PackError, match="exists already"):
        export(tmp_path / "a", "mira", tmp_path / "post")


def test_renamed_and_removed(mira, tmp_path):
    pack.put(tmp_path, mira)
    work_folder(tmp_path, "nora").mkdir()
    assert rename(tmp_path, "mira", "nora").references == mira.references
    assert pack.listed(tmp_path) == ["nora"]
    with pytest.raises(SubjectError, match="no name"):
        rename(tmp_path, "nora", "../up")
    with pytest.raises(SubjectError, match="no subject 'mira'"):
        remove(tmp_path, "mira")
    remove(tmp_path, "nora")
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_is_taken_is_not_overwritten(mira, tmp_path):
    pack.put(tmp_path, mira)
    pack.put(tmp_path, mira.model_copy(update={"name": "nora"}).holding(mira.files))
    with pytest.raises(SubjectError, match=r"'nora'.*already"):
        rename(tmp_path, "mira", "nora")
    assert pack.listed(tmp_path) == ["mira", "nora"]


def test_a_pickle_behind_a_matching_digest_is_refused_unread(mira, lora_bytes, tmp_path):
    pickled = io.BytesIO()
    torch.save({"a": torch.zeros(1)}, pickled)
    for data, words in (
        (pickled.getvalue(), "a pickle"),
        (lora_bytes[:-10], "cut short"),
        (b"x" * 9, "not a"),
    ):
        folder = pack.save(with_lora(mira, data), tmp_path / sha256(data)[:8] / "mira")
        with pytest.raises(PackError, match=words):
            bring(tmp_path / "library", folder)
    assert pack.listed(tmp_path / "library") == []
