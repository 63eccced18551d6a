"""Runs a job on two local Ray workers, one of which dies in the middle: ray_batch.py JOBS RUN KEYS MARK."""

import os
import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

import ray
from engine_fakes import FakeBase, fake_studio

from castmark.jobs import read_job
from castmark.runner_ray import RayRunner
from castmark.runners import run
from castmark.studio import Studio
from castmark_provenance.keys import PemKey


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def open_studio(keys: str, mark: str) -> Studio:
    """A studio whose base ends its process the first time it draws seed 9."""

    def die_once(shots: object) -> None:
        if any(shot.seed == 9 for shot in shots) and not Path(mark).exists():  # type: ignore[attr-defined]
            Path(mark).write_text(str(os.getpid()))
            os._exit(1)

    return fake_studio(PemKey.load_folder(keys), base=FakeBase(on_draw=die_once))


jobs, out, keys, mark = sys.argv[1:]
support = str(Path(__file__).parents[1] / "support")
here = str(Path(__file__).parent)
ray.init(
    num_cpus=2,
    include_dashboard=False,
    log_to_driver=False,
    object_store_memory=128 * 2**20,
    runtime_env={"env_vars": {"PYTHONPATH": f"{here}:{support}"}},
)
summary = run(
    read_job(jobs),
    out,
    RayRunner(partial(open_studio, keys, mark), workers=2, batch_size=4, cpus=0.5),
    {},
    on_event=lambda event: say(event.row.name),
)
say(summary.explain())
ray.shutdown()
