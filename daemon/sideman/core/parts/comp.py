# SPDX-License-Identifier: Apache-2.0
"""The rules of the plain accompaniment: shells or a walking bass, one at a time, as earlier versions played them.

A take of such a version, and `play.style` plain, are played by these rules; the parts of the band have rules of their
own (`walking`, `voicing`, `drumming`).

`Comp` says at which tick it plays next, and which notes. It reads the chord only at that tick, so it follows a chord
that changes meanwhile. The part `accompaniment` plays it.

**Shells** are the two tones that identify a chord: the third and the seventh; without a seventh the sixth, without
either the fifth; in a suspended chord the tone in place of the third. They lie from C3 to C5, where the two voices move
least from the shell before. They are played on the bar line, on every change of chord, and on one more place in each
four beats: on the half of the second beat or on the third, as drawn for the bar. That one is left out less than a beat
before a change.

**Bass** walks from E1 to G3: a note on every beat, and one on a change between two beats. On a change it lands on the
root, or on the bass that the chord symbol names; on a bar line under the same chord on the root or the fifth. From
there it goes on in one direction by tones of the chord and of its scale. The last note before a landing approaches it
by a step: a semitone, or a whole tone of the scale. No pitch comes twice in a row.

A beat here is a quarter note; in 6/8, 9/8 and 12/8 it is a dotted quarter note. Beats start again at each bar line, as
swing does. Where there is no chord there is a rest.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import combinations
from typing import Literal

from msgspec import Struct

from sideman.core.chart.chart import Meter
from sideman.core.chart.timeline import ChartTimeline
from sideman.core.events import NoteOn
from sideman_models.music.context import ticks_after_bar_line
from sideman_models.music.harmony import NO_CHORD, Chord, parse_chord
from sideman_models.music.values import TICKS_PER_QUARTER

CompStyle = Literal["off", "shells", "bass"]
DrawFunction = Callable[[int, int], float]
"""Returns a random number from 0 up to 1 that depends only on a tick and a purpose."""

SHELL_PITCHES = range(48, 73)
BASS_PITCHES = range(28, 56)
GATES = {"off": 0.0, "shells": 0.85, "bass": 0.95}
"""The share of the time to the next onset for which a note sounds."""
_FIGURE, _WALK, _LANDING, _DIRECTION, _TOUCH = range(16, 21)  # purposes of draws; the solo uses lower numbers
_VELOCITY_REDUCTION = {"off": 0, "shells": 18, "bass": 6}
_SHELL_CENTRE = 60
_MIN_SHELL_INTERVAL = 3  # semitones between the two tones of a shell


def beat_ticks(meter: Meter) -> int:
    """Return the ticks of a beat as musicians count it: a quarter note, in compound meters a dotted one."""
    return 3 * 4 * TICKS_PER_QUARTER // meter.denominator if meter.is_compound else TICKS_PER_QUARTER


class CompMemory(Struct, frozen=True):
    """What the accompaniment played last, as plain data; `last_chord` is a chord symbol."""

    last_shell: tuple[int, ...]
    last_pitch: int
    last_chord: str
    is_ascending: bool


class Comp:
    """Accompanies the chords of `timeline`. Ticks are written ticks."""

    def __init__(self, timeline: ChartTimeline) -> None:
        self._timeline = timeline
        self._last_shell: tuple[int, ...] = ()
        self._last_pitch = (BASS_PITCHES[0] + BASS_PITCHES[-1]) // 2  # of the bass
        self._last_chord: Chord = NO_CHORD  # under the last bass note
        self._is_ascending = True

    def memory(self) -> CompMemory:
        """Return the state as plain data."""
        return CompMemory(self._last_shell, self._last_pitch, self._last_chord.text, self._is_ascending)

    def recall(self, memory: CompMemory) -> None:
        """Continue from `memory`. Raises ChordError."""
        self._last_shell, self._last_pitch = memory.last_shell, memory.last_pitch
        self._last_chord, self._is_ascending = parse_chord(memory.last_chord), memory.is_ascending

    # -- when

    def first_onset(self, tick: int) -> int:
        """Return the first beat at or after `tick`; bar lines are beats."""
        line, bar_ticks = self._timeline.bar_at(tick)
        beat = beat_ticks(self._timeline.meter_at(tick))
        return line + min(-(-(tick - line) // beat) * beat, bar_ticks)

    def next_onset(self, style: CompStyle, tick: int, draw: DrawFunction) -> int:
        """Return the onset after the one at `tick`, at the latest the next bar line."""
        line, bar_ticks = self._timeline.bar_at(tick)
        beat, next_chord = beat_ticks(self._timeline.meter_at(tick)), self._timeline.next_change_tick(tick)
        change = line + bar_ticks
        if not math.isinf(next_chord):
            change = min(change, max(tick + 1, math.ceil(next_chord)))
        if style == "bass":
            return min(self.first_onset(tick + 1), change)
        onsets = self._shell_onsets(line, draw)
        return next((onset for onset in onsets if tick + beat <= onset <= change - beat), change)

    def _shell_onsets(self, line: int, draw: DrawFunction) -> Iterator[int]:
        """Yield the onsets of shells in the bar that begins at the tick `line`, if the chord does not change."""
        (_, bar_ticks), beat = self._timeline.bar_at(line), beat_ticks(self._timeline.meter_at(line))
        off_beat = draw(line, _FIGURE) < 0.6 and beat == TICKS_PER_QUARTER
        first, beats = 0, -(-bar_ticks // beat)
        while first < beats:  # in groups of four beats; five beats are three and two
            group = 3 if beats - first == 5 else min(beats - first, 4)
            yield line + first * beat
            if off_beat and group >= 2:
                yield line + first * beat + beat * 3 // 2
            elif group >= 3:
                yield line + (first + 2) * beat
            first += group

    # -- what

    def notes_at(
        self, style: CompStyle, tick: int, solo_velocity: int, channel: int, draw: DrawFunction
    ) -> list[NoteOn]:
        """Return the notes at `tick`, on `channel`; `solo_velocity` is the mean velocity of the solo."""
        chord = self._chord_at(tick)
        if not chord.tones:
            self._last_chord = chord
            return []
        tick_in_bar = ticks_after_bar_line(self._timeline, tick)
        accent = 4 if tick_in_bar == 0 else (0 if tick_in_bar % TICKS_PER_QUARTER == 0 else -4)
        deviation = round(6 * (draw(tick, _TOUCH) - 0.5))
        velocity = max(1, min(127, solo_velocity - _VELOCITY_REDUCTION[style] + accent + deviation))
        if style == "shells":
            self._last_shell = nearest_shell(shell_tones(chord), self._last_shell)
            return [NoteOn(pitch, velocity, channel) for pitch in self._last_shell]
        self._last_pitch, self._last_chord = self._walk(tick, chord, draw), chord
        return [NoteOn(self._last_pitch, velocity, channel)]

    def _chord_at(self, tick: int) -> Chord:
        return self._timeline.chord_at(tick / TICKS_PER_QUARTER)

    # -- the bass

    def _walk(self, tick: int, chord: Chord, draw: DrawFunction) -> int:
        if self._is_landing(tick, chord, self._last_chord):
            pitch = self._nearest_pitch(self._landing_pitch_class(tick, chord, self._last_chord, draw))
            low, high = BASS_PITCHES[0], BASS_PITCHES[-1]
            self._is_ascending = draw(tick, _DIRECTION) < (high - pitch) / (high - low)  # likelier from a low pitch
            return pitch
        next_tick, drawn = self.next_onset("bass", tick, draw), draw(tick, _WALK)
        next_chord = self._chord_at(next_tick)
        if next_chord.tones and self._is_landing(next_tick, next_chord, chord):
            # Approach it by a semitone, or a whole tone of the scale, from our side first.
            landing = self._nearest_pitch(self._landing_pitch_class(next_tick, next_chord, chord, draw))
            side = 1 if self._last_pitch > landing else -1
            steps = (side, 2 * side, -side, -2 * side) if drawn < 0.5 else (2 * side, side, -2 * side, -side)
            pitches = (landing + step for step in steps if abs(step) == 1 or (landing + step) % 12 in chord.scale)
            for pitch in pitches:  # at the end of the range there may be none
                if pitch in BASS_PITCHES and pitch != self._last_pitch:
                    return pitch
        # Go on to the next tone of the chord or its scale in the same direction; turn back at the end of the range.
        tones = chord.tones if drawn < 0.6 else chord.tones | chord.scale
        up = [pitch for pitch in BASS_PITCHES if pitch > self._last_pitch and pitch % 12 in tones]
        down = [pitch for pitch in BASS_PITCHES if pitch < self._last_pitch and pitch % 12 in tones]
        self._is_ascending = bool(up) if self._is_ascending else not down
        return up[0] if self._is_ascending else down[-1]

    def _is_landing(self, tick: int, chord: Chord, before: Chord) -> bool:
        """Whether the bass lands on a tone of `chord` at `tick`: on a bar line, and on a change of chord."""
        return ticks_after_bar_line(self._timeline, tick) == 0 or chord != before

    def _landing_pitch_class(self, tick: int, chord: Chord, before: Chord, draw: DrawFunction) -> int:
        """Return the pitch class on which the bass lands at `tick`."""
        if chord != before or draw(tick, _LANDING) < 0.5:
            return chord.root if chord.bass is None else chord.bass
        fifth = next((offset for offset in (7, 6, 8) if offset in chord.quality.tones), 0)
        return (chord.root + fifth) % 12

    def _nearest_pitch(self, pitch_class: int) -> int:
        """Return the pitch of `pitch_class` that is nearest to the last pitch, but not the last pitch itself."""
        octaves = (pitch for pitch in BASS_PITCHES if pitch % 12 == pitch_class and pitch != self._last_pitch)
        return min(octaves, key=lambda pitch: (abs(pitch - self._last_pitch), pitch))


def shell_tones(chord: Chord) -> tuple[int, ...]:
    """Return the two pitch classes of the shell of `chord`; none for no chord."""
    tones = chord.quality.tones
    if not tones:
        return ()
    third = next((offset for offset in (4, 3, 5, 2) if offset in tones), 0)
    seventh = next(offset for offset in (10, 11, 9, 7, 8, 6) if offset in tones)
    return (chord.root + third) % 12, (chord.root + seventh) % 12


def nearest_shell(
    pitch_classes: tuple[int, ...], before: tuple[int, ...], among: range = SHELL_PITCHES
) -> tuple[int, ...]:
    """Return two pitches of these classes that move least from the shell `before`; of equals those nearest C4.

    They are `among` these pitches if there are two that fit, else of `SHELL_PITCHES`.
    """

    def distance(pair: tuple[int, int]) -> tuple[int, int]:
        from_centre = sum(abs(pitch - _SHELL_CENTRE) for pitch in pair)
        return sum(abs(pitch - old) for pitch, old in zip(pair, before, strict=False)), from_centre

    for pitch_range in (among, SHELL_PITCHES):
        pitches = [pitch for pitch in pitch_range if pitch % 12 in pitch_classes]
        pairs = [(low, high) for low, high in combinations(pitches, 2) if _MIN_SHELL_INTERVAL <= high - low < 12]
        if pairs:
            return min(pairs, key=distance)
    return before
