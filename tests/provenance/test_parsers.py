"""The strict readers: one encoding for every value, and an error (never a crash) for everything else."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from provenance_samples import MEDIA, encode, picture, signed, store_of

from castmark_provenance import cbor
from castmark_provenance.containers import locate, sniff, traces
from castmark_provenance.jumbf import parse_store
from castmark_provenance.keys import PemKey
from castmark_provenance.layout import uncovered


@pytest.mark.parametrize(
    ("encoded", "value"),
    [
        ("00", 0),
        ("17", 23),
        ("1818", 24),
        ("1903e8", 1000),
        ("1bffffffffffffffff", 2**64 - 1),
        ("3903e7", -1000),
        ("f93e00", 1.5),
        ("fb3ff199999999999a", 1.1),
        ("f4", False),
        ("f5", True),
        ("f6", None),
        ("4401020304", b"\1\2\3\4"),
        ("62c3bc", "ü"),
        ("83010203", [1, 2, 3]),
        ("a26161016162820203", {"a": 1, "b": [2, 3]}),
        ("c11a514b67b0", cbor.Tagged(1, 1363896240)),
    ],
)
def test_cbor_values(encoded: str, value: object) -> None:
    """Examples of RFC 8949, appendix A."""
    assert cbor.loads(bytes.fromhex(encoded)) == value


@pytest.mark.parametrize(
    "encoded",
    [
        "",
        "1817",  # 23 in two bytes
        "190017",
        "1a00000017",
        "0000",  # something after the item
        "5f42010243030405ff",  # indefinite
        "9fff",
        "62c3",  # ends early
        "61ff",  # no UTF-8
        "a2616101616102",  # a key twice
        "a1f601",  # a key that is no text or number
        "9b7fffffffffffffff",  # more elements than bytes
        "5b7fffffffffffffff",
        "f8ff",
        "81" * 40 + "00",  # nested too deep
    ],
)
def test_cbor_refusals(encoded: str) -> None:
    with pytest.raises(ValueError, match=r"CBOR|utf-8"):
        cbor.loads(bytes.fromhex(encoded))


@given(st.binary(max_size=200))
@settings(max_examples=100, deadline=None)
def test_readers_on_noise(noise: bytes) -> None:
    for read in (cbor.loads, parse_store, *(lambda d, m=m: locate(d, m) for m in MEDIA.values())):
        try:
            read(noise)
        except ValueError:
            continue


@pytest.mark.parametrize("kind", MEDIA)
def test_a_store_is_found_whole(kind: str, key: PemKey) -> None:
    data = signed(key, kind=kind)
    assert sniff(data) == MEDIA[kind]
    assert traces(data)
    (located,) = locate(data, MEDIA[kind])
    manifests, problems = uncovered(located)
    assert (len(manifests), problems) == (1, [])
    assert data[located.start : located.start + located.length].count(b"c2pa.signature") >= 1
    unsigned = encode(picture(), kind)
    assert locate(unsigned, MEDIA[kind]) == []
    assert not traces(unsigned)


def test_a_large_jpeg_manifest_in_several_segments(key: PemKey) -> None:
    """APP11 segments hold 64 KB at most; a larger store is joined again and checked alike."""
    from provenance_samples import claim_for

    from castmark_provenance.sign import sign
    from castmark_provenance.verify import verify

    image = picture()
    claim = claim_for(image, settings={f"setting {i}": "x" * 1000 for i in range(150)})
    data = sign(encode(image, "JPEG"), "image/jpeg", claim, key, pixels=image.tobytes())
    (located,) = locate(data, "image/jpeg")
    assert located.length > 2 * 65536
    at = data.index(b"JP\x02\x11", located.start + 1000) + 7  # the second segment's sequence number
    changed = data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :]
    assert verify(changed, trust=key.anchors).exit_code == 1


def test_jumbf_of_another_shape(png: bytes) -> None:
    store = store_of(png)
    assert parse_store(store)[0].claim_label == "c2pa.claim.v2"
    for bad in (
        b"",
        store[:-1],
        store + b"\0",
        store[:8],
        b"\0\0\0\x08free",
        store.replace(b"c2ma", b"c2um"),
    ):
        with pytest.raises(ValueError, match=r"box|store|description"):
            parse_store(bad)
