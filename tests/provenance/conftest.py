"""One key and one signed image for all provenance tests, and no way to the real home or the network."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from provenance_samples import signed

from castmark_provenance.authority import keygen
from castmark_provenance.keys import PemKey


@pytest.fixture(scope="session")
def key_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CASTMARK_HOME with a key."""
    home = tmp_path_factory.mktemp("castmark-home")
    keygen(home / "keys")
    return home


@pytest.fixture(scope="session")
def key(key_home: Path) -> PemKey:
    return PemKey.load_folder(key_home / "keys")


@pytest.fixture(scope="session")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> PemKey:
    """A key whose root nobody here trusts."""
    return PemKey.load_folder(keygen(tmp_path_factory.mktemp("stranger") / "keys", name="Somebody else"))


@pytest.fixture(scope="session")
def png(key: PemKey) -> bytes:
    """A signed PNG."""
    return signed(key)


@pytest.fixture(autouse=True)
def closed_world(key_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The home of the tests, and sockets that reach this machine only."""
    connect, look_up = socket.socket.connect, socket.getaddrinfo

    def here(address: object) -> None:
        host = address[0] if isinstance(address, tuple) else address
        if host != "127.0.0.1" and not str(host).startswith("/"):
            raise AssertionError(f"the network was touched: {address}")

    def guarded_connect(self: socket.socket, address: object) -> None:
        here(address)
        connect(self, address)

    def guarded_look_up(host: str, *more: object, **options: object) -> object:
        here(host)
        return look_up(host, *more, **options)

    monkeypatch.setenv("CASTMARK_HOME", str(key_home))
    monkeypatch.setattr(socket.socket, "connect", guarded_connect)
    monkeypatch.setattr(socket, "getaddrinfo", guarded_look_up)
