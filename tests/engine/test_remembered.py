"""Results are remembered by item, in order, and never more than asked for."""

from collections.abc import Sequence

import pytest

from castmark.remembered import Remembered


def test_items_are_worked_on_once_and_the_longest_unused_goes_first() -> None:
    asked: list[str] = []

    def lengths(texts: Sequence[str]) -> list[int]:
        asked.extend(texts)
        return [len(text) for text in texts]

    remembered = Remembered(lengths, kept=2)
    assert remembered.all_of(["a", "bb", "a"]) == [1, 2, 1]
    assert asked == ["a", "bb"]
    assert remembered.new(["bb", "ccc", "ccc"]) == ["ccc"]
    assert remembered.of("ccc") == 3
    remembered.of("bb")
    assert asked == ["a", "bb", "ccc"], "a was unused longest"
    remembered.of("a")
    assert asked[-1] == "a"


def test_what_goes_wrong_is_raised_and_not_remembered() -> None:
    broken = True

    def work(items: Sequence[int]) -> list[int]:
        if broken:
            raise RuntimeError("no")
        return list(items)

    remembered = Remembered(work, kept=4)
    with pytest.raises(RuntimeError, match="no"):
        remembered.all_of([1, 2])
    assert remembered.new([1, 2]) == [1, 2]
    broken = False
    assert remembered.all_of([1, 2]) == [1, 2]
