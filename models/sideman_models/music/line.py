# SPDX-License-Identifier: Apache-2.0
"""From notes to modern values, one at a time: the same writing for a corpus, for a player heard and for our own notes.

A line is monophonic. Each thing that begins on it, a note or a rest we chose, settles the one before: only then is its
duration known. Positions are the running sum of the durations as written, so an error of quantisation is made good by
the next value and nothing drifts.

A note lasts until the next onset, unless it was released a quarter of a beat or more before: then a rest is written,
parted at the bar lines. A note longer than four quarters is written as four. A note too short for the grid falls out of
a corpus; a note *heard*, or one of our own, never does (it is written as a sixth of a beat), but of several heard at
once the highest is the line. Both begin exactly on the tick that is given for them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from sideman_models.music.context import Bars, Changes, Place, place_at
from sideman_models.music.harmony import KINDS
from sideman_models.music.values import GRID, TICKS, Value, clip_interval, to_grid

QUARTER_OF_A_BEAT = TICKS // 4
PHRASE_REST = 2 * TICKS
"""Silence of two beats ends a phrase."""
LONGEST_SILENCE = 8
"""Bars of silence that are written as rests; anything beyond is only time passing."""


@dataclass(frozen=True, slots=True)
class Written:
    """One value of a line, the place where it began, and the pitch it stands for (None: a rest).

    `drawn` is the index of the value that was drawn to play it, where it was drawn.
    """

    value: Value
    place: Place
    pitch: int | None
    drawn: int | None = None


@dataclass(frozen=True, slots=True)
class _Pending:
    """What sounds, or rests, at the end of the line: its value but for the duration."""

    place: Place
    kind: str
    pitch: int | None
    interval: int | None
    heard: bool
    ours: bool = False
    drawn: int | None = None
    released: float | None = None


class Line:
    """A line over the changes of a tune and its bars. All times are in ticks, twelfths of a quarter note."""

    def __init__(self, changes: Changes, bars: Bars) -> None:
        self.changes = changes
        self.bars = bars
        self.position = 0
        self.pitch: int | None = None  # of the last note settled
        self.dropped = 0
        self._silence = 0
        self._pending: _Pending | None = None

    def copy(self) -> Line:
        """A line that goes on from here on its own."""
        other = Line(self.changes, self.bars)
        other.position, other.pitch, other.dropped = self.position, self.pitch, self.dropped
        other._silence, other._pending = self._silence, self._pending
        return other

    @property
    def last_pitch(self) -> int | None:
        """The pitch of the last note, sounding or gone."""
        pending = self._pending
        return self.pitch if pending is None or pending.pitch is None else pending.pitch

    @property
    def heard_pitch(self) -> int | None:
        """The pitch of the note at the end of the line, if it is one that was heard."""
        return self._pending.pitch if self._pending is not None and self._pending.heard else None

    def note(self, tick: float, pitch: int, *, heard: bool = False, begins: bool | None = None) -> list[Written]:
        """A note of somebody else's begins; returns what that settles.

        `begins` says that it opens a phrase, or does not; None: it does after a rest of two beats.
        """
        pending = self._pending
        if heard and pending is not None and pending.heard and to_grid(tick - self.position) == 0:
            pitch = max(pitch, pending.pitch or 0)
            self._pending = None
            written: list[Written] = []
        else:
            written = self.settle_at(round(tick)) if heard else self.settle(tick)
        self._begin(pitch, begins, heard=heard)
        return written

    def own_note(self, tick: int, pitch: int, *, begins: bool | None = None, drawn: int | None = None) -> list[Written]:
        """A note that we chose for `tick` begins, exactly there; returns what that settles."""
        written = self.settle_at(tick)
        self._begin(pitch, begins, ours=True, drawn=drawn)
        return written

    def own_rest(self, tick: int, *, drawn: int | None = None) -> list[Written]:
        """A rest begins that we chose, not merely a note's end; returns what that settles."""
        written = self.settle_at(tick)
        self._pending = _Pending(self.place(), "R", None, None, heard=False, drawn=drawn)
        return written

    def settle_at(self, tick: int) -> list[Written]:
        """`settle`, and go on exactly from `tick`: what is chosen on the grid takes no error of quantisation along."""
        written = self.settle(tick)
        self.position = tick
        return written

    def _begin(
        self, pitch: int, begins: bool | None, *, heard: bool = False, ours: bool = False, drawn: int | None = None
    ) -> None:
        place = self.place()
        opens = self._silence >= PHRASE_REST if begins is None else begins
        interval = None if opens or self.pitch is None else clip_interval(pitch - self.pitch)
        self._pending = _Pending(place, KINDS[place.chord.kind(pitch)], pitch, interval, heard, ours, drawn)

    def release(self, tick: float) -> None:
        """The note that sounds ends at `tick`, which may be to come, unless it has ended before."""
        pending = self._pending
        if pending is not None and pending.pitch is not None:
            self._pending = replace(
                pending, released=min(tick, math.inf if pending.released is None else pending.released)
            )

    def reconsider(self) -> None:
        """The changes have been told late: a heard note at the end of the line is one over what they are now."""
        pending = self._pending
        if pending is not None and pending.heard and pending.pitch is not None:
            place = self.place()
            self._pending = replace(pending, place=place, kind=KINDS[place.chord.kind(pending.pitch)])

    def cut(self, tick: float) -> None:
        """The note that sounds was ended at `tick`, be it before it was said to end."""
        pending = self._pending
        if pending is not None and pending.pitch is not None and (pending.released is None or pending.released > tick):
            self._pending = replace(pending, released=tick)

    def settle(self, until: float) -> list[Written]:
        """What has sounded, and the silence after it, up to `until`: values now complete, in order."""
        pending, self._pending = self._pending, None
        if pending is None:
            return self._silence_until(until) if self.pitch is not None else self._start_at(until)
        if pending.pitch is None:
            return self._chosen_rest(pending, until)
        end = until
        if pending.released is not None and until - pending.released >= QUARTER_OF_A_BEAT:
            end = pending.released
        length = to_grid(end - self.position)
        if not length and (pending.heard or pending.ours or to_grid(until - self.position)):
            length = GRID[0]
        if not length:
            self.dropped += 1
            return self._silence_until(until)
        self.pitch, self._silence = pending.pitch, 0
        self.position = max(self.position + length, round(end) if length == GRID[-1] else 0)
        return [_written(pending, length), *self._silence_until(until)]

    def place(self) -> Place:
        """Where the next value would begin, were it to begin now."""
        return place_at(self.changes, self.bars, self.position, self.pitch)

    def _start_at(self, tick: float) -> list[Written]:
        self.position = round(tick)
        return []

    def _chosen_rest(self, pending: _Pending, until: float) -> list[Written]:
        length = self._pass(until)
        return [*([_written(pending, length)] if length else []), *self._silence_until(until)]

    def _silence_until(self, tick: float) -> list[Written]:
        written = []
        over = 0
        while tick - self.position >= QUARTER_OF_A_BEAT and over < LONGEST_SILENCE:
            place = self.place()
            written.append(Written(Value("R", self._pass(tick)), place, None))
            over += self.bars.bar_at(self.position)[0] == self.position
        if tick - self.position >= QUARTER_OF_A_BEAT:
            self._start_at(tick)
        return written

    def _pass(self, until: float) -> int:
        """Go on through silence, up to `until` or the next bar line; returns how long a rest that is (0: none)."""
        line, bar = self.bars.bar_at(self.position)
        to_bar = line + bar - self.position
        length = to_grid(min(until - self.position, to_bar))
        # A rest that reaches the bar line ends there, though the grid may have no such length from an odd place.
        reaches = until - self.position >= to_bar and to_bar - length < GRID[0]
        self.position += to_bar if reaches else min(length, to_bar)
        self._silence += length
        return length


def _written(pending: _Pending, length: int) -> Written:
    return Written(Value(pending.kind, length, pending.interval), pending.place, pending.pitch, pending.drawn)


@dataclass(frozen=True, slots=True)
class LineNote:
    """A note of a line: onset and end in ticks from the top, pitch, whether it opens a phrase (None: by the rests)."""

    onset: float
    end: float
    pitch: int
    begins: bool | None = None


def write_line(
    notes: Iterable[LineNote], changes: Changes, bars: Bars, *, heard: bool = False
) -> tuple[list[Written], int]:
    """The values of a whole line, in order, and how many of its notes fell out. `notes` in order of onset."""
    line = Line(changes, bars)
    written: list[Written] = []
    end = 0.0
    for note in notes:
        written += line.note(note.onset, note.pitch, heard=heard, begins=note.begins)
        line.release(note.end)
        end = note.end
    written += line.settle(end)
    return written, line.dropped
