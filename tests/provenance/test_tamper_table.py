"""Each row of the tamper table has its own right state and remedy."""

from __future__ import annotations

import pytest
from provenance_samples import picture

from castmark.bench.attacks.tampering import TABLE, Bench, Row, bench_of
from castmark_provenance.keys import PemKey


@pytest.fixture(scope="module")
def bench(key: PemKey, stranger: PemKey) -> Bench:
    return bench_of(key, stranger, [picture(0, (64, 48)), picture(1, (64, 48))])


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_the_right_answer(row: Row, bench: Bench) -> None:
    right, report = row.judge(bench)
    assert right, report.verdict


def test_the_table_is_whole() -> None:
    assert len({row.name for row in TABLE}) == len(TABLE) >= 30
