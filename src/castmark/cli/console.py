"""What the command line shows while it works: lines, and on a terminal progress bars.

The library only yields events; they are drawn here.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from castmark.runs.runners import RowDone
    from castmark_adapters.learn import LearnEvent


class Reporter:
    """Draws events; use it as a context manager, so that a bar never outlives an error.

    Args:
        quiet: show nothing but rows that were refused or failed.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet
        self._results = Console(highlight=False, soft_wrap=True)
        self._status = Console(stderr=True, highlight=False, soft_wrap=True)
        if self._results.is_terminal and self._status.is_terminal:
            self._results = self._status  # one that knows of the bar, and moves it out of the way
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bars = Progress(*columns, console=self._status, transient=True)
        self._tasks: dict[str, TaskID] = {}
        self._drawing = not quiet and self._status.is_terminal

    def __enter__(self) -> Self:
        if self._drawing:
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._drawing:
            self._bars.stop()

    def say(self, text: str) -> None:
        """A line on what is going on, to standard error."""
        if not self.quiet:
            self._status.print(text, markup=False)

    def result(self, text: str) -> None:
        """A line of the command's result, to standard output."""
        if not self.quiet:
            self._results.print(text, markup=False)

    def progress(self, what: str, done: int, total: int) -> None:
        """``done`` of ``total`` steps of ``what``: a bar on a terminal, nothing elsewhere."""
        if not self._drawing:
            return
        if what not in self._tasks:
            self._tasks[what] = self._bars.add_task(what, total=total)
        self._bars.update(self._tasks[what], completed=done, total=total)
        if done >= total:
            self._bars.remove_task(self._tasks.pop(what))

    def learning(self, name: str) -> Callable[[LearnEvent], None]:
        """What draws the events of learning the subject ``name``."""

        def show(event: LearnEvent) -> None:
            self.progress(f"learning {name}", event.step, event.steps)
            if event.likeness is not None and event.likeness_without is not None:
                self.say(
                    f"{name}: step {event.step}, loss {event.subject:.3f}, identity {event.likeness:.2f} "
                    f"({event.likeness_without:.2f} without a LoRA)"
                )

        return show

    def row_done(self, event: RowDone) -> None:
        """One image of a run: its outcome in a line, and the bar."""
        row = event.row
        self.progress("drawing", event.done, event.total)
        if row.status == "signed":
            likeness = "" if row.identity is None else f"  identity {row.identity:.2f}"
            self.result(f"{row.name}  signed{likeness}")
            for note in () if row.verdict is None else row.verdict.notes:
                self.say(f"{row.name}  {note}")
            return
        line = f"{row.name}  {row.status} (seed {row.seed}): {row.reason}"
        if self.quiet or row.status == "failed":
            self._status.print(line, markup=False)
        else:
            self.result(line)


def hush_libraries() -> None:
    """Keep the model libraries' own bars and notices off the terminal; errors still come as exceptions."""
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    for library in (diffusers_logging, transformers_logging):
        library.disable_progress_bar()
        library.set_verbosity_error()
