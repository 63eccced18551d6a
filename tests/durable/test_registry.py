"""The registry: found again by id and by looks, by two processes at once, and carried as a file."""

from __future__ import annotations

import multiprocessing
import stat
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from durable_samples import drawing, signed_and_registered
from pydantic import ValidationError
from registry_samples import add_many, entry, portable

from castmark_provenance.durable import portable as carrying
from castmark_provenance.durable.errors import EntryError, PortableError, RegistryError
from castmark_provenance.durable.fingerprint import distance
from castmark_provenance.durable.layer import DurableLayer
from castmark_provenance.durable.portable import export_to, import_from
from castmark_provenance.durable.registry import PAGE, Entry, Registry
from castmark_provenance.keys import PemKey


def test_found_by_watermark_and_by_looks(home: Path) -> None:
    with Registry.open() as registry:
        assert registry.add(entry(1))
        assert not registry.add(entry(1))
        again = entry(1).model_copy(update={"manifest": b"signed again"})
        assert registry.add_all([again, entry(2)]) == 2
        assert registry.by_watermark(1) == [entry(1), again]
        assert registry.by_watermark(1, 1) == [entry(1)]
        assert registry.by_watermark(99) == []
        looks = bytearray(entry(2).fingerprint)
        looks[0] ^= 0b101
        assert registry.nearest(bytes(looks), 10) == [(2, entry(2))]
        assert registry.nearest(bytes(looks), 1) == []
    assert stat.S_IMODE(registry.file.stat().st_mode) == 0o600
    with Registry.open() as reopened:
        assert len(reopened) == 3
        assert list(reopened.entries()) == [entry(1), again, entry(2)]
        assert len(reopened.secret) == 32


def test_pages_keep_every_fingerprint_in_place(home: Path) -> None:
    count = PAGE + 50
    with Registry.open() as registry:
        registry.add_all(map(entry, range(count)))
        for number in (0, PAGE - 1, PAGE, count - 1):
            ((away, found),) = registry.nearest(entry(number).fingerprint, 40)
            assert (away, found) == (0, entry(number))


def test_two_processes_lose_nothing(tmp_path: Path) -> None:
    file = tmp_path / "shared.sqlite"
    context = multiprocessing.get_context("spawn")
    others = [context.Process(target=add_many, args=(file, first, 40)) for first in (0, 1000)]
    for other in others:
        other.start()
    for other in others:
        other.join(60)
        assert other.exitcode == 0
    with Registry.open(file) as registry:
        assert len(registry) == 80
        for number in (*range(40), *range(1000, 1040)):
            assert registry.nearest(entry(number).fingerprint, 0) == [(0, entry(number))]


def test_those_who_make_the_registry_at_once_all_open_it(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        for attempt in range(20):
            together = threading.Barrier(4)

            def opened(file: Path, together: threading.Barrier) -> bytes:
                together.wait()
                with Registry.open(file) as registry:
                    return registry.secret

            tries = [pool.submit(opened, tmp_path / f"{attempt}.sqlite", together) for _ in range(4)]
            assert len({one.result() for one in tries}) == 1


def test_a_failed_batch_keeps_nothing(home: Path) -> None:
    def broken() -> object:
        yield entry(1)
        raise PortableError("stop")

    with Registry.open() as registry:
        with pytest.raises(PortableError):
            registry.add_all(broken())  # pyright: ignore[reportArgumentType]
        assert len(registry) == 0
        assert registry.add(entry(2))


def genuine(file: Path, key: PemKey, count: int) -> list[Entry]:
    """Entries of pictures that were signed, out of the registry in ``file``."""
    with Registry.open(file) as registry:
        for number in range(count):
            signed_and_registered(DurableLayer(registry), key, drawing(number, 128), f"shot {number}")
        return list(registry.entries())


def test_carried_elsewhere(tmp_path: Path, key: PemKey) -> None:
    file = tmp_path / "registry.jsonl"
    entries = genuine(tmp_path / "one.sqlite", key, 3)
    with Registry.open(tmp_path / "one.sqlite") as one, Registry.open(tmp_path / "two.sqlite") as two:
        assert export_to(one, file) == 3
        two.add(entries[1])
        assert import_from(two, file) == (3, 2)
        assert sorted(each.title for each in two.entries()) == [f"shot {n}" for n in range(3)]
        assert one.secret != two.secret
        assert one.secret.hex() not in file.read_text()


LIES = {
    "title": "Breaking: real photo",
    "fingerprint": bytes(32),
    "watermark": None,
    "width": 129,
    "height": 127,
    "pixel_sha256": "0" * 64,
}


def test_a_lie_about_a_manifest_never_takes_the_place_of_the_truth(tmp_path: Path, key: PemKey) -> None:
    first, second = genuine(tmp_path / "one.sqlite", key, 2)
    with Registry.open(tmp_path / "two.sqlite") as two:
        for field, lie in LIES.items():
            file = portable(tmp_path / "lie.jsonl", first.model_copy(update={field: lie}), second)
            what = {"width": "size", "height": "size", "pixel_sha256": "pixel digest"}.get(field, field)
            with pytest.raises(EntryError, match=f"refused 1 of 2 .* line 2: .* another {what} than"):
                import_from(two, file)
            assert list(two.entries()) == [second]
        assert import_from(two, portable(tmp_path / "true.jsonl", first, second)) == (2, 1)
        assert list(two.entries()) == [second, first]


def test_what_is_no_manifest_of_ours_is_not_imported(tmp_path: Path) -> None:
    with Registry.open(tmp_path / "two.sqlite") as two:
        with pytest.raises(EntryError, match="refused 3 of 3 entries and imported 0"):
            import_from(two, portable(tmp_path / "made up.jsonl", *map(entry, range(3))))
        assert len(two) == 0


def test_a_file_that_is_changed_while_it_is_read_gets_nothing_past_the_check(
    tmp_path: Path, key: PemKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    (true,) = genuine(tmp_path / "one.sqlite", key, 1)
    file = portable(tmp_path / "registry.jsonl", true)
    lie = portable(tmp_path / "lie.jsonl", true.model_copy(update={"title": "Breaking: real photo"}))
    checked = carrying.statement

    def swapped(each: Entry, anchors: str) -> object:
        lie.replace(file)
        return checked(each, anchors)

    monkeypatch.setattr(carrying, "statement", swapped)
    with Registry.open(tmp_path / "two.sqlite") as two:
        import_from(two, file)
        assert len(two) == 0


@pytest.mark.parametrize(("width", "height"), [(1, 9 * 10**18), (10**30, 1), (8193, 8192)])
def test_no_entry_is_larger_than_any_picture(tmp_path: Path, width: int, height: int) -> None:
    size = {"width": width, "height": height}
    with pytest.raises(ValidationError, match="more than 67108864 pixels"):
        Entry.model_validate(entry(1).model_dump() | size)
    file = portable(tmp_path / "large.jsonl", entry(1).model_copy(update=size))
    with Registry.open(tmp_path / "one.sqlite") as registry:
        with pytest.raises(PortableError, match=r"line 2: .* nothing was imported"):
            import_from(registry, file)
        assert len(registry) == 0


@pytest.mark.parametrize("field", ["media_type", "title"])
def test_text_that_cannot_be_written_is_no_entry(tmp_path: Path, field: str) -> None:
    file = portable(tmp_path / "odd.jsonl", entry(1).model_copy(update={field: "\ud800"}))
    one = Registry.open(tmp_path / "one.sqlite")
    with one, pytest.raises(PortableError, match=r"line 2: .* nothing was imported"):
        import_from(one, file)
    with pytest.raises(ValidationError, match="not one of image/png"):
        Entry.model_validate(entry(1).model_dump() | {"media_type": "text/html"})


def test_two_exports_to_one_path_at_once_leave_a_whole_file(tmp_path: Path) -> None:
    file = tmp_path / "registry.jsonl"

    class Halting(Registry):
        def __init__(self) -> None:
            self.halfway, self.go_on = threading.Event(), threading.Event()

        def entries(self) -> Iterator[Entry]:
            for number in range(400):
                if number == 200:
                    self.halfway.set()
                    assert self.go_on.wait(60)
                yield entry(number)

    slow = Halting()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(export_to, slow, file)
        try:
            assert slow.halfway.wait(60)
            portable(file, *map(entry, range(100)))
            assert len(file.read_bytes().splitlines()) == 102
        finally:
            slow.go_on.set()
        assert first.result() == 400
    one = Registry.open(tmp_path / "one.sqlite")
    with one, pytest.raises(EntryError, match="refused 400 of 400"):  # made up, and every digest holds
        import_from(one, file)
    assert [each.name for each in tmp_path.glob(".*.part")] == []


def test_a_row_that_is_no_entry_is_an_error(home: Path) -> None:
    with Registry.open() as registry:
        registry.add(entry(1))
        registry._connection.execute(  # pyright: ignore[reportPrivateUsage]
            "UPDATE entries SET width = 1, height = 9000000000000000000"
        )
        with pytest.raises(
            RegistryError, match=r"is damaged .*more than 67108864 pixels.* move the registry"
        ):
            registry.by_watermark(1)


def test_what_is_added_later_does_not_crowd_out_what_was_there(home: Path) -> None:
    looks = bytearray(entry(1).fingerprint)
    looks[0] ^= 0b101
    like = entry(2).model_copy(update={"fingerprint": bytes(looks)})
    again = [entry(1).model_copy(update={"manifest": f"signed {n}".encode()}) for n in range(5)]
    with Registry.open() as registry:
        registry.add_all([again[0], like, *again[1:]])
        assert registry.nearest(entry(1).fingerprint, 10, count=2) == [(0, again[0]), (0, again[1])]
        assert registry.nearest(entry(1).fingerprint, 10, count=9) == [
            *((0, each) for each in again),
            (2, like),
        ]


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text.replace("256", "257", 1),
        lambda text: text.replace('"manifest":"bWFu', '"manifest":"bWFv', 1),
        lambda text: "\n".join(text.splitlines()[:-1]) + "\n",
        lambda text: "\n".join([*text.splitlines()[:2], *text.splitlines()[3:]]) + "\n",
        lambda text: text + "{}\n",
        lambda text: text[:-30],
        lambda text: "[]\n" + text,
        lambda _: "",
        lambda _: "\x00\xff",
    ],
)
def test_a_damaged_file_imports_nothing(tmp_path: Path, damage: object) -> None:
    assert callable(damage)
    file = tmp_path / "registry.jsonl"
    with Registry.open(tmp_path / "one.sqlite") as one, Registry.open(tmp_path / "two.sqlite") as two:
        one.add_all(map(entry, range(3)))
        export_to(one, file)
        file.write_text(damage(file.read_text()))
        with pytest.raises(PortableError, match="nothing was imported"):
            import_from(two, file)
        assert len(two) == 0


def test_what_is_no_registry_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match="no registry at"):
        Registry.open(tmp_path / "none.sqlite", create=False)
    text = tmp_path / "text.sqlite"
    text.write_bytes(b"no database, but long enough to be taken for one" * 40)
    with pytest.raises(RegistryError, match="cannot be used"):
        Registry.open(text)
    with Registry.open(tmp_path / "late.sqlite") as late:
        late._connection.execute("PRAGMA user_version = 9")  # pyright: ignore[reportPrivateUsage]
    with pytest.raises(RegistryError, match="update Castmark"):
        Registry.open(tmp_path / "late.sqlite")


def test_distance_counts_bits() -> None:
    assert distance(bytes(32), b"\xff" + bytes(31)) == 8
