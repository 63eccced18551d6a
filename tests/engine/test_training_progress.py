"""What a training run shows: a table that goes on, a plot, and sheets of what the model would draw."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import torch
from diffusers import StableDiffusionPipeline
from PIL import Image

import castmark_data
from castmark.training.common import TrainSettings, seeded
from castmark.training.denoiser import new_model
from castmark.training.drawings import Drawings
from castmark.training.progress import LABEL, Progress
from castmark.training.samples import COUNT, SEED, round_trip


def test_a_run_that_goes_on_adds_to_its_table_and_sheets(tmp_path: Path) -> None:
    red = np.full((8, 8, 3), (255, 0, 0), np.uint8)
    for step in (50, 100):
        progress = Progress(tmp_path / "work", "judge", lambda: {"first": [red, red], "second": [red]})
        progress.note(step, step / 60, 1 / step, 1e-3)
        progress.show(step)
    with progress.table.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert [(row["step"], row["loss"]) for row in rows] == [("50", "0.02"), ("100", "0.01")]
    with Image.open(progress.plot) as plot:
        assert plot.size == (800, 400)
    sheets = sorted((tmp_path / "work" / "judge-samples").iterdir())
    assert [path.name for path in sheets] == ["000050.png", "000100.png"]
    with Image.open(sheets[0]) as shown:
        page = np.asarray(shown)
    assert page.shape == (2 * (8 + LABEL), 16, 3)
    assert (page[LABEL : LABEL + 8] == (255, 0, 0)).all()
    assert (page[-8:, 8:] == 255).all(), "the second row is shorter"


def test_one_reading_of_one_loss_makes_no_plot(tmp_path: Path) -> None:
    progress = Progress(tmp_path, "judge")
    progress.note(50, 1.0, 2.0, 1e-3)
    progress.show(50)
    assert not progress.plot.exists()


@torch.no_grad()
def test_sheets_show_what_the_base_draws(tmp_path: Path) -> None:
    base = castmark_data.path("embedded", "base")
    settings = TrainSettings(minutes=0, work=tmp_path, out=base, threads=1)
    model = new_model(base, castmark_data.path("embedded", "reference"))
    pipeline = StableDiffusionPipeline.from_pretrained(base)
    drawings = Drawings(settings, model)
    rows = drawings.of_student()
    shape = (COUNT, model.unet.config["in_channels"], 16, 16)
    for steps, name in ((4, "student, 4 steps"), (1, "student, 1 step")):
        wanted = pipeline(
            drawings.captions,
            num_inference_steps=steps,
            guidance_scale=1.0,
            latents=torch.randn(shape, generator=seeded(np.random.default_rng(SEED))),
            output_type="np",
        ).images
        found = np.stack(rows[name])
        assert np.abs(found - 255 * wanted).max() < 2, name
    guided = drawings.of_teacher()["teacher, guided"]
    assert len(guided) == COUNT and np.stack(guided).std() > 10
    rendered, again = (np.stack(row).astype(float) for row in round_trip(pipeline.vae).values())
    assert np.abs(rendered - again).mean() < 10
    assert model.training
