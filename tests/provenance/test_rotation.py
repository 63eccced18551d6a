"""Keys over time: renewed under one root, encrypted, near their end, and kept in another process."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest
from provenance_samples import signed
from short_lived import short_lived_key
from typer.testing import CliRunner

from castmark_provenance.authority import keygen, renew
from castmark_provenance.cli import app
from castmark_provenance.errors import KeyMaterialError, SignError
from castmark_provenance.keys import CallbackKey, PemKey
from castmark_provenance.report import State
from castmark_provenance.verify import verify


def test_a_renewed_key_is_trusted_where_the_old_one_was(tmp_path: Path) -> None:
    folder = keygen(tmp_path / "keys", organisation="My Studio", name="Press office", days=30)
    old = PemKey.load_folder(folder)
    before = signed(old)
    assert renew(folder, days=90) == folder
    new = PemKey.load_folder(folder)
    assert (new.anchors, new.chain == old.chain) == (old.anchors, False)
    assert new.not_after > old.not_after
    for image in (before, signed(new)):
        report = verify(image, trust=old.anchors)
        assert report.state is State.TRUSTED
        assert (report.signer.common_name, report.signer.organisation) == ("Press office", "My Studio")
    assert PemKey.load_folder(tmp_path / "keys.replaced-1").chain == old.chain, "the old one is kept"


def test_encrypted_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    secret = "correct horse"
    monkeypatch.setenv("CASTMARK_KEY_PASSPHRASE", secret)
    result = CliRunner().invoke(app, ["keygen", "--encrypt", "--out", str(tmp_path / "keys")])
    assert result.exit_code == 0, result.output
    for name in ("root", "intermediate", "signer"):
        file = tmp_path / "keys" / f"{name}.key"
        assert b"ENCRYPTED PRIVATE KEY" in file.read_bytes()
        assert file.stat().st_mode & 0o777 == 0o600
    key = PemKey.load_folder(tmp_path / "keys")
    assert verify(signed(key), trust=key.anchors).state is State.TRUSTED
    assert CliRunner().invoke(app, ["keygen", "--renew", "--out", str(tmp_path / "keys")]).exit_code == 0
    assert b"ENCRYPTED" in (tmp_path / "keys" / "signer.key").read_bytes()
    for wrong in ("", "wrong"):
        monkeypatch.setenv("CASTMARK_KEY_PASSPHRASE", wrong)
        with pytest.raises(KeyMaterialError, match="passphrase"):
            PemKey.load_folder(tmp_path / "keys")
        with pytest.raises(KeyMaterialError, match="passphrase"):
            renew(tmp_path / "keys", passphrase=wrong.encode() or None)
    assert secret not in result.output + caplog.text
    plain = keygen(tmp_path / "plain")
    assert PemKey.load_folder(plain), "a passphrase for another key is no obstacle"


def test_nothing_to_renew(tmp_path: Path) -> None:
    with pytest.raises(KeyMaterialError, match="cannot be read"):
        renew(tmp_path / "none")
    result = CliRunner().invoke(app, ["keygen", "--renew", "--out", str(tmp_path / "none")])
    assert (result.exit_code, "nothing was changed" in result.stderr) == (1, True)


def test_a_certificate_near_its_end_warns_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    key = short_lived_key(tmp_path, seconds=3600)
    signed(key)
    signed(key, seed=1)
    assert caplog.text.count("the signing certificate ends in 0 days") == 1


_SERVICE = """
import socketserver, sys
from castmark_provenance.keys import PemKey
key = PemKey.load_folder(sys.argv[1])
class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        size = int.from_bytes(self.rfile.read(4), "big")
        self.wfile.write(key.sign(self.rfile.read(size)))
with socketserver.UnixStreamServer(sys.argv[2], Handler) as server:
    print("ready", flush=True)
    server.serve_forever()
"""


def test_a_signing_process_of_its_own(tmp_path: Path) -> None:
    """What a KMS or HSM is to us: certificates here, the private key behind a socket."""
    folder, address = keygen(tmp_path / "vault"), str(tmp_path / "signer.sock")
    chain, root = (folder / "signer.pem").read_text(), (folder / "root.pem").read_text()

    def remote(data: bytes) -> bytes:
        with socket.socket(socket.AF_UNIX) as wire:
            wire.settimeout(10)
            wire.connect(address)
            wire.sendall(len(data).to_bytes(4, "big") + data)
            return wire.makefile("rb").read()

    key = CallbackKey(chain=chain, anchors=root, callback=remote)
    service = subprocess.Popen(
        [sys.executable, "-c", _SERVICE, str(folder), address], stdout=subprocess.PIPE, text=True
    )
    try:
        assert service.stdout is not None
        assert service.stdout.readline() == "ready\n"
        for path in folder.glob("*.key"):
            path.unlink()  # nobody but the service has it now
        for kind in ("PNG", "JPEG", "AVIF"):
            assert verify(signed(key, kind=kind), trust=root).state is State.TRUSTED
    finally:
        service.terminate()
        service.communicate()
    with pytest.raises(SignError, match="the key did not sign"):
        signed(key)
