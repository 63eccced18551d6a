"""The pipeline alone: order, bounds, overlap, ends. Plain numbers go through it, no image."""

import platform
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest
from engine_fakes import FakeBase, FakeChecker, FakeWardrobe, fake_studio, make_subject
from hypothesis import given, settings
from hypothesis import strategies as st

from castmark.errors import BaseError, CheckError, InputError
from castmark.machine.energy import EnergyMeter
from castmark.machine.memory import keep_freed_memory
from castmark.machine.threads import cores, worker_count
from castmark.shot import ResolvedShot, Shot
from castmark.studio import drawing
from castmark.studio.pipeline import AHEAD, WINDOW, Pipeline
from castmark.take import Draft, Failure, Refusal, SignedImage
from castmark_provenance.keys import PemKey


def pipeline(draw, *, batch_size: int = 4, workers: int = 2, together=lambda n: n % 3, done=lambda: None):
    return Pipeline(
        together=together, prepare=list, draw=draw, done=done, batch_size=batch_size, workers=workers
    )


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 5), max_size=80), st.integers(1, 9), st.booleans())
def test_results_come_in_order_and_batches_hold_what_belongs_together(
    kinds: list[int], batch_size: int, late: bool
) -> None:
    batches: list[list[tuple[int, int]]] = []

    def draw(batch: Sequence[tuple[int, int]]):
        batches.append(list(batch))
        return [line.finish(lambda item=item: item) if late else item for item in batch]

    line = pipeline(draw, batch_size=batch_size, together=lambda item: item[1])
    shots = list(enumerate(kinds))
    assert list(line.stream(shots)) == shots
    assert sorted(item for batch in batches for item in batch) == shots, "each drawn once"
    for batch in batches:
        assert len({kind for _, kind in batch}) == 1
        assert len(batch) == batch_size or len(batch) & (len(batch) - 1) == 0


def test_what_is_read_ahead_and_in_flight_is_bounded_however_slow_the_reader() -> None:
    read = 0
    alive: set[int] = set()
    most = 0

    def source() -> Iterator[int]:
        nonlocal read
        for n in range(2000):
            read += 1
            yield n

    def draw(batch: Sequence[int]):
        nonlocal most
        alive.update(batch)
        most = max(most, len(alive))
        return list(batch)

    given_out = 0
    for n in pipeline(draw).stream(source()):
        alive.discard(n)
        given_out += 1
        assert read - given_out <= 2 * (WINDOW + AHEAD) * 4
    assert given_out == 2000
    assert most <= 2 * (WINDOW + AHEAD) * 4


def test_finishing_runs_beside_drawing() -> None:
    finishing, overlapped = threading.Event(), threading.Event()

    def finish(n: int) -> int:
        finishing.set()
        overlapped.wait(10)
        return n

    def draw(batch: Sequence[int]):
        if batch[0] > 0 and finishing.wait(10):
            overlapped.set()
        return [line.finish(lambda n=n: finish(n)) for n in batch]

    line = pipeline(draw, batch_size=1)
    assert list(line.stream(range(4))) == [0, 1, 2, 3]
    assert overlapped.is_set()


def test_what_is_drawn_next_is_prepared_beside_drawing() -> None:
    second, overlapped = threading.Event(), threading.Event()

    def prepare(batch: Sequence[int]) -> list[int]:
        if batch[0] > 0:
            second.set()
        return [10 * n for n in batch]

    def draw(batch: list[int]) -> list[int]:
        if second.wait(10):
            overlapped.set()
        return batch

    line = Pipeline(
        together=lambda n: 0, prepare=prepare, draw=draw, done=lambda: None, batch_size=1, workers=1
    )
    assert list(line.stream(range(3))) == [0, 10, 20]
    assert overlapped.is_set(), "the second batch was prepared while the first was drawn"


def test_closed_early_it_draws_no_more_and_cleans_up() -> None:
    drawn: list[int] = []
    ended: list[int] = []

    def draw(batch: Sequence[int]) -> list[int]:
        time.sleep(0.01)
        drawn.extend(batch)
        return list(batch)

    stream = pipeline(draw, batch_size=1, done=lambda: ended.append(1)).stream(range(1000))
    assert next(stream) == 0
    stream.close()
    assert len(drawn) <= AHEAD + 1
    assert ended == [1]


def test_an_error_of_a_stage_ends_the_stream() -> None:
    def draw(batch: Sequence[int]):
        return [line.finish(lambda n=n: 1 // (n - 2)) for n in batch]

    line = pipeline(draw, batch_size=1, together=lambda n: 0)
    with pytest.raises(ZeroDivisionError):
        list(line.stream(range(10)))
    assert list(pipeline(lambda batch: list(batch)).stream([])) == []


@pytest.mark.parametrize(("batch_size", "groups", "broken"), [(8, 1, 5), (2, 3, 3), (4, 3, 9)])
def test_results_before_an_error_are_given_first(batch_size: int, groups: int, broken: int) -> None:
    def finish(n: int) -> int:
        if n >= broken:
            raise OSError(f"no room for {n}")
        return n

    def draw(batch: Sequence[int]):
        return [line.finish(lambda n=n: finish(n)) for n in batch]

    line = pipeline(draw, batch_size=batch_size, together=lambda n: n % groups)
    given: list[int] = []
    with pytest.raises(OSError, match=f"no room for {broken}"):
        for n in line.stream(range(30)):
            given.append(n)
    assert given == list(range(broken))


def test_results_before_a_source_broke_are_given_first() -> None:
    def source() -> Iterator[int]:
        yield from range(10)
        raise OSError("the list was cut off")

    given: list[int] = []
    with pytest.raises(OSError, match="cut off"):
        for n in pipeline(list).stream(source()):
            given.append(n)
    assert given == list(range(10))
    with pytest.raises(ZeroDivisionError):
        next(pipeline(list).stream(1 // 0 for _ in "x"))


def test_while_it_is_held_nothing_is_drawn() -> None:
    drawn: list[int] = []
    ended: list[int] = []

    def draw(batch: Sequence[int]) -> list[int]:
        drawn.extend(batch)
        return list(batch)

    line = pipeline(draw, done=lambda: ended.append(1))
    thread = threading.Thread(target=lambda: list(line.stream(range(3))))
    with pytest.raises(KeyError), line.held():
        assert ended == [1]
        thread.start()
        thread.join(0.3)
        assert drawn == []
        raise KeyError
    thread.join()
    assert sorted(drawn) == [0, 1, 2]


def test_a_stream_that_an_error_ended_finishes_nothing_more() -> None:
    finished: list[int] = []

    def finish(n: int) -> int:
        if n == 0:
            raise OSError("the disk is full")
        time.sleep(0.05)
        finished.append(n)
        return n

    def draw(batch: Sequence[int]):
        return line.check(lambda: {i: line.finish(lambda n=n: finish(n)) for i, n in enumerate(batch)}, [0])

    line = pipeline(draw, batch_size=1, together=lambda n: 0)
    with pytest.raises(OSError, match="disk is full"):
        list(line.stream(range(10)))
    before = list(finished)
    time.sleep(0.5)
    assert finished == before


def test_full_batches_though_subjects_take_turns(key: PemKey, tmp_path) -> None:
    worn: list[list[str]] = []

    class Counting(FakeWardrobe):
        def mixed(self, subjects):  # type: ignore[override]
            worn.append([subject.name for subject in subjects])
            return super().mixed(subjects)

    mira, ben = make_subject(tmp_path, "mira"), make_subject(tmp_path, "ben")
    base = FakeBase()
    shots = [Shot(f"{s.name} {i}", subjects=[s], seed=i) for i in range(8) for s in (mira, ben)]
    takes = list(fake_studio(key, base=base, wardrobe=Counting(), batch_size=8).shoot_all(shots))
    assert [take.shot for take in takes] == shots
    assert base.batches == [8, 8]
    assert worn == [["mira", "ben"] * 4]  # put on once for both batches
    assert base.host.worn == []
    worn.clear()
    list(fake_studio(key, base=base, wardrobe=Counting(), batch_size=2).shoot_all(shots[::2]))
    assert worn == [], "batches of one subject are not mixed"


def test_a_stream_within_a_stream_has_its_own_subjects(key: PemKey, tmp_path) -> None:
    mira = make_subject(tmp_path, "mira")
    base = FakeBase()
    studio = fake_studio(key, base=base, batch_size=1, disclose_prompt=True)
    alone = studio.shoot(Shot("a mug"))
    for take in studio.shoot_all([Shot(f"mira {i}", subjects=[mira]) for i in range(6)]):
        inner = studio.shoot(Shot("a mug"))
        assert isinstance(take, SignedImage)
        assert inner.claim.ingredients == ()
        assert len(take.claim.ingredients) == 2
        assert inner.verdict.pixel_digest == alone.verdict.pixel_digest, "drawn without mira's adapter"


def test_adaptive_steps_are_spent_only_where_the_check_asks_for_them(key: PemKey) -> None:
    class Picky(FakeChecker):
        def check(self, drafts):  # type: ignore[override]
            self.bad_seeds = frozenset(d.resolved.seed for d in drafts if d.resolved.steps < d.resolved.seed)
            return super().check(drafts)

    base = FakeBase(default_steps=4)
    takes = list(
        fake_studio(key, base=base, checker=Picky(), adaptive=(1, 2)).shoot_all(
            [Shot("a mug", seed=seed) for seed in (1, 2, 4, 9)]
        )
    )
    assert [take.ok for take in takes] == [True, True, True, False]
    assert base.batches == [4, 3, 2]
    spent = [take.claim.settings["denoiser_evaluations"] for take in takes if isinstance(take, SignedImage)]
    assert spent == [1, 3, 7]
    assert [take.claim.steps for take in takes if isinstance(take, SignedImage)] == [1, 2, 4]


def test_what_the_policy_blocks_is_not_drawn_again_in_more_steps(key: PemKey) -> None:
    class Blocking(FakeChecker):
        def _finding(self, rung, name, score):  # type: ignore[override]
            return replace(super()._finding(rung, name, score), action="block")

    base = FakeBase(default_steps=4)
    studio = fake_studio(key, base=base, checker=Blocking(bad_seeds=frozenset({1})), adaptive=(1, 2))
    blocked, fine = studio.shoot_all([Shot("a mug", seed=1), Shot("a mug", seed=2)])
    assert isinstance(blocked, Refusal) and fine.ok
    assert base.batches == [2]


def test_adaptive_steps_count_as_redraws(key: PemKey) -> None:
    assert fake_studio(key).max_redraws == 3
    studio = fake_studio(key, adaptive=(1,))
    assert studio.max_redraws == 1, "two seeds of two drawings are the four that the policy allows"
    with pytest.raises(InputError, match="allows 1"):
        studio.shoot(Shot("a mug"), redraws=2)


def test_adaptive_steps_are_spent_where_the_subject_is_not_like_itself(key: PemKey, tmp_path) -> None:
    mira = make_subject(tmp_path, "mira")
    base = FakeBase(default_steps=4)
    studio = fake_studio(key, base=base, wardrobe=FakeWardrobe(score=0.2), adaptive=(1,))
    take = studio.shoot(Shot("mira", subjects=[mira]))
    assert take.claim.settings["denoiser_evaluations"] == 5
    assert studio.key(take.shot) != fake_studio(key, base=base).key(take.shot)
    with pytest.raises(InputError, match="rising numbers"):
        fake_studio(key, adaptive=(2, 1))


def test_a_first_rung_that_fails_is_followed_by_the_next(
    key: PemKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    def finish(draft: Draft, size: tuple[int, int]) -> Draft:
        if draft.resolved.steps == 1:
            raise BaseError("the subject cannot be cut out")
        return draft

    monkeypatch.setattr(drawing, "finished", finish)
    checked: list[int] = []
    checker = FakeChecker(on_check=lambda drafts: checked.append(drafts[0].resolved.steps))
    studio = fake_studio(key, base=FakeBase(default_steps=4), checker=checker, adaptive=(1, 2))
    settings = studio.shoot(Shot("a mug")).claim.settings
    assert (settings["denoiser_evaluations"], settings["adaptive"]) == (3, "1")
    assert checked == [2]

    def broken(drafts: Sequence[Draft]) -> None:
        checked.append(drafts[0].resolved.steps)
        raise CheckError("no calibration")

    checked.clear()
    (take,) = fake_studio(key, checker=FakeChecker(on_check=broken), adaptive=(1,)).shoot_all([Shot("a cup")])
    assert isinstance(take, Failure)
    assert checked == [2], "drawn again because it could not be made, not because of the check"


def test_seconds_are_those_of_every_rung(key: PemKey, tmp_path) -> None:
    def slow_first(shots: Sequence[ResolvedShot]) -> None:
        if shots[0].steps == 1:
            time.sleep(0.2)

    mira = make_subject(tmp_path, "mira")
    base = FakeBase(default_steps=4, on_draw=slow_first)
    studio = fake_studio(key, base=base, wardrobe=FakeWardrobe(score=0.2), adaptive=(1,))
    assert studio.shoot(Shot("mira", subjects=[mira])).timings["draw"] >= 0.2


def test_nothing_is_drawn_while_a_subject_is_learned(
    key: PemKey, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = FakeBase()
    studio = fake_studio(key, base=base)
    thread = threading.Thread(target=lambda: studio.shoot(Shot("a mug")))

    def learn(subject, *_: object, **__: object):
        thread.start()
        thread.join(0.3)
        assert base.batches == []
        return subject

    monkeypatch.setattr("castmark.studio.opening.learn_subject", learn)
    mira = make_subject(tmp_path, "mira")
    assert studio.learn(mira) is mira
    thread.join()
    assert base.batches == [1]


def test_threads_and_energy_are_what_the_machine_says(tmp_path) -> None:
    assert keep_freed_memory() is (platform.libc_ver()[0] == "glibc")
    assert 1 <= worker_count() <= max(1, cores())
    assert EnergyMeter(tmp_path).joules() is None
    domain = tmp_path / "intel-rapl:0"
    domain.mkdir()
    (domain / "energy_uj").write_text("9000000")
    (domain / "max_energy_range_uj").write_text("9999999")
    meter = EnergyMeter(tmp_path)
    for counted in ("1000000", "8000000", "3000000"):
        (domain / "energy_uj").write_text(counted)
        meter.sample()
    assert meter.joules() == pytest.approx(14.0), "the counter ran over twice"
    (domain / "energy_uj").unlink()
    assert meter.joules() is None
