"""A key, and a home of its own for the durable layer's tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from castmark_provenance.authority import keygen
from castmark_provenance.keys import PemKey


@pytest.fixture(scope="session")
def key(tmp_path_factory: pytest.TempPathFactory) -> PemKey:
    return PemKey.load_folder(keygen(tmp_path_factory.mktemp("keys") / "keys"))


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty CASTMARK_HOME."""
    folder = tmp_path / "home"
    monkeypatch.setenv("CASTMARK_HOME", str(folder))
    return folder
