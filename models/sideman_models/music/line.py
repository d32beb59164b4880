# SPDX-License-Identifier: Apache-2.0
"""Turns notes into modern values, one at a time: the notes of a corpus, of the player, and our own.

A line is monophonic. The duration of a note or rest is known only when the next one begins: this finishes its value.
Positions are the running sum of the quantised durations, so the next value corrects the error of quantisation and
nothing drifts.

A note lasts until the next onset. If it was released a quarter of a beat or more before that, a rest follows, split at
the bar lines. A note longer than four quarter notes is written as four.

- Notes of a corpus that are too short for the grid are dropped.
- Notes of the player (`heard`) and our own are never dropped: they are written as a sixth of a beat at least. They
  begin exactly at the given tick. If several heard notes begin at once, only the highest belongs to the line.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import replace

from sideman_models.music.context import Bars, ChordChanges, Place, place_at
from sideman_models.music.harmony import parse_chord
from sideman_models.music.qualities import TONE_KINDS
from sideman_models.music.values import DURATION_GRID, TICKS_PER_QUARTER, Value, clip_interval, quantize_duration

MIN_REST_TICKS = TICKS_PER_QUARTER // 4
"""A shorter silence belongs to the note before it."""
PHRASE_REST_TICKS = 2 * TICKS_PER_QUARTER
"""A silence of two beats ends a phrase."""
MAX_SILENT_BARS = 8
"""How many bars of silence are written as rests. Silence beyond that has no values."""


class LineValue(Struct, frozen=True):
    """A value of a line, its place, its pitch (None: a rest), and its vocabulary index if the network drew it.

    `heard`: the player played it.
    """

    value: Value
    place: Place
    pitch: int | None
    drawn_index: int | None = None
    heard: bool = False


class _PendingValue(Struct, frozen=True):
    """The note or rest at the end of the line: a value whose duration is not known yet."""

    place: Place
    kind: str
    pitch: int | None
    interval: int | None
    heard: bool
    own: bool = False
    drawn_index: int | None = None
    released_at: float = math.inf


class PendingMemory(Struct, frozen=True):
    """The note or rest at the end of a line as plain data: chords as symbols, None for what is infinite."""

    tick_in_bar: int
    chord: str
    next_chord: str
    beats_to_change: float | None
    previous_pitch: int | None
    kind: str
    pitch: int | None
    interval: int | None
    heard: bool
    own: bool
    drawn_index: int | None
    released_at: float | None


class LineMemory(Struct, frozen=True):
    """A line as plain data, which `MelodicLine.recall` takes."""

    position: int
    finished_pitch: int | None
    silent_ticks: int
    pending: PendingMemory | None


class MelodicLine:
    """A line over the chord changes and bars of a tune. All times are in ticks (twelfths of a quarter note).

    `position` is the tick up to which values are finished, `finished_pitch` the pitch of the last finished note, and
    `dropped_notes` counts notes that were too short for the grid.
    """

    def __init__(self, changes: ChordChanges, bars: Bars) -> None:
        self.changes = changes
        self.bars = bars
        self.position = 0
        self.finished_pitch: int | None = None
        self.dropped_notes = 0
        self._silent_ticks = 0
        self._pending: _PendingValue | None = None

    def copy(self) -> MelodicLine:
        """Return an independent line in the same state."""
        return copy.copy(self)

    def memory(self) -> LineMemory:
        """Return the state of the line as plain data."""
        pending = None if self._pending is None else _remembered(self._pending)
        return LineMemory(self.position, self.finished_pitch, self._silent_ticks, pending)

    def recall(self, memory: LineMemory) -> None:
        """Continue from `memory`. Raises ChordError."""
        self.position, self.finished_pitch = memory.position, memory.finished_pitch
        self._silent_ticks = memory.silent_ticks
        self._pending = None if memory.pending is None else _recalled(memory.pending)

    @property
    def last_pitch(self) -> int | None:
        """The pitch of the last note, whether or not it still sounds; None before the first."""
        pending = self._pending
        return self.finished_pitch if pending is None or pending.pitch is None else pending.pitch

    @property
    def heard_pitch(self) -> int | None:
        """The pitch of the note at the end of the line, if the player played it."""
        return self._pending.pitch if self._pending is not None and self._pending.heard else None

    def add_note(
        self, tick: float, pitch: int, *, heard: bool = False, starts_phrase: bool | None = None
    ) -> list[LineValue]:
        """Begin a note at `tick` that we did not choose, and return the values that this finishes.

        `starts_phrase` says whether the note opens a phrase; with None, it does so after a rest of two beats.
        """
        pending = self._pending
        if heard and pending is not None and pending.heard and quantize_duration(tick - self.position) == 0:
            pitch = max(pitch, pending.pitch or 0)
            self._pending = None
            written: list[LineValue] = []
        else:
            written = self.finish_at(round(tick)) if heard else self.finish(tick)
        self._start_note(pitch, starts_phrase, heard=heard, own=False)
        return written

    def add_own_note(
        self, tick: int, pitch: int, *, starts_phrase: bool | None = None, drawn_index: int | None = None
    ) -> list[LineValue]:
        """Begin a note that we chose, exactly at `tick`, and return the values that this finishes."""
        written = self.finish_at(tick)
        self._start_note(pitch, starts_phrase, heard=False, own=True, drawn_index=drawn_index)
        return written

    def add_own_rest(self, tick: int, *, drawn_index: int | None = None) -> list[LineValue]:
        """Begin a rest that we chose (not only the end of a note), and return the values that this finishes."""
        written = self.finish_at(tick)
        self._pending = _PendingValue(self.next_place(), "R", None, None, heard=False, drawn_index=drawn_index)
        return written

    def finish_at(self, tick: int) -> list[LineValue]:
        """Finish values as `finish` does, and continue exactly at `tick`.

        A value that is chosen on the grid does not correct earlier errors of quantisation.
        """
        written = self.finish(tick)
        self.position = tick
        return written

    def _start_note(
        self, pitch: int, starts_phrase: bool | None, *, heard: bool, own: bool, drawn_index: int | None = None
    ) -> None:
        place = self.next_place()
        opens_phrase = self._silent_ticks >= PHRASE_REST_TICKS if starts_phrase is None else starts_phrase
        interval = None if opens_phrase or self.finished_pitch is None else clip_interval(pitch - self.finished_pitch)
        kind = TONE_KINDS[place.chord.kind_of(pitch)]
        self._pending = _PendingValue(place, kind, pitch, interval, heard, own, drawn_index)

    def release(self, tick: float) -> None:
        """End the sounding note at `tick`, which may be in the future, unless it ends earlier already."""
        pending = self._pending
        if pending is not None and pending.pitch is not None:
            self._pending = replace(pending, released_at=min(tick, pending.released_at))

    def reconsider_chord(self) -> None:
        """Read the changes again, which have changed: a heard note at the end of the line gets their chord."""
        pending = self._pending
        if pending is not None and pending.heard and pending.pitch is not None:
            place = self.next_place()
            self._pending = replace(pending, place=place, kind=TONE_KINDS[place.chord.kind_of(pending.pitch)])

    def finish(self, until: float) -> list[LineValue]:
        """Return in order the values that are complete at the tick `until`: the note or rest before it, then rests."""
        pending, self._pending = self._pending, None
        if pending is None:
            if self.finished_pitch is None:  # before the first note there are no rests
                self.position = round(until)
            return self._rests_until(until)
        if pending.pitch is None:
            length = self._advance_silence(until)
        else:
            end = pending.released_at if until - pending.released_at >= MIN_REST_TICKS else until
            length = quantize_duration(end - self.position)
            if not length and (pending.heard or pending.own or quantize_duration(until - self.position)):
                length = DURATION_GRID[0]
            if length:
                self.finished_pitch, self._silent_ticks = pending.pitch, 0
                self.position = max(self.position + length, round(end) if length == DURATION_GRID[-1] else 0)
            else:
                self.dropped_notes += 1
        rests = self._rests_until(until)
        if not length:
            return rests
        value = Value(pending.kind, length, pending.interval)
        return [LineValue(value, pending.place, pending.pitch, pending.drawn_index, pending.heard), *rests]

    def next_place(self) -> Place:
        """Return the place of a value that would begin at `position`."""
        return place_at(self.changes, self.bars, self.position, self.finished_pitch)

    def _rests_until(self, tick: float) -> list[LineValue]:
        written = []
        bars_begun = 0
        while tick - self.position >= MIN_REST_TICKS and bars_begun < MAX_SILENT_BARS:
            place = self.next_place()
            written.append(LineValue(Value("R", self._advance_silence(tick)), place, None))
            bars_begun += self.bars.bar_at(self.position)[0] == self.position
        if tick - self.position >= MIN_REST_TICKS:
            self.position = round(tick)
        return written

    def _advance_silence(self, until: float) -> int:
        """Move `position` to `until` or the next bar line; return the rest in ticks (0: too short for one)."""
        line, bar_ticks = self.bars.bar_at(self.position)
        to_bar = line + bar_ticks - self.position
        length = quantize_duration(min(until - self.position, to_bar))
        # A rest that reaches the bar line ends exactly there, even if the grid has no such duration.
        reaches = until - self.position >= to_bar and to_bar - length < DURATION_GRID[0]
        self.position += to_bar if reaches else min(length, to_bar)
        self._silent_ticks += length
        return length


def _remembered(pending: _PendingValue) -> PendingMemory:
    place = pending.place
    return PendingMemory(
        place.tick_in_bar,
        place.chord.text,
        place.next_chord.text,
        None if place.beats_to_change == math.inf else place.beats_to_change,
        place.previous_pitch,
        pending.kind,
        pending.pitch,
        pending.interval,
        pending.heard,
        pending.own,
        pending.drawn_index,
        None if pending.released_at == math.inf else pending.released_at,
    )


def _recalled(memory: PendingMemory) -> _PendingValue:
    beats = math.inf if memory.beats_to_change is None else memory.beats_to_change
    chord, following = parse_chord(memory.chord), parse_chord(memory.next_chord)
    place = Place(memory.tick_in_bar, chord, following, beats, memory.previous_pitch)
    released_at = math.inf if memory.released_at is None else memory.released_at
    return _PendingValue(
        place,
        memory.kind,
        memory.pitch,
        memory.interval,
        memory.heard,
        memory.own,
        memory.drawn_index,
        released_at,
    )


class LineNote(Struct, frozen=True):
    """A note: onset and end in ticks from the top, MIDI pitch, and whether it opens a phrase (None: see `add_note`).

    `loudness` in decibels and `delay` in beats are those of a recorded player, None if they are not known. The delay is
    that from the written place in a straight beat: a swung eighth has one, too.
    """

    onset: float
    end: float
    pitch: int
    starts_phrase: bool | None = None
    loudness: float | None = None
    delay: float | None = None


def notes_to_values(
    notes: Iterable[LineNote], changes: ChordChanges, bars: Bars
) -> tuple[list[LineValue], list[LineNote]]:
    """Return the values of a whole line, `notes` in order of onset, and the notes that have a value: not dropped."""
    line = MelodicLine(changes, bars)
    written: list[LineValue] = []
    kept: list[LineNote] = []
    before: LineNote | None = None

    def add(finished: list[LineValue]) -> None:
        written.extend(finished)
        if before is not None and finished and finished[0].pitch is not None:  # rests come after the note
            kept.append(before)

    for note in notes:
        add(line.add_note(note.onset, note.pitch, starts_phrase=note.starts_phrase))
        line.release(note.end)
        before = note
    add(line.finish(0.0 if before is None else before.end))
    return written, kept
