"""What `castmark verify` answers, with which exit code, for every state a file can be in."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from provenance_samples import MEDIA, chunks, claim_for, encode, join, picture, signed, store_of, with_store
from typer.testing import CliRunner

from castmark_provenance.cli import app
from castmark_provenance.keys import PemKey
from castmark_provenance.report import State
from castmark_provenance.sign import sign
from castmark_provenance.verify import verify, verify_all

KINDS = tuple(MEDIA)


def run(*arguments: str) -> tuple[int, dict]:
    result = CliRunner().invoke(app, ["verify", "--json", *arguments])
    return result.exit_code, json.loads(result.stdout) if result.stdout else {}


def answer(path: Path, data: bytes, *options: str) -> tuple[int, str]:
    """Exit code and verdict for a file of these bytes."""
    path.write_bytes(data)
    code, body = run(str(path), *options)
    (report,) = body["files"]
    assert report["exit_code"] == code == body["exit_code"]
    assert (report["remedy"] is None) == (code == 0), "every bad answer says what to do"
    return code, report["verdict"]


def one_pixel_changed(png: bytes) -> bytes:
    """The pixel data re-encoded with one value changed by one, the manifest left where it is."""
    image = Image.open(io.BytesIO(png))
    red, green, blue = image.getpixel((5, 5))
    image.putpixel((5, 5), (red ^ 1, green, blue))
    parts = chunks(encode(image))
    parts.insert(1, (b"caBX", store_of(png)))
    return join(parts)


def byte_flipped(png: bytes) -> bytes:
    at = png.index(b"IDAT") + 10
    return png[:at] + bytes([png[at] ^ 0x10]) + png[at + 1 :]


def resaved(png: bytes) -> bytes:
    return encode(Image.open(io.BytesIO(png)))


TAMPERED: dict[str, tuple[Callable[[bytes], bytes], int, str]] = {
    "untouched": (lambda png: png, 0, "trusted"),
    "one pixel changed": (one_pixel_changed, 1, "dataHash"),
    "one byte flipped": (byte_flipped, 1, "dataHash"),
    "re-saved by Pillow": (resaved, 4, "no manifest"),
    "truncated": (lambda png: png[:-40], 1, "the PNG ends"),
    "truncated inside the manifest": (lambda png: png[:3000], 1, "the PNG ends"),
    "appended bytes": (lambda png: png + b"extra", 1, "dataHash"),
    "a chunk added": (lambda png: join([*chunks(png)[:-1], (b"tEXt", b"k\0v"), chunks(png)[-1]]), 1, "Hash"),
    "manifest removed": (lambda png: join([c for c in chunks(png) if c[0] != b"caBX"]), 4, "no manifest"),
    "manifest twice": (lambda png: join([*chunks(png)[:2], *chunks(png)[1:]]), 1, "more than one manifest"),
    "chunk renamed": (lambda png: png.replace(b"caBX", b"caBY"), 1, "traces"),
    "header destroyed": (lambda png: b"\0" + png[1:], 1, "traces"),
    "never signed": (lambda png: encode(picture(9)), 4, "no manifest"),
    "not an image": (lambda png: b"hello, world" * 20, 7, "not an image"),
    "empty": (lambda png: b"", 7, "not an image"),
    "a broken image, never signed": (lambda png: encode(picture(9))[:-60], 7, "not a readable image"),
}


@pytest.mark.parametrize("change", TAMPERED)
def test_each_change_has_its_own_answer(change: str, png: bytes, tmp_path: Path) -> None:
    make, code, words = TAMPERED[change]
    got, verdict = answer(tmp_path / "image.png", make(png))
    assert got == code, verdict
    assert words in verdict


def test_manifest_of_another_image(key: PemKey, png: bytes, tmp_path: Path) -> None:
    other = signed(key, seed=1)
    code, verdict = answer(tmp_path / "swapped.png", with_store(png, store_of(other)))
    assert code == 1, verdict


@pytest.mark.parametrize("kind", KINDS)
def test_unknown_signer_until_trusted(kind: str, stranger: PemKey, tmp_path: Path) -> None:
    data = signed(stranger, kind=kind)
    code, verdict = answer(tmp_path / "theirs", data)
    assert code == 3
    assert "Somebody else" in verdict
    (tmp_path / "root.pem").write_text(stranger.anchors)
    assert answer(tmp_path / "theirs", data, "--trust", str(tmp_path / "root.pem"))[0] == 0


@pytest.mark.parametrize("kind", KINDS)
def test_every_format_and_its_changes(kind: str, key: PemKey, tmp_path: Path) -> None:
    data = signed(key, kind=kind)
    path = tmp_path / "image.bin"  # the bytes decide, not the name
    assert answer(path, data)[0] == 0
    assert answer(path, data[:-30])[0] == 1
    assert answer(path, data + b"\0" * 9)[0] == 1
    assert answer(path, data[: len(data) // 2])[0] == 1
    assert answer(path, encode(Image.open(io.BytesIO(data)), kind))[0] == 4
    assert answer(path, signed(key, seed=1, kind=kind))[0] == 0


def test_missing_file_folder_and_pipe(tmp_path: Path) -> None:
    code, body = run(str(tmp_path / "nothing.png"))
    assert code == 7
    assert "No such file" in body["files"][0]["verdict"]
    (tmp_path / "empty").mkdir()
    assert run(str(tmp_path / "empty"))[0] == 7
    code, body = run("/dev/zero")  # reading it would never end
    assert (code, body["files"][0]["verdict"]) == (7, "unreadable: cannot be read (not a regular file)")


def test_requirements(png: bytes, key: PemKey, tmp_path: Path) -> None:
    path = tmp_path / "image.png"
    met = ("ai_disclosure", "safety-record", "ingredients", "pixels")
    assert answer(path, png, *(word for name in met for word in ("--require", name)))[0] == 0
    code, verdict = answer(path, png, "--require", "time")
    assert (code, "time is required and not checked" in verdict) == (6, True)
    assert answer(path, signed(key, kind="JPEG"), "--require", "pixels")[0] == 6
    assert answer(path, byte_flipped(png), "--require", "time")[0] == 1, "tampering outranks a requirement"
    result = CliRunner().invoke(app, ["verify", str(path), "--require", "magic"])
    assert (result.exit_code, "'magic' cannot be required" in result.stderr) == (2, True)


def test_unusable_anchors_are_wrong_usage(png: bytes, tmp_path: Path) -> None:
    (tmp_path / "image.png").write_bytes(png)
    for content in ("", "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----", "\x80"):
        (tmp_path / "bad.pem").write_text(content, "latin-1")
        result = CliRunner().invoke(
            app, ["verify", str(tmp_path / "image.png"), "--trust", str(tmp_path / "bad.pem")]
        )
        assert (result.exit_code, "bad.pem" in result.stderr) == (2, True)


def test_folders_and_the_worst_of_all(png: bytes, stranger: PemKey, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    (folder / "deep" / "deeper").mkdir(parents=True)
    (folder / "a.png").write_bytes(png)
    (folder / "deep" / "deeper" / "b.PNG").write_bytes(png)
    (folder / "notes.txt").write_text("not looked at")
    code, body = run(str(folder))
    assert (code, len(body["files"])) == (0, 2)
    for name, data, expected in (
        ("c.png", encode(picture(3)), 4),
        ("d.png", signed(stranger), 3),
        ("e.png", b"nonsense", 7),
        ("f.png", byte_flipped(png), 1),
    ):
        (folder / name).write_bytes(data)
        assert run(str(folder))[0] == expected


def test_a_home_without_any_anchor(png: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CASTMARK_HOME", str(tmp_path / "nowhere"))
    assert answer(tmp_path / "image.png", png)[0] == 3
    assert not (tmp_path / "nowhere").exists(), "verifying makes no folder"


def test_words_about_manifests_are_no_manifest(key: PemKey, tmp_path: Path) -> None:
    """Text that speaks of C2PA neither stops a signature nor makes an unsigned file suspect."""
    words = PngInfo()
    words.add_text("parameters", "a jumb of c2pa.assertions, c2pa.claim.v2 and c2ma")
    image = picture()
    data = encode(image, pnginfo=words)
    assert answer(tmp_path / "image.png", data)[0] == 4
    assert answer(tmp_path / "image.png", sign(data, "image/png", claim_for(image), key))[0] == 0


def test_a_jpeg_with_fill_bytes(tmp_path: Path) -> None:
    data = encode(picture(), "JPEG")
    assert answer(tmp_path / "image.jpg", data[:2] + b"\xff" * 5 + data[2:])[0] == 4


def test_a_file_name_of_any_bytes(png: bytes, tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/im\xff\xfeage.png"
    with open(path, "wb") as file:  # noqa: PTH123
        file.write(png)
    assert verify(os.fsdecode(path)).state is State.TRUSTED
    assert [report.state for report in verify_all([tmp_path])] == [State.TRUSTED]
    result = CliRunner().invoke(app, ["verify", str(tmp_path)])
    assert result.exit_code == 0
