"""The contact sheet: what it says, that it is one file, and that nothing in it can run."""

import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from engine_fakes import FakeChecker, fake_studio

from castmark.errors import InputError, LedgerError
from castmark.jobs import Job, JobRow
from castmark.runs import sheet as sheet_module
from castmark.runs.ledger import Ledger
from castmark.runs.sheet import write_sheet
from castmark.shot import Shot
from castmark_adapters.subject import Subject
from castmark_provenance.keys import PemKey

EVIL = 'mira <script>alert("x")</script> & "quotes"'


class Page(HTMLParser):
    """Tags and text of a page; every opened element must be closed."""

    VOID = frozenset({"meta", "img", "br", "path"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self._open: list[str] = []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


@pytest.fixture
def run(key: PemKey, mira: Subject, tmp_path: Path) -> Path:
    rows = (
        JobRow(name="beach", prompt=EVIL, subject="mira", seed=1),
        JobRow(name="knife", prompt="mira with a knife", subject="mira", seed=2),
        JobRow(name="bad", prompt="a mug", seed=3),
        JobRow(name="odd", prompt="a cup", width=401),
    )
    studio = fake_studio(key, checker=FakeChecker(bad_seeds=frozenset({3})))
    studio.run(Job(source="spring_campaign.csv", rows=rows), tmp_path / "run", [mira])
    return tmp_path / "run"


def test_the_sheet_says_everything_and_shows_only_what_was_signed(
    run: Path, key: PemKey, key_folder: Path
) -> None:
    text = write_sheet([run], run / "sheet.html", trust=[key_folder / "root.pem"]).read_text()
    page = Page(text)
    images = [attrs["src"] or "" for tag, attrs in page.tags if tag == "img"]
    assert len(images) == 3, "two references and one signed image"
    assert all(source.startswith("data:image/") for source in images)
    embedded = base64.b64decode(images[-1].split(",")[1])
    assert embedded == (run / "images/beach.png").read_bytes(), "the signed bytes themselves"
    for said in (
        "Spring campaign",
        "a woman with red hair",
        "seed 1",
        "identity",
        "0.75",
        "credential trusted",
        "L2 image",
        "1.000",
        "mira with a knife",
        "weapon scored 9.000",
        "weapon scored 7.500",
        "401x32",
        hashlib.sha256(embedded).hexdigest(),
        "images a second",
        "Time by stage",
        "L2 image: weapon",
    ):
        assert said in page.words
    assert EVIL in page.words
    assert [tag for tag, _ in page.tags if tag in {"script", "link", "iframe"}] == []
    assert not re.search(r"""(?:src|href|url\()=?["']?https?:""", text), "nothing is loaded from elsewhere"
    assert "authentic" not in text.lower()


def test_without_the_anchor_the_credential_is_not_trusted(
    run: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CASTMARK_HOME", str(tmp_path / "nobody"))
    words = Page(write_sheet([run], tmp_path / "sheet.html").read_text()).words
    assert "credential untrusted" in words
    assert "0 / 1" in words


def test_a_tampered_image_is_shown_as_such(run: Path, key_folder: Path) -> None:
    file = run / "images/beach.png"
    data = bytearray(file.read_bytes())
    data[-20] ^= 1
    file.write_bytes(data)
    words = Page(write_sheet([run], run / "sheet.html", trust=[key_folder / "root.pem"]).read_text()).words
    assert "credential invalid" in words


def test_an_old_image_of_a_row_that_waits_to_be_drawn_again_is_not_shown(run: Path) -> None:
    with Ledger.open(run, "spring_campaign.csv") as ledger:
        ledger.plan([(Shot("another beach", seed=1, name="beach"), "f" * 64)])
    assert (run / "images/beach.png").is_file()
    page = Page(write_sheet([run], run / "sheet.html").read_text())
    assert "0 of 1 images signed" in page.words
    assert "img" not in [tag for tag, _ in page.tags]


def test_a_large_run_gets_thumbnails(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sheet_module, "EMBED_LIMIT", 10)
    text = write_sheet([run], run / "sheet.html").read_text()
    assert "data:image/png" not in text
    assert text.count("data:image/jpeg") == 3


def test_several_runs_make_one_sheet(run: Path, key: PemKey, tmp_path: Path) -> None:
    fake_studio(key).run(Job(source="mugs.csv", rows=(JobRow(name="a", prompt="a mug"),)), tmp_path / "two")
    words = Page(write_sheet([run, tmp_path / "two"], tmp_path / "both.html").read_text()).words
    assert "Spring campaign and Mugs" in words


def test_what_cannot_be_shown_is_said(run: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no run was given"):
        write_sheet([], tmp_path / "sheet.html")
    with pytest.raises(LedgerError, match=r"no ledger\.sqlite here"):
        write_sheet([tmp_path], tmp_path / "sheet.html")
    (run / "images/beach.png").unlink()
    with pytest.raises(InputError, match=r"beach\.png: image is missing"):
        write_sheet([run], tmp_path / "sheet.html")
    assert not (tmp_path / "sheet.html").exists()
