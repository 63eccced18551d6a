"""Small bases of every family, written once a run."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from tiny_bases import picture, write_tiny

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


@pytest.fixture(scope="session")
def mira() -> Subject:
    return Subject.from_images("mira", [picture(i) for i in range(2)], phrase="a red thing")
