"""Files made to confuse, exhaust or stall a verifier: each is answered, soon, and none is trusted."""

from __future__ import annotations

import importlib
import io
import os
import resource
import struct
import time
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from provenance_samples import MEDIA, chunks, encode, join, picture, signed, store_of, with_store

from castmark_provenance import cbor, containers
from castmark_provenance.containers import locate
from castmark_provenance.durable import watermark
from castmark_provenance.durable.recovery import pixels_of
from castmark_provenance.jumbf import UUID_TAIL, parse_store
from castmark_provenance.keys import PemKey
from castmark_provenance.layout import sign1_parts
from castmark_provenance.pixels import decode
from castmark_provenance.report import State
from castmark_provenance.sources import MAX_FILE_BYTES, read
from castmark_provenance.verify import verify, verify_all

Change = Callable[[bytes], bytes]


def put_in(data: bytes, at: int, piece: bytes) -> bytes:
    return data[:at] + piece + data[at:]


def moved_chunk(png: bytes, kind: bytes, place: int) -> bytes:
    parts = chunks(png)
    taken = next(part for part in parts if part[0] == kind)
    parts.remove(taken)
    return join([*parts[:place], taken, *parts[place:]])


def riff(data: bytes, extra: bytes) -> bytes:
    """A WebP with more chunks at its end, its length set right."""
    return data[:4] + struct.pack("<I", len(data) - 8 + len(extra)) + data[8:] + extra


def segments(jpeg: bytes) -> list[tuple[int, int]]:
    """Start and end of the segments of a JPEG before its scan."""
    found, at = [], 2
    while jpeg[at + 1] != 0xDA:
        size = int.from_bytes(jpeg[at + 2 : at + 4], "big") + 2
        found.append((at, at + size))
        at += size
    return found


def app11(jpeg: bytes) -> bytes:
    return next(jpeg[a:b] for a, b in segments(jpeg) if jpeg[a + 1] == 0xEB)


def uuid_box(avif: bytes) -> bytes:
    at = avif.index(b"uuid") - 4
    return avif[at : at + int.from_bytes(avif[at : at + 4], "big")]


CONFUSING: dict[str, tuple[str, Change]] = {
    "PNG, manifest after the picture": ("PNG", lambda d: moved_chunk(d, b"caBX", -1)),
    "PNG, manifest after the end": ("PNG", lambda d: d + d[d.index(b"caBX") - 4 :]),
    "PNG, an empty second manifest": (
        "PNG",
        lambda d: join([*chunks(d)[:1], (b"caBX", b""), *chunks(d)[1:]]),
    ),
    "PNG, a frame of an animation": (
        "PNG",
        lambda d: join([*chunks(d)[:1], (b"acTL", struct.pack(">II", 2, 0)), *chunks(d)[1:]]),
    ),
    "PNG, another palette of transparency": (
        "PNG",
        lambda d: join([*chunks(d)[:2], (b"tRNS", bytes(6)), *chunks(d)[2:]]),
    ),
    "PNG, a second header": ("PNG", lambda d: join([chunks(d)[0], *chunks(d)])),
    "PNG, a chunk of four gigabytes": ("PNG", lambda d: put_in(d, 33, b"\xff\xff\xff\xfftEXt")),
    "JPEG, manifest twice": ("JPEG", lambda d: put_in(d, 2, app11(d))),
    "JPEG, manifest after the picture": ("JPEG", lambda d: d.replace(app11(d), b"") + app11(d)),
    "JPEG, manifest of another instance too": (
        "JPEG",
        lambda d: put_in(d, 2, app11(d).replace(b"JP\x02\x11", b"JP\x02\x12", 1)),
    ),
    "JPEG, a segment of sequence 2 first": (
        "JPEG",
        lambda d: put_in(d, 2, app11(d).replace(b"JP\x02\x11\0\0\0\x01", b"JP\x02\x11\0\0\0\x02", 1)),
    ),
    "JPEG, a second picture behind": ("JPEG", lambda d: d + encode(picture(3), "JPEG")),
    "WebP, manifest twice": ("WEBP", lambda d: riff(d, d[d.index(b"C2PA") :])),
    "WebP, a chunk beyond the end": ("WEBP", lambda d: d + b"C2PA\xff\xff\xff\x7f"),
    "AVIF, manifest twice": ("AVIF", lambda d: put_in(d, d.index(b"uuid") - 4, uuid_box(d))),
    "AVIF, manifest in a box of 64-bit length": (
        "AVIF",
        lambda d: d.replace(
            uuid_box(d), b"\0\0\0\x01uuid" + struct.pack(">Q", len(uuid_box(d)) + 8) + uuid_box(d)[8:]
        ),
    ),
    "AVIF, a box of no length": (
        "AVIF",
        lambda d: put_in(d, d.index(b"uuid") - 4, b"\0\0\0\x01free" + bytes(8)),
    ),
    "TIFF, another directory behind": ("TIFF", lambda d: d + encode(picture(2), "TIFF")),
    "TIFF, first directory beyond the end": ("TIFF", lambda d: d[:4] + b"\xff\xff\xff\x7f" + d[8:]),
}


@pytest.mark.parametrize("name", CONFUSING)
def test_what_two_readers_could_read_differently(name: str, key: PemKey) -> None:
    kind, change = CONFUSING[name]
    data = signed(key, kind=kind)
    changed = change(data)
    assert changed != data
    report = verify(changed, trust=key.anchors)
    assert report.state is State.INVALID, report.verdict
    assert report.remedy


def test_a_reference_to_a_manifest_elsewhere_is_none(key: PemKey) -> None:
    """XMP may name one (C2PA specification 2.4, section 11.5); it is neither fetched nor believed."""
    xmp = b'<x:xmpmeta><rdf:Description dcterms:provenance="http://127.0.0.1:9/m.c2pa"/></x:xmpmeta>'
    parts = chunks(encode(picture()))
    named = join([parts[0], (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp), *parts[1:]])
    assert verify(named, trust=key.anchors).state is State.ABSENT


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes that says it is ``width`` x ``height`` pixels large."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes(3 * 64 + 1) * 64)
    return join([(b"IHDR", header), (b"IDAT", rows), (b"IEND", b"")])


@pytest.mark.parametrize("size", [(65535, 65535), (2**31 - 1, 1), (9000, 9000), (2**31 - 1, 2**31 - 1)])
def test_a_picture_too_large_to_hold(size: tuple[int, int], png: bytes, key: PemKey) -> None:
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    assert verify(bomb(*size), trust=key.anchors).state is State.UNREADABLE
    with_manifest = join([*chunks(bomb(*size))[:1], (b"caBX", store_of(png)), *chunks(bomb(*size))[1:]])
    assert verify(with_manifest, trust=key.anchors).state is State.INVALID
    assert time.monotonic() - start < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000, "kilobytes"


def test_text_that_unpacks_to_much_more(key: PemKey) -> None:
    packed = zlib.compress(bytes(50_000_000), 1)
    parts = chunks(encode(picture()))
    large = join([parts[0], (b"zTXt", b"Comment\0\0" + packed), *parts[1:]])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert verify(large, trust=key.anchors).state in (State.UNREADABLE, State.ABSENT)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000, "kilobytes"


def test_a_manifest_of_very_many_assertions(png: bytes, key: PemKey) -> None:
    """Each a box of its own, listed by no claim: refused before the library works through them."""
    store = store_of(png)
    at = store.index(b"jumdc2as") - 12
    size = int.from_bytes(store[at : at + 4], "big")
    extra = b""
    for number in range(2_000):
        label = b"\0" * 16 + b"\x03org.x.%d\0" % number
        description = struct.pack(">I", len(label) + 8) + b"jumd" + label
        extra += struct.pack(">I", len(description) + 8) + b"jumb" + description
    grown = bytearray(store[: at + size] + extra + store[at + size :])
    for place in (0, store.index(b"jumdc2ma") - 12, at):
        grown[place : place + 4] = (int.from_bytes(grown[place : place + 4], "big") + len(extra)).to_bytes(
            4, "big"
        )
    changed = join([(kind, bytes(grown) if kind == b"caBX" else body) for kind, body in chunks(png)])
    start = time.monotonic()
    assert verify(changed, trust=key.anchors).state is State.INVALID
    assert time.monotonic() - start < 20


def box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body) + 8) + kind + body


def superbox(kind: bytes, label: str, *content: bytes) -> bytes:
    description = kind + UUID_TAIL + b"\x03" + label.encode() + b"\0"
    return box(b"jumb", box(b"jumd", description) + b"".join(content))


def store_that_lists(urls: list[str], headers: int = 0) -> bytes:
    """A store of one assertion "a" of a megabyte, a claim that lists these, and unsigned ``headers``."""
    references = [b"\xa1" + cbor.text("url") + cbor.text(url) for url in urls]
    claim = (
        b"\xa2" + cbor.text("alg") + cbor.text("sha256") + cbor.text("assertions") + cbor.array(*references)
    )
    unsigned = bytes([0xA0 + headers]) + b"".join(bytes([0x10 - place, 0]) for place in range(headers))
    signature = b"\xd2" + cbor.array(cbor.octets(b"\xa0"), unsigned, b"\xf6", cbor.octets(b""))
    assertions = superbox(b"json", "a", box(b"json", bytes(1_000_000)))
    manifest = superbox(
        b"c2ma",
        "m",
        superbox(b"c2as", "c2pa.assertions", assertions),
        superbox(b"c2cl", "c2pa.claim.v2", box(b"cbor", claim)),
        superbox(b"c2cs", "c2pa.signature", box(b"cbor", signature)),
    )
    return superbox(b"c2pa", "c2pa", manifest)


@pytest.mark.parametrize(
    ("urls", "words"),
    [
        (["a"] * 5_000, "more than 1000 assertions"),
        (["a"] * 900, "one assertion twice"),
        ([f"self#jumbf=/c2pa/m{i}/c2pa.assertions/a" for i in range(900)], "one assertion twice"),
    ],
    ids=["beyond count", "again and again", "by other paths"],
)
def test_an_assertion_listed_very_often_is_not_hashed_as_often(
    urls: list[str], words: str, png: bytes, key: PemKey
) -> None:
    """References are small, and each of these names a megabyte, to us or to the library."""
    changed = with_store(png, store_that_lists(urls))
    start = time.process_time()
    report = verify(changed, trust=key.anchors)
    assert time.process_time() - start < 2
    assert (report.state, report.check("integrity")) == (State.INVALID, None), report.verdict
    assert words in report.verdict


def test_a_verdict_names_some_problems_and_not_all(png: bytes, key: PemKey) -> None:
    report = verify(with_store(png, store_that_lists(["a", "a"], headers=16)), trust=key.anchors)
    assert "one assertion twice" in report.verdict
    assert 0 < report.verdict.count("an unsigned header") < 5


def test_a_jpegs_manifest_cut_very_small(key: PemKey) -> None:
    """A hundred bytes of file are not answered with two hundred of verdict, nor kept in two thousand."""
    jpeg = encode(picture(), "JPEG")
    body = b"JP\x02\x11" + bytes(4) + superbox(b"c2pa", "c2pa")
    small = b"\xff\xeb" + struct.pack(">H", len(body) + 2) + body
    (few,) = locate(put_in(jpeg, 2, small * 1000), "image/jpeg")
    assert few.problems == ("APP11 segment 1 is out of sequence",)
    many = put_in(jpeg, 2, small * 50_000)
    tracemalloc.start()
    try:
        report = verify(many, trust=key.anchors)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (report.state, "cut into more than" in report.verdict) == (State.INVALID, True)
    assert peak < len(many)


def test_names_no_file_system_takes(tmp_path: Path, key: PemKey) -> None:
    loop = tmp_path / "loop.png"
    loop.symlink_to(loop)
    dangling = tmp_path / "gone.png"
    dangling.symlink_to(tmp_path / "nothing.png")
    long, nul = tmp_path / ("x" * 300 + ".png"), "a\0b.png"
    deep = Path("/".join(["d" * 200] * 30))
    reports = list(verify_all([loop, dangling, long, nul, deep, f"{'y' * 300}*"], trust=key.anchors))
    assert [report.state for report in reports] == [State.UNREADABLE] * 6
    assert all(report.remedy for report in reports)


def test_one_manifest_named_very_often_is_not_copied_as_often(key: PemKey) -> None:
    """Directory entries are 12 bytes, and each of these names a megabyte."""
    count, body = 300, 1_000_000
    entry = struct.pack("<HHII", 0xCD41, 7, body, 8)
    tiff = b"II*\0" + struct.pack("<IH", 8, count) + entry * count + bytes(4 + body)
    tracemalloc.start()
    try:
        assert verify(tiff, trust=key.anchors).state is State.UNREADABLE
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 20_000_000, "bytes"
    with pytest.raises(ValueError, match="more than one manifest"):
        locate(tiff, "image/tiff")


def test_directories_that_overlap_are_not_walked_again_and_again() -> None:
    """Each begins four bytes behind the one before, and has most of the file for its entries."""
    count, places = 60_000, range(8, 2008, 4)
    tiff = bytearray(b"II*\0\x08\0\0\0" + bytes(900_000))
    for at in places:
        end = at + 2 + 12 * count
        tiff[at : at + 2] = struct.pack("<H", count)
        tiff[end : end + 4] = struct.pack("<I", at + 4 if at + 4 in places else 0)
    with pytest.raises(ValueError, match="overlap"):
        locate(bytes(tiff), "image/tiff")


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "AVIF"])
def test_manifests_are_not_counted_beyond_the_second(kind: str, key: PemKey) -> None:
    data = signed(key, kind=kind)
    (located,) = locate(data, MEDIA[kind])
    one = data[located.start : located.start + located.length]
    many = put_in(data, located.start, (one + b"\0" * (kind == "WEBP" and len(one) % 2)) * 5)
    assert len(locate(many, MEDIA[kind])) == 2
    assert "more than one manifest store" in verify(many, trust=key.anchors).verdict


def test_no_damage_to_an_unsigned_picture_is_more_than_unreadable(key: PemKey) -> None:
    """Decoders raise what they like: AVIF's a RuntimeError."""
    data = encode(picture(size=(16, 16)), "AVIF")
    for at in range(12, len(data), 3):
        changed = data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]
        for damaged in (changed, data[:at]):
            assert verify(damaged, trust=key.anchors).state is not State.TRUSTED


def test_a_tiff_whose_second_picture_is_none() -> None:
    """It is found out when pictures are counted, after the first is decoded."""
    tiff = bytearray(encode(picture(), "TIFF"))
    tiff += bytes(len(tiff) % 2)
    first = int.from_bytes(tiff[4:8], "little")
    end = first + 2 + 12 * int.from_bytes(tiff[first : first + 2], "little")
    tiff[end : end + 4] = struct.pack("<I", len(tiff))
    tiff += struct.pack("<HHHIII", 1, 270, 2, 1, 0, 0)
    with pytest.raises(ValueError, match="dimensions"):
        decode(bytes(tiff), "image/tiff")


@pytest.mark.parametrize("jobs", [1, 3])
def test_a_file_that_breaks_the_check_does_not_cost_the_others_theirs(
    jobs: int, png: bytes, key: PemKey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abc":
        (tmp_path / f"{name}.png").write_bytes(png if name != "b" else png[:100])
    module = importlib.import_module("castmark_provenance.verify")
    examine = module.examine

    def broken(data: bytes, *rest: object) -> object:
        if len(data) == 100:
            raise MemoryError
        return examine(data, *rest)

    monkeypatch.setattr(module, "examine", broken)
    reports = list(verify_all([tmp_path], trust=key.anchors, jobs=jobs))
    assert [report.state for report in reports] == [State.TRUSTED, State.UNREADABLE, State.TRUSTED]
    assert reports[1].path == str(tmp_path / "b.png")
    assert "MemoryError" in reports[1].verdict
    assert reports[1].remedy


def test_what_never_ends_is_not_read(tmp_path: Path, key: PemKey, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = tmp_path / "pipe.png"
    os.mkfifo(pipe)
    for path in (pipe, Path("/dev/zero"), Path("/dev/stdin"), tmp_path):
        assert verify(path, trust=key.anchors).state is State.UNREADABLE
    sparse = tmp_path / "sparse.png"
    with sparse.open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    monkeypatch.setattr("castmark_provenance.sources.MAX_FILE_BYTES", 1 << 20)
    assert "larger than" in verify(sparse, trust=key.anchors).verdict
    with pytest.raises(ValueError, match="larger than 1 MiB"):
        read(Path("/proc/self/pagemap"))  # calls itself empty, and holds 2**38 bytes


def test_a_registry_is_searched_for_pictures_only() -> None:
    """Pillow hands PostScript to another program: no stranger's file may ask for that."""
    postscript = io.BytesIO()
    Image.new("RGB", (8, 8)).save(postscript, "EPS")
    with pytest.raises(ValueError, match="cannot identify"):
        pixels_of(postscript.getvalue())


def test_a_strip_is_not_searched_for_a_mark() -> None:
    """Its length would be searched at every scale."""
    strip = np.zeros((40, 400_000, 3), np.uint8)
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    assert watermark.read(strip) is None
    assert time.process_time() - start < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400_000, "kilobytes"


def test_the_other_form_of_a_signature_says_the_same(png: bytes, key: PemKey) -> None:
    """(r, s) and (r, n - s) both sign the same bytes: nothing else may vary with it."""
    (located,) = locate(png, "image/png")
    *_, value = sign1_parts(parse_store(located.store)[-1].signature)
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of P-256
    other = value[:32] + (order - int.from_bytes(value[32:], "big")).to_bytes(32, "big")
    report = verify(containers.with_store(png, "image/png", located, located.store.replace(value, other)))
    assert report.claim == verify(png).claim
