"""One training run: time budget, learning rate, checkpoints, progress (lines, a plot, sample sheets).

loop = Loop(settings, "teacher", model, groups(model), peak=2e-3)
while loop.going:
    loop.update(loss_of(batch), len(batch))
loop.finish()
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from castmark.training.common import Clock, TrainSettings, load_checkpoint, save_checkpoint
from castmark.training.muon import Muon
from castmark.training.parallel import Rank
from castmark.training.progress import Progress, Rows

PRINT_EVERY = 50


class Loop:
    """Muon on a cosine that ends with the time budget; resumes from ``settings.work``/NAME.pt.

    Args:
        name: names the checkpoint and the progress lines.
        model: what is checkpointed.
        parameters: what learns, as `castmark.training.muon.groups` makes them.
        peak: learning rate after ``warm_up`` steps; at the end of the budget ``floor`` times that.
        rank: which process this is, where several train one model.
        report: takes the progress lines.
        samples: makes the pictures of a sample sheet, one at every checkpoint.
    """

    def __init__(
        self,
        settings: TrainSettings,
        name: str,
        model: nn.Module,
        parameters: list[dict[str, Any]],
        *,
        peak: float,
        warm_up: int = 100,
        floor: float = 0.02,
        rank: Rank | None = None,
        report: Callable[[str], None] = print,
        samples: Callable[[], Rows] | None = None,
    ) -> None:
        self.name, self.model, self.peak, self.warm_up, self.floor = name, model, peak, warm_up, floor
        self.rank, self.report = rank or Rank(), report
        self.path = settings.work / f"{name}.pt"
        self.progress = Progress(settings.work, name, samples)
        self.optimiser = Muon(parameters, peak)
        self.learning = [p for group in self.optimiser.param_groups for p in group["params"]]
        self.step, self.minutes_before = 0, 0.0
        state = load_checkpoint(self.path)
        self.resumed = state is not None
        if state:
            model.load_state_dict(state["model"])
            if "optimiser" in state:  # one that was packed has none
                self.optimiser.load_state_dict(state["optimiser"])
            self.step, self.minutes_before = state["step"], state["minutes"]
        self.start, self.seen = self.step, 0
        self.losses: list[Tensor] = []
        self.clock = Clock(settings.minutes)
        self.fraction = self.clock.fraction

    @property
    def going(self) -> bool:
        """Whether budget is left."""
        return self.fraction < 1

    @property
    def minutes(self) -> float:
        """Minutes of training, over all runs that led here."""
        return self.minutes_before + self.clock.spent / 60

    def update(self, loss: Tensor, samples: int) -> None:
        """One optimiser step."""
        done = self.step - self.start
        cosine = self.floor + (1 - self.floor) * 0.5 * (1 + math.cos(math.pi * self.fraction))
        for group in self.optimiser.param_groups:
            group["lr"] = self.peak * group["scale"] * min(1.0, (done + 1) / self.warm_up) * cosine
        self.optimiser.zero_grad()
        loss.backward()
        self.fraction = self.rank.average(self.learning, self.clock.fraction)
        nn.utils.clip_grad_norm_(self.learning, 1.0)
        self.optimiser.step()
        self.step += 1
        self.seen += samples * self.rank.count
        self.losses.append(loss.detach())
        if self.step % PRINT_EVERY == 0:
            mean, speed = float(torch.stack(self.losses).mean()), self.seen / self.clock.spent
            self.losses.clear()
            if self.rank.leads:
                self.report(f"{self.name} step {self.step} loss {mean:.4f} {speed:.1f}/s")
                self.progress.note(self.step, self.minutes, mean, self.optimiser.param_groups[0]["lr"])
        if self.clock.checkpoint_due():
            self._save()

    def finish(self) -> None:
        """Write the last checkpoint."""
        self._save()

    def _save(self) -> None:
        if self.rank.leads:
            save_checkpoint(
                self.path,
                {
                    "model": self.model.state_dict(),
                    "optimiser": self.optimiser.state_dict(),
                    "step": self.step,
                    "minutes": self.minutes,
                },
            )
            self.progress.show(self.step)
