# SPDX-License-Identifier: Apache-2.0
"""The progress of a training: one line for each epoch, and a progress bar on a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any, Self

from sideman_models.text import printable_lines, terminal_of
from sideman_models.training.progress import Epoch, TrainingObserver, TrainingPlan


class PlainProgress(TrainingObserver):
    """Writes one plain line for each epoch."""

    def __init__(self, write: Callable[[str], None] | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._write = write or (lambda line: print(line, flush=True))  # noqa: T201 - it is what it is for
        self._clock = clock

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is left to remove from the screen."""

    def on_start(self, plan: TrainingPlan) -> None:
        """Write what the network is trained on, and with which device."""
        self._plan, self._start = plan, self._clock()
        music = f"{plan.pieces} pieces, {plan.values:,} values, {plan.vocabulary} in the vocabulary"
        self._write(f"learning from {music}, on {plan.device}; kept back to measure on: {plan.held_out}")
        if plan.done:
            self._write(f"going on after epoch {plan.done}")

    def on_epoch_end(self, epoch: Epoch, best: Epoch) -> None:  # noqa: ARG002 - for the bar
        """Write the line of an epoch."""
        epoch_s = (self._clock() - self._start) / (epoch.number - self._plan.done)
        unseen = "" if epoch.held_out_bits is None else f"   unseen {epoch.held_out_bits:.4f}"
        left = f"{epoch_s * (self._plan.epochs - epoch.number):.0f} s left"
        number = f"epoch {epoch.number}/{self._plan.epochs}"
        self._write(f"{number}   bits a value: training {epoch.training_bits:.4f}{unseen}   {left}")

    def on_message(self, text: str) -> None:
        """Write a line of text."""
        self._write(text)


class BarProgress(PlainProgress):
    """Writes the same lines above a bar with the present loss, the best epoch, the speed and the time left."""

    def __init__(self, console: Any = None) -> None:  # noqa: ANN401 - rich is loaded only here
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        figures = "{task.fields[bits]}  {task.fields[best]}  {task.fields[speed]}"
        columns = (TextColumn("{task.description}"), BarColumn(24), TextColumn(figures), TimeRemainingColumn())
        console = console or Console(file=terminal_of(sys.stdout))
        self._bar = Progress(*columns, console=console, transient=True)
        super().__init__(self._write_above)
        self._task = self._bar.add_task("starting", total=None, bits="", best="", speed="")

    def _write_above(self, line: str) -> None:
        self._bar.console.print(printable_lines(line), markup=False, highlight=False, soft_wrap=True)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def on_start(self, plan: TrainingPlan) -> None:
        """Write the plan, and set the length of the bar."""
        super().on_start(plan)
        self._bar.reset(self._task, total=plan.epochs, completed=plan.done)

    def on_progress(self, epoch: int, share: float, values: int, bits: float) -> None:
        """Move the bar."""
        if not values:  # an epoch begins
            self._epoch_start = self._clock()
            return
        speed = values / max(1e-9, self._clock() - self._epoch_start)
        self._bar.update(
            self._task,
            description=f"epoch {epoch}/{self._plan.epochs}",
            completed=epoch - 1 + share,
            bits=f"{bits:.4f} bits a value",
            speed=f"{speed:,.0f} values/s",
        )

    def on_epoch_end(self, epoch: Epoch, best: Epoch) -> None:
        """Write the line, and show the best epoch so far in the bar."""
        super().on_epoch_end(epoch, best)
        best_text = "" if best.held_out_bits is None else f"best {best.held_out_bits:.4f} (epoch {best.number})"
        self._bar.update(self._task, completed=epoch.number, best=best_text)
