from pathlib import Path

import pytest
from engine_fakes import make_subject

from castmark_adapters.subject import Subject
from castmark_provenance.authority import keygen
from castmark_provenance.keys import PemKey


@pytest.fixture(scope="session")
def key_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return keygen(tmp_path_factory.mktemp("keys") / "keys")


@pytest.fixture(scope="session")
def key(key_folder: Path) -> PemKey:
    return PemKey.load_folder(key_folder)


@pytest.fixture(scope="session")
def mira(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    return make_subject(tmp_path_factory.mktemp("subject"))
