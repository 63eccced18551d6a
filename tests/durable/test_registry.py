"""The registry: found again by id and by looks, by two processes at once, and carried as a file."""

from __future__ import annotations

import multiprocessing
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from registry_samples import add_many, entry

from castmark_provenance.durable.errors import PortableError, RegistryError
from castmark_provenance.durable.fingerprint import distance
from castmark_provenance.durable.portable import export_to, import_from
from castmark_provenance.durable.registry import PAGE, Registry


def test_found_by_watermark_and_by_looks(home: Path) -> None:
    with Registry.open() as registry:
        assert registry.add(entry(1))
        assert not registry.add(entry(1))
        again = entry(1).model_copy(update={"manifest": b"signed again"})
        assert registry.add_all([again, entry(2)]) == 2
        assert registry.by_watermark(1) == [again, entry(1)]
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


def test_carried_elsewhere(tmp_path: Path) -> None:
    file = tmp_path / "registry.jsonl"
    with Registry.open(tmp_path / "one.sqlite") as one, Registry.open(tmp_path / "two.sqlite") as two:
        one.add_all(map(entry, range(5)))
        assert export_to(one, file) == 5
        two.add(entry(3))
        assert import_from(two, file) == (5, 4)
        assert sorted(each.title for each in two.entries()) == [f"shot {n}" for n in range(5)]
        assert one.secret != two.secret
        assert one.secret.hex() not in file.read_text()


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
