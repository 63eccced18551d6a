"""Verification never touches the network, whatever a file asks for."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import c2pa
import pytest
from provenance_samples import claim_for, encode, picture

from castmark_provenance.keys import PemKey
from castmark_provenance.manifest import to_manifest
from castmark_provenance.report import State
from castmark_provenance.verify import verify


@pytest.fixture
def server() -> Iterator[tuple[str, list[str]]]:
    """The address of a local web server, and the paths it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(404)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{http.server_port}", asked
        http.shutdown()


def remote(key: PemKey, url: str) -> bytes:
    """An image whose manifest is not in it but, so it says, at ``url``."""
    image = picture()
    info = c2pa.C2paSignerInfo(key.algorithm.encode(), key.chain.encode(), key.private_pem(), None)
    context = c2pa.Context.from_dict(
        {"verify": {"verify_after_sign": False}}, signer=c2pa.Signer.from_info(info)
    )
    out = io.BytesIO()
    with c2pa.Builder(to_manifest(claim_for(image)), context=context) as builder:
        builder.set_no_embed()
        builder.set_remote_url(url)
        builder.sign("image/png", io.BytesIO(encode(image)), out)
    return out.getvalue()


def test_a_remote_manifest_is_not_fetched(key: PemKey, server: tuple[str, list[str]]) -> None:
    address, asked = server
    data = remote(key, f"{address}/manifest.c2pa")
    assert address.encode() in data
    assert verify(data, trust=key.anchors).state is State.ABSENT
    assert asked == []


def test_the_library_would_have_fetched_it(key: PemKey, server: tuple[str, list[str]]) -> None:
    """What the test above guards against is real."""
    address, asked = server
    data = remote(key, f"{address}/manifest.c2pa")
    context = c2pa.Context.from_dict({"verify": {"remote_manifest_fetch": True}})
    with pytest.raises(c2pa.C2paError):
        c2pa.Reader("image/png", io.BytesIO(data), context=context)
    assert asked == ["/manifest.c2pa"]
