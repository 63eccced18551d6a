"""Runs a batch on a base that takes its time, to be killed meanwhile: slow_batch.py JOBS RUN KEYS SECONDS."""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from engine_fakes import FakeBase, fake_studio

from castmark_provenance.keys import PemKey


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


jobs, run, keys, seconds = sys.argv[1:]
base = FakeBase(on_draw=lambda shots: time.sleep(float(seconds) * len(shots)))
summary = fake_studio(PemKey.load_folder(keys), base=base).run(
    jobs, run, on_event=lambda event: say(event.row.name)
)
say(summary.explain())
