# SPDX-License-Identifier: Apache-2.0
"""What a line has word for word from others: the longest run of it that stands somewhere in the training set too.

Two lines are compared either by their **values**, or as a **melody**: by durations and intervals alone, whatever the
chords beneath and so whatever the kinds. A run may hold rests, but its length is told in notes. Nobody borrows from
himself: a player's own solos do not count for him.

Real solos, too, share licks and plain scales with those of other players; a network that copies shares more.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sideman_models.music.solos import Piece
from sideman_models.music.values import Value

Ints = npt.NDArray[np.int64]
MatchKey = Callable[[Value], Hashable]


def by_value(value: Value) -> Hashable:
    """Alike in kind, duration and interval."""
    return value


def by_melody(value: Value) -> Hashable:
    """Alike in duration and interval, rests and notes told apart."""
    return value.kind == "R", value.ticks, value.interval


MATCH_KEYS: dict[str, MatchKey] = {"values": by_value, "melody": by_melody}


@dataclass(frozen=True, slots=True)
class SharedRun:
    """A run of values of `piece`, from number `start` on, that also stands in the piece `source`.

    Without a source there is no such run, not even of one note.
    """

    piece: Piece
    start: int
    value_count: int
    note_count: int
    source: Piece | None

    @property
    def text(self) -> str:
        """The values of the run, parted by spaces."""
        return " ".join(value.text for value in self.piece.values[self.start : self.start + self.value_count])


def performer_of(piece: Piece) -> str:
    """Who plays; a piece of which that is not known is its own player's."""
    return piece.performer or piece.title


def longest_shared_runs(pieces: Sequence[Piece], training: Sequence[Piece], match_key: MatchKey) -> list[SharedRun]:
    """For each piece the longest run, by its notes, that a training piece of another player has too."""
    text = _TokenText([*training, *pieces], len(training), match_key)
    best = np.zeros((len(pieces), 3), np.int64)  # notes, values, start
    for length, starts in text.shared_runs():
        found = np.stack([text.count_notes(starts, length), np.full(len(starts), length), starts], 1)
        owner = text.piece_numbers[starts] - len(training)
        order = np.lexsort((-starts, found[:, 0], owner))
        last = order[np.flatnonzero(np.append(np.diff(owner[order]) != 0, True))] if len(order) else order
        better = last[found[last, 0] > best[owner[last], 0]]
        best[owner[better]] = found[better]
    return [
        _make_run(text, number, piece, *map(int, row))
        for number, (piece, row) in enumerate(zip(pieces, best, strict=True))
    ]


def _make_run(text: _TokenText, number: int, piece: Piece, notes: int, values: int, start: int) -> SharedRun:
    if not notes:
        return SharedRun(piece, 0, 0, 0, None)
    return SharedRun(
        piece, start - text.piece_starts[text.training_count + number], values, notes, text.find_source(start, values)
    )


class _TokenText:
    """All pieces in a row, the training ones first, each value a number: the same for all that are alike."""

    def __init__(self, pieces: Sequence[Piece], training_count: int, match_key: MatchKey) -> None:
        numbers: dict[Hashable, int] = {}
        self.pieces, self.training_count = pieces, training_count
        values = [value for piece in pieces for value in piece.values]
        self.tokens = _int_array(numbers.setdefault(match_key(value), len(numbers)) for value in values)
        self.token_count = len(numbers)
        lengths = [len(piece.values) for piece in pieces]
        ends = np.cumsum(np.array(lengths, np.int64))
        self.piece_starts: list[int] = [0, *ends.tolist()]
        self.piece_numbers = np.repeat(np.arange(len(pieces)), lengths)
        self.piece_ends = np.repeat(ends, lengths)
        players: dict[str, int] = {}
        own = _int_array(players.setdefault(performer_of(piece), len(players)) for piece in pieces)
        self.player_numbers = np.repeat(own, lengths)
        self._notes_before = np.append(0, np.cumsum(_int_array(value.kind != "R" for value in values)))

    def count_notes(self, starts: Ints, length: int) -> Ints:
        """How many notes runs have."""
        return np.asarray(self._notes_before[starts + length] - self._notes_before[starts])

    def shared_runs(self) -> Iterator[tuple[int, Ints]]:
        """Length by length, from 1 on: where runs begin, outside the training pieces, that another's training has."""
        at, run, length = np.arange(len(self.tokens)), self.tokens, 1
        while True:
            trained = self.piece_numbers[at] < self.training_count
            shared = ~trained & _occurs_with_other_player(run, trained, self.player_numbers[at])
            if not shared.any():
                return
            yield length, at[shared]
            # Nothing longer is shared where this is not.
            goes_on = (shared | (trained & np.isin(run, run[shared]))) & (at + length < self.piece_ends[at])
            at, run = at[goes_on], run[goes_on] * self.token_count + self.tokens[at[goes_on] + length]
            run = np.unique(run, return_inverse=True)[1].reshape(-1)
            length += 1

    def find_source(self, start: int, length: int) -> Piece:
        """The first training piece of another player that has the run."""
        wanted = self.tokens[start : start + length]
        at = np.arange(self.piece_starts[self.training_count])
        at = at[(self.player_numbers[at] != self.player_numbers[start]) & (at + length <= self.piece_ends[at])]
        for step, token in enumerate(wanted):
            at = at[self.tokens[at + step] == token]
        return self.pieces[int(self.piece_numbers[at[0]])]


def _occurs_with_other_player(run: Ints, trained: npt.NDArray[np.bool_], player: Ints) -> npt.NDArray[np.bool_]:
    """Whether each run stands in training pieces of another player than its own; the runs are numbered from 0."""
    most = int(run.max(initial=0)) + 1
    lowest, highest = np.full(most, np.iinfo(np.int64).max), np.full(most, -1)
    np.minimum.at(lowest, run[trained], player[trained])
    np.maximum.at(highest, run[trained], player[trained])
    return np.asarray((highest[run] >= 0) & ((lowest[run] != player) | (highest[run] != player)))


def _int_array(numbers: Iterable[int]) -> Ints:
    return np.fromiter(numbers, np.int64)
