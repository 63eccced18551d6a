"""What a batch that fails together becomes."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import pytest
import torch

from castmark.studio import work


def test_a_batch_that_memory_cannot_hold_is_split_and_that_is_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def draw(items: Sequence[int]) -> list[int]:
        if len(items) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return [10 * items[0]]

    work._tell_of_memory.cache_clear()
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert work.each_of([(0, 1), (2, 3)], draw) == {0: 10, 2: 30}
    assert caplog.text.count("does not fit the device's memory") == 1
    assert "--batch-size" in caplog.text


def test_other_failures_are_told_by_the_shot_alone(caplog: pytest.LogCaptureFixture) -> None:
    def draw(items: Sequence[int]) -> list[int]:
        if 3 in items:
            raise ValueError("no")
        return list(items)

    work._tell_of_memory.cache_clear()
    found = work.each_of([(0, 1), (2, 3)], draw)
    assert (found[0], str(found[2])) == (1, "no")
    assert caplog.text == ""
