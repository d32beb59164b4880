# SPDX-License-Identifier: Apache-2.0
"""What a training tells of itself while it goes on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Plan:
    """What is about to be trained, on how much, and on what device; `done` epochs were done before."""

    epochs: int
    done: int
    pieces: int
    values: int
    vocabulary: int
    kept_back: str
    device: str


@dataclass(frozen=True, slots=True)
class Moment:
    """A place within an epoch: its number, the share of it and the values that are done, and bits a value so far."""

    epoch: int
    share: float
    values: int
    bits: float


@dataclass(frozen=True, slots=True)
class Epoch:
    """One pass over the pieces: mean bits a value in training (with dropout) and on the unseen pieces, if any."""

    number: int
    trained: float
    unseen: float | None

    def better_than(self, other: Epoch) -> bool:
        """Whether this is the one to keep: by the unseen pieces, where there are none the later."""
        if self.unseen is None or other.unseen is None:
            return self.number > other.number
        return self.unseen < other.unseen


class Watcher:
    """Is told how a training goes. This one does not care."""

    def begins(self, plan: Plan) -> None:
        """The first step is about to be made."""

    def moves(self, moment: Moment) -> None:
        """Another step was made."""

    def ends_epoch(self, epoch: Epoch, best: Epoch) -> None:
        """An epoch is done; `best` is the one that would be kept now."""

    def says(self, text: str) -> None:
        """Something that whoever trains should know."""
