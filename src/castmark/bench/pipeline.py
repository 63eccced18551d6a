"""Suite ``pipeline``: how fast shots become checked and signed images, and what that costs.

Whatever is compared is run side by side, in turns, so that a machine that others use slows both alike; ratios
are medians over the turns. Memory, kills and verification are measured with rendered drawings in the place of
denoised ones (`castmark.bench.rendered`): what is measured there is not the base.
"""

from __future__ import annotations

import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from castmark.bench import rendered
from castmark.bench.harness import Figure, median
from castmark.bench.plain_loop import plain_loop
from castmark.bench.rendered import rendered_job, started
from castmark.errors import CastmarkError
from castmark.machine.threads import cores
from castmark.runs.ledger import Ledger
from castmark.safety.samples import scenes
from castmark.shot import Shot
from castmark.studio.studio import BATCH_SIZE, Studio
from castmark.take import SignedImage, Take
from castmark_provenance.authority import keygen
from castmark_provenance.keys import PemKey
from castmark_provenance.report import State
from castmark_provenance.verify import verify

SHOTS = 200
ROUNDS = 3
WORDINGS = ("", " today", " again", " once more")
"""What each of the four ways of drawing adds to a prompt, so that it reads it as a new one."""
SINGLES = 20
COLD_STARTS = 3
KILLS = 10
BATCHES = (1, 2, 4, 8, 16)
STAGES = ("draw", "finish", "mark", "check", "encode", "sign", "write")
MEMORY = (0.5, 10)
"""Jobs compared for their memory, as multiples of the shots: 100 and 2,000 of 200."""
ROWS = 5
"""Rows of the killed job and files verified, as a multiple of the shots: 1,000 of 200."""
FIXED_STEPS, RUNGS = 4, (1,)


@dataclass(frozen=True)
class Bench:
    """What every part gets."""

    shots: int
    threads: int | None
    folder: Path
    keys: Path

    @property
    def key(self) -> PemKey:
        """The throwaway key that everything is signed with."""
        return PemKey.load_folder(self.keys)

    def prompts(self, n: int) -> list[str]:
        """Captions of the test split that no policy refuses: of all scenes, one in eight holds a knife or a
        bottle, and a prompt that is refused costs nothing."""
        return [caption for _, caption in scenes(n, 0, "test", None)]


def run(*, n: int | None = None, threads: int | None = None) -> list[Figure]:
    """Every part, scaled by ``n`` shots.

    Raises:
        CastmarkError: the studio cannot be opened, or not one image was signed.
    """
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(n or SHOTS, threads, Path(folder), keygen(Path(folder) / "keys"))
        return [figure for part in PARTS for figure in part(bench)]


def against_a_plain_loop(bench: Bench) -> list[Figure]:
    """Checked and signed images a second, the pipeline and the plain loop in turns; then the overlap."""
    studio = _open(bench)
    # Every round draws all the shots (a short one mostly fills and drains), each way in words that no cache
    # has seen: a prompt that was read once is read for nothing the second time.
    warm = 2 * studio.batch_size
    prompts = bench.prompts(ROUNDS * bench.shots + warm)
    shots = [Shot(prompt, seed=seed, steps=1) for seed, prompt in enumerate(prompts)]
    _warm(studio, shots[:warm])
    parts = [shots[warm + i :: ROUNDS] for i in range(ROUNDS)]
    plain: list[float] = []
    plain_on_all: list[float] = []
    piped: list[float] = []
    drawn: list[float] = []
    takes: list[Take] = []

    def in_a_plain_loop(part: Sequence[Shot], out: Path) -> None:
        out.mkdir()
        with _timed(plain, len(part)):
            plain_loop(studio, part, out)

    def on_all_cores(part: Sequence[Shot], out: Path) -> None:
        out.mkdir()
        with _every_core(), _timed(plain_on_all, len(part)):
            plain_loop(studio, part, out)

    def in_the_pipeline(part: Sequence[Shot], out: Path) -> None:
        with _timed(piped, len(part)):
            takes.extend(studio.shoot_all(part, keep=lambda take: take.save(out)))

    def drawn_only(part: Sequence[Shot], out: Path) -> None:
        resolved = [studio.base.resolve(shot) for shot in part]
        with _timed(drawn, len(part)):
            for start in range(0, len(resolved), studio.batch_size):
                studio.base.draw(resolved[start : start + studio.batch_size])

    ways = (in_a_plain_loop, on_all_cores, in_the_pipeline, drawn_only)
    for index, part in enumerate(parts):
        for turn in range(len(ways)):
            which = (index + turn) % len(ways)  # none has always the same one before it
            said = [shot.model_copy(update={"prompt": f"{shot.prompt}{WORDINGS[which]}"}) for shot in part]
            ways[which](said, bench.folder / f"{ways[which].__name__}-{index}")
    signed = [take for take in takes if isinstance(take, SignedImage)]
    if not signed:
        raise CastmarkError(
            f"not one of {len(takes)} shots was signed, so nothing was measured; {takes[0].explain()}"
        )
    gain = [p / q for p, q in zip(plain, piped, strict=True)]
    on_all = [p / q for p, q in zip(plain_on_all, piped, strict=True)]
    share = [max(0.0, 1 - d / q) for d, q in zip(drawn, piped, strict=True)]
    refused = 1 - len(signed) / len(takes)
    apart = {s: [1000 * take.timings.get(s, 0.0) for take in signed] for s in STAGES}
    return [
        median("against a plain loop, 1 step", gain, "x", target=2.5, better="higher"),
        median(f"against a plain loop that draws on all {cores()} cores", on_all, "x", better="higher"),
        median("images a second: plain loop", [1 / p for p in plain], "/s", better="higher"),
        median(
            "images a second: plain loop on all cores", [1 / p for p in plain_on_all], "/s", better="higher"
        ),
        median("images a second: pipeline", [1 / q for q in piped], "/s", better="higher"),
        median("check and signing, share of the time when overlapped", share, "", target=0.15),
        *(median(f"time by stage: {stage}", values, "ms") for stage, values in apart.items()),
        _plain("refused or failed", refused, len(takes)),
    ]


def by_batch_size(bench: Bench) -> list[Figure]:
    """Images a second by batch size, in turns."""
    studio = _open(bench)
    count = max(max(BATCHES), bench.shots // 8)
    shots = [Shot(prompt, seed=seed, steps=1) for seed, prompt in enumerate(bench.prompts(count))]
    _warm(studio, shots[: 2 * studio.batch_size])
    times: dict[int, list[float]] = {size: [] for size in BATCHES}
    for _ in range(2):
        for size, seconds in times.items():
            sized = Studio(
                base=studio.base,
                checker=studio.checker,
                wardrobe=studio.wardrobe,
                key=studio.signing_key,
                durable=studio.durable,
                batch_size=size,
            )
            with _timed(seconds, len(shots)):
                for _take in sized.shoot_all(shots):
                    pass
    return [
        median(f"images a second, batches of {size}", [1 / s for s in seconds], "/s", better="higher")
        for size, seconds in times.items()
    ]


def one_image(bench: Bench) -> list[Figure]:
    """One warm image of 256 px in one step, checked and signed."""
    studio = _open(bench)
    prompts = bench.prompts(min(SINGLES, bench.shots))
    _warm(studio, [Shot(prompts[0], seed=seed, width=256, height=256, steps=1) for seed in range(2)])
    walls: list[float] = []
    for seed, prompt in enumerate(prompts):
        with _timed(walls, 1):
            (take,) = studio.shoot_all([Shot(prompt, seed=seed, width=256, height=256, steps=1)])
        if not take.ok:
            walls.pop()
    drawn = "x".join(map(str, studio.base.default_size))
    name = f"one image of 256 px (drawn at {drawn}), warm, 1 step"
    return [median(name, [1000 * wall for wall in walls], "ms", target=200.0)] if walls else []


def adaptive_steps(bench: Bench) -> list[Figure]:
    """Denoiser evaluations of adaptive steps against fixed ones, and what either gets accepted."""
    studio = _open(bench)
    adaptive = Studio(
        base=studio.base,
        checker=studio.checker,
        wardrobe=studio.wardrobe,
        key=studio.signing_key,
        durable=studio.durable,
        adaptive=RUNGS,
    )
    prompts = bench.prompts(max(4, bench.shots // 4))
    shots = [Shot(prompt, seed=seed, steps=FIXED_STEPS) for seed, prompt in enumerate(prompts)]
    fixed = [take.ok for take in studio.shoot_all(shots)]
    takes = list(adaptive.shoot_all(shots))
    spent = [
        int(take.claim.settings["denoiser_evaluations"])
        if isinstance(take, SignedImage)
        else sum(RUNGS) + FIXED_STEPS
        for take in takes
    ]
    ratio = statistics.fmean(spent) / FIXED_STEPS
    gained = statistics.fmean(take.ok for take in takes) - statistics.fmean(fixed)
    name = "adaptive steps, acceptance less that of 4 fixed"
    return [
        _plain("adaptive steps, evaluations against 4 fixed", ratio, len(shots), target=0.6, unit="x"),
        Figure(name=name, value=gained, low=gained, high=gained, n=len(shots), target=0, better="higher"),
    ]


def memory(bench: Bench) -> list[Figure]:
    """Peak memory of a long job against a short one, each in a process of its own."""
    peaks: list[float] = []
    counts = [max(2, int(bench.shots * multiple)) for multiple in MEMORY]
    for count in counts:
        jobs = rendered_job(bench.folder / f"memory-{count}.csv", count)
        lines = _rendered(bench, jobs, bench.folder / f"memory-{count}").stdout.split()
        peaks.append(float(lines[-1]))
    ratio = peaks[1] / peaks[0]
    name = f"peak memory of {counts[1]} shots against {counts[0]}"
    return [_plain(name, ratio, sum(counts), target=1.1, unit="x")]


def killed(bench: Bench) -> list[Figure]:
    """A job killed again and again at random moments, then left to finish."""
    rows = ROWS * bench.shots
    jobs, out = rendered_job(bench.folder / "killed.csv", rows), bench.folder / "killed"
    rng = random.Random(0)
    done: Counter[str] = Counter()
    kills = 0
    while kills < KILLS:
        with started(jobs, out, bench.keys) as victim:
            assert victim.stdout is not None
            names: list[str] = []
            for line in victim.stdout:
                names.append(line.strip())
                if len(names) >= max(1, rows // (2 * KILLS)):
                    break
            time.sleep(rng.random() / 10)
            victim.send_signal(signal.SIGKILL)
            names += [line.strip() for line in victim.stdout]
        done.update(name for name in names if not name.isdigit())
        kills += 1
    done.update(name for name in _rendered(bench, jobs, out).stdout.split() if not name.isdigit())
    with Ledger.read(out) as ledger:
        found = ledger.rows()
    files = {path.name for path in (out / "images").iterdir()}
    lost = sum(row.status != "signed" or row.file not in files for row in found) + rows - len(found)
    twice = sum(count > 1 for count in done.values()) + len(files - {row.file for row in found})
    unsigned = sum(
        verify(out / "images" / name, trust=bench.key.anchors).state is not State.TRUSTED for name in files
    )
    after = f"of {rows} rows killed {kills} times"
    return [
        _plain(f"{what} {after}", count, rows, target=0)
        for what, count in (("lost", lost), ("done twice", twice), ("unsigned", unsigned))
    ]


def verification(bench: Bench) -> list[Figure]:
    """Signed files verified a second, on every core."""
    folder = bench.folder / "killed" / "images"
    paths = sorted(folder.iterdir()) if folder.is_dir() else []
    if not paths:
        out = bench.folder / "verify"
        _rendered(bench, rendered_job(bench.folder / "verify.csv", ROWS * bench.shots), out)
        paths = sorted((out / "images").iterdir())
    anchors = bench.key.anchors
    seconds: list[float] = []
    with ThreadPoolExecutor(cores()) as pool:
        for part in (paths[i::ROUNDS] for i in range(ROUNDS)):
            with _timed(seconds, len(part)):
                states = list(pool.map(lambda path: verify(path, trust=anchors).state, part))
            if any(state is not State.TRUSTED for state in states):
                raise CastmarkError(f"{folder}: a file signed for this bench does not verify")
    name = f"files of {len(paths)} verified a second on {cores()} cores"
    return [median(name, [1 / s for s in seconds], "/s", target=150.0, better="higher")]


def cold_start(bench: Bench) -> list[Figure]:
    """The first image of ``castmark shoot`` in a new process, and where its time goes."""
    environment = dict(os.environ) | ({"OMP_NUM_THREADS": str(bench.threads)} if bench.threads else {})
    walls: list[float] = []
    parts: dict[str, list[float]] = {}
    for index in range(COLD_STARTS):
        command = [sys.executable, "-m", "castmark.cli", "shoot", "a red mug on a plain background"]
        command += [
            "--seed",
            "1",
            "--steps",
            "1",
            "--key",
            str(bench.keys),
            "--out",
            str(bench.folder / f"cold-{index}"),
        ]
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True, env=environment)
        walls.append(time.perf_counter() - start)
        told = subprocess.run(
            [sys.executable, "-m", "castmark.bench.cold_start", str(bench.keys)],
            check=True, capture_output=True, text=True, env=environment,
        )  # fmt: skip
        for name, span in json.loads(told.stdout.splitlines()[-1]).items():
            parts.setdefault(name, []).append(span)
    return [
        median("first image from a cold start", walls, "s", target=12.0),
        *(median(f"cold start: {name}", spans, "s") for name, spans in parts.items()),
    ]


PARTS: tuple[Callable[[Bench], list[Figure]], ...] = (
    against_a_plain_loop,
    by_batch_size,
    one_image,
    adaptive_steps,
    memory,
    killed,
    verification,
    cold_start,
)
"""What the suite measures, in order."""


def _plain(name: str, value: float, n: int, *, target: float | None = None, unit: str = "") -> Figure:
    """A figure without an interval: a count, or one ratio."""
    return Figure(name=name, value=value, low=value, high=value, n=n, target=target, unit=unit)


def _open(bench: Bench) -> Studio:
    return Studio.open(key=bench.key, threads=bench.threads, batch_size=BATCH_SIZE)


def _warm(studio: Studio, shots: Sequence[Shot]) -> None:
    for _take in studio.shoot_all(shots):
        pass


@contextmanager
def _every_core() -> Generator[None]:
    """Torch's own default: a thread a core."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(cores())
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def _timed(seconds: list[float], n: int) -> Generator[None]:
    """Append the seconds each of ``n`` took."""
    start = time.perf_counter()
    yield
    seconds.append((time.perf_counter() - start) / n)


def _rendered(bench: Bench, jobs: Path, out: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(rendered.command(jobs, out, bench.keys), check=True, capture_output=True, text=True)
