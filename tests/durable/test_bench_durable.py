"""A small run of the suite ``durable``: every figure is there, and measured."""

from __future__ import annotations

import pytest

from castmark.bench import run_suite


@pytest.mark.slow
def test_a_small_run() -> None:
    figures = {figure.name: figure for figure in run_suite("durable", n=4).figures}
    assert figures["watermark decoded exactly: JPEG 75"].n == 26
    assert figures["false positives on unmarked pictures"].n == 80
    assert figures["PSNR, the lowest"].value >= 40
    assert figures["recovered from stripped, re-encoded copies, registry of 400"].value == 1
