"""The demo: a character and a product that nothing was trained on, drawn, checked, signed, verified.

    demo/
    ├── references/NAME/    the references, rendered anew, with masks of where the subject is
    ├── subjects/NAME/      the subject packs, with what was learned
    ├── campaign.csv        eight scenes of the character      ─┐ job files, as a user would write them
    ├── products.csv        six shots of the product           ─┘
    ├── campaign/, products/   the runs: images/, ledger.sqlite, subjects/
    ├── sheet.html          the contact sheet
    └── trust.pem           the root to verify with on another machine

Run again, it goes on where it was.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import castmark_world as world
from castmark.runs.runners import RowDone, RunSummary
from castmark.runs.sheet import write_sheet
from castmark.studio.studio import Studio
from castmark.take import write_atomically
from castmark_adapters import pack
from castmark_adapters.errors import AdapterError
from castmark_adapters.subject import Subject
from castmark_provenance.report import Report, State
from castmark_provenance.verify import verify

if TYPE_CHECKING:
    from castmark_adapters.learn import LearnEvent

CHARACTER_REFERENCES = {
    "studio": "standing",
    "bedroom": "hands on hips",
    "city": "walking",
    "forest": "waving",
}
"""Places and poses."""
PRODUCT_REFERENCES = dict.fromkeys(("studio", "bedroom", "desert", "forest"))
NAMES = {"feminine": "mira", "masculine": "milo", "neutral": "robin"}
SIDE = 256
REDRAWS = 3
LICENCE = "Apache-2.0 (rendered by castmark_world)"
CHARACTER_SCENES = {
    "beach": "{name} waving at the beach on a sunny day",
    "forest": "{name} walking in the forest",
    "city": "{name} walking in the city at night",
    "kitchen": "{name} with hands on hips in the kitchen",
    "bedroom": "{name} standing in the bedroom at night",
    "snow": "{name} with both arms up on a snowy mountain",
    "desert": "{name} walking in the desert at sunset",
    "studio": "{name} smiling in a photo studio",
}
PRODUCT_SCENES = {
    "studio": "{name} on a plain background",
    "kitchen": "{name} in the kitchen",
    "beach": "{name} on a sandy shore at sunset",
    "forest": "{name} among tall trees",
    "snow": "{name} in the snow",
    "city": "{name} on a city street by day",
}


class Reporter(Protocol):
    """Who is told what goes on; the command line's draws bars."""

    def say(self, text: str) -> None:
        """A line on what is going on."""
        ...

    def result(self, text: str) -> None:
        """A line of the result."""
        ...

    def learning(self, name: str) -> Callable[[LearnEvent], None]:
        """What to call with the events of learning ``name``."""
        ...

    def row_done(self, event: RowDone) -> None:
        """One image's outcome."""
        ...


def run_demo(out: Path, *, learn: bool, seed: int, threads: int | None, reporter: Reporter) -> bool:
    """Make the demo under ``out``. True only if every image of both jobs is there and verifies as trusted.

    Raises:
        CastmarkError, AdapterError, ProvenanceError: a part is missing or broken.
        OSError: ``out`` cannot be written.
    """
    rng = np.random.default_rng(seed)
    reporter.say(f"rendering references of a character and a product of the test split (seed {seed})")
    character = make_subject(out, "character", rng)
    product = make_subject(out, "product", rng)
    reporter.say("loading the base, the judge and the key")
    studio = Studio.open(threads=threads)
    write_atomically(out / "trust.pem", studio.signing_key.anchors.encode())
    runs: list[RunSummary] = []
    for subject, name, scenes in (
        (character, "campaign", CHARACTER_SCENES),
        (product, "products", PRODUCT_SCENES),
    ):
        ready = _learned(studio, out / "subjects", subject, reporter) if learn else subject
        pack.put(out / "subjects", ready)
        reporter.say(f"{name}: {len(scenes)} shots of {ready.name}, {ready.phrase!r}")
        jobs = write_jobs(out / f"{name}.csv", ready, scenes)
        summary = studio.run(jobs, out / name, [ready], redraws=REDRAWS, on_event=reporter.row_done)
        reporter.say(summary.explain())
        runs.append(summary)
    sheet = write_sheet([summary.run for summary in runs], out / "sheet.html", title="Castmark demo")
    reports = [
        verify(summary.run / "images" / (row.file or row.name)) for summary in runs for row in summary.rows
    ]
    for line in table(reports):
        reporter.result(line)
    trusted = sum(report.state is State.TRUSTED for report in reports)
    reporter.result(f"{trusted} of {len(reports)} images trusted; contact sheet: {sheet}")
    return trusted == len(reports) and all(summary.ok for summary in runs)


def make_subject(out: Path, kind: Literal["character", "product"], rng: np.random.Generator) -> Subject:
    """The first subject of the world's test split that will do, with its references rendered under
    ``out/references``: of characters one in clothes of its own, for a uniform is its occupation's.
    """
    spec = world.sample_subject(rng, kind, split="test")
    while isinstance(spec, world.CharacterSpec) and spec.occupation != "none":
        spec = world.sample_subject(rng, kind, split="test")
    if isinstance(spec, world.CharacterSpec):
        name, settings = NAMES[spec.gender], CHARACTER_REFERENCES
    else:
        assert isinstance(spec, world.ProductSpec)
        name, settings = spec.category, PRODUCT_REFERENCES
    views = [
        world.stage(spec, rng, item=None, place=place, time="day", pose=pose, camera="full")
        for place, pose in settings.items()
    ]
    files: list[bytes] = []
    masks: list[bytes] = []
    for index, view in enumerate(views, start=1):
        files.append(_png(world.render(view, SIDE)))
        masks.append(_png(world.masks(view, SIDE)["subject"].astype(np.uint8) * 255))
        write_atomically(out / "references" / name / f"{index}.png", files[-1])
        write_atomically(out / "references" / name / f"{index}-mask.png", masks[-1])
    return Subject.from_images(
        name, files, kind, masks=masks, phrase=world.class_phrase(spec), licence=LICENCE
    )


def _png(pixels: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def write_jobs(file: Path, subject: Subject, scenes: dict[str, str]) -> Path:
    """The job file a user would write: one row a scene."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["name", "prompt", "subject", "seed"])
    for seed, (place, prompt) in enumerate(scenes.items(), start=1):
        writer.writerow([f"{subject.name}-{place}", prompt.format(name=subject.name), subject.name, seed])
    write_atomically(file, text.getvalue().encode())
    return file


def table(reports: Sequence[Report]) -> list[str]:
    """The verify table: a line per file, its state and what was found."""
    width = max(len(str(report.path)) for report in reports)
    return [f"{report.path!s:<{width}}  {report.verdict}" for report in reports]


def _learned(studio: Studio, library: Path, subject: Subject, reporter: Reporter) -> Subject:
    """The subject with its LoRA: the one an earlier run learned on this base, or a new one."""
    try:
        earlier = pack.get(library, subject.name)
    except AdapterError:
        earlier = None  # none yet, or a damaged pack, which is learned and written anew
    if (
        earlier is not None
        and earlier.lora is not None
        and earlier.lora.base == studio.base.digest
        and earlier.model_copy(update={"lora": None}).digest == subject.digest
    ):
        return earlier
    reporter.say(f"learning a LoRA of {subject.name} from {len(subject.references)} references")
    work = library / f".{subject.name}.learning"
    return studio.learn(subject, work=work, on_event=reporter.learning(subject.name))
