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


def symbol_logits(rows: Rows, runs: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Return what `rows` (2, MAX_RUN) add to the logit of each symbol (..., SYMBOL_COUNT) after `runs`."""
    padded = np.pad(rows, ((0, 0), (1, 0)))
    return np.asarray(padded[0][runs[..., 0, :]] + padded[1][runs[..., 1, :]], np.float32)


class MotifMemory:
    """The latest `limit` notes and rests of a line, and how long a run before each equals the latest ones."""

    def __init__(self, limit: int = MEMORY_LIMIT) -> None:
        self._symbols, self._pitches, self._runs = (np.zeros(limit, np.uint8) for _ in range(3))
        self._heard = np.zeros(limit, np.bool_)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def assign(self, other: MotifMemory) -> None:
        """Copy the content of `other`, which has the same limit, into this memory."""
        count = self._count = other._count
        for mine, theirs in zip(self._arrays(), other._arrays(), strict=True):
            mine[:count] = theirs[:count]

    def clear(self) -> None:
        """Forget everything."""
        self._count = 0

    def append(self, value: Value, from_pitch: int | None, *, heard: bool = False) -> None:
        """Remember a value that has sounded after the pitch `from_pitch`; `heard`: the player played it."""
        self._append(motif_symbol(value), _NO_PITCH if from_pitch is None else from_pitch, heard)

    def _append(self, symbol: int, pitch: int, heard: bool) -> None:
        count, symbols, runs = self._count, self._symbols, self._runs
        continued = runs[:count] + np.uint8(1)
        np.minimum(continued, MAX_RUN, out=continued)
        continued *= symbols[:count] == symbol
        if count < len(symbols):
            runs[1 : count + 1] = continued[: len(runs) - 1]
            runs[0] = 0
            self._count = count + 1
        else:  # the oldest is forgotten; no run reaches back to it
            for array in (symbols, self._pitches, self._heard):
                array[:-1] = array[1:]
            runs[:] = continued
            np.minimum(runs[:MAX_RUN], np.arange(min(MAX_RUN, len(runs))), out=runs[:MAX_RUN], casting="unsafe")
            count -= 1
        symbols[count], self._pitches[count], self._heard[count] = symbol, pitch, heard

    def longest_runs(self, pitch: int | None) -> Runs:
        """Return the longest run that each symbol would continue now; `pitch` is the last pitch."""
        longest = np.zeros((2, SYMBOL_COUNT), np.uint8)
        places = np.flatnonzero(self._runs[: self._count])
        if places.size:
            symbols, runs = self._symbols[places], self._runs[places]
            np.maximum.at(longest[0], symbols, runs)
            if pitch is not None:
                same = self._pitches[places] == pitch
                np.maximum.at(longest[1], symbols[same], runs[same])
        return longest

    def continues_yours(self, value: Value) -> int:
        """Return how long a run of the player's notes `value` would repeat with the latest ones; 0 below `YOUR_RUN`."""
        count, symbol = self._count, motif_symbol(value)
        if symbol == _REST:
            return 0
        long_enough = (self._runs[:count] >= YOUR_RUN - 1) & (self._symbols[:count] == symbol) & self._heard[:count]
        theirs = self._heard | (self._symbols == _REST)
        lengths = [int(self._runs[place]) for place in np.flatnonzero(long_enough)]
        starts = np.flatnonzero(long_enough) - lengths
        ends = starts + lengths
        return max(
            (run + 1 for run, start, end in zip(lengths, starts, ends, strict=True) if theirs[start:end].all()),
            default=0,
        )

    def memory(self) -> list[int]:
        """Return the content as plain data: one number for each note or rest."""
        symbols, pitches, heard = (array[: self._count].astype(np.int64) for array in self._arrays()[:3])
        return list(((heard * _PITCH_CODES + pitches) * _SYMBOL_CODES + symbols).tolist())

    def recall(self, codes: Iterable[int]) -> None:
        """Continue from what `memory` returned; only the latest `limit` are kept. Raises `ValueError`."""
        self.clear()
        for code in list(codes)[-len(self._symbols) :]:
            rest, symbol = divmod(code, _SYMBOL_CODES)
            heard, pitch = divmod(rest, _PITCH_CODES)
            if not 0 <= code < _CODE_LIMIT or symbol >= SYMBOL_COUNT or pitch > _NO_PITCH:
                raise ValueError(f"{code} is not a note or a rest of the memory of motifs")
            self._append(symbol, pitch, bool(heard))

    def _arrays(
        self,
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8], npt.NDArray[np.bool_], npt.NDArray[np.uint8]]:
        return self._symbols, self._pitches, self._heard, self._runs
