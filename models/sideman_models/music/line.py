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

from sideman_models.music.context import Bars, ChordChanges, Place, place_at
from sideman_models.music.harmony import TONE_KINDS
from sideman_models.music.values import DURATION_GRID, TICKS_PER_QUARTER, Value, clip_interval, quantize_duration

MIN_REST_TICKS = TICKS_PER_QUARTER // 4
PHRASE_REST_TICKS = 2 * TICKS_PER_QUARTER
"""Silence of two beats ends a phrase."""
MAX_SILENT_BARS = 8
"""Bars of silence that are written as rests; anything beyond is only time passing."""


@dataclass(frozen=True, slots=True)
class LineValue:
    """One value of a line, the place where it began, and the pitch it stands for (None: a rest).

    `drawn_index` is the index of the value that was drawn to play it, where it was drawn.
    """

    value: Value
    place: Place
    pitch: int | None
    drawn_index: int | None = None


@dataclass(frozen=True, slots=True)
class _PendingValue:
    """What sounds, or rests, at the end of the line: its value but for the duration."""

    place: Place
    kind: str
    pitch: int | None
    interval: int | None
    heard: bool
    own: bool = False
    drawn_index: int | None = None
    released_at: float | None = None


class MelodicLine:
    """A line over the changes of a tune and its bars. All times are in ticks, twelfths of a quarter note."""

    def __init__(self, changes: ChordChanges, bars: Bars) -> None:
        self.changes = changes
        self.bars = bars
        self.position = 0
        self.finished_pitch: int | None = None  # of the last note settled
        self.dropped_notes = 0
        self._silent_ticks = 0
        self._pending: _PendingValue | None = None

    def copy(self) -> MelodicLine:
        """A line that goes on from here on its own."""
        other = MelodicLine(self.changes, self.bars)
        other.position, other.finished_pitch, other.dropped_notes = (
            self.position,
            self.finished_pitch,
            self.dropped_notes,
        )
        other._silent_ticks, other._pending = self._silent_ticks, self._pending
        return other

    @property
    def last_pitch(self) -> int | None:
        """The pitch of the last note, sounding or gone."""
        pending = self._pending
        return self.finished_pitch if pending is None or pending.pitch is None else pending.pitch

    @property
    def heard_pitch(self) -> int | None:
        """The pitch of the note at the end of the line, if it is one that was heard."""
        return self._pending.pitch if self._pending is not None and self._pending.heard else None

    def add_note(
        self, tick: float, pitch: int, *, heard: bool = False, starts_phrase: bool | None = None
    ) -> list[LineValue]:
        """A note of somebody else's begins; returns what that settles.

        `starts_phrase` says that it opens a phrase, or does not; None: it does after a rest of two beats.
        """
        pending = self._pending
        if heard and pending is not None and pending.heard and quantize_duration(tick - self.position) == 0:
            pitch = max(pitch, pending.pitch or 0)
            self._pending = None
            written: list[LineValue] = []
        else:
            written = self.finish_at(round(tick)) if heard else self.finish(tick)
        self._start_note(pitch, starts_phrase, heard=heard)
        return written

    def add_own_note(
        self, tick: int, pitch: int, *, starts_phrase: bool | None = None, drawn_index: int | None = None
    ) -> list[LineValue]:
        """A note that we chose for `tick` begins, exactly there; returns what that settles."""
        written = self.finish_at(tick)
        self._start_note(pitch, starts_phrase, own=True, drawn_index=drawn_index)
        return written

    def add_own_rest(self, tick: int, *, drawn_index: int | None = None) -> list[LineValue]:
        """A rest begins that we chose, not merely a note's end; returns what that settles."""
        written = self.finish_at(tick)
        self._pending = _PendingValue(self.next_place(), "R", None, None, heard=False, drawn_index=drawn_index)
        return written

    def finish_at(self, tick: int) -> list[LineValue]:
        """`finish`, and go on exactly from `tick`: what is chosen on the grid takes no error of quantisation along."""
        written = self.finish(tick)
        self.position = tick
        return written

    def _start_note(
        self,
        pitch: int,
        starts_phrase: bool | None,
        *,
        heard: bool = False,
        own: bool = False,
        drawn_index: int | None = None,
    ) -> None:
        place = self.next_place()
        opens = self._silent_ticks >= PHRASE_REST_TICKS if starts_phrase is None else starts_phrase
        interval = None if opens or self.finished_pitch is None else clip_interval(pitch - self.finished_pitch)
        self._pending = _PendingValue(
            place, TONE_KINDS[place.chord.kind_of(pitch)], pitch, interval, heard, own, drawn_index
        )

    def release(self, tick: float) -> None:
        """The note that sounds ends at `tick`, which may be to come, unless it has ended before."""
        pending = self._pending
        if pending is not None and pending.pitch is not None:
            self._pending = replace(
                pending, released_at=min(tick, math.inf if pending.released_at is None else pending.released_at)
            )

    def reconsider_chord(self) -> None:
        """The changes have been told late: a heard note at the end of the line is one over what they are now."""
        pending = self._pending
        if pending is not None and pending.heard and pending.pitch is not None:
            place = self.next_place()
            self._pending = replace(pending, place=place, kind=TONE_KINDS[place.chord.kind_of(pending.pitch)])

    def cut_note(self, tick: float) -> None:
        """The note that sounds was ended at `tick`, be it before it was said to end."""
        pending = self._pending
        if (
            pending is not None
            and pending.pitch is not None
            and (pending.released_at is None or pending.released_at > tick)
        ):
            self._pending = replace(pending, released_at=tick)

    def finish(self, until: float) -> list[LineValue]:
        """What has sounded, and the silence after it, up to `until`: values now complete, in order."""
        pending, self._pending = self._pending, None
        if pending is None:
            return self._rests_until(until) if self.finished_pitch is not None else self._restart_at(until)
        if pending.pitch is None:
            return self._finish_rest(pending, until)
        end = until
        if pending.released_at is not None and until - pending.released_at >= MIN_REST_TICKS:
            end = pending.released_at
        length = quantize_duration(end - self.position)
        if not length and (pending.heard or pending.own or quantize_duration(until - self.position)):
            length = DURATION_GRID[0]
        if not length:
            self.dropped_notes += 1
            return self._rests_until(until)
        self.finished_pitch, self._silent_ticks = pending.pitch, 0
        self.position = max(self.position + length, round(end) if length == DURATION_GRID[-1] else 0)
        return [_line_value(pending, length), *self._rests_until(until)]

    def next_place(self) -> Place:
        """Where the next value would begin, were it to begin now."""
        return place_at(self.changes, self.bars, self.position, self.finished_pitch)

    def _restart_at(self, tick: float) -> list[LineValue]:
        self.position = round(tick)
        return []

    def _finish_rest(self, pending: _PendingValue, until: float) -> list[LineValue]:
        length = self._advance_silence(until)
        return [*([_line_value(pending, length)] if length else []), *self._rests_until(until)]

    def _rests_until(self, tick: float) -> list[LineValue]:
        written = []
        over = 0
        while tick - self.position >= MIN_REST_TICKS and over < MAX_SILENT_BARS:
            place = self.next_place()
            written.append(LineValue(Value("R", self._advance_silence(tick)), place, None))
            over += self.bars.bar_at(self.position)[0] == self.position
        if tick - self.position >= MIN_REST_TICKS:
            self._restart_at(tick)
        return written

    def _advance_silence(self, until: float) -> int:
        """Go on through silence, up to `until` or the next bar line; returns how long a rest that is (0: none)."""
        line, bar = self.bars.bar_at(self.position)
        to_bar = line + bar - self.position
        length = quantize_duration(min(until - self.position, to_bar))
        # A rest that reaches the bar line ends there, though the grid may have no such length from an odd place.
        reaches = until - self.position >= to_bar and to_bar - length < DURATION_GRID[0]
        self.position += to_bar if reaches else min(length, to_bar)
        self._silent_ticks += length
        return length


def _line_value(pending: _PendingValue, length: int) -> LineValue:
    return LineValue(Value(pending.kind, length, pending.interval), pending.place, pending.pitch, pending.drawn_index)


@dataclass(frozen=True, slots=True)
class LineNote:
    """A note of a line: onset and end in ticks from the top, pitch, whether it opens a phrase (None: by the rests)."""

    onset: float
    end: float
    pitch: int
    starts_phrase: bool | None = None


def notes_to_values(
    notes: Iterable[LineNote], changes: ChordChanges, bars: Bars, *, heard: bool = False
) -> tuple[list[LineValue], int]:
    """The values of a whole line, in order, and how many of its notes fell out. `notes` in order of onset."""
    line = MelodicLine(changes, bars)
    written: list[LineValue] = []
    end = 0.0
    for note in notes:
        written += line.add_note(note.onset, note.pitch, heard=heard, starts_phrase=note.starts_phrase)
        line.release(note.end)
        end = note.end
    written += line.finish(end)
    return written, line.dropped_notes
