# SPDX-License-Identifier: Apache-2.0
"""Finds what a line copies: its longest run of values that also occurs in the training set.

Two lines are compared by their **values**, or as a **melody**: by durations and intervals only, whatever the chords and
so the kinds. A run may contain rests, but its length is counted in notes. The own solos of a player do not count as
sources for that player.

Real solos also share licks and scales with those of other players. A network that copies shares more.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from sideman_models.music.solos import Piece
from sideman_models.music.values import Value

Ints = npt.NDArray[np.int64]
MatchKey = Callable[[Value], Hashable]
MATCH_KEYS: dict[str, MatchKey] = {
    "values": lambda value: value,
    "melody": lambda value: (value.kind == "R", value.ticks, value.interval),
}
"""The two ways to compare values, by name. As a melody, a rest never equals a note."""


class SharedRun(Struct, frozen=True):
    """The values of `piece` from number `start` on that also occur in the piece `source` (None: no note is shared)."""

    piece: Piece
    start: int
    value_count: int
    note_count: int
    source: Piece | None

    @property
    def text(self) -> str:
        """The values of the run, separated by spaces."""
        return " ".join(value.text for value in self.piece.values[self.start : self.start + self.value_count])


def performer_of(piece: Piece) -> str:
    """Return the performer; if that is unknown, the title, as if each title had another performer."""
    return piece.performer or piece.title


def longest_shared_runs(pieces: Sequence[Piece], training: Sequence[Piece], match_key: MatchKey) -> list[SharedRun]:
    """Return for each piece the longest run in notes that also occurs in a training piece of another player."""
    text = _TokenText([*training, *pieces], len(training), match_key)
    best = np.zeros((len(pieces), 3), np.int64)  # notes, values, start
    for length, starts in text.shared_runs():
        notes = text.notes_before[starts + length] - text.notes_before[starts]
        runs = np.stack([notes, np.full(len(starts), length), starts], 1)
        owner = text.piece_numbers[starts] - len(training)
        order = np.lexsort((-starts, runs[:, 0], owner))
        last = order[np.flatnonzero(np.append(np.diff(owner[order]) != 0, True))] if len(order) else order
        better = last[runs[last, 0] > best[owner[last], 0]]
        best[owner[better]] = runs[better]
    shared = []
    for number, (piece, (notes, values, start)) in enumerate(zip(pieces, best.tolist(), strict=True)):
        first = text.piece_starts[len(training) + number]
        source = text.find_source(start, values) if notes else None
        shared.append(SharedRun(piece, start - first if notes else 0, values, notes, source))
    return shared


class _TokenText:
    """All pieces in a row, the training pieces first, as numbers: one number for each different match key."""

    def __init__(self, pieces: Sequence[Piece], training_count: int, match_key: MatchKey) -> None:
        numbers: dict[Hashable, int] = {}
        self.pieces, self.training_count = pieces, training_count
        values = [value for piece in pieces for value in piece.values]
        self.tokens = np.fromiter((numbers.setdefault(match_key(value), len(numbers)) for value in values), np.int64)
        self.token_count = len(numbers)
        lengths = [len(piece.values) for piece in pieces]
        ends = np.cumsum(np.array(lengths, np.int64))
        self.piece_starts: list[int] = [0, *ends.tolist()]
        self.piece_numbers = np.repeat(np.arange(len(pieces)), lengths)
        self.piece_ends = np.repeat(ends, lengths)
        players: dict[str, int] = {}
        own = np.fromiter((players.setdefault(performer_of(piece), len(players)) for piece in pieces), np.int64)
        self.player_numbers = np.repeat(own, lengths)
        self.notes_before = np.append(0, np.cumsum(np.fromiter((value.kind != "R" for value in values), np.int64)))

    def shared_runs(self) -> Iterator[tuple[int, Ints]]:
        """Yield for each length from 1 on the starts of the runs that are shared.

        A run is outside the training pieces, and also occurs in a training piece of another player.
        """
        at, run, length = np.arange(len(self.tokens)), self.tokens, 1
        while True:
            trained = self.piece_numbers[at] < self.training_count
            player, run_count = self.player_numbers[at], int(run.max(initial=0)) + 1
            # The lowest and the highest player number of each run (numbered from 0) among the training pieces.
            lowest, highest = np.full(run_count, np.iinfo(np.int64).max), np.full(run_count, -1)
            np.minimum.at(lowest, run[trained], player[trained])
            np.maximum.at(highest, run[trained], player[trained])
            shared = ~trained & (highest[run] >= 0) & ((lowest[run] != player) | (highest[run] != player))
            if not shared.any():
                return
            yield length, at[shared]
            # A longer run can be shared only if this one is.
            continues = (shared | (trained & np.isin(run, run[shared]))) & (at + length < self.piece_ends[at])
            at, run = at[continues], run[continues] * self.token_count + self.tokens[at[continues] + length]
            run = np.unique(run, return_inverse=True)[1].reshape(-1)
            length += 1

    def find_source(self, start: int, length: int) -> Piece:
        """Return the first training piece of another player with the run."""
        at = np.arange(self.piece_starts[self.training_count])
        at = at[(self.player_numbers[at] != self.player_numbers[start]) & (at + length <= self.piece_ends[at])]
        for step, token in enumerate(self.tokens[start : start + length]):
            at = at[self.tokens[at + step] == token]
        return self.pieces[int(self.piece_numbers[at[0]])]
