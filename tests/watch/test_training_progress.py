# SPDX-License-Identifier: Apache-2.0
"""What whoever trains gets to see: nothing that is wrong, and on a terminal something that moves."""

from __future__ import annotations

import io

import pytest

from sideman.watch.training_progress import BarProgress, PlainProgress
from sideman_models.training.progress import Epoch, TrainingPlan, TrainingProgress

PLAN = TrainingPlan(epochs=20, done=10, pieces=3, values=4000, vocabulary=99, held_out="none [here]", device="the CPU")


def test_lines_tell_each_epoch_and_the_time_left() -> None:
    """One would not know whether it learns, nor when it ends; less so after a training was gone on with."""
    lines: list[str] = []
    times = iter([100.0, 103.0, 106.0])
    watcher = PlainProgress(lines.append, lambda: next(times))
    with watcher:
        watcher.begins(PLAN)
        for number, unseen in ((11, 5.25), (12, None)):
            watcher.moves(TrainingProgress(number, 0.5, 2000, 6.1))
            watcher.ends_epoch(Epoch(number, 6.0, unseen), Epoch(11, 6.0, 5.25))
        watcher.says("something")
    assert lines == [
        "learning from 3 pieces, 4,000 values, 99 in the vocabulary, on the CPU; kept back to measure on: none [here]",
        "going on after epoch 10",
        "epoch 11/20   bits a value: training 6.0000   unseen 5.2500   27 s left",
        "epoch 12/20   bits a value: training 6.0000   24 s left",
        "something",
    ]


def test_a_terminal_shows_how_far_it_is() -> None:
    """A long epoch would look like a program that hangs."""
    rich = pytest.importorskip("rich.console")
    screen = io.StringIO()
    console = rich.Console(file=screen, force_terminal=True, width=150)
    with BarProgress(console) as watcher:
        watcher.begins(PLAN)
        watcher.moves(TrainingProgress(11, 0.0, 0, 0.0))
        watcher.moves(TrainingProgress(11, 0.5, 2000, 6.125))
        watcher.ends_epoch(Epoch(11, 6.0, 5.25), Epoch(11, 6.0, 5.25))
        watcher._bar.refresh()
    shown = screen.getvalue()
    for part in ("epoch 11/20", "6.1250 bits a value", "values/s", "best 5.2500 (epoch 11)", "none [here]"):
        assert part in shown
