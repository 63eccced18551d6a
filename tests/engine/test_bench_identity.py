"""Suite identity: its cast, its sheets and its sums; the whole of it, on two subjects, is slow."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import torch
from PIL import Image

from castmark.bench import run_suite
from castmark.bench.identity import vendi
from castmark.bench.identity_cast import CELL, METHODS, SCENES, VIEWS, cast_of, picture_sheet


def test_the_cast_is_held_out_subjects_with_masks_and_scenes() -> None:
    cast = cast_of(2, 64)
    assert [member.subject.kind for member in cast] == ["character", "product"]
    for member in cast:
        assert member.subject.phrase == member.look_alike.phrase
        assert all(reference.mask for reference in member.subject.references)
        assert len(member.prompts) == len(member.renders) == len(member.shown) == len(SCENES)
        assert [(scene.place, scene.pose) for scene in member.scenes] == list(SCENES)
        assert all(text.startswith(member.subject.phrase) for text in member.prompts)
    again = cast_of(1, 64)[0]
    assert again.subject == cast[0].subject
    sheet = Image.open(io.BytesIO(picture_sheet(cast, [member.renders for member in cast])))
    assert sheet.size == (CELL * (len(VIEWS) + len(SCENES)) + CELL // 4, 2 * CELL)


def test_the_number_of_different_pictures() -> None:
    assert vendi(torch.ones(4, 1)) == pytest.approx(1.0, abs=1e-3)
    assert vendi(torch.eye(4)) == pytest.approx(4.0)


@pytest.mark.slow
def test_the_suite_on_two_subjects(tmp_path: Path) -> None:
    result = run_suite("identity", n=2, pictures=tmp_path)
    names = {figure.name for figure in result.figures}
    for what in ("identity score", "named attributes kept", "traits kept", "place as asked", "pose as asked"):
        assert {f"{what}: {method}" for method in (*METHODS, "renders")} <= names
    assert len(list(tmp_path.glob("*.png"))) == len(METHODS)
    assert next(f for f in result.figures if "bit for bit" in f.name).holds
