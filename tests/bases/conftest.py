"""Small bases of every family, written once a run."""

import io
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw
from tiny_bases import write_tiny

from castmark.bases import open_base
from castmark.bases.base import Base
from castmark_adapters.subject import Subject
from castmark_provenance.authority import keygen
from castmark_provenance.keys import PemKey


@pytest.fixture(scope="session")
def folder_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a small base by the name of its kind."""
    root = tmp_path_factory.mktemp("bases")
    return cache(lambda name: write_tiny(name, root / name))


@pytest.fixture(scope="session")
def base_of(folder_of: Callable[[str], Path]) -> Callable[[str], Base]:
    """The same, loaded: every test must leave it exactly as it was."""
    return cache(lambda name: open_base(folder_of(name)))


@pytest.fixture(scope="session")
def key_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return keygen(tmp_path_factory.mktemp("home") / "keys")


@pytest.fixture(scope="session")
def key(key_folder: Path) -> PemKey:
    return PemKey.load_folder(key_folder)


def picture(seed: int) -> bytes:
    """A PNG of coloured shapes on a plain ground, different for every seed."""
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", (64, 64), (240, 240, 240))
    draw = ImageDraw.Draw(image)
    for _ in range(3):
        x, y = (int(v) for v in rng.integers(10, 40, 2))
        draw.ellipse((x, y, x + 18, y + 18), fill=tuple(int(v) for v in rng.integers(0, 200, 3)))
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


@pytest.fixture(scope="session")
def mira() -> Subject:
    return Subject.from_images("mira", [picture(i) for i in range(2)], phrase="a red thing")
