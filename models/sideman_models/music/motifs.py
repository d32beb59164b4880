# SPDX-License-Identifier: Apache-2.0
"""The memory of motifs: what has been played and heard in a piece, and what would continue it.

Soloists repeat and develop what was played before. The memory holds the notes and rests of a line, own and heard, in
the order in which they sounded, each as one symbol: its interval, or that it opens a phrase, or that it is a rest.
Durations and chords do not count, so a motif is known again at another place and over another chord.

A *run* is a number of symbols in a row. For each earlier place the memory knows how long a run before it equals the
latest symbols. What came at such a place would continue an earlier run. `longest_runs` says by symbol how long the
longest run is that this symbol would continue, once at any pitch and once among the places that were struck from the
pitch that is also the last one now. A network has a number for each length, and adds it to the logits of all values
with that symbol: see `motif_logits`.

    line     +2 +2 -4 R  +2 +2 ?      after +2 +2 came -4: the run has two symbols, so -4 has the number of length 2
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from sideman_models.music.values import MAX_INTERVAL, REST_KIND, VALUE_KINDS, Value, Vocabulary, interval_bounds

MAX_RUN = 6
"""Longer runs count as this long."""
MEMORY_LIMIT = 4096
"""How many notes and rests are remembered: the latest."""
_INTERVALS = 2 * MAX_INTERVAL + 1
_PHRASE_START, _REST = _INTERVALS, _INTERVALS + 1
SYMBOL_COUNT = _INTERVALS + 2
_NO_PITCH = 128
_SYMBOL_CODES, _PITCH_CODES = 32, 256
_CODE_LIMIT = 2 * _SYMBOL_CODES * _PITCH_CODES
_MOST_NEW = 64  # the most values that wait to be entered
_LONGEST = np.uint8(MAX_RUN)
_FIRST_RUNS = np.arange(MAX_RUN, dtype=np.uint8)
"""The longest possible run before each of the first places."""
RECENT = 12
"""How many of the latest notes and rests `MotifMemory.recent_pitches` looks at."""
YOUR_RUN = 4
"""A run of the player's that is played again counts as theirs from this many symbols on."""

Runs = npt.NDArray[np.uint8]
"""(2, SYMBOL_COUNT): the longest run that each symbol continues, at any pitch and from the same pitch; 0 for none."""
Rows = npt.NDArray[np.float32]
"""(2, MAX_RUN): what runs of length 1 to `MAX_RUN` add to a logit, at any pitch, and in addition at the same pitch."""
NO_ROWS: Rows = np.zeros((2, MAX_RUN), np.float32)


def motif_symbol(value: Value) -> int:
    """Return the symbol of a value, 0 to SYMBOL_COUNT - 1."""
    if value.kind == VALUE_KINDS[REST_KIND]:
        return _REST
    if value.interval is None:
        return _PHRASE_START
    return max(0, min(_INTERVALS - 1, sum(interval_bounds(value.interval)) // 2 + MAX_INTERVAL))


def motif_symbols(vocabulary: Vocabulary) -> npt.NDArray[np.intp]:
    """Return the symbol of each value (n_values,)."""
    return np.array([motif_symbol(value) for value in vocabulary.values], np.intp)


def padded_rows(rows: Rows) -> npt.NDArray[np.float32]:
    """Return `rows` with a column of zeros in front, for runs of length 0: see `symbol_logits`."""
    return np.pad(rows, ((0, 0), (1, 0)))


def symbol_logits(padded: npt.NDArray[np.float32], runs: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Return what is added to the logit of each symbol (..., SYMBOL_COUNT) after `runs`; `padded`: `padded_rows`."""
    by_row: npt.NDArray[np.float32] = padded[0].take(runs[..., 0, :])
    by_row += padded[1].take(runs[..., 1, :])
    return by_row


class MotifMemory:
    """The latest `limit` notes and rests of a line, and how long a run before each equals the latest ones."""

    def __init__(self, limit: int = MEMORY_LIMIT) -> None:
        self._limit = limit
        # What is remembered is the part from `_start` to `_end`. It moves right with each note, so that nothing has to
        # be moved each time that the oldest one is forgotten.
        self._table = np.zeros((5, 2 * limit), np.uint8)
        self._start = self._end = 0
        self._new: list[tuple[int, int, bool]] = []  # not yet in the table: see `append`

    def __len__(self) -> int:
        return min(self._limit, self._end - self._start + len(self._new))

    def _columns(self) -> npt.NDArray[np.uint8]:
        """Enter what is new, and return all that is remembered.

        By rows: symbols, pitches, heard, theirs (see `_enter`), and the length of the run before each place.
        """
        for new in self._new:
            self._enter(*new)
        self._new.clear()
        return self._table[:, self._start : self._end]

    def assign(self, other: MotifMemory) -> None:
        """Copy the content of `other`, which has the same limit, into this memory."""
        remembered = other._columns()
        self._new.clear()
        self._start, self._end = 0, len(other)
        self._table[:, : self._end] = remembered

    def append(self, value: Value, from_pitch: int | None, *, heard: bool = False) -> None:
        """Remember a value that has sounded after the pitch `from_pitch`; `heard`: the player played it.

        It is entered when the runs are asked for, because a note that comes in has to be heard at once.
        """
        self._new.append((motif_symbol(value), _NO_PITCH if from_pitch is None else from_pitch, heard))
        if len(self._new) == _MOST_NEW:
            self._columns()

    def _enter(self, symbol: int, pitch: int, heard: bool) -> None:
        if self._end == self._table.shape[1]:
            remembered = self._table[:, self._start :].copy()
            self._start, self._end = 0, remembered.shape[1]
            self._table[:, : self._end] = remembered
        table, start, end = self._table, self._start, self._end
        # A run goes on wherever the symbol came before.
        continued = (table[0, start:end] == symbol).view(np.uint8)  # 1 or 0: flags would be converted each time
        lengths = table[4, start:end] + continued
        np.minimum(lengths, _LONGEST, out=lengths)
        table[4, start] = 0
        np.multiply(lengths, continued, out=table[4, start + 1 : end + 1])
        theirs = 0  # how many notes and rests in a row before this one are the player's
        if end > start and (table[2, end - 1] or table[0, end - 1] == _REST):
            theirs = min(MAX_RUN, int(table[3, end - 1]) + 1)
        table[0, end], table[1, end], table[2, end], table[3, end] = symbol, pitch, heard, theirs
        self._end += 1
        if end - start == self._limit:  # the oldest is forgotten; no run reaches back to it
            self._start += 1
            first = table[3:, self._start : self._end][:, :MAX_RUN]
            np.minimum(first, _FIRST_RUNS[: first.shape[1]], out=first)

    def longest_runs(self, pitch: int | None, *, heard: bool = False) -> Runs:
        """Return the longest run that each symbol would continue now; `pitch` is the last pitch.

        With `heard`, only what the player played counts as a continuation.
        """
        known, pitches, by_player, _, runs = self._columns()
        continued = runs != 0  # `nonzero` is three times as fast of flags as of numbers
        if heard:
            continued &= by_player != 0
        places = continued.nonzero()[0]
        if not places.size:
            return np.zeros((2, SYMBOL_COUNT), np.uint8)
        symbols = known[places].astype(np.intp)
        if pitch is not None:
            symbols += SYMBOL_COUNT * (pitches[places] == pitch)
        cells = np.zeros(2 * SYMBOL_COUNT, np.uint8)  # first for other pitches, then for the same
        np.maximum.at(cells, symbols, runs[places])
        longest: Runs = cells.reshape(2, SYMBOL_COUNT)
        np.maximum(longest[0], longest[1], out=longest[0])
        return longest

    def recent_pitches(self) -> int:
        """Return how many different pitches the latest `RECENT` notes and rests were struck from."""
        pitches = self._columns()[1, -RECENT:]
        return len({*pitches.tolist()} - {_NO_PITCH})

    def continues_yours(self, value: Value, runs: Runs) -> int:
        """Return how long a run of the player's notes `value` would repeat with the latest ones; 0 below `YOUR_RUN`.

        `runs` is what `longest_runs` has returned.
        """
        symbol = motif_symbol(value)
        if symbol == _REST or runs[0, symbol] < YOUR_RUN - 1:
            return 0
        symbols, _, heard, theirs, before = self._columns()
        lengths = np.minimum(before, theirs)
        lengths *= heard
        lengths *= symbols == symbol
        longest = int(lengths.max(initial=0)) + 1
        return longest if longest >= YOUR_RUN else 0

    def memory(self) -> list[int]:
        """Return the content as plain data: one number for each note or rest."""
        symbols, pitches, heard = self._columns()[:3].astype(np.int64)
        return list(((heard * _PITCH_CODES + pitches) * _SYMBOL_CODES + symbols).tolist())

    def recall(self, codes: Iterable[int]) -> None:
        """Continue from what `memory` returned; only the latest `limit` are kept. Raises `ValueError`."""
        self._start = self._end = 0
        self._new.clear()
        for code in list(codes)[-self._limit :]:
            rest, symbol = divmod(code, _SYMBOL_CODES)
            heard, pitch = divmod(rest, _PITCH_CODES)
            if not 0 <= code < _CODE_LIMIT or symbol >= SYMBOL_COUNT or pitch > _NO_PITCH:
                raise ValueError(f"{code} is not a note or a rest of the memory of motifs")
            self._enter(symbol, pitch, bool(heard))
