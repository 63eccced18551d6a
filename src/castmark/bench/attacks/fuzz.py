"""Fuzzing: mutated files, to find one that crashes the verifier, hangs it, or is trusted."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st

from castmark_provenance.report import State
from castmark_provenance.verify import verify

HANG = 10.0
"""Seconds for one small file."""
ROUND = 50
"""Files between looks at the clock: a test of hypothesis may not end early."""


def fuzz(files: Mapping[str, bytes], anchors: str, seconds: float) -> Counter[str]:
    """Counts of "files", "crash", "hang" and "trusted" after ``seconds`` of mutated ``files``."""
    counts: Counter[str] = Counter(files=0, crash=0, hang=0, trusted=0)
    ends = time.monotonic() + seconds

    def one(data: st.DataObject) -> None:
        original = files[data.draw(st.sampled_from(sorted(files)))]
        changed = _mutated(original, data)
        start = time.monotonic()
        try:
            state = verify(changed, trust=anchors).state
        except Exception:  # noqa: BLE001 - this is what is looked for
            counts["crash"] += 1
        else:
            counts["trusted"] += state in (State.TRUSTED, State.UNMET) and changed != original
        counts["hang"] += time.monotonic() - start > HANG
        counts["files"] += 1

    turn = 0
    while time.monotonic() < ends:
        _round(one, turn)
        turn += 1
    return counts


def _round(one: Callable[[st.DataObject], None], turn: int) -> None:
    quiet = settings(
        max_examples=ROUND,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    )
    seeded(turn)(quiet(given(st.data())(one)))()


def _mutated(original: bytes, data: st.DataObject) -> bytes:
    """Up to five edits: bytes overwritten, put in, cut out, doubled or moved."""
    changed = bytearray(original)
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(0, len(changed)))
        length = data.draw(st.sampled_from((1, 2, 4, 8, 40, 400, 4000)))
        piece = bytes(changed[at : at + length])
        match data.draw(st.sampled_from(("bits", "write", "insert", "cut", "double", "move"))):
            case "bits" if at < len(changed):
                changed[at] ^= data.draw(st.integers(1, 255))
            case "write":
                fresh = data.draw(st.binary(min_size=1, max_size=8))
                changed[at : at + len(fresh)] = fresh
            case "insert":
                changed[at:at] = data.draw(st.binary(min_size=1, max_size=16))
            case "cut":
                del changed[at : at + length]
            case "double":
                changed[at:at] = piece
            case _:
                del changed[at : at + length]
                there = data.draw(st.integers(0, len(changed)))
                changed[there:there] = piece
    return bytes(changed)
