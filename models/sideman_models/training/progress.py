# SPDX-License-Identifier: Apache-2.0
"""What training reports while it runs."""

from __future__ import annotations

from msgspec import Struct


class TrainingPlan(Struct, frozen=True):
    """What is about to be trained, on how many pieces and values, and on what device.

    `done` epochs were completed before, if training is resumed. `vocabulary` is the number of different values.
    `held_out` says which titles are held out: see `SplitRule.description`.
    """

    epochs: int
    done: int
    pieces: int
    values: int
    vocabulary: int
    held_out: str
    device: str


class Epoch(Struct, frozen=True):
    """The figures of one epoch: mean bits per value in training (with dropout) and on the held-out pieces, if any."""

    number: int
    training_bits: float
    held_out_bits: float | None

    def better_than(self, other: Epoch) -> bool:
        """Whether this epoch has fewer held-out bits than `other`, or is the later one if nothing is held out."""
        if self.held_out_bits is None or other.held_out_bits is None:
            return self.number > other.number
        return self.held_out_bits < other.held_out_bits


class TrainingObserver:
    """Gets reports from training. This one ignores them."""

    def on_start(self, plan: TrainingPlan) -> None:
        """Training is about to start."""

    def on_progress(self, epoch: int, share: float, values: int, bits: float) -> None:
        """A step is about to be made: the epoch, its share (0..1) and values done, and bits per value so far."""

    def on_epoch_end(self, epoch: Epoch, best: Epoch) -> None:
        """An epoch is complete; `best` is the best one so far."""

    def on_message(self, text: str) -> None:
        """A message for the user."""
