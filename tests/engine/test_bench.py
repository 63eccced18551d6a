"""The bench harness: figures, intervals, files. The studio is faked, the clock is not."""

import json
from pathlib import Path

import pytest
from engine_fakes import FakeChecker, fake_studio

from castmark.bench import SUITES, pipeline, run_suite
from castmark.bench.harness import Figure, SuiteResult, median
from castmark.errors import CastmarkError, InputError
from castmark.studio.studio import Studio
from castmark_provenance.authority import keygen
from castmark_provenance.keys import PemKey


@pytest.fixture
def fake_open(monkeypatch: pytest.MonkeyPatch, key: PemKey) -> None:
    monkeypatch.setattr(Studio, "open", lambda **_: fake_studio(key))
    quick = (
        pipeline.against_a_plain_loop,
        pipeline.by_batch_size,
        pipeline.one_image,
        pipeline.adaptive_steps,
    )
    monkeypatch.setattr(pipeline, "PARTS", quick)


@pytest.mark.usefixtures("fake_open")
def test_the_pipeline_suite_writes_figures_and_a_page(tmp_path: Path) -> None:
    result = run_suite("pipeline", n=8)
    result.write(tmp_path / "figures.json")
    body = json.loads((tmp_path / "figures.json").read_text())
    assert set(body) == {"suite", "commit", "machine", "figures"}
    assert body["suite"] == "pipeline"
    for figure in body["figures"]:
        assert {"name", "value", "low", "high", "n", "target", "holds"} <= set(figure)
        assert figure["low"] <= figure["value"] <= figure["high"]
    named = {figure["name"]: figure for figure in body["figures"]}
    assert named["against a plain loop, 1 step"]["target"] == 2.5
    assert named["refused or failed"]["value"] == 0
    assert named["refused or failed"]["n"] == 3 * 8
    assert named["adaptive steps, evaluations against 4 fixed"]["value"] == 0.25, "the fake check allows all"
    assert named["adaptive steps, evaluations against 4 fixed"]["holds"] is True
    assert {f"images a second, batches of {n}" for n in pipeline.BATCHES} <= set(named)
    page = (tmp_path / "figures.html").read_text()
    charts = ["images a second", "time by stage", "images a second, batches"]
    assert [title for title, _, _ in result.charts] == charts
    assert page.count("<svg") == 3
    assert "http" not in page.split("</style>")[1]
    assert "at most 0.6: holds" in result.table()


def test_a_suite_that_signs_nothing_measures_nothing(monkeypatch: pytest.MonkeyPatch, key: PemKey) -> None:
    checker = FakeChecker(bad_seeds=frozenset(range(100)))
    monkeypatch.setattr(Studio, "open", lambda **_: fake_studio(key, checker=checker))
    with pytest.raises(CastmarkError, match="not one of 9 shots was signed"):
        run_suite("pipeline", n=3)


@pytest.mark.slow
def test_killed_jobs_lose_nothing_and_memory_stays_flat(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "KILLS", 3)
    bench = pipeline.Bench(20, 1, tmp_path, keygen(tmp_path / "keys"))
    figures = {figure.name: figure for part in (pipeline.killed, pipeline.memory) for figure in part(bench)}
    for what in ("lost", "done twice", "unsigned"):
        assert figures[f"{what} of 100 rows killed 3 times"].value == 0
    assert figures["peak memory of 200 shots against 10"].value < 1.5
    assert pipeline.verification(bench)[0].value > 0


def test_an_unknown_suite_is_told() -> None:
    with pytest.raises(InputError, match=f"suites are: {', '.join(SUITES)}"):
        run_suite("nothing")


def test_a_median_has_an_interval_that_holds_it() -> None:
    figure = median("x", [5.0, 1.0, 3.0, 2.0, 4.0], "ms", target=3.0)
    assert (figure.value, figure.low, figure.high, figure.n) == (3.0, 1.0, 5.0, 5)
    assert figure.holds is True
    wide = median("x", [float(i) for i in range(1000)], "ms", target=1.0)
    assert (wide.value, wide.holds) == (499.5, False)
    assert 465 < wide.low < 499.5 < wide.high < 535
    assert median("x", [7.0], "ms").high == 7.0


def test_targets_know_which_way_is_better() -> None:
    rate = Figure(name="rate", value=2.0, low=2.0, high=2.0, n=1, target=3.0, better="higher")
    assert rate.holds is False
    assert Figure(name="rate", value=2.0, low=2.0, high=2.0, n=1).holds is None
    page = SuiteResult(suite="<b>", commit="c", machine="m", figures=(rate,)).page()
    assert "&lt;b&gt;" in page
    assert "at least 3: does not hold" in page
