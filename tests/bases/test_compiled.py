"""A compiled base does all that a plain one does, and is compiled for it once. Each test compiles in a
process of its own (`compiled_base`).
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(__file__).parents[1] / "support/compiled_base.py"


def tried(folder: Path, backend: str, *parts: str) -> dict[str, Any]:
    command = [sys.executable, str(PROGRAM), str(folder), backend, *parts]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    return json.loads(found.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sd-turbo", "flux-schnell"])
def test_it_is_compiled_once_for_all_that_a_studio_does(name: str, folder_of: Callable[[str], Path]) -> None:
    parts = ("swaps", "references", "learning", "regions", "grows")
    found = tried(folder_of(name), "count", *parts)
    assert found["warm"] > 0
    assert found["bare off by"] <= 1 and found["worn off by"] <= 1
    assert found["swaps"] == 0, "subjects change without compiling"
    assert found["comes off"] and found["references come off"]
    assert "one subject's LoRA at a time" in found["mixed"]
    assert found["first reference"] > 0, "another network"
    assert found["further references"] == 0
    assert found["learning"] == found["what was learned"] == 0
    assert found.get("regions", 0) == 0
    assert found["grown"] > 0, "a larger rank is another graph"
    assert found["after it grew"] == 0


@pytest.mark.slow
def test_more_shapes_are_kept_than_torch_keeps_by_itself(folder_of: Callable[[str], Path]) -> None:
    found = tried(folder_of("flux-schnell"), "count", "shapes")
    assert found["shapes"] >= 10
    assert found["shapes again"] == 0


@pytest.mark.slow
def test_texts_of_any_length_are_compiled_for_at_most_twice(folder_of: Callable[[str], Path]) -> None:
    found = tried(folder_of("z-image-turbo"), "count", "swaps", "lengths")
    assert found["swaps"] == 0
    assert found["lengths"] <= found["warm"]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="inductor compiles C++ for a CPU")
def test_inductor_compiles_it_and_a_subject_changes_without_compiling_again(
    folder_of: Callable[[str], Path],
) -> None:
    found = tried(folder_of("flux-schnell"), "inductor", "swaps")
    assert found["warm"] > 0
    assert found["bare off by"] <= 1 and found["worn off by"] <= 1
    assert found["swaps"] == 0
    assert found["comes off"]
