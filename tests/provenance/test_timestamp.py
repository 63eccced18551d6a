"""RFC 3161 time-stamps from a real authority (``openssl ts``) and from ones that misbehave."""

from __future__ import annotations

import random
import re
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from provenance_samples import MEDIA, claim_for, encode, picture
from short_lived import short_lived_key
from timestamp_server import Authority, serving
from typer.testing import CliRunner

from castmark_provenance.authority import keygen, renew
from castmark_provenance.cli import app
from castmark_provenance.containers import locate, with_store
from castmark_provenance.errors import KeyMaterialError, TimestampError
from castmark_provenance.keys import CallbackKey, Key, PemKey
from castmark_provenance.report import State
from castmark_provenance.sign import sign
from castmark_provenance.timestamp import Timestamping, stamp
from castmark_provenance.verify import verify

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl command")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tsa"))


def stamped(key: Key, choice: Timestamping | None, kind: str = "PNG") -> bytes:
    image = picture()
    data = encode(image, kind)
    return sign(data, MEDIA[kind], claim_for(image), key, pixels=image.tobytes(), timestamp=choice)


@pytest.mark.parametrize("kind", MEDIA)
def test_a_time_stamp_is_there_and_trusted(kind: str, key: PemKey, authority: Authority) -> None:
    with serving(authority) as url:
        data = stamped(key, Timestamping(url=url, anchors=authority.root), kind)
    report = verify(data, trust=key.anchors + authority.root, require=["time"])
    assert report.state is State.TRUSTED, report.verdict
    unknown = verify(data, trust=key.anchors)
    assert (unknown.state, unknown.check("time").outcome) == (State.TRUSTED, "not checked")


def test_with_a_key_that_lives_elsewhere(key: PemKey, authority: Authority) -> None:
    elsewhere = CallbackKey(chain=key.chain, anchors=key.anchors, callback=key.sign)
    with serving(authority) as url:
        data = stamped(elsewhere, Timestamping(url=url, anchors=authority.root))
    assert verify(data, trust=key.anchors + authority.root, require=["time"]).state is State.TRUSTED


@pytest.mark.parametrize(
    ("misbehave", "words"),
    [
        ("hang", "no answer within"),
        ("dribble", "no answer within"),
        ("error", "503"),
        ("nonsense", "no time-stamp"),
    ],
)
def test_the_declared_choice_under_our_own_deadline(
    misbehave: str, words: str, key: PemKey, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    with serving(authority, misbehave) as url:
        start = time.monotonic()
        with pytest.raises(TimestampError, match=words):
            stamped(key, Timestamping(url=url, deadline=0.5))
        data = stamped(key, Timestamping(url=url, deadline=0.5, on_failure="sign_without"))
        assert time.monotonic() - start < 15, "the library alone would have waited for half a minute"
    assert "signed without a time-stamp" in caplog.text
    report = verify(data, trust=key.anchors)
    assert report.state is State.TRUSTED
    assert report.check("time").outcome == "not checked"


def test_an_answer_to_another_request(key: PemKey, authority: Authority) -> None:
    with serving(authority, "replay") as url:
        stamped(key, Timestamping(url=url))
        with pytest.raises(TimestampError, match="answered another request"):
            stamped(key, Timestamping(url=url))


def test_an_authority_under_another_root(key: PemKey, authority: Authority, stranger: PemKey) -> None:
    with serving(authority) as url, pytest.raises(TimestampError, match="not trusted under the root given"):
        stamped(key, Timestamping(url=url, anchors=stranger.anchors))


def test_nobody_there_and_bad_choices(key: PemKey) -> None:
    with pytest.raises(TimestampError, match=r"refused|no time-stamp"):
        stamped(key, Timestamping(url="http://127.0.0.1:9/", deadline=2))
    for wrong in ({"url": "ftp://a/b"}, {"url": "nonsense"}, {"deadline": 0}, {"on_failure": "ignore"}):
        with pytest.raises(TimestampError):
            Timestamping(**{"url": "http://127.0.0.1/", **wrong})


def test_the_choice_is_kept_beside_the_key(tmp_path: Path, authority: Authority) -> None:
    folder = keygen(tmp_path / "keys")
    (tmp_path / "tsa.pem").write_text(authority.root)

    def choose(*arguments: str) -> str:
        result = CliRunner().invoke(app, ["timestamp", *arguments, "--key", str(folder)])
        assert result.exit_code == 0, result.output
        return result.output

    assert choose() == "no time-stamps\n"
    with serving(authority) as url:
        assert "on failure: fail" in choose(url, "--root", str(tmp_path / "tsa.pem"), "--deadline", "5")
        key = PemKey.load_folder(folder)
        assert (
            verify(stamped(key, None), trust=key.anchors + authority.root).check("time").outcome == "passed"
        )
    renew(folder)
    with pytest.raises(TimestampError):
        stamped(PemKey.load_folder(folder), None)
    choose(url, "--on-failure", "sign_without")
    assert stamped(PemKey.load_folder(folder), None)
    (folder / "timestamp.json").write_text("{}")
    with pytest.raises(KeyMaterialError, match="choice of time-stamps"):
        PemKey.load_folder(folder)
    assert choose("--off") == "no time-stamps\n"
    assert PemKey.load_folder(folder).timestamp is None


def test_a_changed_time_stamp(key: PemKey, authority: Authority) -> None:
    with serving(authority) as url:
        data = stamped(key, Timestamping(url=url))
        with pytest.raises(TimestampError, match="already"):
            stamp(data, "image/png", Timestamping(url=url))
    (located,) = locate(data, "image/png")
    at = located.store.index(b"sigTst2") + 400  # inside the token
    for where in (at, at + 300, at + 900):
        store = bytearray(located.store)
        store[where] ^= 1
        changed = with_store(data, "image/png", located, bytes(store))
        assert verify(changed, trust=key.anchors + authority.root).state is State.INVALID


def test_no_byte_of_a_token_can_be_changed(key: PemKey, authority: Authority) -> None:
    """A sample of its bytes, and each that has been found to be covered by no signature."""
    with serving(authority) as url:
        data = stamped(key, Timestamping(url=url))
    (located,) = locate(data, "image/png")
    start = located.store.index(b"sigTst2")
    end = located.store.index(bytes(60), start)
    ecdsa = rb"\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02\x03"
    signatures = [match.end() for match in re.finditer(ecdsa, located.store)]
    unused_bits = [at + 1 for at in signatures if start < at < end]
    assert unused_bits
    places = {*random.Random(1).sample(range(start, end), 80), *unused_bits}
    survivors = []
    for at in sorted(places):
        store = bytearray(located.store)
        store[at] ^= 1
        changed = with_store(data, "image/png", located, bytes(store))
        if verify(changed, trust=key.anchors + authority.root).state is not State.INVALID:
            survivors.append(at - start)
    assert survivors == []


def test_it_outlives_the_certificate(tmp_path: Path, authority: Authority) -> None:
    key = short_lived_key(tmp_path, seconds=6)
    with serving(authority) as url:
        kept = stamped(key, Timestamping(url=url, anchors=authority.root))
    plain = stamped(key, None)
    time.sleep(max(0.0, (key.not_after - datetime.now(UTC)).total_seconds()) + 1)
    anchors = key.anchors + authority.root
    assert verify(kept, trust=anchors).state is State.TRUSTED
    ended = verify(plain, trust=anchors)
    assert ended.state is State.INVALID
    assert ended.check("time").outcome == "failed"
    assert verify(kept, trust=key.anchors).state is State.INVALID, (
        "without the authority's root it proves nothing"
    )
