"""The shipped models, for real: draw, check, sign, verify, in processes of their own. They must be there."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import castmark_world as world

SPEC = world.sample_subject(np.random.default_rng(5), "character", split="test")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


def castmark(*arguments: object, home: Path, code: int = 0) -> str:
    result = subprocess.run(
        [sys.executable, "-m", "castmark.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={"CASTMARK_HOME": str(home), "OMP_NUM_THREADS": "1", "PATH": "/usr/bin:/bin"},
        cwd=home,
    )
    assert result.returncode == code, result.stdout + result.stderr
    return result.stdout


def test_the_same_shot_in_two_processes_is_the_same_signed_pixels(home: Path) -> None:
    views = [world.stage(SPEC, np.random.default_rng(i), item=None, time="day") for i in range(3)]
    references: list[Path] = []
    for index, view in enumerate(views):
        buffer = io.BytesIO()
        Image.fromarray(world.render(view)).save(buffer, "PNG")
        references.append(home / f"reference_{index}.png")
        references[-1].write_bytes(buffer.getvalue())
    castmark("subject", "new", "mira", *references, "--phrase", world.class_phrase(SPEC), home=home)
    for name in ("first", "second"):
        castmark("shoot", "mira at the beach", "--subject", "mira", "--seed", 7, "--name", name, home=home)
    first, second = (np.asarray(Image.open(home / f"{name}.png")) for name in ("first", "second"))
    assert first.shape == (256, 256, 3)
    assert first.std() > 20, "there is a picture"
    assert np.array_equal(first, second)
    assert "trusted" in castmark("verify", "first.png", "second.png", home=home)


def test_an_unsafe_prompt_is_refused_and_leaves_no_file(home: Path) -> None:
    castmark("shoot", "a woman holding a knife in the kitchen", "--name", "knife", home=home, code=3)
    assert not (home / "knife.png").exists()


@pytest.mark.slow
def test_the_demo(home: Path) -> None:
    out = castmark("demo", "--out", "demo", home=home)
    assert "14 of 14 images trusted" in out
    assert (home / "demo/sheet.html").stat().st_size > 100_000
    assert castmark("verify", "demo/campaign/images", "demo/products/images", home=home)
