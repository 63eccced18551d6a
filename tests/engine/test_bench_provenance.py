"""The provenance suite on a small scale, without the independent implementation and the base install."""

from __future__ import annotations

import pytest

from castmark.bench import provenance, run_suite


@pytest.mark.slow
def test_the_suite_finds_nothing_trusted_that_was_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    for part in ("_independent", "_started"):
        monkeypatch.setattr(provenance, part, lambda *_: ())
    result = run_suite("provenance", n=3, minutes=0.02)
    figures = {figure.name: figure for figure in result.figures}
    counted = [
        figure
        for name, figure in figures.items()
        if name.startswith(
            ("trusted when", "tamper", "one byte", "killed: unsigned", "fuzzing", "bytes added")
        )
    ]
    assert len(counted) >= 15
    assert [figure.name for figure in counted if not figure.holds] == []
