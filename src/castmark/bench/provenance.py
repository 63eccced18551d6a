"""Suite ``provenance``: is what we sign trusted, is whatever was changed caught, and how fast.

``n`` scales it: pictures a format, moments of killing, bytes of each region, timed rounds, and seconds of
fuzzing (unless ``minutes`` says). Without it, every figure has the size that its target asks for.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import random
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from multiprocessing.synchronize import Barrier
from pathlib import Path

from castmark.bench.attacks import independent
from castmark.bench.attacks.crash import killed
from castmark.bench.attacks.signed_samples import FORMATS, new_key, samples
from castmark.bench.attacks.tampering import TABLE, Bench, flipped
from castmark.bench.harness import Figure, median
from castmark_provenance.containers import locate
from castmark_provenance.keys import PemKey
from castmark_provenance.report import State
from castmark_provenance.verify import verify

READ_AGAIN, KILLS, OTHER_BYTES, TIMED, STARTS, FUZZ_MINUTES = 20, 50, 5000, 50, 10, 10.0
SIDE, TIMED_SIDE, FLIPPED_SIDE = 256, 1024, 64
TARGETS = {
    "sign": 10.0,
    "verify": 15.0,
    "bytes added": 16 * 1024,
    "throughput": 1.6,
    "start": 600.0,
}
"""Milliseconds, bytes, and two processes' rate over one's."""
CHECKOUT = Path(__file__).parents[3]


def run(*, n: int | None = None, threads: int | None = None, minutes: float | None = None) -> list[Figure]:
    """Every figure; what cannot be taken here is left out, with the reason on standard error."""
    seconds = 60 * (minutes if minutes is not None else FUZZ_MINUTES if n is None else n / 60)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        key, stranger = new_key(folder), new_key(folder / "stranger")
        bench = Bench.of(key, stranger, *samples(2, SIDE, "PNG"))
        return [
            *read_again(key, n or READ_AGAIN),
            *_tampering(bench),
            *_independent(bench, folder),
            *_bytes_changed(key, n),
            *_killed(folder, key, n or KILLS),
            *_timed(key, n or TIMED),
            *_throughput(key, n or TIMED),
            *_started(folder, bench.png, key, min(n or STARTS, STARTS)),
            *_fuzzed(key, seconds),
        ]


def read_again(key: PemKey, count: int) -> Iterator[Figure]:
    """The share of outputs that are trusted when their final bytes are read again, by format."""
    for kind in FORMATS:
        good = sum(
            verify(sample.signed(key), trust=key.anchors).state is State.TRUSTED
            for sample in samples(count, SIDE, kind)
        )
        yield _counted(f"trusted when read again: {kind}", good / count, count, target=1, better="higher")


def _tampering(bench: Bench) -> Iterator[Figure]:
    wrong = 0
    for row in TABLE:
        right, report = row.judge(bench)
        if not right:
            wrong += 1
            _say(f"tamper table, {row.name}: {report.verdict}")
    yield _counted("tamper table: wrong answers", wrong, len(TABLE), target=0)


def _independent(bench: Bench, folder: Path) -> Iterator[Figure]:
    others = {kind: next(samples(1, SIDE, kind)) for kind in ("JPEG", "AVIF")}
    found = independent.cases(bench, others)
    try:
        theirs = independent.ask(found, folder)
    except independent.Unavailable as error:
        _say(f"skipped, agreement with c2pa-ts: {error}")
        return
    agreed = 0
    for name, data in found.items():
        ours = verify(data, trust=bench.key.anchors).state is State.TRUSTED
        agreed += ours == theirs[name]
        if ours != theirs[name]:
            _say(f"c2pa-ts on {name}: {'valid' if theirs[name] else 'not valid'}, and ours the opposite")
    share = agreed / len(found)
    yield _counted("agreement with c2pa-ts", share, len(found), target=1, better="higher")


def _bytes_changed(key: PemKey, n: int | None) -> Iterator[Figure]:
    for kind in ("PNG", "JPEG", "WEBP"):
        data = next(samples(1, FLIPPED_SIDE, kind)).signed(key)
        (located,) = locate(data, FORMATS[kind][0])
        rng = random.Random(kind)
        region = range(located.start, located.start + located.length)
        inside = list(region) if n is None else rng.sample(region, min(n, len(region)))
        outside = [at for at in range(len(data)) if at not in region]
        others = rng.choices(
            outside, k=n or OTHER_BYTES
        )  # a small file has fewer bytes: each in several ways
        for where, places in (("of the manifest", inside), ("elsewhere", others)):
            trusted = 0
            for at in places:
                report = verify(flipped(data, at, rng.randrange(1, 256)), trust=key.anchors)
                trusted += report.state in (State.TRUSTED, State.UNMET)
            yield _counted(f"one byte {where} changed, trusted: {kind}", trusted, len(places), target=0)


def _killed(folder: Path, key: PemKey, kills: int) -> Iterator[Figure]:
    bad, looked_at, midst = killed(folder, folder / "keys", key.anchors, kills)
    yield _counted("killed: unsigned, partial or lost", bad, kills, target=0)
    yield _counted("killed: images looked at", looked_at, kills)
    yield _counted("killed: in the midst of a run", midst, kills)


def _timed(key: PemKey, count: int) -> Iterator[Figure]:
    for kind in ("PNG", "JPEG", "WEBP"):
        sample = next(samples(1, TIMED_SIDE, kind))
        data = sample.signed(key)
        asked = TARGETS if kind == "PNG" else {}
        signing = _times(lambda sample=sample: sample.signed(key), count)
        verifying = _times(lambda data=data: verify(data, trust=key.anchors), count)
        side = f"{TIMED_SIDE} px {kind}"
        for name, times in (("sign", signing), ("verify", verifying)):
            yield median(f"{name}, {side}", [wall for wall, _ in times], "ms", target=asked.get(name))
            yield median(f"{name}, {side}, CPU time", [cpu for _, cpu in times], "ms")
        added = float(len(data) - len(sample.encoded))
        yield _counted(f"bytes added, {side}", added, 1, target=TARGETS["bytes added"], unit="B")


def _times(work: Callable[[], object], count: int) -> list[tuple[float, float]]:
    """Milliseconds of each call, warm: on the clock, and of this thread's CPU time."""
    work()
    found: list[tuple[float, float]] = []
    for _ in range(count):
        wall, cpu = time.perf_counter(), time.thread_time()
        work()
        found.append((1000 * (time.perf_counter() - wall), 1000 * (time.thread_time() - cpu)))
    return found


def _throughput(key: PemKey, count: int) -> Iterator[Figure]:
    """Images signed a second by two processes over one, and the same of plain hashing: what the machine's
    second core is worth at most (it may be half of one)."""
    sample = next(samples(1, TIMED_SIDE, "PNG"))
    block = bytes(4 << 20)
    yield _two_over_one("signing", lambda: sample.signed(key), count, TARGETS["throughput"])
    yield _two_over_one("hashing, as far as this machine goes", lambda: hashlib.sha256(block).digest(), count)


def _two_over_one(what: str, work: Callable[[], object], count: int, target: float | None = None) -> Figure:
    """Median of five rounds, each of one process and then of two."""
    fork = multiprocessing.get_context("fork")
    ratios: list[float] = []
    for _ in range(5):
        walls: list[float] = []
        for processes in (1, 2):
            gate = fork.Barrier(processes + 1)
            workers = [fork.Process(target=_repeat, args=(work, count, gate)) for _ in range(processes)]
            for worker in workers:
                worker.start()
            gate.wait()
            start = time.perf_counter()
            for worker in workers:
                worker.join()
            walls.append(time.perf_counter() - start)
        ratios.append(2 * walls[0] / walls[1])
    return median(f"{what}: two processes over one", ratios, "x", target=target, better="higher")


def _repeat(work: Callable[[], object], count: int, gate: Barrier) -> None:
    work()
    gate.wait()
    for _ in range(count):
        work()


def _started(folder: Path, png: bytes, key: PemKey, count: int) -> Iterator[Figure]:
    """``castmark verify`` in a new environment with the base install alone, from the start of Python."""
    place = folder / "base-install"
    venv.create(place, with_pip=True)
    python = place / "bin" / "python"
    try:
        subprocess.run(
            [python, "-m", "pip", "install", "--quiet", "--no-input", str(CHECKOUT)],
            check=True, capture_output=True, text=True, timeout=600,
        )  # fmt: skip
    except (subprocess.SubprocessError, OSError) as error:
        _say(f"skipped, start of castmark verify: the base install failed ({type(error).__name__})")
        return
    (folder / "image.png").write_bytes(png)
    (folder / "root.pem").write_text(key.anchors)
    command = [place / "bin" / "castmark", "verify", folder / "image.png", "--trust", folder / "root.pem"]
    environment = {"PATH": os.environ["PATH"], "CASTMARK_HOME": str(folder / "home")}

    walls: list[float] = []
    cpus: list[float] = []
    for turn in range(count + 1):
        wall, before = time.perf_counter(), os.times()
        subprocess.run(command, check=True, capture_output=True, env=environment, timeout=60)
        after = os.times()
        if turn:  # the first writes the compiled modules
            walls.append(1000 * (time.perf_counter() - wall))
            spent = (
                after.children_user + after.children_system,
                before.children_user + before.children_system,
            )
            cpus.append(1000 * (spent[0] - spent[1]))
    yield median("castmark verify, start and one file", walls, "ms", target=TARGETS["start"])
    yield median("castmark verify, start and one file, CPU time", cpus, "ms")


def _fuzzed(key: PemKey, seconds: float) -> Iterator[Figure]:
    if find_spec("hypothesis") is None:
        _say("skipped, fuzzing: needs hypothesis; install castmark[dev]")
        return
    from castmark.bench.attacks.fuzz import fuzz

    files = {kind: next(samples(1, FLIPPED_SIDE, kind)).signed(key) for kind in FORMATS}
    counts = fuzz(files, key.anchors, seconds)
    for what in ("crash", "hang", "trusted"):
        yield _counted(f"fuzzing for {seconds:.0f} s: {what}", counts[what], counts["files"], target=0)


def _counted(
    name: str,
    value: float,
    n: int,
    *,
    target: float | None = None,
    better: str = "lower",
    unit: str = "",
) -> Figure:
    """A figure that was counted, not sampled."""
    return Figure(
        name=name,
        value=value,
        low=value,
        high=value,
        n=n,
        target=target,
        better="higher" if better == "higher" else "lower",
        unit=unit,
    )


def _say(text: str) -> None:
    sys.stderr.write(f"castmark bench: {text}\n")
