"""What a training run shows as it goes: its losses as a table and a plot, and sheets of samples.

WORK/teacher.csv                 step, minutes, loss, learning rate
WORK/teacher.png                 the losses over the minutes
WORK/teacher-samples/001200.png  rows of pictures, each row named
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Rows: TypeAlias = Mapping[str, Sequence[NDArray[np.uint8]]]
"""Pictures "h w 3" of one size, by the row's name."""
COLUMNS = ("step", "minutes", "loss", "rate")
LABEL = 18
"""Pixels above each row for its name."""


class Progress:
    """The table, plot and sheets of one run; a run that goes on adds to them.

    Args:
        folder: where they go.
        name: the run's.
        samples: makes the pictures of a sheet; None for a model that draws none.
    """

    def __init__(self, folder: Path, name: str, samples: Callable[[], Rows] | None = None) -> None:
        self.table, self.plot = folder / f"{name}.csv", folder / f"{name}.png"
        self._sheets, self._samples = folder / f"{name}-samples", samples
        folder.mkdir(parents=True, exist_ok=True)
        if not self.table.is_file():
            self._write([COLUMNS])

    def note(self, step: int, minutes: float, loss: float, rate: float) -> None:
        """One line of the table."""
        self._write([(step, round(minutes, 2), round(loss, 5), f"{rate:.3g}")])

    def show(self, step: int) -> None:
        """Draw the plot anew, and a sheet."""
        with self.table.open(newline="", encoding="utf-8") as lines:
            rows = [(float(row["minutes"]), float(row["loss"])) for row in csv.DictReader(lines)]
        if len(rows) > 1:
            _plot(rows, self.plot)
        if self._samples is not None:
            self._sheets.mkdir(exist_ok=True)
            sheet(self._samples()).save(self._sheets / f"{step:06d}.png")

    def _write(self, rows: Sequence[Sequence[object]]) -> None:
        with self.table.open("a", newline="", encoding="utf-8") as lines:
            csv.writer(lines).writerows(rows)


def sheet(rows: Rows) -> Image.Image:
    """Rows of pictures under their names."""
    height, width, _ = next(iter(rows.values()))[0].shape
    most = max(map(len, rows.values()))
    page = Image.new("RGB", (most * width, len(rows) * (height + LABEL)), "white")
    pen = ImageDraw.Draw(page)
    for line, (name, pictures) in enumerate(rows.items()):
        top = line * (height + LABEL)
        pen.text((4, top + 3), name, fill="black")
        for column, picture in enumerate(pictures):
            page.paste(Image.fromarray(picture), (column * width, top + LABEL))
    return page


def _plot(rows: Sequence[tuple[float, float]], path: Path) -> None:
    from matplotlib.figure import Figure

    minutes, losses = np.array(rows).T
    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot(minutes, losses, linewidth=1)
    axes.set_xlabel("minutes")
    axes.set_ylabel("loss")
    axes.set_yscale("log" if losses.min() > 0 else "linear")
    axes.grid(alpha=0.3, which="both")
    figure.savefig(path, dpi=100)
