# SPDX-License-Identifier: Apache-2.0
"""What a training tells of itself while it goes on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """What is about to be trained, on how much, and on what device; `done` epochs were done before."""

    epochs: int
    done: int
    pieces: int
    values: int
    vocabulary: int
    held_out: str
    device: str


@dataclass(frozen=True, slots=True)
class TrainingProgress:
    """A place within an epoch: its number, the share of it and the values that are done, and bits a value so far."""

    epoch: int
    share: float
    values: int
    bits: float


@dataclass(frozen=True, slots=True)
class Epoch:
    """One pass over the pieces: mean bits a value in training (with dropout) and on the unseen pieces, if any."""

    number: int
    training_bits: float
    held_out_bits: float | None

    def better_than(self, other: Epoch) -> bool:
        """Whether this is the one to keep: by the unseen pieces, where there are none the later."""
        if self.held_out_bits is None or other.held_out_bits is None:
            return self.number > other.number
        return self.held_out_bits < other.held_out_bits


class TrainingObserver:
    """Is told how a training goes. This one does not care."""

    def begins(self, plan: TrainingPlan) -> None:
        """The first step is about to be made."""

    def moves(self, moment: TrainingProgress) -> None:
        """Another step was made."""

    def ends_epoch(self, epoch: Epoch, best: Epoch) -> None:
        """An epoch is done; `best` is the one that would be kept now."""

    def says(self, text: str) -> None:
        """Something that whoever trains should know."""
