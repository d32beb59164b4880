# SPDX-License-Identifier: Apache-2.0
"""The progress of a training, as lines and as a bar."""

from __future__ import annotations

import io

import pytest

from sideman.watch.training_progress import BarProgress, PlainProgress
from sideman_models.training.progress import Epoch, TrainingPlan

PLAN = TrainingPlan(epochs=20, done=10, pieces=3, values=4000, vocabulary=99, held_out="none [here]", device="the CPU")


def test_a_line_for_each_epoch_has_the_loss_and_the_time_left() -> None:
    """Guards against: a user who cannot see whether the network learns, or when a continued training ends."""
    lines: list[str] = []
    times = iter([100.0, 103.0, 106.0])
    progress = PlainProgress(lines.append, lambda: next(times))
    with progress:
        progress.on_start(PLAN)
        for number, unseen in ((11, 5.25), (12, None)):
            progress.on_progress(number, 0.5, 2000, 6.1)
            progress.on_epoch_end(Epoch(number, 6.0, unseen), Epoch(11, 6.0, 5.25))
        progress.on_message("something")
    assert lines == [
        "learning from 3 pieces, 4,000 values, 99 in the vocabulary, on the CPU; kept back to measure on: none [here]",
        "going on after epoch 10",
        "epoch 11/20   bits a value: training 6.0000   unseen 5.2500   27 s left",
        "epoch 12/20   bits a value: training 6.0000   24 s left",
        "something",
    ]


def test_a_terminal_shows_the_progress_within_an_epoch() -> None:
    """Guards against: a long epoch that looks like a program that hangs."""
    rich = pytest.importorskip("rich.console")
    screen = io.StringIO()
    console = rich.Console(file=screen, force_terminal=True, width=150)
    with BarProgress(console) as progress:
        progress.on_start(PLAN)
        progress.on_progress(11, 0.0, 0, 0.0)
        progress.on_progress(11, 0.5, 2000, 6.125)
        progress.on_epoch_end(Epoch(11, 6.0, 5.25), Epoch(11, 6.0, 5.25))
        progress._bar.refresh()
    shown = screen.getvalue()
    for part in ("epoch 11/20", "6.1250 bits a value", "values/s", "best 5.2500 (epoch 11)", "none [here]"):
        assert part in shown
